"""A comparison of models as a picture, a page and JSON."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from avel.files import replacing, write_text
from avel.outputs import timeline
from avel.outputs.comparison import ComparedModel, Comparison, Run, colours
from avel.outputs.evidence import Evidence, gather
from avel.outputs.page import data_uri, waveform_path
from avel.outputs.picture import FIXED_HEIGHT, PLOT, Sheet, save
from avel.templates import page_templates

RIGHT_COLOR, WRONG_COLOR = timeline.BOTH_COLOR, "#c1121f"

_BAND, _MARKS, _CHARACTER = 0.3, 0.17, 0.066
_MOST_CROSSES = 80
"""Of more wrong segments the crosses would touch; their bar is red all the same."""


def write_comparison(comparison: Comparison, path: str | Path) -> Path:
    """Write a comparison, by the file's suffix as .png, .html or .json.

    Raises:
        ValueError: if the suffix is another one.
        OutputError: if it cannot be written.
        MediaError: if the video is no longer there.
    """
    path = Path(path)
    check_comparison_path(path)
    _WRITERS[path.suffix.lower()](comparison, path)
    return path


def check_comparison_path(path: str | Path) -> None:
    """Whether a comparison can be written as this.

    Raises:
        ValueError: if not.
    """
    if Path(path).suffix.lower() not in _WRITERS:
        raise ValueError(f"{path}: a comparison is written as .png, .html or .json.")


def plot_comparison(comparison: Comparison, evidence: Evidence | None = None) -> Figure:
    """Draw the video, what is true, and a row for each model, right segments marked green and wrong ones red.

    Args:
        comparison: what to draw.
        evidence: the video's frames and sound, where they have been read before.

    Returns:
        A figure of matplotlib, to change or to save.

    Raises:
        MediaError: if the video is no longer there.
    """
    evidence = _evidence(comparison) if evidence is None else evidence
    has_truth = comparison.truth is not None
    rows = len(comparison.models)
    height = FIXED_HEIGHT + has_truth * (_BAND + 0.1) + rows * (_BAND + 0.1 + has_truth * (_MARKS + 0.1)) + 0.1
    sheet = Sheet(comparison.models[0].result, height)
    sheet.heading(
        comparison.video, f"{timeline.clock(comparison.duration_seconds, 1)} · {rows} models side by side", []
    )
    sheet.key(_keys(comparison))
    sheet.strip(evidence)
    sheet.wave(evidence)
    sheet.axis()
    colour_of = colours(comparison.categories)
    if has_truth:
        _band(sheet.axes(_BAND, "labelled"), comparison.true_runs(), colour_of, comparison.duration_seconds)
    for model in comparison.models:
        right = "" if model.right is None else f"\n{model.right} of {len(model.segments)} right"
        axes = sheet.axes(_BAND, f"{model.name}{right}", gap=0.02 if has_truth else 0.1)
        _band(axes, model.runs(), colour_of, comparison.duration_seconds)
        if has_truth:
            _marks(sheet.axes(_MARKS, "", gap=0.18), model)
    return sheet.figure


def page_of_comparison(comparison: Comparison, evidence: Evidence | None = None) -> str:
    """The same as one HTML page that needs nothing else.

    Args:
        comparison: what to show.
        evidence: as for `plot_comparison`.
    """
    evidence = _evidence(comparison) if evidence is None else evidence
    environment = page_templates("avel.outputs")
    duration = comparison.duration_seconds
    environment.filters["percent"] = lambda seconds: f"{100 * min(max(seconds / duration, 0), 1):.4g}"
    return environment.get_template("comparison.html.j2").render(
        comparison=comparison,
        name=Path(comparison.video).name,
        duration=timeline.clock(duration, 1),
        frames=[None if frame.pixels is None else data_uri(frame.pixels) for frame in evidence.frames],
        waveform=waveform_path(evidence),
        ticks=timeline.tick_labels(duration),
        colours=colours(comparison.categories),
        right_color=RIGHT_COLOR,
        wrong_color=WRONG_COLOR,
    )


def _evidence(comparison: Comparison) -> Evidence:
    return gather(replace(comparison.models[0].result, attention=None))


def _keys(comparison: Comparison) -> list[tuple[str, str, bool]]:
    """Word and colour of what the legend explains, and whether it is crossed."""
    if comparison.truth is None:
        return []
    return [("right", RIGHT_COLOR, False), ("wrong", WRONG_COLOR, True)]


def _band(axes: Axes, runs: list[Run], colour_of: Mapping[str, str], duration_seconds: float) -> None:
    axes.set_facecolor("#f5f6f7")
    axes.set_ylim(0, 1)
    inset = 0.0008 * duration_seconds  # a hairline between neighbours
    if not runs:
        axes.text(
            0.5, 0.5, "no event", transform=axes.transAxes, ha="center", va="center", fontsize=7.5, color="#5d646d"
        )
    for run in runs:
        end = min(run.end_seconds, duration_seconds)
        width = max(end - run.start_seconds, duration_seconds / 800)
        color = colour_of[run.name]
        axes.add_patch(
            Rectangle((run.start_seconds + inset, 0.06), width - 2 * inset, 0.88, facecolor=color, linewidth=0)
        )
        room = int(width / duration_seconds * PLOT / _CHARACTER)
        if room >= 3:
            name = run.name if len(run.name) <= room else run.name[: room - 1].rstrip() + "…"
            axes.text(
                run.start_seconds + width / 2, 0.48, name, ha="center", va="center", fontsize=7.5,
                color=_ink_on(color), parse_math=False, clip_on=True,
            )  # fmt: skip


def _marks(axes: Axes, model: ComparedModel) -> None:
    axes.set_ylim(0, 1)
    wrong = [segment for segment in model.segments if not segment.is_right]
    for segment in model.segments:
        width = segment.end_seconds - segment.start_seconds
        color = RIGHT_COLOR if segment.is_right else WRONG_COLOR
        low, high = (0.35, 0.3) if segment.is_right else (0.0, 1.0)
        inset = 0.03 * width
        axes.add_patch(
            Rectangle((segment.start_seconds + inset, low), width - 2 * inset, high, facecolor=color, linewidth=0)
        )
    if len(wrong) <= _MOST_CROSSES:
        middles = [(segment.start_seconds + segment.end_seconds) / 2 for segment in wrong]
        axes.plot(middles, np.full(len(wrong), 0.5), "x", color="white", markersize=5, markeredgewidth=1.4)


def _ink_on(color: str) -> str:
    """Black or white, whichever is read more easily on a colour."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#17191c" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"


def _png(comparison: Comparison, path: Path) -> None:
    figure = plot_comparison(comparison)
    with replacing(path) as temporary:
        save(figure, temporary)


def _html(comparison: Comparison, path: Path) -> None:
    write_text(path, page_of_comparison(comparison))


def _json(comparison: Comparison, path: Path) -> None:
    write_text(path, json.dumps(comparison.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


_WRITERS: Mapping[str, Callable[[Comparison, Path], None]] = {".png": _png, ".html": _html, ".json": _json}
