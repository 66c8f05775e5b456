"""All papers' methods in one table: how good each is with full and with weak labels, how large, and how fast."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from avel.evaluation.papers import PAPERS, Paper
from avel.evaluation.reproduce import Reproduction, RowProgress, RowResult, measure
from avel.files import write_text
from avel.training.data import LocalizationData

FILE = "leaderboard.json"


@dataclass(frozen=True)
class Line:
    """A method.

    Attributes:
        method: its name.
        paper: whose number stands beside ours.
        supervised: trained with the class of each segment; ``None`` where no paper has it so.
        weak: trained with the label of each video; the same.
    """

    method: str
    paper: str
    supervised: RowResult | None
    weak: RowResult | None

    @property
    def costs(self) -> Mapping[str, float]:
        """Of the supervised model, or else of the weakly supervised one, which is the same network."""
        return next((result.costs for result in (self.supervised, self.weak) if result is not None), {})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "method": self.method,
            "paper": self.paper,
            "supervised": None if self.supervised is None else self.supervised.to_dict(),
            "weak": None if self.weak is None else self.weak.to_dict(),
            "costs": dict(self.costs),
        }


def leaderboard(
    data: LocalizationData,
    folder: str | Path,
    how: Reproduction | None = None,
    *,
    papers: Sequence[Paper] | None = None,
    progress: RowProgress | None = None,
) -> list[Line]:
    """Train and measure every method of the papers' leaderboards.

    A method that several papers report stands once, with the number of the first of them.

    Args:
        data: what `avel.training.ave_data.open_data` opens.
        folder: where the runs are kept, the same as those of `avel.evaluation.reproduce.reproduce`; what is measured
            there already is not trained again.
        how: see there; its tables do not matter.
        papers: whose methods; all that are known if left out.
        progress: called as rows go on.

    Returns:
        A line a method, the best supervised one first; those without stand at the end.

    Raises:
        AvelError: as training raises it; what is done is kept.
    """
    how = how or Reproduction()
    lines: list[Line] = []
    trained: set[tuple[str | None, ...]] = set()
    for paper in papers or PAPERS.values():
        for method, *names in paper.leaderboard:
            rows = [None if name is None else paper.row(name) for name in names]
            key = tuple(None if row is None else row.folder for row in rows)
            if key in trained:
                continue
            trained.add(key)
            full, weak = (
                None if row is None else measure(paper, row, data, folder, how, progress=progress) for row in rows
            )
            lines.append(Line(method, paper.title, full, weak))
    lines.sort(key=_rank)
    content = {"data": data.name, "seeds": how.seeds, "flags": dict(how.flags), "lines": [x.to_dict() for x in lines]}
    write_text(Path(folder) / FILE, json.dumps(content, indent=2, allow_nan=False) + "\n")
    return lines


def _rank(line: Line) -> float:
    measured = line.supervised is not None and line.supervised.accuracies
    return -line.supervised.mean if measured and line.supervised else 0.0
