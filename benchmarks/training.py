"""Epochs of models against a plain float32 loop in the same run, and of features that are read, not held.

The plain loop is what one would write first: float32 features in memory, batches made where they are needed, all in
float32, of the recommended model its formulas line by line. Epochs of both alternate, so that whatever else the machine
does meets both. Both see the same clips in the same order from the same weights; at the end both models are measured on
the validation split.

    python benchmarks/training.py DATA [--clips 3339] [--epochs 5] [--models a+v-att recommended]

DATA is a folder in AVE's layout. Ours trains three times: with all features held, with as many as is the default, and
with none; the three have to give the same weights. The shares of a step are those of PyTorch's profiler, the lower
quartile of each operation, as others may use the machine. Memory is measured in processes of their own, on stores of
random features with two numbers of videos (Linux).
"""

import argparse
import collections
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import Any

import growth
import numpy as np
import torch
from _common import save
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from avel.data.ave.hdf5 import AveArrays
from avel.data.splits import SPLITS
from avel.metrics.segments import segment_accuracy
from avel.models import registry
from avel.models.layers import without_padding
from avel.models.recommended import Recommended
from avel.training.allocation import keeping_freed_memory
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData
from avel.training.examples import Examples
from avel.training.loop import train
from avel.training.optimization import averaging_of, optimizer_of, precision_of
from avel.training.own.labels import read_labels
from avel.training.own.opening import open_labelled
from avel.training.prediction import predict
from avel.training.settings import HELD_BYTES, TrainingSettings, settings_for
from avel.training.state import Epoch
from avel.training.tasks import task_of

HELD = {"all held": 1 << 40, "default": HELD_BYTES, "none held": 0}
"""Bytes that features may take."""
CONV = growth.Shape(49, 512, 128)


class PlainRecommended(Recommended):
    """The formulas of the recommended model as they stand in its module's head."""

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        visual = self.normalize_visual(visual)
        audio = self.normalize_audio(audio)
        if self.standardize is not None:
            audio = self.standardize(audio, valid)
        visual = visual * self.input_dropout(visual.new_ones(len(visual), 1, 1, visual.shape[-1]))
        audio = audio * self.input_dropout(audio.new_ones(len(audio), 1, audio.shape[-1]))
        assert self.attention is not None
        query, keys = self.attention.query(audio), self.attention.key(visual)
        scores = (keys @ query[..., None])[..., 0] / query.shape[-1] ** 0.5
        attended = (torch.softmax(scores, dim=-1)[..., None, :] @ visual)[..., 0, :]
        pooled = torch.cat([attended, visual.mean(dim=2)], dim=-1)
        v = self.dropout(functional.relu(self.map_visual(pooled)))
        a = self.dropout(functional.relu(self.map_audio(audio)))
        x = without_padding(self.join(torch.cat([v, a, v * a], dim=-1)), valid)
        x = x + self.neighbours(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x, _ = block(x, x, x, valid)
        return self.head(self.dropout(x))


class PlainLoop:
    """Float32 from beginning to end, nothing prepared ahead."""

    def __init__(self, data: LocalizationData, examples: Examples, settings: TrainingSettings) -> None:
        self.settings, self.task = settings, task_of(settings)
        self.labels = torch.from_numpy(examples.labels.dense()).float()
        with AveArrays.open(data.name) as arrays:
            self.visual = torch.from_numpy(arrays.visual.read(examples.visual_rows))
            self.audio = torch.from_numpy(arrays.audio.read(examples.audio_rows))
        torch.manual_seed(settings.seed)
        self.model = registry.build(settings.model, data.dims)
        if isinstance(self.model, Recommended):
            self.model.__class__ = PlainRecommended
        self.optimizer = optimizer_of(settings, self.model)
        decay = settings.average_weights
        self.average = AveragedModel(self.model, multi_avg_fn=averaging_of(decay)) if decay else None

    def epoch(self, number: int) -> float:
        """Train one epoch; how many CPU seconds it took."""
        started = time.process_time()
        order = torch.from_numpy(np.random.default_rng([self.settings.seed, number]).permutation(len(self.labels)))
        self.model.train()
        for rows in order.split(self.settings.batch_size):
            self.step(self.visual[rows], self.audio[rows], self.labels[rows])
        return time.process_time() - started

    def step(self, visual: Tensor, audio: Tensor, labels: Tensor) -> None:
        """Forward, backward and update."""
        valid = torch.ones(labels.shape[:2], dtype=torch.bool)
        loss = self.task.loss(self.model(visual, audio, valid), self.task.target(labels, valid), valid)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)


def first(data: LocalizationData, clips: int) -> None:
    """Leave only so many training clips."""
    data.splits["train"] = data.splits["train"][:clips]


def steps(data: LocalizationData, settings: TrainingSettings) -> dict[str, Any]:
    """Steps of both forms in turns, and where ours go."""
    plain, ours = (PlainLoop(data, data.examples("train").of(range(1)), settings) for _ in range(2))
    ours.model.__class__ = type(registry.build(settings.model, data.dims))
    numbers = range(min(settings.batch_size, len(data.examples("train"))))
    (batch,) = data.batches(data.examples("train"), [numbers])
    given = batch.visual, batch.audio, batch.labels
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    faults: dict[str, int] = {}
    for _ in range(5):
        for name, loop in (("plain", plain), ("ours", ours)):
            if name == "plain":
                loop.step(*given)
                seconds[name].append(_cpu_seconds(loop, given, faults, name))
            else:
                with keeping_freed_memory():
                    loop.step(*given)
                    loop.step(*given)
                    seconds[name].append(_cpu_seconds(loop, given, faults, name))
    with keeping_freed_memory():
        gemm, other = _shares(ours, given)
    rate = _gemm_rate()
    return {
        "plain_step_cpu_ms": round(1000 * min(seconds["plain"]), 1),
        "step_cpu_ms": round(1000 * min(seconds["ours"]), 1),
        "times_faster": round(statistics.median(p / o for p, o in zip(*seconds.values(), strict=True)), 2),
        "page_faults_in_a_step": faults,
        "share_of_a_step_in_matrix_products": round(gemm / (gemm + other), 2),
        "gflops_of_a_large_matrix_product": round(rate, 1),
    }


def _cpu_seconds(loop: PlainLoop, given: tuple[Tensor, Tensor, Tensor], faults: dict[str, int], name: str) -> float:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
    loop.step(*given)
    faults[name] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return time.process_time() - started


def _shares(loop: PlainLoop, given: tuple[Tensor, Tensor, Tensor]) -> tuple[float, float]:
    """Milliseconds of a step in matrix products and in everything else."""
    repeats = 8
    with torch.profiler.profile(record_shapes=True) as profile:
        for _ in range(repeats):
            loop.step(*given)
    found = collections.defaultdict(list)
    for event in profile.events():
        found[event.name, str(event.input_shapes)].append(event.self_cpu_time_total)
    totals = [0.0, 0.0]
    for (name, _), times in found.items():
        is_product = name in ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm") or "rnn_layer" in name
        totals[not is_product] += sorted(times)[len(times) // 4] * len(times) / repeats / 1000
    return totals[0], totals[1]


def _gemm_rate() -> float:
    one, other = torch.rand(1024, 1024), torch.rand(1024, 1024)
    seconds = []
    for _ in range(5):
        started = time.process_time()
        one @ other
        seconds.append(time.process_time() - started)
    return 2 * 1024**3 / min(seconds) / 1e9


class Run:
    """A training that can be stopped after each epoch."""

    def __init__(self, folder: Path, held_bytes: int, settings: TrainingSettings, data: Path, clips: int) -> None:
        self.folder, self.settings = folder, settings.with_changes(held_bytes=held_bytes)
        self.data = open_data(data)
        first(self.data, clips)
        self.history: tuple[Epoch, ...] = ()
        self.cpu_seconds: list[float] = []

    def epoch(self) -> None:
        """Train one more epoch; its evaluation counts too."""
        started = time.process_time()
        settings = self.settings.with_changes(epochs=len(self.history) + 1)
        self.history = train(settings, self.data, self.folder, resume=True).history
        self.cpu_seconds.append(time.process_time() - started)

    @property
    def weights(self) -> dict[str, Tensor]:
        """All that the run goes on from."""
        return load_file(self.folder / "state.safetensors")


def measure(model: str, folder: Path, clips: int, epochs: int) -> dict[str, Any]:
    """One model."""
    flags = {"device": "cpu", "protocol": "validation", "schedule": "constant", "pooling": "mean"}
    settings = settings_for(model, flags=flags)
    data = open_data(folder)
    first(data, clips)
    found: dict[str, Any] = {
        "batch_size": settings.batch_size,
        "threads": torch.get_num_threads(),
        "precision": str(precision_of(settings, torch.device("cpu"), ("audio", "visual"))),
        "training_clips": len(data.examples("train")),
        "step": steps(data, settings),
    }
    plain = PlainLoop(data, data.examples("train"), settings)
    plain_seconds: list[float] = []
    with tempfile.TemporaryDirectory() as runs:
        ours = {name: Run(Path(runs) / name, size, settings, folder, clips) for name, size in HELD.items()}
        for number in range(epochs):
            plain_seconds.append(plain.epoch(number + 1))
            for run in ours.values():
                run.epoch()
        kept = ours["all held"].weights
        for name, run in ours.items():
            assert all(torch.equal(kept[tensor], values) for tensor, values in run.weights.items()), name
        val = data.examples("val")
        plain_accuracy = segment_accuracy(predict(plain.model, data, val).classes, val.labels.first_classes)
    # The first epoch of each reads what is held.
    held = [epoch.seconds for epoch in ours["all held"].history[1:]]
    found["plain_float32_epoch_cpu_seconds"] = [round(value, 2) for value in plain_seconds]
    found["runs"] = {
        name: {
            "clips_held": run.data.num_held("visual"),
            "epoch_seconds": [epoch.seconds for epoch in run.history],
            "epoch_and_evaluation_cpu_seconds": [round(value, 2) for value in run.cpu_seconds],
            "time_of_all_held": round(
                statistics.median(e.seconds / h for e, h in zip(run.history[1:], held, strict=True)), 3
            ),
            "cpu_time_of_all_held": round(
                statistics.median(
                    s / h for s, h in zip(run.cpu_seconds[1:], ours["all held"].cpu_seconds[1:], strict=True)
                ),
                3,
            ),
        }
        for name, run in ours.items()
    }
    found["weights_are_the_same"] = True
    found["validation_accuracy_after_the_last_epoch"] = {
        "plain": round(plain_accuracy, 4),
        "ours": round(ours["all held"].history[-1].accuracy or 0.0, 4),
    }
    return found


def peak_memory(videos: int, held_bytes: int) -> float:
    """Peak memory in MB that a training of the recommended model, two epochs, adds to what the process had before."""
    code = (
        "import re, sys, tempfile; from pathlib import Path\n"
        "from avel.training.own.labels import read_labels; from avel.training.own.opening import open_labelled\n"
        "from avel.training.loop import train; from avel.training.settings import settings_for\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1000\n"
        "folder, held = Path(sys.argv[1]), int(sys.argv[2])\n"
        "flags = {'epochs': 2, 'device': 'cpu', 'held_bytes': held, 'few_events': 0}\n"
        "settings = settings_for('recommended', flags=flags)\n"
        "labelling = read_labels(folder / 'labels.csv', folder / 'videos', store=folder / 'store')\n"
        "before = peak()\n"
        "data = open_labelled(labelling, folder / 'store', settings)\n"
        "with tempfile.TemporaryDirectory() as run: train(settings, data, run)\n"
        "print(peak() - before)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        growth.labelled_store(videos, Path(folder), 20, CONV)
        command = [sys.executable, "-c", code, folder, str(held_bytes)]
        return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def bytes_a_video() -> float:
    """What is held of a video whose features are not."""
    held, counts = [], (200, 1000)
    for count in (60, *counts):  # modules are imported in the first one
        with tempfile.TemporaryDirectory() as folder:
            labels, videos, store = growth.labelled_store(count, Path(folder), 20)
            gc.collect()
            tracemalloc.start()
            data = open_labelled(read_labels(labels, videos, store=store), store, TrainingSettings(device="cpu"))
            data.hold(0)
            for examples in [data.examples(split) for split in SPLITS]:
                collections.deque(data.batches(examples, [range(len(examples))]), maxlen=0)
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
    return (held[2] - held[1]) / (counts[1] - counts[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--clips", type=int, default=3339)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--models", nargs="+", default=["a+v-att", "recommended"])
    parser.add_argument("--videos", type=int, nargs=2, default=[200, 800], help="two sizes of a store")
    arguments = parser.parse_args()
    load = round(os.getloadavg()[1], 1)
    content: dict[str, Any] = {"load_average": load, "data": arguments.data.name, "models": {}}
    for model in arguments.models:
        content["models"][model] = measure(model, arguments.data, arguments.clips, arguments.epochs)
        print(model, json.dumps(content["models"][model], indent=2), flush=True)
    budget = 64 << 20
    content["memory"] = {
        "held_bytes": budget,
        "peak_mb_by_number_of_videos": {str(videos): round(peak_memory(videos, budget)) for videos in arguments.videos},
        "bytes_held_a_video_without_features": round(bytes_a_video()),
    }
    print(json.dumps(content["memory"], indent=2))
    save(__file__, content)


if __name__ == "__main__":
    main()
