"""How well segments are classified where each has one class: an event category, or background.

Input
    One class for each segment of each video: (N, T), of C classes the last of which, C - 1, is background.

Conventions
    *Accuracy* is the share of segments whose class is right, background included. *Accuracy of a category* is the same
    over the segments that truly belong to it. The *confusion matrix* counts segments by true class (row) and predicted
    class (column). All are micro: over all segments of the set at once, never averaged over batches or videos. Segments
    that are only padding do not count.

Range
    Accuracies are in [0, 1], and ``nan`` without a segment.

Source
    What papers report on AVE: Tian et al., ECCV 2018, Section 6.2, "overall accuracy".
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.metrics.events import EventScores, event_scores
from avel.metrics.values import Counts, Number, validated
from avel.records import Record


@dataclass(frozen=True)
class Metrics(Record):
    """All metrics of one prediction of a set of videos.

    Attributes:
        segment_accuracy: in [0, 1].
        category_accuracy: (C,) in [0, 1]; ``nan`` for classes that no segment has.
        confusion: (C, C) number of segments by true class, then predicted class.
        events: how well events are found, see `avel.metrics.events`.
        videos: N.
    """

    segment_accuracy: Number
    category_accuracy: tuple[Number, ...]
    confusion: Counts
    events: EventScores
    videos: int

    @property
    def segments(self) -> int:
        """Number of segments that counted."""
        return int(self.confusion.sum())


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
    p, t, v = validated(predicted, true, num_classes, valid)
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
    p, t, v = validated(predicted, true, None, valid)
    return float((p == t)[v].mean()) if v.any() else math.nan


def confusion_matrix(
    predicted: npt.ArrayLike, true: npt.ArrayLike, num_classes: int, *, valid: npt.ArrayLike | None = None
) -> Counts:
    """(C, C) number of segments by true class (row) and predicted class (column); arguments as `measure`."""
    p, t, v = validated(predicted, true, num_classes, valid)
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


def category_f1(confusion: npt.ArrayLike) -> float:
    """Mean over the event categories that occur of F1, 2 TP / (2 TP + FP + FN), in [0, 1]; ``nan`` when none occurs.

    Whoever never finds a category has 0 of it, however rare it is.

    Args:
        confusion: (C, C) as `confusion_matrix` gives it; class C - 1, background, does not count.
    """
    counts = np.asarray(confusion)
    right, true, said = counts.diagonal()[:-1], counts.sum(1)[:-1], counts.sum(0)[:-1]
    there = true > 0
    return float((2 * right[there] / (true + said)[there]).mean()) if there.any() else math.nan
