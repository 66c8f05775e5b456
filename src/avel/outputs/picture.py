"""A result as one picture: frames, waveform, where the model looks, event bands and scores over one time axis."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from avel.data.annotations import Annotation
from avel.data.formats.naming import one_line
from avel.events import Localization, Modality
from avel.models.details import Detail
from avel.outputs import heat, timeline
from avel.outputs.evidence import STRIP_ASPECT, Evidence, Frame, gather

DPI = 150

# All lengths in inches, from the top down.
_WIDTH = 12.0
_MARGIN = 0.45
_LABELS = 1.9
PLOT = _WIDTH - 2 * _MARGIN - _LABELS
"""Width of the time axis."""
_TITLE = 0.73
_LINE_HEIGHT = 0.22
_LEGEND = 0.4
_STRIP = PLOT / STRIP_ASPECT
_WAVE = 0.55
_AXIS = 0.3
_LANE_ROW, _LANE_LEAST = 0.13, 0.24
_SCORES = 0.5
_GAP = 0.1
_PART = 0.28
_TRUTH = 0.11
"""Height of the band of what is true, below a lane."""
_BETWEEN = 1.6

FIXED_HEIGHT = 2 * _MARGIN + _TITLE + _LEGEND + _STRIP + _WAVE + _AXIS + 2 * _GAP
"""Of title, legend, frames, sound and axis, in inches."""

_INK, _SOFT, _FAINT, _LINE, _WELL, _VOID, _HATCH = (
    "#17191c",
    "#5d646d",
    "#8b929b",
    "#e4e7ea",
    "#f5f6f7",
    "#e9ebee",
    "#c0c6cc",
)
_HEARD: dict[str, Any] = {"color": timeline.HEARD_COLOR, "linewidth": 1.2}
_SEEN: dict[str, Any] = {"color": timeline.SEEN_COLOR, "linewidth": 1.2, "linestyle": (0, (4, 2))}
_BOTH: dict[str, Any] = {"color": timeline.BOTH_COLOR, "linewidth": 7, "alpha": 0.25, "solid_capstyle": "butt"}
_EVENT: dict[str, Any] = {"color": timeline.BOTH_COLOR, "linewidth": 1.2}
_WIDEST_SIGHT = 1.5
_CAPTION, _SIGHT_GAP = 0.3, 0.06
_HATCHES: dict[Modality, str | None] = {"audio-visual": None, "audio": "////", "visual": "\\\\\\\\"}


def plot(result: Localization, evidence: Evidence | None = None, truth: Sequence[Annotation] | None = None) -> Figure:
    """Draw a result: frames, waveform, where the model looks, event bands and scores over time.

    The figure is not one of pyplot's, whose state and settings stay as they are. The video is read again for its frames
    and its sound.

    Args:
        result: what was found.
        evidence: the video's frames and sound, where they have been read before.
        truth: the true events, where they are known; they are drawn below those that were found.

    Returns:
        A figure of matplotlib, to change or to save with ``figure.savefig("clip.png")``.

    Raises:
        MediaError: if the video is no longer there.
    """
    evidence = gather(result) if evidence is None else evidence
    lanes, scores = timeline.lanes(result, truth), timeline.scores(result)
    curves, between = timeline.detail_curves(result), timeline.detail_between(result)
    unjudged = timeline.unreadable(result, *evidence.kinds)
    below = 0.0 if truth is None else _TRUTH
    lane_heights = [max(_LANE_LEAST, _LANE_ROW * lane.rows) + below for lane in lanes]
    summary = textwrap.wrap(timeline.summary(result), 150, max_lines=3, placeholder=" …")
    height = (
        FIXED_HEIGHT + _LINE_HEIGHT * len(summary) + _GAP + 2 * _PART
        + (sum(lane_heights) if lanes else _LANE_LEAST) + _GAP * max(len(lanes), 1)
        + (_SCORES + _GAP) * len(scores.categories)
        + (_sight_height(evidence) + _CAPTION + _GAP if evidence.sights else 0)
        + (_PART + _GAP / 2 if curves or between else 0) + (_SCORES + _GAP) * len(curves)
        + (_BETWEEN + _GAP if between else 0)
    )  # fmt: skip
    sheet = Sheet(result, height)
    sheet.title(summary)
    sheet.legend(evidence, truth)
    sheet.strip(evidence)
    sheet.wave(evidence)
    sheet.axis()
    if evidence.sights:
        sheet.sights(evidence)
    sheet.part("Events")
    for lane, lane_height in zip(lanes, lane_heights, strict=True):
        sheet.lane(lane, lane_height, unjudged)
    if not lanes:
        sheet.nothing("no event", _LANE_LEAST)
    if scores.categories:
        alone = [("heard", _HEARD), ("seen", _SEEN)] if timeline.tells_modalities(result) else [("event", _EVENT)]
        sheet.part("Scores", [*alone, ("both" if len(alone) == 2 else "counts", _BOTH)])
    for category in scores.categories:
        sheet.scores(scores, category, unjudged)
    if curves or between:
        sheet.part("Details")
    for curve in curves:
        sheet.curve(curve)
    if between:
        sheet.between(*between)
    return sheet.figure


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, format="png", dpi=DPI)


class Sheet:
    """A figure that is filled from the top down."""

    def __init__(self, result: Localization, height: float) -> None:
        self.result = result
        self.height = height
        self.figure: Figure = Figure(figsize=(_WIDTH, height), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)
        self.top = _MARGIN

    def title(self, summary: Sequence[str]) -> None:
        """The video's name, what was found, and how."""
        duration = timeline.clock(self.result.duration_seconds, timeline.clock_decimals(self.result))
        facts = f"{duration} · segments of {self.result.segment_seconds:g} s · model {self.result.model.get('name')}"
        self.heading(self.result.video, facts, summary)

    def heading(self, video: str, facts: str, summary: Sequence[str]) -> None:
        """The video's name, what was found, and how."""
        name = one_line(Path(video).name or video)
        self._text(_MARGIN, self.top + 0.18, _shortened(name, 84), size=15, weight="bold")
        for line in summary:
            self._text(_MARGIN, self.top + 0.5, line, size=9.5)
            self.top += _LINE_HEIGHT
        self._text(_MARGIN, self.top + 0.52, facts, size=8, color=_SOFT)
        self.top += _TITLE

    def key(self, entries: Sequence[tuple[str, str, bool]]) -> None:
        """A legend of words, each with its colour, and whether its bars are crossed; others are thin."""
        x, y = _MARGIN + _LABELS, self.top + _LEGEND / 2 - 0.03
        for word, color, is_crossed in entries:
            high = 0.12 if is_crossed else 0.036
            corner = (x / _WIDTH, 1 - (y + high / 2) / self.height)
            bar = Rectangle(corner, 0.26 / _WIDTH, high / self.height, facecolor=color, linewidth=0)
            bar.set_transform(self.figure.transFigure)
            self.figure.add_artist(bar)
            if is_crossed:
                middle = ([(x + 0.13) / _WIDTH], [1 - y / self.height])
                cross = Line2D(*middle, marker="x", color="white", markersize=4, markeredgewidth=1.2)
                cross.set_transform(self.figure.transFigure)
                self.figure.add_artist(cross)
            self._text(x + 0.34, y, word, size=8, color=_SOFT)
            x += 0.7 + 0.062 * len(word)
        self.top += _LEGEND

    def legend(self, evidence: Evidence, truth: Sequence[Annotation] | None) -> None:
        """What the looks of bands mean."""
        x, y = _MARGIN + _LABELS, self.top + _LEGEND / 2 - 0.03
        for modality in timeline.modalities(self.result):
            word = timeline.MODALITY_WORDS[modality]
            patch = _band(modality, (x / _WIDTH, 1 - (y + 0.05) / self.height), 0.26 / _WIDTH, 0.1 / self.height)
            patch.set_transform(self.figure.transFigure)
            self.figure.add_artist(patch)
            self._text(x + 0.34, y, word, size=8, color=_SOFT)
            x += 0.7 + 0.062 * len(word)
        if truth is not None:
            patch = _truth_band((x / _WIDTH, 1 - (y + 0.03) / self.height), 0.26 / _WIDTH, 0.06 / self.height)
            patch.set_transform(self.figure.transFigure)
            self.figure.add_artist(patch)
            self._text(x + 0.34, y, "labelled", size=8, color=_SOFT)
            x += 1.2
        if timeline.unreadable(self.result, *evidence.kinds):
            patch = Rectangle(
                (x / _WIDTH, 1 - (y + 0.05) / self.height), 0.26 / _WIDTH, 0.1 / self.height, facecolor=_VOID,
                edgecolor=_HATCH, linewidth=0, hatch="//////", transform=self.figure.transFigure,
            )  # fmt: skip
            self.figure.add_artist(patch)
            self._text(x + 0.34, y, "could not be read", size=8, color=_SOFT)
        self.top += _LEGEND

    def strip(self, evidence: Evidence) -> None:
        """Frames along the timeline."""
        if not evidence.frames:
            self.nothing("no picture in this file", _STRIP, label="Picture")
            return
        axes = self.axes(_STRIP, "Picture")
        width = self.result.duration_seconds / len(evidence.frames)
        for i, frame in enumerate(evidence.frames):
            self._frame(axes, frame, i * width, width, len(evidence.frames))
        _void(axes, timeline.unreadable(self.result, "visual"))

    def wave(self, evidence: Evidence) -> None:
        """The sound's envelope."""
        if not evidence.has_sound:
            self.nothing("no sound in this file", _WAVE, label="Sound")
            return
        peak = f"\npeak {timeline.decibels(evidence.peak)}" if evidence.peak > 0 else ""
        axes = self.axes(_WAVE, f"Sound{peak}")
        axes.set_ylim(-1, 1)
        loudest = evidence.peak or 1.0
        moments = (np.arange(len(evidence.low)) + 0.5) * self.result.duration_seconds / len(evidence.low)
        low, high = np.minimum(evidence.low / loudest, -0.012), np.maximum(evidence.high / loudest, 0.012)
        axes.fill_between(moments, low, high, color=_SOFT, linewidth=0)
        _void(axes, timeline.unreadable(self.result, "audio"))

    def axis(self) -> None:
        """Times."""
        for moment, text in timeline.tick_labels(self.result.duration_seconds):
            share = moment / self.result.duration_seconds
            side = "left" if share < 0.01 else "right" if share > 0.97 else "center"
            x = _MARGIN + _LABELS + PLOT * share
            self._text(x, self.top + 0.03, text, size=7.5, color=_SOFT, horizontalalignment=side)
        self.top += _AXIS

    def sights(self, evidence: Evidence) -> None:
        """Pictures of events with where the model looks, each with its time and category."""
        attention = self.result.attention
        assert attention is not None
        height = _sight_height(evidence)
        width = height * (evidence.aspect or 1)
        x = _MARGIN + _LABELS
        title = "\n".join(textwrap.wrap(f"Where {timeline.where(self.result)}", 18))
        self._text(x - 0.18, self.top + height / 2, title, size=8, horizontalalignment="right", multialignment="right")
        for sight in evidence.sights:
            assert sight.frame.pixels is not None
            pixels = sight.frame.pixels
            veil = heat.veil(attention[sight.segment], (pixels.shape[1], pixels.shape[0]))
            axes = self.figure.add_axes(
                (x / _WIDTH, 1 - (self.top + height) / self.height, width / _WIDTH, height / self.height)
            )
            axes.imshow(heat.lay_over(pixels, veil), aspect="auto", interpolation="antialiased")
            axes.set_axis_off()
            clock = timeline.clock(sight.frame.seconds, timeline.clock_decimals(self.result))
            category = _shortened(self.result.segments[sight.segment].category, max(round(width / 0.062), 6))
            self._text(x, self.top + height + 0.09, clock, size=6.5, color=_SOFT)
            self._text(x, self.top + height + 0.22, category, size=6.5)
            x += width + _SIGHT_GAP
        self.top += height + _CAPTION + _GAP

    def part(self, name: str, keys: Sequence[tuple[str, dict[str, Any]]] = ()) -> None:
        """A line between parts, with its name and a legend."""
        middle = self.top + _PART / 2
        x = _MARGIN + _LABELS
        self._text(x - 0.18, middle, name, size=7.5, color=_FAINT, horizontalalignment="right")
        for word, style in keys:
            self._line(x, x + 0.3, middle, **style)
            self._text(x + 0.38, middle, word, size=7.5, color=_SOFT)
            x += 0.56 + 0.062 * len(word)
        self._line(x, _MARGIN + _LABELS + PLOT, middle, color=_LINE, linewidth=0.8)
        self.top += _PART + _GAP / 2

    def lane(self, lane: timeline.Lane, height: float, unjudged: list[tuple[float, float]]) -> None:
        """The events of a category."""
        axes = self.axes(height, lane.category)
        axes.set_facecolor(_WELL)
        # The rows of what was found, and below them, with a height of its own, what is true.
        per_row = (height - (0 if lane.truth is None else _TRUTH)) / lane.rows
        axes.set_ylim(height / per_row, 0)
        _void(axes, unjudged)
        least = self.result.duration_seconds / 800  # about two pixels
        for start, end in lane.truth or ():
            end = min(end, self.result.duration_seconds)
            axes.add_patch(_truth_band((start, lane.rows), max(end - start, least), 0.7 * _TRUTH / per_row))
        for band in lane.bands:
            width = max(band.end_seconds - band.start_seconds, least)
            axes.add_patch(_band(band.modality, (band.start_seconds, band.row + 0.12), width, 0.76))

    def scores(self, scores: timeline.ScoreCurves, category: str, unjudged: list[tuple[float, float]]) -> None:
        """The scores of a category."""
        axes = self.axes(_SCORES, category)
        axes.set_ylim(-0.04, 1.04)  # room for the width of lines
        _void(axes, unjudged)
        axes.axhline(timeline.THRESHOLD, color=_FAINT, linewidth=0.6, linestyle=(0, (1, 3)))
        both = scores.both[category]
        counts = np.where(both >= timeline.THRESHOLD, both, np.nan)
        axes.stairs(counts, scores.edges, fill=True, color=timeline.BOTH_COLOR, alpha=0.2, linewidth=0)
        if scores.heard is not None and scores.seen is not None:
            axes.stairs(scores.heard[category], scores.edges, baseline=None, **_HEARD)
            axes.stairs(scores.seen[category], scores.edges, baseline=None, **_SEEN)
        else:
            axes.stairs(both, scores.edges, baseline=None, **_EVENT)
        axes.axhline(0, color=_LINE, linewidth=1, zorder=0)

    def curve(self, curve: timeline.DetailCurve) -> None:
        """A detail of one number a segment."""
        detail = curve.detail
        title = "\n".join(textwrap.wrap(curve.title, 24, max_lines=2, placeholder="…"))
        axes = self.axes(_SCORES, f"{title}\n{detail.low:g} to {detail.high:g}")
        axes.set_ylim(detail.low - 0.04 * (detail.high - detail.low), detail.high + 0.04 * (detail.high - detail.low))
        axes.axhline((detail.low + detail.high) / 2, color=_FAINT, linewidth=0.6, linestyle=(0, (1, 3)))
        axes.stairs(curve.values, curve.edges, baseline=None, color=_INK, linewidth=1.2)
        axes.axhline(detail.low, color=_LINE, linewidth=1, zorder=0)

    def between(self, detail: Detail, weights: npt.NDArray[np.float32]) -> None:
        """Attention between segments: a row is a segment from the top down, dark what it takes from."""
        axes = self.axes(_BETWEEN, f"{detail.title}\nrow: segment, from the\ntop; dark: taken from")
        extent = (0.0, len(weights) * self.result.segment_seconds, 0.0, 1.0)
        axes.imshow(weights, extent=extent, aspect="auto", cmap="Greys", vmin=0, vmax=1, interpolation="nearest")
        axes.set_xlim(0, self.result.duration_seconds)

    def nothing(self, why: str, height: float, label: str = "") -> None:
        """A row that says why it is empty."""
        axes = self.axes(height, label)
        axes.set_facecolor(_WELL)
        axes.text(0.5, 0.5, why, transform=axes.transAxes, ha="center", va="center", fontsize=8, color=_SOFT)

    def axes(self, height: float, label: str, *, gap: float = _GAP) -> Axes:
        """The next row, over the time axis."""
        bottom = 1 - (self.top + height) / self.height
        axes = self.figure.add_axes((((_MARGIN + _LABELS) / _WIDTH), bottom, PLOT / _WIDTH, height / self.height))
        axes.set_xlim(0, self.result.duration_seconds)
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
        lines = label.split("\n") if "\n" in label else textwrap.wrap(label, 24, max_lines=2, placeholder="…")
        self._text(
            _MARGIN + _LABELS - 0.18, self.top + height / 2, "\n".join(lines), size=8, horizontalalignment="right"
        )
        self.top += height + gap
        return axes

    def _frame(self, axes: Axes, frame: Frame, start_seconds: float, width_seconds: float, count: int) -> None:
        if frame.pixels is not None:
            pixels = _cropped(frame.pixels, PLOT / count / _STRIP)
            inset = 0.0006 * self.result.duration_seconds  # a white hairline between frames
            extent = (start_seconds + inset, start_seconds + width_seconds - inset, 0.0, 1.0)
            axes.imshow(pixels, extent=extent, aspect="auto", interpolation="antialiased")
            axes.set_xlim(0, self.result.duration_seconds)
            axes.set_ylim(0, 1)

    def _line(self, left: float, right: float, y: float, **style: Any) -> None:
        x = [left / _WIDTH, right / _WIDTH]
        level = 1 - y / self.height
        self.figure.add_artist(Line2D(x, [level, level], transform=self.figure.transFigure, **style))

    def _text(self, x: float, y: float, text: str, *, size: float, color: str = _INK, **how: Any) -> None:
        # A file name may hold "$", which would start a formula.
        where = {"verticalalignment": "center"} | how
        self.figure.text(x / _WIDTH, 1 - y / self.height, text, fontsize=size, color=color, parse_math=False, **where)


def _sight_height(evidence: Evidence) -> float:
    """So that all of them fit side by side."""
    width = min((PLOT + _SIGHT_GAP) / len(evidence.sights) - _SIGHT_GAP, _WIDEST_SIGHT)
    return width / (evidence.aspect or 1)


def _band(modality: Modality, corner: tuple[float, float], width: float, height: float) -> Rectangle:
    color = timeline.MODALITY_COLORS[modality]
    hatch = _HATCHES[modality]
    return Rectangle(
        corner, width, height, facecolor="white" if hatch else color, edgecolor=color, hatch=hatch, linewidth=0.8
    )


def _truth_band(corner: tuple[float, float], width: float, height: float) -> Rectangle:
    return Rectangle(corner, width, height, facecolor=_INK, linewidth=0)


def _void(axes: Axes, spans: list[tuple[float, float]]) -> None:
    for start, end in spans:
        axes.axvspan(start, end, facecolor=_VOID, edgecolor=_HATCH, hatch="//////", linewidth=0)


def _cropped(pixels: npt.NDArray[np.uint8], aspect: float) -> npt.NDArray[np.uint8]:
    """The middle of a picture, with the given width over height."""
    height, width = pixels.shape[:2]
    if width / height > aspect:
        wanted = max(round(height * aspect), 1)
        return pixels[:, (width - wanted) // 2 :][:, :wanted]
    wanted = max(round(width / aspect), 1)
    return pixels[(height - wanted) // 2 :][:wanted]


def _shortened(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length // 2 - 1] + "…" + text[-(length // 2) :]
