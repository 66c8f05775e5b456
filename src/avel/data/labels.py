"""From event intervals to what a network is trained on, and back.

A segment belongs to an event when the event covers at least half of it, so that intervals of whole segments, as in AVE,
give exactly their segments. The classes are the event categories in order, then background: C = num_categories + 1.

Weak labels stand for a whole video. The literature has two protocols that must not be compared with each other:

``one-hot``     the event's category, never background where there is an event (Tian et al., ECCV 2018; most others)
``proportion``  the share of segments of each class (Xuan et al., AAAI 2020), which tells how long the event is

Every function returns a new array.
"""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from avel.data.annotations import Annotation, WeakProtocol

Labels = npt.NDArray[np.float32]

WEAK_PROTOCOLS: tuple[WeakProtocol, ...] = get_args(WeakProtocol)

MIN_COVERAGE = 0.5

_ROUNDING = 1e-9


class ClassRun(NamedTuple):
    """Neighbouring segments ``[start, end)`` of one event category."""

    category: int
    start: int
    end: int


def coverage(
    events: Iterable[Annotation], categories: Sequence[str], num_segments: int, segment_seconds: float = 1.0
) -> npt.NDArray[np.float64]:
    """Share of each segment that each event category covers.

    Events of one category that overlap are not counted twice. What reaches past the last segment is left out.

    Args:
        events: the events of one video.
        categories: event categories in the order of the classes.
        num_segments: T, 1 or more.
        segment_seconds: length of a segment, above 0.

    Returns:
        (T, num_categories) in [0, 1].

    Raises:
        ValueError: if a length is out of range or an event's category is not in ``categories``.
    """
    if num_segments < 1:
        raise ValueError(f"num_segments must be 1 or more, got {num_segments}.")
    if not (np.isfinite(segment_seconds) and segment_seconds > 0):
        raise ValueError(f"segment_seconds must be above 0, got {segment_seconds}.")
    index = {category: c for c, category in enumerate(categories)}
    spans: dict[int, list[tuple[float, float]]] = {}
    for event in events:
        if event.category not in index:
            raise ValueError(f"Event category '{event.category}' is not among the {len(index)} categories given.")
        spans.setdefault(index[event.category], []).append((event.start_seconds, event.end_seconds))
    covered = np.zeros((num_segments, len(index)))
    starts = np.arange(num_segments) * segment_seconds
    for c, intervals in spans.items():
        for start, end in _union(intervals):
            # Only the segments around the event, since a long video has many of both; one more on each side, since
            # the division rounds.
            first, last = (int(min(t / segment_seconds, num_segments)) for t in (start, end))
            near = starts[max(first - 1, 0) : last + 2]
            covered[max(first - 1, 0) : last + 2, c] += np.clip(
                np.minimum(end, near + segment_seconds) - np.maximum(start, near), 0, None
            )
    return np.minimum(covered / segment_seconds, 1)


def classes_in(events: Iterable[Annotation], class_of: Mapping[str, int]) -> list[int]:
    """The classes that occur among some events, in order, of the many that there may be.

    Args:
        events: whose categories are looked up; those without a class are left out.
        class_of: class of each event category.
    """
    return sorted({class_of[event.category] for event in events if event.category in class_of})


def segment_labels(
    events: Iterable[Annotation],
    categories: Sequence[str],
    num_segments: int,
    segment_seconds: float = 1.0,
    *,
    min_coverage: float = MIN_COVERAGE,
) -> Labels:
    """One class for each segment of a video.

    Where events of several categories meet in a segment, the one that covers most of it has it; on a tie, the one
    whose category comes first. Use `multi_labels` to keep all of them. An event that covers no segment by
    ``min_coverage`` leaves no trace: choose a shorter ``segment_seconds`` for such events.

    Args:
        events: the events of one video.
        categories: event categories in the order of the classes.
        num_segments: T, 1 or more.
        segment_seconds: length of a segment, above 0.
        min_coverage: share in (0, 1] of a segment that a category has to cover.

    Returns:
        (T, C) one-hot; the last class is background.

    Raises:
        ValueError: if an argument is out of range or an event's category is not in ``categories``.
    """
    present, covered = _present(events, categories, num_segments, segment_seconds, min_coverage)
    classes = np.full(num_segments, len(categories))
    if categories:
        classes = np.where(present.any(1), np.where(present, covered, -1).argmax(1), classes)
    return np.eye(len(categories) + 1, dtype=np.float32)[classes]


def multi_labels(
    events: Iterable[Annotation],
    categories: Sequence[str],
    num_segments: int,
    segment_seconds: float = 1.0,
    *,
    min_coverage: float = MIN_COVERAGE,
) -> Labels:
    """Every category that is in each segment of a video, without background; arguments as `segment_labels`.

    Returns:
        (T, num_categories) of 0 and 1.
    """
    present, _ = _present(events, categories, num_segments, segment_seconds, min_coverage)
    return present.astype(np.float32)


def video_label(
    events: Iterable[Annotation],
    categories: Sequence[str],
    num_segments: int,
    segment_seconds: float = 1.0,
    *,
    protocol: WeakProtocol = "one-hot",
    min_coverage: float = MIN_COVERAGE,
) -> Labels:
    """The weak label of a video.

    Args:
        events: the events of one video.
        categories: event categories in the order of the classes.
        num_segments: T, 1 or more.
        segment_seconds: length of a segment, above 0.
        min_coverage: share in (0, 1] of a segment that a category has to cover, for ``proportion``.
        protocol: see the head of this module. Under ``one-hot``, a video with events of several categories has a 1 for
            each of them, and one without event a 1 for background.

    Returns:
        (C,); the last class is background.

    Raises:
        ValueError: if ``protocol`` is unknown, or as in `segment_labels`.
    """
    events = list(events)
    if protocol == "proportion":
        return proportions(segment_labels(events, categories, num_segments, segment_seconds, min_coverage=min_coverage))
    if protocol != "one-hot":
        raise ValueError(f"Unknown protocol '{protocol}'. Supported protocols are {', '.join(WEAK_PROTOCOLS)}.")
    label = np.zeros(len(categories) + 1, np.float32)
    label[:-1] = coverage(events, categories, num_segments, segment_seconds).any(0)
    label[-1] = not label.any()
    return label


def proportions(labels: npt.NDArray[np.floating]) -> Labels:
    """Weak labels of protocol ``proportion``.

    Args:
        labels: (..., T, C) one-hot.

    Returns:
        (..., C), the share of segments of each class.
    """
    return np.asarray(np.mean(labels, axis=-2, dtype=np.float64), dtype=np.float32)


def class_runs(classes: npt.ArrayLike, background: int) -> list[ClassRun]:
    """Neighbouring segments of the same event category, in order.

    Args:
        classes: (T,) class of each segment.
        background: the class that is no event.

    Raises:
        ValueError: if ``classes`` is not one-dimensional.
    """
    values = np.asarray(classes)
    if values.ndim != 1:
        raise ValueError(f"classes must have shape (T,), got {values.shape}.")
    bounds = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [
        ClassRun(int(values[start]), start, end)
        for start, end in itertools.pairwise(bounds)
        if end > start and values[start] != background
    ]


def _present(
    events: Iterable[Annotation],
    categories: Sequence[str],
    num_segments: int,
    segment_seconds: float,
    min_coverage: float,
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    if not 0 < min_coverage <= 1:
        raise ValueError(f"min_coverage must be in (0, 1], got {min_coverage}.")
    # Rounded, so that two categories which cover a segment alike are a tie whatever their times are.
    covered = np.round(coverage(events, categories, num_segments, segment_seconds), 9)
    return covered >= min_coverage - _ROUNDING, covered


def _union(intervals: list[tuple[float, float]]) -> list[tuple[float, float]]:
    joined: list[tuple[float, float]] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
