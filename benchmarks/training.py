"""One epoch of a model, A+V-att unless told otherwise, against its plain float32 loop in the same run.

The plain loop is what one would write first: float32 features in memory, batches made where they are needed, all in
float32. Epochs of both alternate, so that whatever else the machine does meets both. Both see the same clips in the
same order from the same weights; at the end both models are measured on the validation split.

    python benchmarks/training.py DATA [--clips 3339] [--epochs 5] [--model a+v-att]

DATA is a folder in AVE's layout. Memory is measured in a process of its own that only reads the features and makes two
batches (Linux).
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _common import save

from avel.data.ave.hdf5 import AveArrays
from avel.metrics.segments import segment_accuracy
from avel.models import registry
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData
from avel.training.examples import Examples
from avel.training.loop import train
from avel.training.optimization import precision_of
from avel.training.prediction import predict
from avel.training.settings import TrainingSettings, settings_for
from avel.training.tasks import Supervised


class PlainLoop:
    """Float32 from beginning to end, nothing prepared ahead."""

    def __init__(self, data: LocalizationData, examples: Examples, settings: TrainingSettings) -> None:
        self.settings, self.labels = settings, torch.from_numpy(examples.labels.dense()).float()
        with AveArrays.open(data.name) as arrays:
            self.visual = torch.from_numpy(arrays.visual.read(examples.visual_rows))
            self.audio = torch.from_numpy(arrays.audio.read(examples.audio_rows))
        torch.manual_seed(settings.seed)
        self.model = registry.build(settings.model, data.dims)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=settings.learning_rate)

    def epoch(self, number: int) -> float:
        """Train one epoch; how many seconds it took."""
        started = time.perf_counter()
        order = torch.from_numpy(np.random.default_rng([self.settings.seed, number]).permutation(len(self.labels)))
        self.model.train()
        for rows in order.split(self.settings.batch_size):
            visual, audio, labels = self.visual[rows], self.audio[rows], self.labels[rows]
            logits = self.model(visual, audio, torch.ones(labels.shape[:2], dtype=torch.bool)).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(0, 1))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        return time.perf_counter() - started


def first(data: LocalizationData, clips: int) -> None:
    """Leave only so many training clips."""
    data.splits["train"] = data.splits["train"][:clips]


def waiting(data: LocalizationData, settings: TrainingSettings) -> float:
    """Share of an epoch in which the model waits for a batch."""
    examples = data.examples("train")
    order = list(range(len(examples)))
    batches = [order[i : i + settings.batch_size] for i in range(0, len(order), settings.batch_size)]
    precision = precision_of(settings, torch.device("cpu"), ("audio", "visual"))
    model, task = registry.build(settings.model, data.dims), Supervised()
    optimizer = torch.optim.Adam(model.parameters())
    waited, started = 0.0, time.perf_counter()
    iterator = data.batches(examples, batches, dtype=precision)
    while True:
        asked = time.perf_counter()
        batch = next(iterator, None)
        waited += time.perf_counter() - asked
        if batch is None:
            return waited / (time.perf_counter() - started)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            output = model(batch.visual, batch.audio, batch.valid)
        optimizer.zero_grad()
        task.loss(output, batch.labels, batch.valid).backward()
        optimizer.step()


def memory(folder: Path) -> dict[str, float]:
    """Peak memory in GB of a process that reads all features and makes two batches, and how long it takes."""
    code = (
        "import json, re, sys, time\n"
        "from avel.training.ave_data import open_data\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 2**20\n"
        "data = open_data(sys.argv[1])\n"
        "before, started = peak(), time.perf_counter()\n"
        "list(data.batches(data.examples('train'), [list(range(64))] * 2))\n"
        "seconds = time.perf_counter() - started\n"
        "print(json.dumps({'without_features_gb': before, 'peak_gb': peak(), 'read_seconds': seconds}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return {name: round(value, 3) for name, value in json.loads(done.stdout).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=3339)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--model", default="a+v-att")
    arguments = parser.parse_args()
    data = open_data(arguments.data)
    first(data, arguments.clips)
    settings = settings_for(
        arguments.model, flags={"epochs": arguments.epochs, "device": "cpu", "protocol": "validation"}
    )
    plain = PlainLoop(data, data.examples("train"), settings)
    plain_seconds: list[float] = []
    list(data.batches(data.examples("val"), [[0]]))  # so that no epoch has to read features
    with tempfile.TemporaryDirectory() as folder:
        # Ours ends an epoch, then the plain loop has its own.
        result = train(settings, data, folder, progress=lambda epoch, _: plain_seconds.append(plain.epoch(epoch.epoch)))
        ours_seconds = [epoch.seconds for epoch in result.history]
        val = data.examples("val")
        true = val.labels.argmax(-1)
        plain_accuracy = segment_accuracy(predict(plain.model, data, val).classes, true)
    ratios = [p / o for p, o in zip(plain_seconds, ours_seconds, strict=True)]
    content: dict[str, Any] = {
        "model": settings.model,
        "data": arguments.data.name,
        "training_clips": len(data.examples("train")),
        "batch_size": settings.batch_size,
        "threads": torch.get_num_threads(),
        "precision": str(precision_of(settings, torch.device("cpu"), ("audio", "visual"))),
        "plain_float32_epoch_seconds": [round(value, 2) for value in plain_seconds],
        "epoch_seconds": ours_seconds,
        "times_faster": {
            "median": round(statistics.median(ratios), 2),
            "smallest": round(min(ratios), 2),
            "largest": round(max(ratios), 2),
        },
        "validation_accuracy_after_the_last_epoch": {
            "plain": round(plain_accuracy, 4),
            "ours": round(result.history[-1].accuracy, 4),
        },
        "share_of_an_epoch_waiting_for_batches": round(waiting(data, settings), 4),
        "memory": memory(arguments.data),
    }
    print(json.dumps(content, indent=2))
    save(__file__, content)


if __name__ == "__main__":
    main()
