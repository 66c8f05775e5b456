"""A result as one HTML page that needs nothing else: no network, no other file, no script to be read."""

import base64
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from avel.data.annotations import Annotation
from avel.events import Event, Localization, by_start
from avel.outputs import heat, timeline
from avel.outputs.evidence import Evidence, Frame, Sight
from avel.templates import page_templates
from avel.wording import counted

MAX_TABLE_ROWS = 500
PLAYABLE_SUFFIXES = {".mp4", ".m4v", ".mov", ".webm", ".ogv", ".mkv"}
"""Of videos that a browser may be able to play."""

MAX_HEAT_SEGMENTS = 4000
"""Of more segments with events the video is played without its veil, to keep the page small."""

_SCORE_HEIGHT = 100
_JPEG_QUALITY = 80


def page(
    result: Localization,
    evidence: Evidence,
    folder: Path | None = None,
    truth: Sequence[Annotation] | None = None,
) -> str:
    """The page as HTML text.

    Args:
        result: what was found.
        evidence: the video's frames and sound.
        folder: where the page will be. With it the page refers to the video, which it plays where the browser can; the
            page does not depend on it.
        truth: the true events, where they are known; they are shown below those that were found.
    """
    decimals = timeline.clock_decimals(result)
    environment = page_templates("avel.outputs")

    def percent(seconds: float) -> str:
        return f"{100 * min(max(seconds / result.duration_seconds, 0), 1):.4g}"

    def clock(seconds: float) -> str:
        return timeline.clock(seconds, decimals)

    frames = [_frame(frame) for frame in evidence.frames]
    environment.filters |= {"percent": percent, "clock": clock}
    scores = timeline.scores(result)
    lines = {"event": scores.both}
    if scores.heard is not None and scores.seen is not None:
        lines = {"heard": scores.heard, "seen": scores.seen}
    lanes = timeline.lanes(result, truth)
    between = timeline.detail_between(result)
    events = by_start(result.events)
    return environment.get_template("report.html.j2").render(
        result=result,
        name=Path(result.video).name or result.video,
        summary=timeline.summary(result),
        duration=timeline.clock(result.duration_seconds, decimals),
        model_name=str(result.model.get("name", "unknown")),
        networks=list(_digests(result.model)),
        settings=list(_flat(result.model)),
        frames=frames,
        poster=next((frame["source"] for frame in frames if frame["source"]), None),
        waveform=waveform_path(evidence),
        peak=timeline.decibels(evidence.peak) if evidence.peak > 0 else None,
        has_sound=evidence.has_sound,
        ticks=timeline.tick_labels(result.duration_seconds),
        lanes=lanes,
        has_truth=truth is not None,
        lanes_left_out=len({e.category for e in events} | {e.category for e in truth or ()}) - len(lanes),
        curves=[
            {"curve": curve, "path": _area(curve.edges, curve.shares, result.duration_seconds)}
            for curve in timeline.detail_curves(result)
        ],
        between=None if between is None else {"detail": between[0], "source": _between(between[1])},
        rows=[
            {"category": category, "notes": _note(result, category), "counts": _counting(scores, category, result)}
            | {
                "lines": {
                    name: _area(scores.edges, of[category], result.duration_seconds) for name, of in lines.items()
                }
            }
            for category in scores.categories
        ],
        lines=list(lines),
        hover={
            "duration": result.duration_seconds,
            "segment": result.segment_seconds,
            "edges": [round(float(edge), 3) for edge in scores.edges],
            "scores": {
                name: [_hundredths(of[category]) for category in scores.categories] for name, of in lines.items()
            },
            "heat": _heat(result),
        },
        sights=[_sight(result, sight) for sight in evidence.sights],
        unheard=timeline.unreadable(result, "audio"),
        unseen=timeline.unreadable(result, "visual"),
        unjudged=timeline.unreadable(result, *evidence.kinds),
        events=events[:MAX_TABLE_ROWS],
        events_left_out=max(len(events) - MAX_TABLE_ROWS, 0),
        words=timeline.MODALITY_WORDS,
        modalities=timeline.modalities(result),
        classes={"audio-visual": "both", "audio": "heard", "visual": "seen"},
        threshold=timeline.THRESHOLD,
        score_height=_SCORE_HEIGHT,
        colors={"heard": timeline.HEARD_COLOR, "seen": timeline.SEEN_COLOR, "both": timeline.BOTH_COLOR},
        heat_colors=heat.COLORS,
        heat_opacity=heat.OPACITY,
        full_share=heat.FULL_SHARE,
        is_ungated=bool(result.model.get("ungated")),
        where=timeline.where(result),
        video_link=None if folder is None else link_to(result.video, folder),
        band_title=lambda group: _band_title(group, clock),
    )


def _frame(frame: Frame) -> dict[str, Any]:
    return {"seconds": frame.seconds, "source": data_uri(frame.pixels) if frame.pixels is not None else None}


def data_uri(pixels: "np.typing.NDArray[np.uint8]") -> str:
    """A picture (H, W, 3) in RGB as text that a page can hold."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=_JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def waveform_path(evidence: Evidence) -> str:
    """An SVG path over x from 0 to 1000 and y from -1 to 1, scaled so that the loudest sample touches the edge."""
    if evidence.peak == 0:
        return ""
    x = (np.arange(len(evidence.low)) + 0.5) * 1000 / len(evidence.low)
    # A part is at least as high as a hairline, so that silence is a line and no sound is none.
    high = np.maximum(evidence.high / evidence.peak, 0.012)
    low = np.minimum(evidence.low / evidence.peak, -0.012)
    there = ~np.isnan(low)
    edges = np.flatnonzero(np.diff(there, prepend=False, append=False))
    parts = []
    for start, end in edges.reshape(-1, 2):
        there_and_back = list(range(start, end)), list(range(end - 1, start - 1, -1))
        points = [f"{x[i]:.1f},{-high[i]:.2f}" for i in there_and_back[0]]
        points += [f"{x[i]:.1f},{-low[i]:.2f}" for i in there_and_back[1]]
        parts.append("M" + "L".join(points) + "Z")
    return "".join(parts)


def _area(edges: "np.typing.NDArray[np.float64]", values: timeline.Columns, duration_seconds: float) -> str:
    """An SVG path of steps over x from 0 to 1000 and y from `_SCORE_HEIGHT` (score 0) to 0; broken at NaN."""
    parts = []
    pen_down = False
    for start, end, value in zip(edges[:-1], edges[1:], values, strict=True):
        if np.isnan(value):
            pen_down = False
            continue
        y = f"{_SCORE_HEIGHT * (1 - float(value)):.1f}".removesuffix(".0")
        parts.append(f"V{y}" if pen_down else f"M{_x(start, duration_seconds)},{y}")
        parts.append(f"H{_x(end, duration_seconds)}")
        pen_down = True
    return "".join(parts)


def _counting(scores: timeline.ScoreCurves, category: str, result: Localization) -> str:
    """The area under the scores where they reach the threshold."""
    parts = []
    for start, end, value in zip(scores.edges[:-1], scores.edges[1:], scores.both[category], strict=True):
        if value >= timeline.THRESHOLD:
            top = f"{_SCORE_HEIGHT * (1 - float(value)):.1f}"
            left, right = (_x(seconds, result.duration_seconds) for seconds in (start, end))
            parts.append(f"M{left},{_SCORE_HEIGHT}V{top}H{right}V{_SCORE_HEIGHT}Z")
    return "".join(parts)


def _sight(result: Localization, sight: Sight) -> dict[str, Any]:
    assert result.attention is not None
    assert sight.frame.pixels is not None
    pixels = sight.frame.pixels
    veil = heat.veil(result.attention[sight.segment], (pixels.shape[1], pixels.shape[0]))
    segment = result.segments[sight.segment]
    return {
        "source": data_uri(heat.lay_over(pixels, veil)),
        "seconds": sight.frame.seconds,
        "start": segment.start_seconds,
        "category": segment.category,
        "score": segment.score,
    }


def _between(weights: timeline.Columns) -> str:
    """A picture of a pixel for each two segments, as opaque as its weight, which is in [0, 1]."""
    grey = np.full_like(weights, 128)
    out = io.BytesIO()
    pixels = np.stack([grey, 255 * weights], axis=-1).round().astype(np.uint8)
    Image.fromarray(pixels, mode="LA").save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _heat(result: Localization) -> dict[str, Any] | None:
    """Heat of the segments of events, for a veil over the video while it plays; one byte a part of the picture."""
    attention = result.attention
    if attention is None:
        return None
    lit = np.flatnonzero(attention.any(axis=(1, 2)))
    if len(lit) > MAX_HEAT_SEGMENTS:
        return None
    maps = {int(t): (255 * heat.heat(attention[t])).round().astype(np.uint8).tobytes() for t in lit}
    return {
        "rows": attention.shape[1],
        "columns": attention.shape[2],
        "segments": {t: base64.b64encode(of).decode("ascii") for t, of in maps.items()},
    }


def _x(seconds: float, duration_seconds: float) -> str:
    return f"{1000 * seconds / duration_seconds:.1f}".removesuffix(".0")


def _hundredths(values: timeline.Columns) -> list[int]:
    return [-1 if np.isnan(value) else round(100 * float(value)) for value in values]


def _band_title(events: Sequence[Event], clock: Any) -> str:
    if len(events) > 1:
        return f"{counted(len(events), 'event')} of {events[0].category}"
    e = events[0]
    times = f"{clock(e.start_seconds)} to {clock(e.end_seconds)}"
    return f"{e.category}, {timeline.MODALITY_WORDS[e.modality]}, {times}, score {e.score:.2f}"


def _note(result: Localization, category: str) -> list[str]:
    """What the model says it cannot do with a category."""
    return [
        text
        for key, text in (("cannot_hear", "cannot be heard"), ("cannot_see", "cannot be seen"))
        if category in result.model.get(key, ())
    ]


def _digests(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every SHA-256 in a description, with the name of what it belongs to."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _digests(inner, name if isinstance(inner, str) else str(key))
    elif isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef"):
        yield name, value


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A description's values with their dotted names."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple):
        yield name, " · ".join(map(str, value)) or "none"
    else:
        yield name, str(value)


def link_to(video: str, folder: Path) -> str | None:
    """A video as a page in a folder finds it, ``None`` when no browser could play it or it is on another drive."""
    if Path(video).suffix.lower() not in PLAYABLE_SUFFIXES:
        return None
    try:
        relative = os.path.relpath(Path(video).resolve(), folder.resolve())
    except ValueError:
        return None
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))
