"""Metrics of audio-visual event localization.

A prediction is one class for each segment of each video: N videos, T segments, C classes of which the last, C - 1, is
background. All metrics are micro: each counts over all segments (or events) of the set at once and never averages over
batches or videos. Segments that are only padding do not count.

Segment metrics
    *Accuracy*, the share of segments whose class is right, background included, is what papers report on AVE (Tian et
    al., ECCV 2018, Section 6.2, "overall accuracy"). *Accuracy of a category* is the same over the segments that truly
    belong to it. The *confusion matrix* counts segments by true class (row) and predicted class (column).

Event metrics
    An event is a maximal run of neighbouring segments with the same category. A predicted event is right when it is
    matched with a true event of the same category in the same video and their intersection over union is at least 0.5
    (the threshold of Tian, Li and Xu, ECCV 2020, Section 5, there as an average over videos; here micro). Matching is
    one to one and matches as many as it can, and then with the largest overlap, as in mir_eval's note matching
    (Raffel et al., ISMIR 2014). F1 is the harmonic mean of precision and recall.

    *Onset and offset error* are the mean distances in seconds of start and end over the matched events, in the manner
    of the timing of sound events (Mesaros, Heittola and Virtanen, Applied Sciences 2016), where a tolerance takes the
    place of the mean.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from avel.data.labels import ClassRun, class_runs

Classes = npt.NDArray[np.int64]
Valid = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

EVENT_IOU = 0.5


@dataclass(frozen=True)
class EventScores:
    """How well events are found.

    Attributes:
        predicted: number of predicted events.
        true: number of true events.
        matched: number of pairs of them.
        precision: matched / predicted; ``nan`` when nothing was predicted.
        recall: matched / true; ``nan`` when there is nothing to find.
        f1: 2 matched / (predicted + true); ``nan`` when both are 0.
        onset_error_seconds: mean distance of the starts of matched events; ``nan`` when none is matched.
        offset_error_seconds: the same of their ends.
    """

    predicted: int
    true: int
    matched: int
    precision: float
    recall: float
    f1: float
    onset_error_seconds: float
    offset_error_seconds: float


@dataclass(frozen=True)
class Metrics:
    """All metrics of one prediction of a set of videos.

    Attributes:
        segment_accuracy: in [0, 1].
        category_accuracy: (C,) in [0, 1]; ``nan`` for classes that no segment has.
        confusion: (C, C) number of segments by true class, then predicted class.
        events: event scores at an intersection over union of `EVENT_IOU`.
        videos: N.
    """

    segment_accuracy: float
    category_accuracy: tuple[float, ...]
    confusion: Counts
    events: EventScores
    videos: int

    @property
    def segments(self) -> int:
        """Number of segments that counted."""
        return int(self.confusion.sum())

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not defined is ``None``."""
        return {
            "segment_accuracy": _or_none(self.segment_accuracy),
            "category_accuracy": [_or_none(value) for value in self.category_accuracy],
            "confusion": self.confusion.tolist(),
            "events": {name: _or_none(value) for name, value in asdict(self.events).items()},
            "videos": self.videos,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """Read what `to_dict` made."""
        return cls(
            _or_nan(data["segment_accuracy"]),
            tuple(_or_nan(value) for value in data["category_accuracy"]),
            np.array(data["confusion"], np.int64),
            EventScores(**{name: _or_nan(value) for name, value in data["events"].items()}),
            data["videos"],
        )


def measure(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    num_classes: int,
    *,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
) -> Metrics:
    """All metrics of a prediction.

    Args:
        predicted: (N, T) class of each segment, in [0, C).
        true: (N, T) the true classes.
        num_classes: C; class C - 1 is background.
        valid: (N, T), False where a segment is only padding; all count without it.
        segment_seconds: length of a segment.

    Raises:
        ValueError: if shapes differ or a class is out of range.
    """
    p, t, v = _validated(predicted, true, num_classes, valid)
    confusion = confusion_matrix(p, t, num_classes, valid=v)
    return Metrics(
        segment_accuracy=segment_accuracy(p, t, valid=v),
        category_accuracy=category_accuracy(confusion),
        confusion=confusion,
        events=event_scores(p, t, num_classes, valid=v, segment_seconds=segment_seconds),
        videos=len(p),
    )


def segment_accuracy(predicted: npt.ArrayLike, true: npt.ArrayLike, *, valid: npt.ArrayLike | None = None) -> float:
    """Share of segments whose class is right, in [0, 1]; ``nan`` without a segment.

    Args:
        predicted: (N, T) class of each segment.
        true: (N, T) the true classes.
        valid: (N, T), False where a segment is only padding.

    Raises:
        ValueError: if shapes differ.
    """
    p, t, v = _validated(predicted, true, None, valid)
    return float((p == t)[v].mean()) if v.any() else math.nan


def confusion_matrix(
    predicted: npt.ArrayLike, true: npt.ArrayLike, num_classes: int, *, valid: npt.ArrayLike | None = None
) -> Counts:
    """(C, C) number of segments by true class (row) and predicted class (column); arguments as `measure`."""
    p, t, v = _validated(predicted, true, num_classes, valid)
    counts = np.bincount(t[v] * num_classes + p[v], minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes).astype(np.int64)


def category_accuracy(confusion: npt.ArrayLike) -> tuple[float, ...]:
    """Share of each class's segments that are right; ``nan`` for classes that no segment has.

    Args:
        confusion: (C, C) as `confusion_matrix` makes it.
    """
    counts = np.asarray(confusion)
    return tuple(
        float(right / total) if total else math.nan
        for right, total in zip(counts.diagonal(), counts.sum(1), strict=True)
    )


def event_scores(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    num_classes: int,
    *,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
    min_iou: float = EVENT_IOU,
) -> EventScores:
    """Find events in both, match them, and count; other arguments as `measure`.

    Args:
        predicted: (N, T) class of each segment.
        true: (N, T) the true classes.
        num_classes: C; class C - 1 is background.
        valid: (N, T), False where a segment is only padding; it belongs to no event.
        segment_seconds: length of a segment.
        min_iou: smallest intersection over union of a match, in (0, 1].

    Raises:
        ValueError: if shapes differ, or a value is out of range.
    """
    if not 0 < min_iou <= 1:
        raise ValueError(f"min_iou must be in (0, 1], got {min_iou}.")
    p, t, v = _validated(predicted, true, num_classes, valid)
    background = num_classes - 1
    found = real = 0
    onset = offset = 0.0
    matched = 0
    for video in range(len(p)):
        ours = class_runs(np.where(v[video], p[video], background), background)
        theirs = class_runs(np.where(v[video], t[video], background), background)
        found += len(ours)
        real += len(theirs)
        for mine, other in _matches(ours, theirs, min_iou):
            matched += 1
            onset += abs(mine.start - other.start) * segment_seconds
            offset += abs(mine.end - other.end) * segment_seconds
    return EventScores(
        predicted=found,
        true=real,
        matched=matched,
        precision=_ratio(matched, found),
        recall=_ratio(matched, real),
        f1=_ratio(2 * matched, found + real),
        onset_error_seconds=_ratio(onset, matched),
        offset_error_seconds=_ratio(offset, matched),
    )


def iou(first: ClassRun, second: ClassRun) -> float:
    """Intersection over union of two spans of segments, in [0, 1]."""
    intersection = max(0, min(first.end, second.end) - max(first.start, second.start))
    union = (first.end - first.start) + (second.end - second.start) - intersection
    return intersection / union


def _matches(
    predicted: Sequence[ClassRun], true: Sequence[ClassRun], min_iou: float
) -> list[tuple[ClassRun, ClassRun]]:
    """Pairs of events of the same category; as many as possible, then with the largest sum of overlaps."""
    if not predicted or not true:
        return []
    from scipy.optimize import linear_sum_assignment

    overlap = np.array([[iou(p, t) if p.category == t.category else 0.0 for t in true] for p in predicted])
    # An allowed pair is worth more than the overlaps of all pairs together, so that one more pair is always better.
    worth = np.where(overlap >= min_iou, overlap + min(overlap.shape) + 1, 0.0)
    rows, columns = linear_sum_assignment(worth, maximize=True)
    return [(predicted[i], true[j]) for i, j in zip(rows, columns, strict=True) if worth[i, j] > 0]


def _validated(
    predicted: npt.ArrayLike, true: npt.ArrayLike, num_classes: int | None, valid: npt.ArrayLike | None
) -> tuple[Classes, Classes, Valid]:
    p, t = np.asarray(predicted), np.asarray(true)
    v = np.ones(t.shape, np.bool_) if valid is None else np.asarray(valid, np.bool_)
    if p.ndim != 2 or p.shape != t.shape or v.shape != t.shape:
        raise ValueError(f"predicted, true and valid must have one shape (N, T), got {p.shape}, {t.shape}, {v.shape}.")
    for name, values in (("predicted", p), ("true", t)):
        if values.dtype.kind not in "iu":
            raise ValueError(f"{name} must be whole numbers, got {values.dtype}.")
        if num_classes is not None and v.any() and not 0 <= values[v].min() <= values[v].max() < num_classes:
            raise ValueError(
                f"{name} has classes {values[v].min()} to {values[v].max()}; with num_classes={num_classes}, "
                f"they must be 0 to {num_classes - 1}."
            )
    return p.astype(np.int64), t.astype(np.int64), v


def _ratio(value: float, total: int) -> float:
    return value / total if total else math.nan


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _or_nan(value: Any) -> Any:
    return math.nan if value is None else value
