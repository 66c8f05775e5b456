"""An evaluation as a table, as JSON, and as one HTML page that needs nothing else."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avel.evaluation.metrics import Metrics
from avel.events import BACKGROUND
from avel.outputs.atomic import write_text

if TYPE_CHECKING:
    from avel.evaluation.evaluate import Evaluation

COLUMNS = ("segment accuracy", "event F1", "precision", "recall", "onset error", "offset error")


def values(metrics: Metrics) -> tuple[str, ...]:
    """What stands under `COLUMNS`."""
    events = metrics.events
    shares = (metrics.segment_accuracy, events.f1, events.precision, events.recall)
    return (
        *(percent(share) for share in shares),
        *(_seconds(value) for value in (events.onset_error_seconds, events.offset_error_seconds)),
    )


def rows(evaluation: "Evaluation") -> Iterator[tuple[str, ...]]:
    """The model, then the trivial answers, with what stands under `COLUMNS`."""
    yield (evaluation.model, *values(evaluation.metrics))
    for name, metrics in evaluation.baselines.items():
        yield (name, *values(metrics))


def lines(evaluation: "Evaluation") -> list[str]:
    """The evaluation as text."""
    table = [("", *COLUMNS), *rows(evaluation)]
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in evaluation.about.items())
    return [
        f"{evaluation.model} on split {evaluation.split} of {evaluation.data}: "
        f"{evaluation.metrics.videos} clips, {evaluation.metrics.segments} segments",
        *([about] if about else []),
        *(
            "  ".join(cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(cells))
            for row in table
            for cells in [list(zip(row, widths, strict=True))]
        ),
        *(f"warning: {warning}" for warning in evaluation.warnings),
    ]


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


def page(evaluation: "Evaluation") -> str:
    """The evaluation as HTML text: metrics beside the trivial answers, a bar a category, the confusion matrix."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("avel.evaluation"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = (*evaluation.categories, BACKGROUND)
    metrics = evaluation.metrics
    counts = metrics.confusion
    totals = counts.sum(axis=1)
    return environment.get_template("evaluation.html.j2").render(
        evaluation=evaluation,
        data=Path(evaluation.data).name or evaluation.data,
        columns=COLUMNS,
        rows=list(rows(evaluation)),
        bars=[
            {
                "name": name,
                "width": 0 if math.isnan(share) else round(100 * share, 2),
                "text": percent(share),
                "segments": int(total),
                "mistaken": _mistaken(names, counts[c], c),
            }
            for c, (name, share, total) in enumerate(zip(names, metrics.category_accuracy, totals, strict=True))
        ],
        names=names,
        cells=[
            {"row": i, "column": j, "count": int(counts[i, j]), "share": round(float(counts[i, j] / totals[i]), 4)}
            for i in range(len(names))
            for j in range(len(names))
            if counts[i, j]
        ],
        about={name.replace("_", " "): value for name, value in evaluation.about.items()},
    )


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
