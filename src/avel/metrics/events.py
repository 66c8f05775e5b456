"""How well events are found, whatever their number and place.

Input
    One class for each segment of each video: (N, T), of C classes the last of which, C - 1, is background. An event is
    a maximal run of neighbouring segments with the same category.

Conventions
    A predicted event is right when it is matched with a true event of the same category in the same video and their
    intersection over union is at least 0.5. Matching is one to one; it makes as many pairs as it can, and among those
    the ones with the largest overlap. Counts are micro: over all events of all videos at once. Segments that are only
    padding belong to no event.

Range
    Precision, recall and F1, the harmonic mean of both, are in [0, 1]; onset and offset error are mean distances in
    seconds, 0 or more. What is not defined, such as the precision of no prediction, is ``nan``.

Sources
    The threshold: Tian, Li and Xu, ECCV 2020, Section 5, there as an average over videos. The matching: mir_eval's
    notes (Raffel et al., ISMIR 2014). The errors: the timing of sound events of Mesaros, Heittola and Virtanen (Applied
    Sciences 2016), where a tolerance takes the place of the mean.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from avel.data.labels import ClassRun
from avel.metrics.values import Number, ratio, validated
from avel.records import Record

EVENT_IOU = 0.5


@dataclass(frozen=True)
class EventScores(Record):
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
    precision: Number
    recall: Number
    f1: Number
    onset_error_seconds: Number
    offset_error_seconds: Number


def event_scores(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    num_classes: int,
    *,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
    min_iou: float = EVENT_IOU,
) -> EventScores:
    """Find events in both, match them, and count.

    Args:
        predicted: (N, T) class of each segment, in [0, C).
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
    p, t, v = validated(predicted, true, num_classes, valid)
    background = num_classes - 1
    ours, theirs = (_runs_of_classes(np.where(v, classes, background), background) for classes in (p, t))
    return _scores(ours, theirs, p.shape[1], segment_seconds, min_iou)


def event_scores_of_categories(
    predicted: npt.NDArray[np.bool_],
    true: npt.NDArray[np.bool_],
    *,
    segment_seconds: float = 1.0,
    min_iou: float = EVENT_IOU,
) -> EventScores:
    """The same where a segment may hold several categories: each category's runs of segments are its events.

    Args:
        predicted: (N, T, K), whether each category was said to be there; False where a segment is only padding.
        true: (N, T, K), whether it is.
        segment_seconds: length of a segment.
        min_iou: smallest intersection over union of a match, in (0, 1].
    """
    return _scores(_runs(predicted), _runs(true), true.shape[1], segment_seconds, min_iou)


def iou(first: ClassRun, second: ClassRun) -> float:
    """Intersection over union of two spans of segments, in [0, 1]."""
    intersection = max(0, min(first.end, second.end) - max(first.start, second.start))
    union = (first.end - first.start) + (second.end - second.start) - intersection
    return intersection / union


class _Runs(NamedTuple):
    """M events, ordered by key and start.

    Attributes:
        keys: (M,) which video and category, as one number.
        starts: (M,) first segment.
        ends: (M,) the segment after the last.
    """

    keys: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]


def _runs_of_classes(classes: npt.NDArray[np.int64], background: int) -> _Runs:
    """The runs of one event category in (N, T) classes."""
    count, length = classes.shape
    edge = np.full((count, 1), background)
    padded = np.hstack([edge, classes, edge])
    changes = padded[:, 1:] != padded[:, :-1]
    first = changes[:, :-1] & (classes != background)
    last = changes[:, 1:] & (classes != background)
    videos, starts = np.nonzero(first)
    keys = videos * (background + 1) + classes[videos, starts]
    return _sorted(_Runs(keys, starts, np.nonzero(last)[1] + 1), length)


def _runs(present: npt.NDArray[np.bool_]) -> _Runs:
    """The runs of each category in (N, T, K)."""
    of_category = np.ascontiguousarray(present.transpose(0, 2, 1)).reshape(-1, present.shape[1])
    edge = np.zeros((len(of_category), 1), np.bool_)
    changes = np.diff(np.hstack([edge, of_category, edge]).astype(np.int8), axis=1)
    keys, starts = np.nonzero(changes == 1)
    return _Runs(keys, starts, np.nonzero(changes == -1)[1])


def _sorted(runs: _Runs, length: int) -> _Runs:
    order = np.argsort(runs.keys * (length + 1) + runs.starts)
    return _Runs(runs.keys[order], runs.starts[order], runs.ends[order])


def _scores(ours: _Runs, theirs: _Runs, length: int, segment_seconds: float, min_iou: float) -> EventScores:
    mine, other = _matches(ours, theirs, length, min_iou)
    found, real, matched = len(ours.keys), len(theirs.keys), len(mine)
    onset = np.abs(ours.starts[mine] - theirs.starts[other]).sum() * segment_seconds
    offset = np.abs(ours.ends[mine] - theirs.ends[other]).sum() * segment_seconds
    return EventScores(
        predicted=found,
        true=real,
        matched=matched,
        precision=ratio(matched, found),
        recall=ratio(matched, real),
        f1=ratio(2 * matched, found + real),
        onset_error_seconds=ratio(float(onset), matched),
        offset_error_seconds=ratio(float(offset), matched),
    )


def _matches(
    ours: _Runs, theirs: _Runs, length: int, min_iou: float
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Numbers of the matched events in both: as many pairs as possible, then with the largest sum of overlaps."""
    if min_iou < EVENT_IOU:
        return _assigned(ours, theirs, min_iou)
    # Runs of one category do not touch, so at most one covers half of another: there is nothing to choose. It holds
    # the middle of the other or ends there, so it is the last that starts before the middle, or the one before.
    middles = (theirs.starts + theirs.ends) // 2
    codes = ours.keys * (length + 1) + ours.starts
    nearest = np.searchsorted(codes, theirs.keys * (length + 1) + middles, side="right") - 1
    pairs = [
        (candidates[good], np.flatnonzero(good))
        for candidates in (nearest, nearest - 1)
        for good in [_are_matches(ours, theirs, candidates, min_iou)]
    ]
    return np.concatenate([mine for mine, _ in pairs]), np.concatenate([other for _, other in pairs])


def _are_matches(
    ours: _Runs, theirs: _Runs, candidates: npt.NDArray[np.int64], min_iou: float
) -> npt.NDArray[np.bool_]:
    """Whether each of their events is matched by its candidate, of which there is none below 0."""
    if not len(ours.keys):
        return np.zeros(len(theirs.keys), np.bool_)
    mine = np.maximum(candidates, 0)
    together = np.minimum(ours.ends[mine], theirs.ends) - np.maximum(ours.starts[mine], theirs.starts)
    either = ours.ends[mine] - ours.starts[mine] + theirs.ends - theirs.starts - together
    good: npt.NDArray[np.bool_] = (candidates >= 0) & (ours.keys[mine] == theirs.keys) & (together / either >= min_iou)
    return good


def _assigned(ours: _Runs, theirs: _Runs, min_iou: float) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The matches where an event may overlap several others enough."""
    from scipy.optimize import linear_sum_assignment

    mine: list[int] = []
    others: list[int] = []
    for key in np.intersect1d(ours.keys, theirs.keys):
        first, second = np.flatnonzero(ours.keys == key), np.flatnonzero(theirs.keys == key)
        together = np.minimum.outer(ours.ends[first], theirs.ends[second]) - np.maximum.outer(
            ours.starts[first], theirs.starts[second]
        )
        lengths = np.add.outer(ours.ends[first] - ours.starts[first], theirs.ends[second] - theirs.starts[second])
        overlap = np.maximum(together, 0) / (lengths - np.maximum(together, 0))
        # An allowed pair is worth more than the overlaps of all pairs, so that one more pair is always better.
        worth = np.where(overlap >= min_iou, overlap + min(overlap.shape) + 1, 0.0)
        rows, columns = linear_sum_assignment(worth, maximize=True)
        kept = worth[rows, columns] > 0
        mine += first[rows[kept]].tolist()
        others += second[columns[kept]].tolist()
    return np.array(mine, np.int64), np.array(others, np.int64)
