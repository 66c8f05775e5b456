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

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.data.labels import ClassRun, class_runs
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
        precision=ratio(matched, found),
        recall=ratio(matched, real),
        f1=ratio(2 * matched, found + real),
        onset_error_seconds=ratio(onset, matched),
        offset_error_seconds=ratio(offset, matched),
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
