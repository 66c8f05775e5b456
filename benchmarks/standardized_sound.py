"""The recommended model with and without standardized sound, on test clips of several compositions.

    avel reproduce recommended --data CLIPS -o RUNS --seeds 5 ...
    python benchmarks/standardized_sound.py RUNS CLIPS [MORE_CLIPS...]

CLIPS are those of `../shared/bench`, composed of the features of real photographs and recordings; not AVE. More of them
are composed with other seeds: other clips of the same test photographs and recordings. The checkpoints, all seeds that
are there, are those trained on CLIPS. Each difference has the 95 % interval of a paired bootstrap over clips and seeds.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from _common import save

from avel.evaluation.evaluate import evaluate
from avel.evaluation.papers import PAPERS
from avel.evaluation.reproduce import RESULT_FILE
from avel.evaluation.verdicts import ClipResults, difference_interval
from avel.training.ave_data import open_data
from avel.training.checkpoint import CHECKPOINT_FILE
from avel.training.data import LocalizationData

ROWS = {
    "supervised": ("recommended", "recommended, w/o standardized sound"),
    "weak": ("W-recommended", "W-recommended, w/o standardized sound"),
}


def answered(runs: Path, row: str, data: LocalizationData) -> ClipResults:
    """How the checkpoints of a row, one a seed, answer the test clips."""
    folder = runs / PAPERS["recommended"].row(row).folder
    found = [
        evaluate(file.with_name(CHECKPOINT_FILE), data, "test") for file in sorted(folder.glob(f"seed*/{RESULT_FILE}"))
    ]
    return ClipResults(np.array([one.right_segments for one in found]), np.array(found[0].clip_segments))


def described(results: ClipResults) -> dict[str, Any]:
    accuracies = 100 * results.right.sum(axis=1) / results.segments.sum()
    return {
        "accuracies": accuracies.round(2).tolist(),
        "mean": round(float(accuracies.mean()), 2),
        "std": round(float(accuracies.std(ddof=1)), 2) if len(accuracies) > 1 else None,
    }


def compared(runs: Path, rows: tuple[str, str], data: LocalizationData) -> dict[str, Any]:
    standardized, plain = (answered(runs, row, data) for row in rows)
    found = {"standardized": described(standardized), "plain": described(plain)}
    return {
        **found,
        "difference": round(found["standardized"]["mean"] - found["plain"]["mean"], 2),
        "interval": [round(end, 2) for end in difference_interval(standardized, plain)],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path)
    parser.add_argument("clips", nargs="+", type=Path)
    given = parser.parse_args()
    run = next(given.runs.glob(f"recommended/seed0/{RESULT_FILE}"))
    settings = json.loads(run.read_text(encoding="utf-8"))["key"]["settings"]
    opened = [open_data(clips) for clips in given.clips]
    result = {
        "what": "Segment accuracy in % on test clips composed of real VGG-19 and YAMNet features; not AVE.",
        "chosen_on": "val",
        "epochs": settings["epochs"],
        "batch_size": settings["batch_size"],
        "training_clips": len(opened[0].splits["train"]),
        "compositions": [{task: compared(given.runs, rows, data) for task, rows in ROWS.items()} for data in opened],
    }
    print(json.dumps(result["compositions"], indent=1))
    save(__file__, result)


if __name__ == "__main__":
    main()
