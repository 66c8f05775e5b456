"""What other thresholds would change of the events that were found, told from a written result.

A result lists scores of whole segments, and a localizer decides with more than that: finer steps, families of
categories, synchrony. So its events are decoded twice from the segments (`avel.localization.decoding.decode`), with the
thresholds that it had and with the others, and only the difference is applied to what it found.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.events import Event, Localization, by_start
from avel.localization.decoding import Decoding, SegmentScores, decode, independent_scores
from avel.localization.selection import Selection, select

THRESHOLD = 0.5
"""Of every score in a result."""

_SLACK_SECONDS = 1e-6


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
        By start; the scores are the localizer's.

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
    kept = [_with_edges(event, before, found) for event in after if _is_new(event, before) or _match(event, found)]
    kept += [e for e in found if not _match(e, before) and not _match(e, after) and _still_counts(e, *thresholds)]
    return select(kept, _selection(result))


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
    return events


def _curve(scores: Sequence[Mapping[str, float] | None], category: str) -> npt.NDArray[np.float32]:
    """(T, 1) in [0, 1]."""
    return np.array([[float((of or {}).get(category, 0.0))] for of in scores], np.float32).clip(0, 1)


def _match(event: Event, others: Sequence[Event]) -> list[Event]:
    """Events of the same modality that share time with one."""
    return [o for o in others if o.modality == event.modality and _shares_time(event, o)]


def _is_new(event: Event, before: Sequence[Event]) -> bool:
    return not _match(event, before)


def _shares_time(one: Event, other: Event) -> bool:
    return min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds) > _SLACK_SECONDS


def _with_edges(event: Event, before: Sequence[Event], found: Sequence[Event]) -> Event:
    """An event whose edges that did not move are where the localizer found them, which is finer than segments."""
    start, end = event.start_seconds, event.end_seconds
    for old in before:
        near = [f for f in found if _shares_time(f, old) and _shares_time(f, event)]
        if near and abs(old.start_seconds - start) < _SLACK_SECONDS:
            start = min(f.start_seconds for f in near)
        if near and abs(old.end_seconds - end) < _SLACK_SECONDS:
            end = max(f.end_seconds for f in near)
    return replace(event, start_seconds=start, end_seconds=end) if end > start else event


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
