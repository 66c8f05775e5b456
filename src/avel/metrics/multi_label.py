"""How well segments are classified where each may hold any number of event categories, each with a score of its own.

Input
    Scores in [0, 1] and the truth of S segments (or videos) and K = C - 1 event categories, and a threshold for each
    category where it matters what was said to be there.

Conventions
    *Average precision* of a category is the sum of precision times the step in recall over its segments by falling
    score, equal scores together: sum over n of (R_n - R_{n-1}) P_n, without interpolation. Always the same score gives
    the category's share of segments. *Mean average precision* is the mean over the categories that occur. Neither needs
    thresholds. *F1* of a category is 2 TP / (2 TP + FP + FN) over segments at its threshold; *macro F1* is the mean
    over the categories that occur, *micro F1* counts the segments of all categories together. Events are as in
    `avel.metrics.events`, of each category apart, and counted together.

Range
    All are in [0, 1], and ``nan`` where they are not defined, such as for a category that does not occur.

Source
    Average precision as scikit-learn and torchmetrics have it.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.metrics.events import EventScores, event_scores_of_categories
from avel.metrics.values import Number, Valid, ratio
from avel.records import Record

Scores = npt.NDArray[np.floating]
Present = npt.NDArray[np.bool_]

DEFAULT_THRESHOLD = 0.5
SMALLEST_THRESHOLD, LARGEST_THRESHOLD = 0.001, 0.999
"""Of those that are chosen: a score that saturates says little."""
_CATEGORIES_AT_ONCE = 16
"""That are copied to be sorted: rows of so many numbers fill a line of the processor's cache."""


@dataclass(frozen=True)
class CategoryScores(Record):
    """How well one category is found.

    Attributes:
        average_precision: in [0, 1]; ``nan`` when the category does not occur.
        precision: of its segments; ``nan`` when it was never said to be there.
        recall: of its segments; ``nan`` when it does not occur.
        f1: ``nan`` when it neither occurs nor was said to.
        threshold: score from which on it is there; ``None`` for an answer that has none.
        true: number of segments that truly hold it.
        predicted: number of segments that were said to hold it.
    """

    average_precision: Number
    precision: Number
    recall: Number
    f1: Number
    threshold: float | None
    true: int
    predicted: int


@dataclass(frozen=True)
class MultiLabelMetrics(Record):
    """All metrics of one prediction of a set of videos.

    Attributes:
        mean_average_precision: in [0, 1]; ``nan`` when no category occurs.
        macro_f1: mean over the categories that occur.
        micro_f1: of all categories together.
        categories: (K,) of each category.
        events: event scores of all categories together.
        videos: N.
        segments: number of segments that counted.
    """

    mean_average_precision: Number
    macro_f1: Number
    micro_f1: Number
    categories: tuple[CategoryScores, ...]
    events: EventScores
    videos: int
    segments: int


def average_precision(scores: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Average precision of one category, in [0, 1]; ``nan`` when it does not occur.

    Args:
        scores: (S,).
        true: (S,) bool.

    Raises:
        ValueError: if shapes differ or a score is not a number.
    """
    s, t = _validated(scores, true, 1)
    positives = int(t.sum())
    if not positives:
        return math.nan
    found = np.sort(s[t])[::-1]
    ends = np.append(found[1:] != found[:-1], True)  # the last of equal scores
    hits = (np.arange(positives) + 1)[ends]
    counts = len(s) - np.searchsorted(np.sort(s), found[ends], side="left")  # how many score as much or more
    steps = np.diff(hits, prepend=0)
    return float((steps * hits / counts).sum() / positives)


def mean_average_precision(scores: npt.ArrayLike, true: npt.ArrayLike) -> float:
    """Mean average precision over the categories that occur; ``nan`` when none does.

    Args:
        scores: (S, K).
        true: (S, K) bool.

    Raises:
        ValueError: if shapes differ or a score is not a number.
    """
    s, t = _validated(scores, true, 2)
    return _mean([average_precision(of_one, is_true) for of_one, is_true in _by_category(s, t)])


def choose_thresholds(scores: npt.ArrayLike, true: npt.ArrayLike) -> tuple[float, ...]:
    """For each category, the threshold with the best F1; `DEFAULT_THRESHOLD` where the category does not occur.

    A threshold lies halfway between two scores that occur; of several that are as good, the one nearest to
    `DEFAULT_THRESHOLD` is taken.

    Args:
        scores: (S, K) in [0, 1].
        true: (S, K) bool.

    Raises:
        ValueError: if shapes differ or a score is not a number.
    """
    s, t = _validated(scores, true, 2)
    return tuple(_threshold(of_one, is_true) for of_one, is_true in _by_category(s, t))


def measure_multi_label(
    scores: npt.ArrayLike,
    present: npt.ArrayLike,
    true: npt.ArrayLike,
    *,
    thresholds: Sequence[float] | None = None,
    valid: npt.ArrayLike | None = None,
    segment_seconds: float = 1.0,
) -> MultiLabelMetrics:
    """All metrics of a prediction.

    Args:
        scores: (N, T, K).
        present: (N, T, K) bool, which categories were said to be there.
        true: (N, T, K) bool, those that are.
        thresholds: (K,) that ``present`` was made with, to be told.
        valid: (N, T), False where a segment is only padding; all count without it.
        segment_seconds: length of a segment.

    Raises:
        ValueError: if shapes differ.
    """
    s, t = _validated(scores, true, 3)
    p = np.asarray(present, np.bool_)
    v: Valid = np.ones(t.shape[:2], np.bool_) if valid is None else np.asarray(valid, np.bool_)
    if p.shape != t.shape or v.shape != t.shape[:2]:
        raise ValueError(f"present and valid must have shapes {t.shape} and {t.shape[:2]}, got {p.shape}, {v.shape}.")
    said, real = p & v[..., None], t & v[..., None]
    hits, predicted, positives = (flags.sum(axis=(0, 1)) for flags in (said & real, said, real))
    categories = tuple(
        CategoryScores(
            average_precision=average_precision(of_one, is_true),
            precision=ratio(int(hits[k]), int(predicted[k])),
            recall=ratio(int(hits[k]), int(positives[k])),
            f1=ratio(2 * int(hits[k]), int(predicted[k] + positives[k])),
            threshold=None if thresholds is None else float(thresholds[k]),
            true=int(positives[k]),
            predicted=int(predicted[k]),
        )
        for k, (of_one, is_true) in enumerate(_by_category(s, t, v))
    )
    occurring = [one for one in categories if one.true]
    return MultiLabelMetrics(
        mean_average_precision=_mean([one.average_precision for one in occurring]),
        macro_f1=_mean([one.f1 for one in occurring]),
        micro_f1=ratio(2 * int(hits.sum()), int(predicted.sum() + positives.sum())),
        categories=categories,
        events=event_scores_of_categories(said, real, segment_seconds=segment_seconds),
        videos=len(t),
        segments=int(v.sum()),
    )


def _by_category(scores: Scores, true: Present, valid: Valid | None = None) -> Iterator[tuple[Scores, Present]]:
    """(S,) scores and truth of each category, each in one piece of memory, as it is sorted; some at a time, as copies.

    Args:
        scores: (S, K), or (N, T, K) where `valid` is given.
        true: the same.
        valid: (N, T), which of the segments count.
    """
    for first in range(0, scores.shape[-1], _CATEGORIES_AT_ONCE):
        some = (array[..., first : first + _CATEGORIES_AT_ONCE] for array in (scores, true))
        s, t = (part if valid is None else part[valid] for part in some)
        yield from zip(np.ascontiguousarray(s.T, np.float64), np.ascontiguousarray(t.T), strict=True)


def _threshold(scores: Scores, true: Present) -> float:
    if not true.any():
        return DEFAULT_THRESHOLD
    order = np.argsort(-scores, kind="stable")
    s, t = scores[order], true[order]
    ends = np.append(s[1:] != s[:-1], True)
    f1 = 2 * np.cumsum(t) / (np.arange(len(s)) + 1 + t.sum())
    following = np.append(s[1:], 0.0)
    thresholds = np.clip((s + following) / 2, SMALLEST_THRESHOLD, LARGEST_THRESHOLD)
    separates = ends & (thresholds <= s) & ((thresholds > following) | (np.arange(len(s)) == len(s) - 1))
    if not separates.any():
        return DEFAULT_THRESHOLD
    best = thresholds[separates & np.isclose(f1, f1[separates].max(), rtol=0, atol=1e-12)]
    return float(best[np.abs(best - DEFAULT_THRESHOLD).argmin()])


def _validated(scores: npt.ArrayLike, true: npt.ArrayLike, dimensions: int) -> tuple[Scores, Present]:
    s, t = np.asarray(scores), np.asarray(true, np.bool_)
    s = s if s.dtype.kind == "f" else s.astype(np.float64)
    if s.ndim != dimensions or s.shape != t.shape:
        raise ValueError(f"scores and true must have one shape of {dimensions} dimensions, got {s.shape}, {t.shape}.")
    if s.size and not (np.isfinite(s.min()) and np.isfinite(s.max())):
        raise ValueError("scores must be finite numbers.")
    return s, t


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
