"""What other thresholds would change of the events that were found, told from a written result.

A result lists scores of whole segments, and a localizer decides with more than that: finer steps, families of
categories, synchrony. So its events are decoded twice from the segments (`avel.localization.decoding.decode`), with the
thresholds that it had and with the others, and only the difference is applied to what it found: what is no more is cut
away, and what is new is added.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.events import MODALITIES, Event, Localization, by_start
from avel.localization.decoding import Decoding, SegmentScores, decode, independent_scores
from avel.localization.selection import Selection, select

THRESHOLD = 0.5
"""Of every score in a result."""

_SLACK = 1e-6
"""Seconds that floating point may cost."""


def events_at(
    result: Localization,
    category: str,
    *,
    audio: float = THRESHOLD,
    visual: float = THRESHOLD,
    combined: float = THRESHOLD,
) -> tuple[Event, ...]:
    """Events of a category as they would be with other thresholds; what the localizer found with those that it had.

    Args:
        result: what was found.
        category: the event category.
        audio: score in (0, 1) from which on a segment counts as heard.
        visual: the same of seen.
        combined: the same of both heard and seen, for models that do not say it of each alone.

    Returns:
        By start; the scores are the localizer's, so that those of new events may be below the threshold that it had.

    Raises:
        ValueError: if a threshold is out of range.
    """
    for name, threshold in (("audio", audio), ("visual", visual), ("combined", combined)):
        if not 0 < threshold < 1:
            raise ValueError(f"The threshold {name} must be above 0 and below 1, got {threshold}.")
    found = [event for event in result.events if event.category == category]
    thresholds = (audio, visual, combined)
    if all(abs(threshold - THRESHOLD) < 1e-9 for threshold in thresholds) or not result.segments:
        return by_start(found)
    before = _decoded(result, category, THRESHOLD, THRESHOLD, THRESHOLD)
    after = _decoded(result, category, *thresholds)
    changed: list[Event] = []
    for modality in MODALITIES:
        was, becomes, there = ([e for e in of if e.modality == modality] for of in (before, after, found))
        removed, added = _difference(was, becomes), _difference(becomes, was)
        removed += [_with_found_edges(event, before, found) for event in removed]  # an edge may lie outside its segment
        kept = [
            replace(event, start_seconds=start, end_seconds=end)
            for event in there
            if _still_counts(event, *thresholds) or _sharing_time(event, was)
            for start, end in _without(event, removed)
        ]
        new = [_with_found_edges(event, before, found) for event in added]
        changed += _joined(kept, new, result.segment_seconds)
    return select(changed, _selection(result))


def _decoded(result: Localization, category: str, audio: float, visual: float, combined: float) -> tuple[Event, ...]:
    """Events of a category from a result's segments alone."""
    segments = result.segments
    valid = np.array([(s.valid.audio, s.valid.visual) for s in segments])
    both = _curve([s.scores for s in segments], category)
    tells = all(s.audio_scores is not None and s.visual_scores is not None for s in segments)
    if tells:
        heard = _curve([s.audio_scores for s in segments], category)
        seen = _curve([s.visual_scores for s in segments], category)
        # What the localizer takes to be both is both, though one side may owe that to something else (synchrony).
        as_both = (
            independent_scores(np.maximum(heard, both), [audio]),
            independent_scores(np.maximum(seen, both), [visual]),
        )
        scores = SegmentScores(
            (category,),
            np.minimum(*as_both) * valid.all(axis=1, keepdims=True).astype(np.float32),
            independent_scores(heard, [audio]),
            independent_scores(seen, [visual]),
        )
    else:
        scores = SegmentScores((category,), independent_scores(both, [combined]))
    bounds = [(s.start_seconds, s.end_seconds) for s in segments]
    events, _ = decode(scores, bounds, valid[:, 0], valid[:, 1], _decoding(result))
    said = {"audio-visual": both} | ({"audio": heard, "visual": seen} if tells else {})
    return tuple(replace(event, score=_highest(said[event.modality], event, result)) for event in events)


def _highest(scores: npt.NDArray[np.float32], event: Event, result: Localization) -> float:
    """The highest score of an event's segments as the localizer has it."""
    within = [t for t, s in enumerate(result.segments) if event.start_seconds <= s.start_seconds < event.end_seconds]
    return float(scores[within].max())


def _curve(scores: Sequence[Mapping[str, float] | None], category: str) -> npt.NDArray[np.float32]:
    """(T, 1) in [0, 1]."""
    return np.array([[float((of or {}).get(category, 0.0))] for of in scores], np.float32).clip(0, 1)


def _sharing_time(event: Event, others: Iterable[Event]) -> list[Event]:
    return [
        o for o in others if min(event.end_seconds, o.end_seconds) - max(event.start_seconds, o.start_seconds) > _SLACK
    ]


def _without(event: Event, others: Iterable[Event]) -> list[tuple[float, float]]:
    """The parts of an event, in seconds, that others leave."""
    parts, start = [], event.start_seconds
    for other in by_start(_sharing_time(event, others)):
        parts.append((start, other.start_seconds))
        start = max(start, other.end_seconds)
    parts.append((start, event.end_seconds))
    return [(first, last) for first, last in parts if last - first > _SLACK]


def _difference(events: Sequence[Event], others: Sequence[Event]) -> list[Event]:
    """What of some events others do not cover."""
    return [replace(e, start_seconds=start, end_seconds=end) for e in events for start, end in _without(e, others)]


def _with_found_edges(event: Event, before: Sequence[Event], found: Sequence[Event]) -> Event:
    """An event that begins or ends where another did, as what is seen only where it was heard and seen.

    Where that was is known better than to a segment.
    """
    start, end = event.start_seconds, event.end_seconds
    for old in before:
        finer = _sharing_time(old, found)
        if not finer:
            continue
        first, last = min(f.start_seconds for f in finer), max(f.end_seconds for f in finer)
        start = {old.start_seconds: first, old.end_seconds: last}.get(start, start)
        end = {old.start_seconds: first, old.end_seconds: last}.get(end, end)
    return replace(event, start_seconds=start, end_seconds=end) if end - start > _SLACK else event


def _joined(kept: Sequence[Event], new: Sequence[Event], segment_seconds: float) -> list[Event]:
    """Events with what is new beside them: less than a segment lies between, since an edge is finer than segments."""
    joined: list[tuple[Event, bool]] = []
    of_both = [(event, False) for event in kept] + [(event, True) for event in new]
    for event, is_new in sorted(of_both, key=lambda one: one[0].start_seconds):
        if joined:
            last, was_new = joined[-1]
            if (is_new or was_new) and event.start_seconds - last.end_seconds < segment_seconds - _SLACK:
                score = max(
                    [e.score for e, e_is_new in ((last, was_new), (event, is_new)) if not e_is_new] or [last.score]
                )
                end = max(last.end_seconds, event.end_seconds)
                joined[-1] = replace(last, end_seconds=end, score=score), was_new and is_new
                continue
        joined.append((event, is_new))
    return [event for event, _ in joined]


def _still_counts(event: Event, audio: float, visual: float, combined: float) -> bool:
    """Whether an event that no whole segment shows has the score for other thresholds."""
    needed = {"audio": audio, "visual": visual, "audio-visual": max(audio, visual, combined)}
    return event.score >= needed[event.modality]


def _decoding(result: Localization) -> Decoding:
    said = result.model.get("decoding")
    try:
        return Decoding(**said) if isinstance(said, Mapping) else Decoding()
    except (TypeError, ValueError):  # of a file that nobody vouches for
        return Decoding()


def _selection(result: Localization) -> Selection:
    said: Any = result.model.get("selection")
    try:
        return Selection(**said) if isinstance(said, Mapping) else Selection()
    except (TypeError, ValueError):
        return Selection()
