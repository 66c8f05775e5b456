"""The segment-level and event-level F1 of OV-AVEBench: per video, and background counts as a category.

Input
    Which of K categories each of T segments of a video holds, (T, K), predicted and true. Background is a category of
    its own, where no other is.

Conventions
    *Segment-level*: F1 over the segments, of each category that is predicted or true, background among them; the mean
    of these is the video's, and the mean over videos the result. *Event-level*: the same of events, the runs of
    segments of a category (of background too). A predicted event is found if its intersection over union with any
    true one is at least 0.5, and a true one is missed if that holds for no predicted one; matching is not one to one.
    The third metric, *total accuracy*, is the share of right segments over all videos, the segment accuracy of
    `avel.metrics.detection`.

Range
    [0, 1]; ``nan`` without a video.

Source
    Zhou et al., "Towards Open-Vocabulary Audio-Visual Event Localization", CVPR 2025. Its text was not at hand, so
    the form is that of the authors' evaluation (github.com/jasongief/OV-AVEL, ``utils/eval_metrics.py``), where a
    video has one category; here several may be there at once. "Seen" and "unseen" are the same over parts of the
    videos.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

MIN_IOU = 0.5

Presence = npt.NDArray[np.bool_]
"""(T, K)."""


def ov_avebench_f1(videos: Iterable[tuple[Presence, Presence]]) -> tuple[float, float]:
    """Segment-level and event-level F1.

    Args:
        videos: predicted and true presence of each.
    """
    found = [(_mean_f1(*pair, _segment_counts), _mean_f1(*pair, _event_counts)) for pair in videos]
    if not found:
        return math.nan, math.nan
    segment, event = np.mean(found, axis=0)
    return float(segment), float(event)


def _mean_f1(
    predicted: Presence, true: Presence, counts: Callable[[Presence, Presence], tuple[int, int, int]]
) -> float:
    """Of a video: the mean over the categories that are predicted or true."""
    scores = []
    for ours, theirs in zip(_with_background(predicted).T, _with_background(true).T, strict=True):
        if ours.any() or theirs.any():
            hits, wrong, missed = counts(ours, theirs)
            scores.append(2 * hits / (2 * hits + wrong + missed))
    return float(np.mean(scores))


def _with_background(presence: Presence) -> Presence:
    return np.hstack([presence, ~presence.any(axis=1, keepdims=True)])


def _segment_counts(ours: Presence, theirs: Presence) -> tuple[int, int, int]:
    return int((ours & theirs).sum()), int((ours & ~theirs).sum()), int((theirs & ~ours).sum())


def _event_counts(ours: Presence, theirs: Presence) -> tuple[int, int, int]:
    mine, other = _runs_of(ours), _runs_of(theirs)
    hits = sum(any(_overlap(one, true) >= MIN_IOU for true in other) for one in mine)
    missed = sum(all(_overlap(one, true) < MIN_IOU for one in mine) for true in other)
    return hits, len(mine) - hits, missed


def _runs_of(row: Presence) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.pad(row.astype(np.int8), 1))).reshape(-1, 2)
    return [(int(start), int(end)) for start, end in edges]


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> float:
    """Intersection over union."""
    both = max(0, min(one[1], other[1]) - max(one[0], other[0]))
    return both / (one[1] - one[0] + other[1] - other[0] - both)
