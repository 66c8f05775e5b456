"""What a localizer finds: events, the segments under them, and the whole result of one video.

All times are seconds from the start of the video's timeline; all spans are half open, ``[start, end)``.
"""

import html
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from avel.documents import parse_json
from avel.files import utf8_text

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

BACKGROUND = "background"

Modality = Literal["audio-visual", "audio", "visual"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)

TOP_SCORES = 5
"""How many categories a segment lists for each modality when a result is written."""

MAX_GRID = 256
"""Rows and columns of an attention that is read from a file."""

MAX_ROWS = 100
"""Events that a notebook shows of a result."""


@dataclass(frozen=True, slots=True)
class Event:
    """One occurrence of an event category.

    Attributes:
        category: name of the event category, never `BACKGROUND`.
        start_seconds: first moment, inclusive.
        end_seconds: last moment, exclusive; after ``start_seconds``.
        score: in [0, 1], of its best segment; 0.5 is the threshold at which a segment counts.
        modality: ``"audio-visual"`` when it is both heard and seen, else the one that it is.
    """

    category: str
    start_seconds: float
    end_seconds: float
    score: float
    modality: Modality

    def __post_init__(self) -> None:
        if not self.end_seconds > self.start_seconds:
            raise ValueError(f"An event must end after it starts, got [{self.start_seconds}, {self.end_seconds}).")
        if self.modality not in MODALITIES:
            raise ValueError(f"Invalid modality {self.modality!r}. Supported values are {', '.join(MODALITIES)}.")

    @property
    def duration_seconds(self) -> float:
        """Length of the event in seconds."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True, slots=True)
class Validity:
    """Whether a segment's sound and picture could be read."""

    audio: bool
    visual: bool


@dataclass(frozen=True, slots=True)
class Segment:
    """What was found in one segment.

    Attributes:
        start_seconds: start of the segment.
        end_seconds: end of the segment; the last one of a video may be shorter than the others.
        category: the audio-visual event category, or `BACKGROUND`.
        score: in [0, 1], of ``category``.
        audio_scores: score in [0, 1] by category of what is heard; categories near 0 are left out. ``None`` when the
            model does not say it of each modality alone.
        visual_scores: the same of what is seen.
        valid: what could be read here; a modality that the model does not look at counts as read.
        scores: score in [0, 1] by category of what is both heard and seen; categories near 0 are left out.
    """

    start_seconds: float
    end_seconds: float
    category: str
    score: float
    audio_scores: Mapping[str, float] | None
    visual_scores: Mapping[str, float] | None
    valid: Validity
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Localization:
    """The events of one video.

    Attributes:
        video: the path as it was given.
        duration_seconds: length of the video's timeline.
        segment_seconds: length of a segment.
        model: what produced the result: name, categories, networks with the digests of their weights, settings.
        events: by start, then by falling score; events of different categories may overlap.
        segments: in order, without gaps.
        warnings: what could not be read or judged, for a person to read.
        attention: where the model looks, (T, rows, columns) float32, 0 or more: the shares of the picture's parts, from
            the top left one on, times the score of the segment's event. They add up to that score, and to 0 where there
            is no event. Where it was asked for ungated, they add up to 1 in every segment, event or not; of agreement,
            where synchrony is sure. ``None`` when the model does not say where. Not compared.
        details: what else the model knows of every segment, where it was asked for, by the names of
            `avel.models.details.DETAILS`, each an array of T rows, float32. Not compared.
    """

    video: str
    duration_seconds: float
    segment_seconds: float
    model: Mapping[str, Any]
    events: tuple[Event, ...]
    segments: tuple[Segment, ...]
    warnings: tuple[str, ...] = field(default=())
    attention: "npt.NDArray[np.float32] | None" = field(default=None, compare=False, repr=False)
    details: "Mapping[str, npt.NDArray[np.float32]]" = field(default_factory=dict, compare=False, repr=False)

    def to_dict(self, top: int = TOP_SCORES) -> dict[str, Any]:
        """Plain lists and dictionaries, as written to JSON.

        Args:
            top: how many categories each segment lists for each modality.
        """
        return {
            "video": self.video,
            "duration_seconds": _rounded(self.duration_seconds),
            "segment_seconds": self.segment_seconds,
            "model": dict(self.model),
            "events": [
                {
                    "category": e.category,
                    "start_seconds": _rounded(e.start_seconds),
                    "end_seconds": _rounded(e.end_seconds),
                    "score": _rounded(e.score),
                    "modality": e.modality,
                }
                for e in self.events
            ],
            "segments": [
                {
                    "start_seconds": _rounded(s.start_seconds),
                    "end_seconds": _rounded(s.end_seconds),
                    "category": s.category,
                    "score": _rounded(s.score),
                    "audio_scores": _top(s.audio_scores, top),
                    "visual_scores": _top(s.visual_scores, top),
                    "valid": {"audio": s.valid.audio, "visual": s.valid.visual},
                    "scores": _top(s.scores, top),
                }
                for s in self.segments
            ],
            "attention": None if self.attention is None else _sparse(self.attention),
            **({"details": {name: _nested(rows) for name, rows in self.details.items()}} if self.details else {}),
            "warnings": list(self.warnings),
        }

    def to_json(self, indent: int | None = 2) -> str:
        """The result as JSON text."""
        text = json.dumps(self.to_dict(), indent=indent, ensure_ascii=False, allow_nan=False)
        # A list of numbers on one line. Within a string there is no line end.
        return re.sub(r"\[\n\s*([-+.\deE,\s]*?)\n\s*\]", lambda found: f"[{' '.join(found[1].split())}]", text)

    def _repr_html_(self) -> str:
        """What notebooks show of a result: its events as a table, and its warnings, without scripts.

        Of more than `MAX_ROWS` events the first ones. Names come from anywhere, and so are escaped.
        """
        rows = "".join(
            f"<tr><td>{e.start_seconds:.1f} s</td><td>{e.end_seconds:.1f} s</td><td>{_shown(e.category)}</td>"
            f"<td>{e.score:.2f}</td><td>{_shown(e.modality)}</td></tr>"
            for e in self.events[:MAX_ROWS]
        )
        if not self.events:
            rows = '<tr><td colspan="5">No events.</td></tr>'
        elif len(self.events) > MAX_ROWS:
            rows += f'<tr><td colspan="5">The first {MAX_ROWS} of {len(self.events)} events.</td></tr>'
        head = "".join(f"<th>{name}</th>" for name in ("start", "end", "category", "score", "modality"))
        warnings = "".join(f"<p>{_shown(warning)}</p>" for warning in self.warnings)
        return (
            f"<table><caption>{_shown(self.video)}</caption><thead><tr>{head}</tr></thead>"
            f"<tbody>{rows}</tbody></table>{warnings}"
        )

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read what `to_dict` made.

        Raises:
            ValueError: if a field is missing or a value is impossible.
        """
        try:
            return cls(
                video=data["video"],
                duration_seconds=float(data["duration_seconds"]),
                segment_seconds=float(data["segment_seconds"]),
                model=data["model"],
                events=tuple(Event(**event) for event in data["events"]),
                segments=tuple(
                    Segment(**{**segment, "valid": Validity(**segment["valid"])}) for segment in data["segments"]
                ),
                warnings=tuple(data.get("warnings", ())),
                attention=_dense(data.get("attention"), len(data["segments"])),
                details=_details(data.get("details", {}), len(data["segments"])),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"Not a localization result of avel: {error!r}.") from error

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """Read a JSON file that avel wrote.

        Raises:
            ValueError: if the file is not such a file.
        """
        return cls.from_dict(parse_json(Path(path).read_text(encoding="utf-8")))


def segment_index(seconds: float, segment_seconds: float) -> int:
    """Index of the segment that holds a moment.

    A moment closer than a microsecond below a boundary belongs to the segment that starts there, so that times that
    went through floating point or a container's time base do not fall into the segment before.
    """
    if seconds < 0:
        raise ValueError(f"Time must be 0 or more, got {seconds} s.")
    return int((seconds + 1e-6) / segment_seconds)


def step_seconds(steps: int, seconds: float) -> float:
    """Where a number of steps ends, as a person writes it: 48 steps of 0.1 s are 4.8 s, not 4.800000000000001 s."""
    return round(steps * seconds, 9)


def segment_bounds(duration_seconds: float, segment_seconds: float) -> list[tuple[float, float]]:
    """Spans of all segments of a timeline; the last one ends with the timeline.

    Raises:
        ValueError: if a length is not positive.
    """
    if not segment_seconds > 0:
        raise ValueError(f"segment_seconds must be above 0, got {segment_seconds}.")
    if not duration_seconds > 0:
        raise ValueError(f"duration_seconds must be above 0, got {duration_seconds}.")
    count = segment_index(max(duration_seconds - 2e-6, 0.0), segment_seconds) + 1
    return [
        (step_seconds(i, segment_seconds), min(step_seconds(i + 1, segment_seconds), duration_seconds))
        for i in range(count)
    ]


def by_start(events: Iterable[Event]) -> tuple[Event, ...]:
    """Events by start, then by falling score."""
    return tuple(sorted(events, key=lambda e: (e.start_seconds, -e.score, e.category)))


def _shown(text: str) -> str:
    """A text within HTML."""
    return html.escape(utf8_text(str(text)))


def _rounded(value: float) -> float:
    return round(float(value), 4)


def _top(scores: Mapping[str, float] | None, count: int) -> dict[str, float] | None:
    if scores is None:
        return None
    best = sorted(scores.items(), key=lambda item: -item[1])[:count]
    return {name: _rounded(score) for name, score in best}


def _nested(rows: "npt.NDArray[np.float32]") -> list[Any]:
    rounded: list[Any] = rows.astype(float).round(4).tolist()
    return rounded


def _details(data: Mapping[str, Any], num_segments: int) -> "dict[str, npt.NDArray[np.float32]]":
    """Read what `_nested` made of each.

    Raises:
        ValueError: if one is not that.
    """
    if not data:
        return {}
    import numpy as np

    found = {}
    for name, rows in data.items():
        try:
            array = np.asarray(rows, np.float32)
        except (TypeError, ValueError) as error:
            raise ValueError(f"Not a localization result of avel: the detail {name!r} is no array.") from error
        if array.ndim not in (1, 2, 3) or len(array) != num_segments or not np.isfinite(array).all():
            raise ValueError(f"Not a localization result of avel: the detail {name!r} has shape {array.shape}.")
        found[name] = array
    return found


def _sparse(attention: "npt.NDArray[np.float32]") -> dict[str, Any]:
    """The segments where it is not zero, by their number."""
    lit = [t for t, grid in enumerate(attention) if grid.any()]
    return {
        "rows": attention.shape[1],
        "columns": attention.shape[2],
        "segments": {str(t): [[_rounded(share) for share in row] for row in attention[t]] for t in lit},
    }


def _dense(data: Any, num_segments: int) -> "npt.NDArray[np.float32] | None":
    """Read what `_sparse` made.

    Raises:
        ValueError: if it is not that.
    """
    if data is None:
        return None
    import numpy as np

    shape = (data["rows"], data["columns"])
    if not all(type(side) is int and 1 <= side <= MAX_GRID for side in shape):
        raise ValueError(f"Not a localization result of avel: an attention of {shape[0]} rows and {shape[1]} columns.")
    attention = np.zeros((num_segments, *shape), np.float32)
    for number, rows in data["segments"].items():
        grid = np.asarray(rows, np.float32)
        t = int(number)
        if grid.shape != shape or not 0 <= t < num_segments or not (np.isfinite(grid) & (grid >= 0)).all():
            raise ValueError(f"Not a localization result of avel: the attention of segment {number}.")
        attention[t] = grid
    return attention
