"""From a model's scores to segments and events."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from avel.events import BACKGROUND, Event, Modality, Segment, Validity, by_start

ScoresOverTime = npt.NDArray[np.float32]
"""(T, C - 1) in [0, 1], or (T,) of one category."""

NEGLIGIBLE = 0.005
"""ScoresOverTime below this are left out of a segment's lists."""


@dataclass(frozen=True)
class Decoding:
    """How scores become events.

    Attributes:
        threshold: an event needs a segment with at least this score.
        keep: and goes on over neighbouring segments with at least this score (hysteresis).
        max_gap_segments: two events of one category with at most this many segments between them are one.
    """

    threshold: float = 0.5
    keep: float = 0.35
    max_gap_segments: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.keep <= self.threshold <= 1:
            raise ValueError(f"Need 0 < keep <= threshold <= 1, got keep={self.keep}, threshold={self.threshold}.")
        if self.max_gap_segments < 0:
            raise ValueError(f"max_gap_segments must be 0 or more, got {self.max_gap_segments}.")


class Span(NamedTuple):
    """Segments ``[start, end)``."""

    start: int
    end: int


@dataclass(frozen=True)
class SegmentScores:
    """A model's scores of one video.

    Attributes:
        categories: C - 1 event categories.
        events: (T, C - 1) in [0, 1], audio-visual.
        audio: the same of what is heard, or ``None`` when the model does not say.
        visual: the same of what is seen.
        seen_alone: (C - 1,) bool; False where seeing a category's visual evidence alone does not mean that it is
            there.
    """

    categories: tuple[str, ...]
    events: ScoresOverTime
    audio: ScoresOverTime | None = None
    visual: ScoresOverTime | None = None
    seen_alone: npt.NDArray[np.bool_] | None = None


ARGMAX = Decoding(threshold=0.5, keep=0.5)
"""A segment has what its own scores say, whatever its neighbours have: the rule of trained models' measurements."""


def exclusive_scores(probabilities: ScoresOverTime) -> ScoresOverTime:
    """ScoresOverTime of categories of which a segment has one, or background.

    p / (p + the largest of the other classes), background among them. So 0.5 is reached by the class with the largest
    probability and by no other, however small that probability is among many classes.

    Args:
        probabilities: (T, C) in [0, 1]; the last class is background.

    Returns:
        (T, C - 1) in [0, 1].
    """
    is_first = np.arange(probabilities.shape[1]) == probabilities.argmax(axis=1)[:, None]  # one of equal ones
    ordered = np.sort(probabilities, axis=1)
    rivals = np.where(is_first, ordered[:, -2:-1], ordered[:, -1:])
    scores = probabilities / np.maximum(probabilities + rivals, np.finfo(np.float32).tiny)
    return _decided(scores, is_first)[:, :-1]


def independent_scores(probabilities: ScoresOverTime, thresholds: npt.ArrayLike) -> ScoresOverTime:
    """ScoresOverTime of categories of which a segment may have any number, each with its own threshold.

    The odds of p divided by the odds of its threshold, made a probability again: 0 and 1 stay, and a threshold becomes
    0.5.

    Args:
        probabilities: (T, C - 1) in [0, 1].
        thresholds: (C - 1,) in (0, 1).

    Returns:
        (T, C - 1) in [0, 1].
    """
    p, t = probabilities.astype(np.float64), np.asarray(thresholds, np.float64)
    return _decided(p * (1 - t) / (p * (1 - t) + (1 - p) * t), p >= t)


def spans(scores: ScoresOverTime, decoding: Decoding, *, max_gap: int | None = None) -> list[Span]:
    """Spans of one category's (T,) scores, in order; `max_gap` is in place of `Decoding.max_gap_segments`."""
    max_gap = decoding.max_gap_segments if max_gap is None else max_gap
    kept = _runs(scores >= decoding.keep)
    found = [span for span in kept if scores[span.start : span.end].max() >= decoding.threshold]
    joined: list[Span] = []
    for span in found:
        if joined and span.start - joined[-1].end <= max_gap:
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def decode(
    scores: SegmentScores,
    bounds: list[tuple[float, float]],
    audio_valid: npt.NDArray[np.bool_],
    visual_valid: npt.NDArray[np.bool_],
    decoding: Decoding,
) -> tuple[tuple[Event, ...], tuple[Segment, ...]]:
    """Events and segments of one video.

    A category that is heard (or seen) where it makes no audio-visual event gives an event of that modality alone.

    Args:
        scores: the model's scores of T segments.
        bounds: start and end of each segment in seconds.
        audio_valid: (T,) bool.
        visual_valid: (T,) bool.
        decoding: thresholds.
    """
    events: list[Event] = []
    present = np.zeros(scores.events.shape, dtype=bool)
    for c, category in enumerate(scores.categories):
        for span in spans(scores.events[:, c], decoding):
            present[span.start : span.end, c] = True
            events.append(_event(category, span, scores.events[:, c], bounds, "audio-visual"))
        alone: list[tuple[Modality, ScoresOverTime]] = []
        if scores.audio is not None:
            alone.append(("audio", scores.audio))
        if scores.visual is not None and (scores.seen_alone is None or scores.seen_alone[c]):
            alone.append(("visual", scores.visual))
        for modality, of_modality in alone:
            rest = np.where(present[:, c], 0, of_modality[:, c])
            for span in spans(rest, decoding):
                events.append(_event(category, span, of_modality[:, c], bounds, modality))
    return by_start(events), segments(scores, present, bounds, audio_valid, visual_valid)


def segments(
    scores: SegmentScores,
    present: npt.NDArray[np.bool_],
    bounds: list[tuple[float, float]],
    audio_valid: npt.NDArray[np.bool_],
    visual_valid: npt.NDArray[np.bool_],
) -> tuple[Segment, ...]:
    """Segments of one video, each called after the best of its events.

    Args:
        scores: the model's scores of T segments.
        present: (T, C - 1) bool, which events each segment has.
        bounds: start and end of each segment in seconds.
        audio_valid: (T,) bool.
        visual_valid: (T,) bool.
    """
    return tuple(
        _segment(scores, t, bounds[t], present[t], bool(audio_valid[t]), bool(visual_valid[t]))
        for t in range(len(bounds))
    )


def present_in(
    events: Iterable[Event], categories: Sequence[str], bounds: list[tuple[float, float]]
) -> npt.NDArray[np.bool_]:
    """(T, C - 1) bool: the audio-visual events that hold over half of a segment, or have their middle in it."""
    numbers = {category: number for number, category in enumerate(categories)}
    starts, ends = (np.array(times) for times in zip(*bounds, strict=True))
    present = np.zeros((len(bounds), len(categories)), dtype=bool)
    for event in events:
        if event.modality == "audio-visual":
            shared = np.minimum(ends, event.end_seconds) - np.maximum(starts, event.start_seconds)
            middle = (event.start_seconds + event.end_seconds) / 2
            within = (shared * 2 >= ends - starts) | ((starts <= middle) & (middle < ends))
            present[within, numbers[event.category]] = True
    return present


def _decided(scores: npt.NDArray[np.floating], is_there: npt.NDArray[np.bool_]) -> ScoresOverTime:
    """ScoresOverTime of 0.5 or more where a category is there and of less elsewhere, whatever rounding did."""
    less = np.nextafter(np.float32(0.5), np.float32(0))
    return np.asarray(np.where(is_there, np.maximum(scores, 0.5), np.minimum(scores, less)), np.float32)


def _runs(mask: npt.NDArray[np.bool_]) -> list[Span]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [Span(int(start), int(end)) for start, end in edges.reshape(-1, 2)]


def _event(
    category: str, span: Span, scores: ScoresOverTime, bounds: list[tuple[float, float]], modality: Modality
) -> Event:
    score = float(scores[span.start : span.end].max())
    return Event(category, bounds[span.start][0], bounds[span.end - 1][1], score, modality)


def _segment(
    scores: SegmentScores,
    t: int,
    bounds: tuple[float, float],
    present: npt.NDArray[np.bool_],
    audio_valid: bool,
    visual_valid: bool,
) -> Segment:
    if present.any():
        best = int(np.argmax(np.where(present, scores.events[t], -1)))
        category, score = scores.categories[best], float(scores.events[t, best])
    else:
        category, score = BACKGROUND, 1 - float(scores.events[t].max())
    return Segment(
        start_seconds=bounds[0],
        end_seconds=bounds[1],
        category=category,
        score=score,
        audio_scores=None if scores.audio is None else _by_category(scores.categories, scores.audio, t),
        visual_scores=None if scores.visual is None else _by_category(scores.categories, scores.visual, t),
        valid=Validity(audio=audio_valid, visual=visual_valid),
        scores=_by_category(scores.categories, scores.events, t),
    )


def _by_category(categories: tuple[str, ...], scores: ScoresOverTime, t: int) -> Mapping[str, float]:
    return {categories[c]: float(scores[t, c]) for c in np.flatnonzero(scores[t] >= NEGLIGIBLE)}
