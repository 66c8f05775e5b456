"""What matchers find on data in AVE's layout: the papers' networks and the dual encoder, on the same features.

Usage: ``matching.py DATA... [--seeds 3] [--only MATCHER]``, folders with features in AVE's layout, such as those that
``../shared/bench/compose.py`` makes. Every matcher learns from ``train_order_match``, its epoch is chosen on
``val_order_match`` and it is measured on ``test_order_match``:

- A2V and V2A: the share of clips in which the event's exact start is found (Tian et al., Table 3's protocol);
- retrieval of partners: the middle second of each event among those of all clips;
- retrieval by category, as MTEB's AVEA2VRetrieval and AVEV2ARetrieval: half of the clips of each category are queries,
  the other half candidates, and all of the category are relevant; a clip is the mean of its event.

Numbers are means over seeds and folders, with the standard deviation over all of them.
"""

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import save

from avel.data.ave import dataset as ave
from avel.matching.base import Matcher
from avel.matching.data import load_clips
from avel.matching.localization import evaluate
from avel.matching.training import Clips, MatchingSettings, train
from avel.metrics.retrieval import Retrieval, retrieval

MATCHERS: dict[str, dict[str, Any]] = {
    "dual-encoder": {"matcher": "dual-encoder"},
    "dual-encoder, contrastive": {"matcher": "dual-encoder", "loss": "contrastive"},
    "avdln": {"matcher": "avdln"},
    "dcca": {"matcher": "dcca"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path, nargs="+")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=MATCHERS, help="measure this one, and keep the others as they were measured")
    args = parser.parse_args()
    torch.set_num_threads(1)
    before = Path(__file__).with_suffix(".json")
    rows: dict[str, Any] = json.loads(before.read_text())["rows"] if args.only else {}
    for name, settings in MATCHERS.items():
        if args.only not in (None, name):
            continue
        runs, started = [], time.process_time()
        for folder in args.data:
            clips = {split: load_clips(folder, split) for split in ("train", "val", "test")}  # type: ignore[arg-type]
            dataset = ave.load(folder)
            categories = np.array([dataset.rows[row].category for row in dataset.match_splits["test"]])
            for seed in range(args.seeds):
                trained = train(clips["train"], MatchingSettings(**settings, seed=seed), clips["val"])
                runs.append(measured(trained.matcher, clips["test"], categories))
        keys = runs[0]
        rows[name] = {
            key: [round(statistics.fmean(run[key] for run in runs), 1), round(deviation(runs, key), 1)] for key in keys
        }
        rows[name]["cpu_seconds_a_training"] = round((time.process_time() - started) / len(runs), 1)
        print(f"{name:28}", rows[name], flush=True)
        last = evaluate(trained.matcher, clips["test"].visual, clips["test"].audio, clips["test"].spans)
        save(
            __file__,
            {
                "data": f"{len(args.data)} compositions of the composed benchmark, {args.seeds} seeds each",
                "numbers": "mean, and standard deviation over all",
                "test_clips": last.clips,
                "trivial": {"random start": 100 * last.random_start, "last window": 100 * last.last_window},
                "rows": rows,
            },
        )


def deviation(runs: list[dict[str, float]], key: str) -> float:
    return statistics.stdev(run[key] for run in runs) if len(runs) > 1 else 0.0


@torch.no_grad()
def measured(matcher: Matcher, test: Clips, categories: np.ndarray) -> dict[str, float]:
    found = evaluate(matcher, test.visual, test.audio, test.spans)
    matcher.eval()
    rows = torch.arange(len(test.spans))
    middles = torch.from_numpy((test.spans[:, 0] + test.spans[:, 1] - 1) // 2)
    partners = -matcher.distances(test.visual[rows, middles], test.audio[rows, middles]).numpy()  # (visual, audio)
    same = np.eye(len(partners), dtype=bool)
    inside = test.in_event()[..., None].float()
    means = [(of * inside).sum(dim=1) / inside.sum(dim=1) for of in (test.visual, test.audio)]
    by_clip = -matcher.distances(*means).numpy()
    asked = np.zeros(len(categories), bool)
    for category in np.unique(categories):
        asked[np.flatnonzero(categories == category)[::2]] = True
    relevant = categories[:, None] == categories
    of_category = {
        "a2v": retrieval(by_clip.T[asked][:, ~asked], relevant[asked][:, ~asked]),
        "v2a": retrieval(by_clip[asked][:, ~asked], relevant[asked][:, ~asked]),
    }
    of_partner = {"a2v": retrieval(partners.T, same), "v2a": retrieval(partners, same)}
    return {
        "A2V": 100 * found.a2v,
        "V2A": 100 * found.v2a,
        **{f"partner {way} {what}": value for way, one in of_partner.items() for what, value in told(one).items()},
        **{f"category {way} {what}": value for way, one in of_category.items() for what, value in told(one).items()},
    }


def told(one: Retrieval) -> dict[str, float]:
    recalls = {f"recall at {k}": 100 * value for k, value in one.recall.items()}
    return {**recalls, "median rank": one.median_rank, "nDCG at 10": 100 * one.ndcg, "chance": 100 * one.chance}


if __name__ == "__main__":
    main()
