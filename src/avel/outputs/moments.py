"""A moment that was found by its sound or its pictures, as JSON and as a picture of every start's distance."""

import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from avel.files import replacing, write_text
from avel.localization.moments import Moment

SUFFIXES = (".json", ".png")


def write_moment(moment: Moment, path: str | Path) -> Path:
    """Write a moment, by the file's suffix as JSON or as a picture.

    Raises:
        ValueError: if the suffix is another one.
        OutputError: if it cannot be written.
    """
    path = Path(path)
    check_moment_path(path)
    if path.suffix.lower() == ".json":
        write_text(path, json.dumps(moment.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return path
    figure = plot_moment(moment)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
    return path


def check_moment_path(path: str | Path) -> None:
    """Whether a moment can be written as this.

    Raises:
        ValueError: if not.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        raise ValueError(f"{path}: a moment is written as .json or .png.")


def plot_moment(moment: Moment) -> Figure:
    """Draw the distance of every start, and where the query was found.

    Returns:
        A figure of matplotlib, to change or to save.
    """
    figure = Figure(figsize=(9, 3), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.axvspan(moment.start_seconds, moment.end_seconds, color="#dbe9f6", label="found")
    axes.plot(moment.starts_seconds, moment.distances, marker=".", color="#17191c")
    axes.plot([moment.start_seconds], [min(moment.distances)], "o", color="#c0392b", label="smallest distance")
    looked_for, where = ("sound", "pictures") if moment.direction == "a2v" else ("pictures", "sound")
    axes.set_xlabel(f"start in the {where}, seconds")
    axes.set_ylabel("mean distance")
    axes.set_title(
        f"{Path(moment.query).name}, {looked_for} {moment.query_start_seconds:g}-{moment.query_end_seconds:g} s, "
        f"in the {where} of {Path(moment.video).name}",
        loc="left",
        fontsize=10,
    )
    axes.legend(frameon=False)
    return figure
