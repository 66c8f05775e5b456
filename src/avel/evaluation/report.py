"""An evaluation as a table, as JSON, and as one HTML page that needs nothing else."""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avel.events import BACKGROUND
from avel.files import make_folder, write_text
from avel.metrics.multi_label import MultiLabelMetrics
from avel.metrics.segments import Metrics
from avel.templates import page_templates
from avel.wording import counted

if TYPE_CHECKING:
    from avel.evaluation.evaluate import Evaluation

COLUMNS = ("segment accuracy", "event F1", "precision", "recall", "onset error", "offset error")
MULTI_LABEL_COLUMNS = ("mean AP", "macro F1", "micro F1", *COLUMNS[1:])
VIDEO_COLUMNS = {Metrics: ("video accuracy",), MultiLabelMetrics: ("mean AP of videos", "macro F1", "micro F1")}


def columns(evaluation: "Evaluation") -> tuple[str, ...]:
    """Names of what is measured. Where only whole videos have labels, there are no events to measure."""
    kind = type(evaluation.metrics)
    if evaluation.unit == "video":
        return VIDEO_COLUMNS[kind]
    return COLUMNS if kind is Metrics else MULTI_LABEL_COLUMNS


def values(metrics: Metrics | MultiLabelMetrics) -> tuple[str, ...]:
    """What stands under `COLUMNS`, or under `MULTI_LABEL_COLUMNS`."""
    events = metrics.events
    if isinstance(metrics, Metrics):
        own: tuple[float, ...] = (metrics.segment_accuracy,)
    else:
        own = (metrics.mean_average_precision, metrics.macro_f1, metrics.micro_f1)
    return (
        *(percent(share) for share in (*own, events.f1, events.precision, events.recall)),
        *(_seconds(value) for value in (events.onset_error_seconds, events.offset_error_seconds)),
    )


def rows(evaluation: "Evaluation") -> Iterator[tuple[str, ...]]:
    """The model, then the trivial answers, with what stands under `columns`."""
    count = len(columns(evaluation))
    yield (evaluation.model, *values(evaluation.metrics)[:count])
    for name, metrics in evaluation.baselines.items():
        yield (name, *values(metrics)[:count])


def category_rows(metrics: MultiLabelMetrics, categories: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each category with its average precision, F1, precision, recall, threshold and how often it is there."""
    for name, one in zip(categories, metrics.categories, strict=True):
        shares = (one.average_precision, one.f1, one.precision, one.recall)
        threshold = "-" if one.threshold is None else f"{one.threshold:.3f}"
        yield (name, *map(percent, shares), threshold, str(one.true))


CATEGORY_COLUMNS = ("average precision", "F1", "precision", "recall", "threshold", "of")


def lines(evaluation: "Evaluation") -> list[str]:
    """The evaluation as text."""
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evaluation.about.items())
    metrics = evaluation.metrics
    size = f"{counted(metrics.videos, 'clip')}, {counted(metrics.segments, 'segment')}"
    if evaluation.unit == "video":
        size = counted(metrics.videos, "video")
    by_category: list[str] = []
    if isinstance(metrics, MultiLabelMetrics):
        by_category = ["", *aligned([("", *CATEGORY_COLUMNS), *category_rows(metrics, evaluation.categories)])]
    return [
        f"{evaluation.model} on split {evaluation.split} of {evaluation.data}: {size}",
        *([about] if about else []),
        *aligned([("", *columns(evaluation)), *rows(evaluation)]),
        *by_category,
        *(f"warning: {warning}" for warning in evaluation.warnings),
    ]


def aligned(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """A line a row, with columns below each other."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    for row in table:
        cells = enumerate(zip(row, widths, strict=True))
        yield "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in cells)


def write_json(evaluation: "Evaluation", path: Path) -> None:
    """Write as JSON.

    Raises:
        OutputError: if it cannot be written.
    """
    text = json.dumps(evaluation.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_html(evaluation: "Evaluation", path: Path) -> None:
    """Write as one HTML page.

    Raises:
        OutputError: if it cannot be written.
    """
    write_text(path, page(evaluation))


def check_place(output: Path) -> None:
    """Whether a report can be written to a path, before anything is measured.

    Raises:
        ValueError: if it is neither a file that ends in .html or .json, nor a folder or the name of a new one.
        OutputError: if nothing can be written there.
    """
    if not output.is_dir() and output.suffix.lower() not in ("", *_WRITERS):
        raise ValueError(f"{output}: a report is a file that ends in .html or .json, or a folder for both.")
    make_folder(output if output.is_dir() or not output.suffix else output.parent)


def write(evaluation: "Evaluation", output: Path) -> None:
    """Write as one file, or as ``evaluation.json`` and ``evaluation.html`` in a folder.

    Raises:
        OutputError: if it cannot be written.
        ValueError: as `check_place`.
    """
    check_place(output)
    suffix = output.suffix.lower()
    if output.is_dir() or not suffix:
        write_json(evaluation, output / "evaluation.json")
        write_html(evaluation, output / "evaluation.html")
    else:
        _WRITERS[suffix](evaluation, output)


_WRITERS = {".html": write_html, ".json": write_json}


def page(evaluation: "Evaluation") -> str:
    """The evaluation as HTML text: metrics beside the trivial answers, a bar a category, the confusion matrix."""
    environment = page_templates("avel.evaluation")
    metrics = evaluation.metrics
    content = _confusion(metrics, evaluation) if isinstance(metrics, Metrics) else _categories(metrics, evaluation)
    return environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        data=Path(evaluation.data).name or evaluation.data,
        columns=columns(evaluation),
        rows=list(rows(evaluation)),
        about={name.replace("_", " "): value for name, value in evaluation.about.items()},
        **content,
    )


def _confusion(metrics: Metrics, evaluation: "Evaluation") -> dict[str, Any]:
    """What the page shows where classes exclude each other."""
    names = (*evaluation.categories, BACKGROUND)
    counts = metrics.confusion
    totals = counts.sum(axis=1)
    return {
        "multi_label": False,
        "names": names,
        "bars": [
            {
                "name": name,
                "width": 0 if math.isnan(share) else round(100 * share, 2),
                "text": percent(share),
                "segments": int(total),
                "mistaken": _mistaken(names, counts[c], c),
            }
            for c, (name, share, total) in enumerate(zip(names, metrics.category_accuracy, totals, strict=True))
        ],
        "cells": [
            {"row": i, "column": j, "count": int(counts[i, j]), "share": round(float(counts[i, j] / totals[i]), 4)}
            for i in range(len(names))
            for j in range(len(names))
            if counts[i, j]
        ],
    }


def _categories(metrics: MultiLabelMetrics, evaluation: "Evaluation") -> dict[str, Any]:
    """What the page shows where a segment may hold several categories."""
    return {
        "multi_label": True,
        "category_columns": CATEGORY_COLUMNS,
        "category_rows": list(category_rows(metrics, evaluation.categories)),
    }


def percent(share: float) -> str:
    """A share in percent, ``-`` where it is not defined."""
    return "-" if math.isnan(share) else f"{100 * share:.1f} %"


def _seconds(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f} s"


def _mistaken(names: tuple[str, ...], counts: Any, own: int) -> str:
    """What a class is most often taken for."""
    others = [(int(count), names[c]) for c, count in enumerate(counts) if c != own and count]
    if not others:
        return ""
    count, name = max(others)
    return f"{name} ({count})"
