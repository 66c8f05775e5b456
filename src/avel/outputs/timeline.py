"""What every picture of a result shares: which categories it shows, in which lanes, its scores, ticks and words.

The colours say one thing everywhere: what is heard, what is seen, and what is both. They are told apart with any
colour vision (after Okabe and Ito, "Color Universal Design", 2008, made darker for thin lines), and the bands of
events also by their filling.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from avel.data.annotations import Annotation
from avel.data.truth import joined
from avel.events import BACKGROUND, MODALITIES, Event, Localization, Modality, Segment, by_start
from avel.models.details import DETAILS, Detail, between_segments
from avel.outputs.heat import FULL_SHARE

HEARD_COLOR = "#0072b2"
SEEN_COLOR = "#d55e00"
BOTH_COLOR = "#00795a"
MODALITY_COLORS: Mapping[Modality, str] = {"audio-visual": BOTH_COLOR, "audio": HEARD_COLOR, "visual": SEEN_COLOR}
MODALITY_WORDS: Mapping[Modality, str] = {
    "audio-visual": "heard and seen",
    "audio": "heard only",
    "visual": "seen only",
}

THRESHOLD = 0.5
"""Score from which on a segment counts; see `Event.score`."""

MAX_COLUMNS = 1000
MAX_LANES = 30
MAX_SCORE_ROWS = 8
NOTABLE_SCORE = 0.2
"""A category without an event is shown where one of its scores is at least this."""
_FEWEST_SCORE_ROWS = 3
MAX_DETAIL_CATEGORIES = 3
"""How many categories of a detail are shown, of those that reach `NOTABLE_SCORE`."""

_RESOLUTION = 2000
"""Gaps and events shorter than this part of the timeline are not drawn on their own."""

_TICK_STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)

Columns = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Band:
    """Events of one category and modality that are drawn as one.

    Attributes:
        events: one, or more when they are too close to each other to be told apart.
        row: 0 for the category's first row; others when events of the category overlap.
    """

    events: tuple[Event, ...]
    row: int

    @property
    def start_seconds(self) -> float:
        """Start of the first event."""
        return self.events[0].start_seconds

    @property
    def end_seconds(self) -> float:
        """End of the last event."""
        return max(e.end_seconds for e in self.events)

    @property
    def modality(self) -> Modality:
        """The one that holds most of the time."""
        return max(MODALITIES, key=lambda m: sum(e.duration_seconds for e in self.events if e.modality == m))


@dataclass(frozen=True)
class Lane:
    """The bands of one category.

    Attributes:
        category: its name.
        bands: by start.
        rows: how many rows they take.
        truth: start and end of its true events, in order; ``None`` where nobody said what is true.
    """

    category: str
    bands: tuple[Band, ...]
    rows: int
    truth: tuple[tuple[float, float], ...] | None = None


@dataclass(frozen=True)
class ScoreCurves:
    """Scores over time, with at most `MAX_COLUMNS` columns; a column has the highest score of its segments.

    Attributes:
        edges: (N + 1,) seconds.
        both: by category, (N,) in [0, 1], of what is both heard and seen; NaN where sound or picture could not be read.
        heard: the same of what is heard, ``None`` when the model does not say it; NaN where no sound could be read.
        seen: the same of what is seen; NaN where no picture could be read.
    """

    edges: npt.NDArray[np.float64]
    both: Mapping[str, Columns]
    heard: Mapping[str, Columns] | None
    seen: Mapping[str, Columns] | None

    @property
    def categories(self) -> tuple[str, ...]:
        """The categories shown, in order."""
        return tuple(self.both)


@dataclass(frozen=True)
class DetailCurve:
    """A detail of one number a segment, with at most `MAX_COLUMNS` columns, as the scores.

    Attributes:
        detail: what it is.
        title: of what the numbers are, in pictures.
        edges: (N + 1,) seconds.
        values: (N,), the mean of a column's segments.
    """

    detail: Detail
    title: str
    edges: npt.NDArray[np.float64]
    values: Columns

    @property
    def shares(self) -> Columns:
        """(N,) in [0, 1], from the least that it can be to the greatest."""
        low, high = self.detail.low, self.detail.high
        return np.asarray((self.values - low) / (high - low), np.float32).clip(0, 1)


def detail_curves(result: Localization) -> list[DetailCurve]:
    """The details of a result that are one number a segment; of one for each category, the likeliest categories."""
    firsts, edges = _columns_of(result.segments)
    counts = np.diff([*firsts, len(result.segments)])
    return [
        DetailCurve(detail, title, edges, np.asarray(np.add.reduceat(rows, firsts) / counts, np.float32))
        for detail, title, rows in detail_numbers(result)
    ]


def detail_numbers(result: Localization) -> Iterator[tuple[Detail, str, Columns]]:
    """As `detail_curves`, of all segments: what each is, its title, and (T,)."""
    for name, rows in result.details.items():
        detail = DETAILS.get(name)
        if detail is not None and detail.kind == "curve" and rows.ndim == 1:
            yield detail, detail.title, rows
        elif detail is not None and detail.kind == "categories" and rows.ndim == 2:
            names = [*result.model.get("categories", ()), BACKGROUND]
            if not 0 <= len(names) - rows.shape[1] <= 1:
                continue
            peaks = rows.max(axis=0)
            for c in np.argsort(-peaks, kind="stable")[:MAX_DETAIL_CATEGORIES]:
                if peaks[c] >= NOTABLE_SCORE:
                    yield detail, f"{detail.title}: {names[c]}", rows[:, c]


def detail_between(result: Localization) -> tuple[Detail, Columns] | None:
    """The attention between segments, (T, T) in [0, 1], row t that of segment t.

    As where a model looks, a weight is full at twice an equal share of a window, or at the largest one where that is
    more: a model that attends to all alike singles out nothing. ``None`` without, or of a very long video.
    """
    for name, rows in result.details.items():
        if name in DETAILS and DETAILS[name].kind == "between" and rows.ndim == 2 and rows.shape[1] % 2:
            if len(rows) > MAX_COLUMNS:
                return None
            weights, equal_share = between_segments(rows), 2 / (rows.shape[1] + 1)
            full = max(float(weights.max(initial=0.0)), FULL_SHARE * equal_share)
            return DETAILS[name], np.asarray(weights / full, np.float32)
    return None


def lanes(result: Localization, truth: Sequence[Annotation] | None = None) -> list[Lane]:
    """Lanes of the categories that have events, the strongest audio-visual ones first, at most `MAX_LANES`.

    Args:
        result: what was found.
        truth: what is true, where somebody said it; categories of it that were not found come first, since they are
            missed.
    """
    found = _lanes_of_events(result)
    if truth is None:
        return found[:MAX_LANES]
    spans = joined(truth)
    known = {lane.category for lane in found}
    missed = [Lane(category, (), 1) for category in spans if category not in known]
    return [replace(lane, truth=tuple(spans.get(lane.category, ()))) for lane in [*missed, *found][:MAX_LANES]]


def _lanes_of_events(result: Localization) -> list[Lane]:
    gap_seconds = result.duration_seconds / _RESOLUTION
    by_category: dict[str, list[Event]] = {}
    for event in by_start(result.events):
        by_category.setdefault(event.category, []).append(event)
    ordered = sorted(by_category, key=lambda category: _rank(by_category[category]))
    return [_lane(category, by_category[category], gap_seconds) for category in ordered]


def scores(result: Localization) -> ScoreCurves:
    """Scores of the categories that matter: those with events, then those that came near one."""
    categories = _notable(result)
    segments = result.segments
    firsts, edges = _columns_of(segments)

    def columns(of: Callable[[Segment], Mapping[str, float]], *kinds: str) -> dict[str, Columns]:
        table = np.zeros((len(segments), len(categories)), np.float32)
        for t, segment in enumerate(segments):
            values = of(segment)
            is_valid = all(getattr(segment.valid, kind) for kind in kinds)
            table[t] = [values.get(category, 0.0) for category in categories] if is_valid else np.nan
        if table.size:
            table = np.fmax.reduceat(table, firsts)
        return {category: table[:, c] for c, category in enumerate(categories)}

    tells = tells_modalities(result)
    return ScoreCurves(
        edges=edges,
        both=columns(_both, "audio", "visual"),
        heard=columns(lambda s: s.audio_scores or {}, "audio") if tells else None,
        seen=columns(lambda s: s.visual_scores or {}, "visual") if tells else None,
    )


def _columns_of(segments: Sequence[Segment]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """(N,) first segment of each column, at most `MAX_COLUMNS`, and (N + 1,) their edges in seconds."""
    firsts = range(0, len(segments), max(-(-len(segments) // MAX_COLUMNS), 1))
    edges = [segments[t].start_seconds for t in firsts] + [segment.end_seconds for segment in segments[-1:]]
    return np.array(firsts, np.int64), np.array(edges, np.float64)


def tells_modalities(result: Localization) -> bool:
    """Whether the model says what is heard and what is seen, each alone."""
    return all(s.audio_scores is not None and s.visual_scores is not None for s in result.segments)


def modalities(result: Localization) -> list[Modality]:
    """What events of a result can be."""
    return [m for m in MODALITIES if m == "audio-visual" or tells_modalities(result)]


def _both(segment: Segment) -> Mapping[str, float]:
    """Scores of what is both heard and seen; in results that do not hold them, the smaller of the two, as agreement."""
    heard, seen = segment.audio_scores, segment.visual_scores
    if segment.scores or heard is None or seen is None:
        return segment.scores
    return {category: min(score, seen[category]) for category, score in heard.items() if category in seen}


def where(result: Localization) -> str:
    """What a result's map of where in the picture is a map of, behind *where*."""
    by_synchrony = result.model.get("attention") == "synchrony"
    return "the picture moves with the sound" if by_synchrony else "the model looks"


def unreadable(result: Localization, *kinds: str) -> list[tuple[float, float]]:
    """Spans in seconds where any of the kinds (``"audio"``, ``"visual"``) could not be read."""
    spans: list[tuple[float, float]] = []
    for segment in result.segments:
        if all(getattr(segment.valid, kind) for kind in kinds):
            continue
        if spans and spans[-1][1] >= segment.start_seconds - 1e-6:
            spans[-1] = (spans[-1][0], segment.end_seconds)
        else:
            spans.append((segment.start_seconds, segment.end_seconds))
    return spans


def ticks(duration_seconds: float, at_most: int = 11) -> list[float]:
    """Round moments from 0 on for a time axis."""
    step = next((s for s in _TICK_STEPS if duration_seconds / s <= at_most - 1), duration_seconds)
    return [round(i * step, 6) for i in range(int(duration_seconds / step + 1e-9) + 1)]


def clock(seconds: float, decimals: int = 0) -> str:
    """``m:ss`` or ``h:mm:ss``, with as many decimals as asked for."""
    unit = 10**decimals
    units = round(seconds * unit)
    whole, part = divmod(units, unit)
    minutes, whole = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}:{minutes:02d}:{whole:02d}" if hours else f"{minutes}:{whole:02d}"
    return f"{text}.{part:0{decimals}d}" if decimals else text


def tick_labels(duration_seconds: float) -> list[tuple[float, str]]:
    """`ticks` with their words."""
    moments = ticks(duration_seconds)
    decimals = 0 if all(moment == int(moment) for moment in moments) else 1
    return [(moment, clock(moment, decimals)) for moment in moments]


def clock_decimals(result: Localization) -> int:
    """Decimals that tell the result's segments apart."""
    tenths = result.segment_seconds * 10
    return 1 if abs(tenths - round(tenths)) < 1e-6 else 2


def summary(result: Localization) -> str:
    """What was found, in one or two sentences."""
    groups: dict[Modality, list[Event]] = {"audio-visual": [], "audio": [], "visual": []}
    for event in result.events:
        groups[event.modality].append(event)
    both = groups["audio-visual"]
    if len(both) == 1:
        e, decimals = both[0], clock_decimals(result)
        times = f"{clock(e.start_seconds, decimals)} to {clock(e.end_seconds, decimals)}"
        sentences = [f"One audio-visual event: {e.category}, from {times}."]
    elif both:
        sentences = [f"{len(both)} audio-visual events: {_listing(both)}."]
    else:
        sentences = ["No event was both heard and seen."]
    if groups["audio"]:
        sentences.append(f"Heard only: {_listing(groups['audio'])}.")
    if groups["visual"]:
        sentences.append(f"Seen only: {_listing(groups['visual'])}.")
    return " ".join(sentences)


def decibels(peak: float) -> str:
    """A peak amplitude in (0, 1] in words."""
    return f"{20 * math.log10(peak):.0f} dBFS".replace("-0 ", "0 ").replace("-", "−")


def _listing(events: Sequence[Event], at_most: int = 4) -> str:
    """Categories of events, the strongest first."""
    names = list(dict.fromkeys(e.category for e in sorted(events, key=lambda e: -e.score)))
    shown = names[:at_most]
    if len(names) > at_most:
        shown.append(f"{len(names) - at_most} more")
    return " · ".join(shown)  # categories of AVE have commas in their names


def _rank(events: Sequence[Event]) -> tuple[int, float, float]:
    best = max(events, key=lambda e: (e.modality == "audio-visual", e.score))
    return (best.modality != "audio-visual", -best.score, best.start_seconds)


def _lane(category: str, events: Sequence[Event], gap_seconds: float) -> Lane:
    ends: list[float] = []  # of each row
    placed: list[list[Event]] = []
    rows: list[int] = []
    last: dict[int, int] = {}  # row to its last band
    for event in events:
        row = next((r for r, end in enumerate(ends) if end <= event.start_seconds + 1e-6), None)
        if row is None:
            row = len(ends)
            ends.append(0.0)
        if row in last and _one_to_the_eye(placed[last[row]][-1], event, gap_seconds):
            placed[last[row]].append(event)
        else:
            last[row] = len(placed)
            placed.append([event])
            rows.append(row)
        ends[row] = event.end_seconds
    bands = tuple(Band(tuple(group), row) for group, row in zip(placed, rows, strict=True))
    return Lane(category, bands, rows=len(ends))


def _one_to_the_eye(before: Event, event: Event, gap_seconds: float) -> bool:
    gap = event.start_seconds - before.end_seconds
    if gap >= gap_seconds:
        return False
    return event.duration_seconds < gap_seconds or (gap > 0 and event.modality == before.modality)


def _notable(result: Localization) -> list[str]:
    chosen = [lane.category for lane in lanes(result)]
    peaks: dict[str, tuple[float, float]] = {}  # how near it came to both, then to either
    for segment in result.segments:
        both = _both(segment)
        either = {**both, **(segment.audio_scores or {}), **(segment.visual_scores or {})}
        for category in either:
            alone = ((segment.audio_scores or {}).get(category, 0.0), (segment.visual_scores or {}).get(category, 0.0))
            of_both = both.get(category, 0.0)
            before = peaks.get(category, (0.0, 0.0))
            peaks[category] = (max(before[0], of_both), max(before[1], of_both, *alone))
    others = sorted((c for c in peaks if c not in chosen and c != BACKGROUND), key=lambda c: peaks[c], reverse=True)
    near = [c for c in others if peaks[c][0] >= NOTABLE_SCORE]
    few = others[: max(_FEWEST_SCORE_ROWS - len(chosen), 0)]
    return (chosen + [c for c in others if c in near or c in few])[:MAX_SCORE_ROWS]
