"""Table 1 of Tian et al. in the paper's form (LSTM, one layer as head) and in the released code's (BiLSTM, MLP).

    python benchmarks/tian2018_forms.py CLIPS [--seeds 3] [--output benchmarks/tian2018_forms.json]

CLIPS is a folder in AVE's layout, here clips composed of real VGG-19 and YAMNet features; not AVE. The schedule is the
short one of the reproduction guide; the epoch is chosen on validation. Rows that the output has are not trained again.
"""

import argparse
import json
import tempfile
from pathlib import Path

from avel.evaluation.evaluate import evaluate
from avel.metrics.segments import Metrics
from avel.training.ave_data import open_data
from avel.training.loop import train
from avel.training.settings import from_mapping

FORMS = {"paper": {}, "released": {"recurrence": "bilstm", "head": "mlp"}}
MODELS = ("a", "v", "v-att", "a+v", "a+v-att")
SCHEDULE = {"epochs": 8, "batch_size": 16, "schedule": "cosine", "learning_rate": 1e-3, "threads": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    data = open_data(given.clips)
    result = {"what": "Segment accuracy in % on composed test clips; not AVE.", "schedule": SCHEDULE, "rows": {}}
    if given.output.exists():
        result = json.loads(given.output.read_text(encoding="utf-8"))
    result["test_clips"] = len(data.splits["test"])
    for seed in range(given.seeds):
        for task in ("supervised", "weak"):
            for model in MODELS:
                for form, options in FORMS.items():
                    name = f"{'W-' if task == 'weak' else ''}{model}, {form}, seed {seed}"
                    if name in result["rows"]:
                        continue
                    settings = {"model": model, "options": options, "task": task, "seed": seed, **SCHEDULE}
                    with tempfile.TemporaryDirectory() as folder:
                        trained = train(from_mapping(settings, name), data, folder)
                        metrics = evaluate(trained.checkpoint, data, "test").metrics
                    assert isinstance(metrics, Metrics)
                    result["rows"][name] = round(100 * metrics.segment_accuracy, 2)
                    given.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
                    print(name, result["rows"][name], flush=True)


if __name__ == "__main__":
    main()
