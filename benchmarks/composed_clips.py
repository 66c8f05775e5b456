"""Gather what `avel reproduce` measured on the composed clips into one file, which the reproduction guide is made from.

    avel reproduce xuan2020 --data CLIPS -o RUNS --epochs 8 --set batch_size=16 --set schedule=cosine ...
    python benchmarks/composed_clips.py RUNS [MORE_RUNS...]

CLIPS are those of `../shared/bench`: real VGG-19 and YAMNet features, composed; not AVE. Each folder is one schedule on
one set of clips: the guide takes a short one of all papers, a longer one of Table 1 of Tian et al. (both on all clips),
and their Table 2 (on 1400).
Rows that several papers have stand with each of them; a row that was not run with every seed says with how many.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from avel.evaluation.papers import PAPERS
from avel.evaluation.reproduce import RESULT_FILE

SCHEDULE = ("epochs", "batch_size", "schedule", "learning_rate", "early_stop")


def gathered(folder: Path) -> dict[str, Any]:
    """One folder: the trivial answers, and its rows, each with its schedule."""
    rows: list[dict[str, Any]] = []
    trivial: dict[str, float] = {}
    for paper in PAPERS.values():
        for row in paper.rows:
            files = sorted(folder.glob(f"{row.folder}/seed*/{RESULT_FILE}"))
            runs = [json.loads(file.read_text(encoding="utf-8")) for file in files]
            if not runs:
                continue
            trivial |= runs[0]["trivial"]
            found = {"paper": paper.name, "table": row.table, "row": row.name, "model": row.model}
            found["accuracies"] = [round(run["accuracy"][row.measure], 2) for run in runs]
            found["epochs_kept"] = [run["epoch"] for run in runs]
            if not row.is_matching:
                settings = runs[0]["key"]["settings"]
                found |= {name: settings[name] for name in SCHEDULE}
                found["event_f1"] = [run["event_f1"] for run in runs]
                found["parameters"] = runs[0]["parameters"]
            rows.append(found)
    return {"trivial": {name: round(value, 2) for name, value in trivial.items()}, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    result = {
        "what": "Segment accuracy in % on test clips composed of real VGG-19 and YAMNet features; not AVE.",
        "chosen_on": "val",
        "schedules": [gathered(folder) for folder in parser.parse_args().folders],
    }
    # Its times would be of a machine that did other work besides; `models.py` and `training.py` measure time.
    path = Path(__file__).with_suffix(".json")
    text = json.dumps(result, ensure_ascii=False).replace('{"paper"', '\n{"paper"')  # a row a line
    path.write_text(text + "\n", encoding="utf-8")
    print(f"written to {path.name}")


if __name__ == "__main__":
    main()
