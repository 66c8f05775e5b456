"""Steps and epochs of models against a plain float32 loop in the same run, and of features that are read, not held.

The plain loop is what one would write first: float32 features in memory, batches made where they are needed, all in
float32, the recommended model and the audio-guided attention by their formulas, line by line.

    python benchmarks/training.py DATA [--clips 3339] [--epochs 5] [--models a+v-att recommended] [--compile]

DATA is a folder in AVE's layout.

- **A step** is measured once for each set of instructions that the processor has, in a process that is held to it
  (``ONEDNN_MAX_CPU_ISA``, for AVX2 those of PyTorch and MKL, too): in bfloat16 where it has instructions for it, as
  avel then trains, else in float32. Steps of both forms take turns, in CPU time; both start from the same weights, and
  how far apart their gradients are is measured first. Where a step's time goes is told by PyTorch's profiler, by the
  lower quartile of each operation, as others may use the machine. Float32 products of ``mm``, ``addmm`` and ``bmm`` are
  MKL's, convolutions, recurrent layers and all of bfloat16 oneDNN's; beside them is what either reaches in one large
  product. ``--compile`` adds steps under `torch.compile`, which needs a C++ compiler.
- **Epochs** of the plain loop and of avel's training alternate, on the same clips in the same order from the same
  weights; at the end both models are measured on the validation split. Avel trains three times: with all features held,
  with as many as is the default, and with none; the three have to give the same weights. So it does with a store of
  random features.
- **Memory** is measured in processes of their own, on stores with two numbers of videos (Linux).
"""

import argparse
import collections
import gc
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import growth
import numpy as np
import torch
from _common import machine, save
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode

from avel.data.ave.hdf5 import AveArrays
from avel.data.splits import SPLITS
from avel.metrics.segments import segment_accuracy
from avel.models import registry
from avel.models.layers import AudioGuidedAttention, without_padding
from avel.models.recommended import Recommended
from avel.training.allocation import keeping_freed_memory
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData
from avel.training.examples import Examples
from avel.training.loop import train
from avel.training.optimization import averaging_of, optimizer_of, precision_of
from avel.training.own.labels import read_labels
from avel.training.own.opening import open_labelled
from avel.training.passes import in_precision
from avel.training.prediction import predict
from avel.training.settings import HELD_BYTES, TrainingSettings, settings_for
from avel.training.state import Epoch
from avel.training.tasks import task_of

HELD = {"all held": 1 << 40, "default": HELD_BYTES, "none held": 0}
"""Bytes that features may take."""
CONV = growth.Shape(49, 512, 128)
INSTRUCTIONS: dict[str, tuple[str, str, dict[str, str]]] = {
    "AVX512_CORE_AMX": ("amx_bf16", "bfloat16", {}),
    "AVX512_CORE_BF16": ("avx512_bf16", "bfloat16", {}),
    "AVX512_CORE_VNNI": ("avx512_vnni", "float32", {}),
    "AVX512_CORE": ("avx512f", "float32", {}),
    "AVX2": ("avx2", "float32", {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2"}),
}
"""What oneDNN may use at most: the processor's flag for it, avel's precision then, and what holds the others to it."""
ROUNDS = 9
LARGEST_DIFFERENCE = 1e-3
"""Of gradients, relative. Sums in another order turn single units of a ReLU on or off, whoever adds them up."""


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


class PlainAttention(AudioGuidedAttention):
    """The paper's form of the attention as it stands in its docstring."""

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """(..., D_v), and the weights (..., R)."""
        projected = functional.relu(functional.linear(visual, self.project_visual.weight, self.project_visual.bias))
        from_visual = functional.linear(projected, self.hidden_visual.weight)
        from_audio = self.hidden_audio(functional.relu(self.project_audio(audio)))[..., None, :]
        weights = torch.softmax(self.score(torch.tanh(from_visual + from_audio))[..., 0], dim=-1)
        return (weights[..., None, :] @ visual)[..., 0, :], weights


PLAIN: dict[type, type] = {Recommended: PlainRecommended, AudioGuidedAttention: PlainAttention}


class Loop:
    """Training steps, and epochs of the plain form: float32 from beginning to end, nothing prepared ahead."""

    def __init__(
        self,
        data: LocalizationData,
        examples: Examples,
        settings: TrainingSettings,
        *,
        plain: bool = True,
        compiled: bool = False,
    ) -> None:
        self.settings, self.task = settings, task_of(settings)
        modalities = registry.modalities_of(settings.model, settings.options)
        self.precision = torch.float32 if plain else precision_of(settings, torch.device("cpu"), modalities)
        self.labels = torch.from_numpy(examples.labels.dense()).float()
        with AveArrays.open(data.name) as arrays:
            self.visual = torch.from_numpy(arrays.visual.read(examples.visual_rows))
            self.audio = torch.from_numpy(arrays.audio.read(examples.audio_rows))
        torch.manual_seed(settings.seed)
        self.model = registry.build(settings.model, data.dims)
        for part in self.model.modules() if plain else ():
            part.__class__ = PLAIN.get(type(part), type(part))
        self.run: Callable[..., Any] = torch.compile(self.model) if compiled else self.model
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
        self.backward(visual, audio, labels)
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.model)

    def backward(self, visual: Tensor, audio: Tensor, labels: Tensor) -> None:
        """Forward and backward."""
        valid = torch.ones(labels.shape[:2], dtype=torch.bool)
        with in_precision("cpu", self.precision):
            output = self.run(visual, audio, valid)
        loss = self.task.loss(output, self.task.target(labels, valid), valid)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]

    def gradients(self, given: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        """Of all weights, one after the other, with what is dropped drawn anew from one seed."""
        torch.manual_seed(0)
        self.backward(*given)
        return torch.cat([p.grad.double().flatten() for p in self.model.parameters() if p.grad is not None])


def first(data: LocalizationData, clips: int) -> None:
    """Leave only so many training clips."""
    data.splits["train"] = data.splits["train"][:clips]


def steps(data: LocalizationData, settings: TrainingSettings, *, compiled: bool) -> dict[str, Any]:
    """Steps of the forms in turns, and where ours go."""
    one = data.examples("train").of(range(1))
    loops = {"plain": Loop(data, one, settings), "ours": Loop(data, one, settings, plain=False)}
    if compiled:
        loops["compiled"] = Loop(data, one, settings, plain=False, compiled=True)
    numbers = [range(min(settings.batch_size, len(data.examples("train"))))]
    given = {}
    for name, loop in loops.items():
        (batch,) = data.batches(data.examples("train"), numbers, dtype=loop.precision)
        given[name] = batch.visual, batch.audio, batch.labels
    gradients = {name: loops[name].gradients(given[name]) for name in ("plain", "ours")}
    apart = float((gradients["plain"] - gradients["ours"]).norm() / gradients["plain"].norm())
    found: dict[str, Any] = {
        "precision": str(loops["ours"].precision).removeprefix("torch."),
        "gradients_apart": float(f"{apart:.1e}"),
    }
    if loops["ours"].precision == torch.float32:
        assert apart < LARGEST_DIFFERENCE, apart
    if compiled:
        before = _cpu_seconds_with_compilers()
        loops["compiled"].step(*given["compiled"])
        loops["compiled"].step(*given["compiled"])
        found["cpu_seconds_to_compile"] = round(_cpu_seconds_with_compilers() - before, 1)
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    faults: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            with nullcontext() if name == "plain" else keeping_freed_memory():
                for _ in range(1 if name == "plain" else 2):
                    loop.step(*given[name])
                seconds[name].append(_cpu_seconds(loop, given[name], faults, name))
    found["step_cpu_ms"] = {name: round(1000 * min(taken), 1) for name, taken in seconds.items()}
    ratios = [p / o for p, o in zip(seconds["plain"], seconds["ours"], strict=True)]
    found["times_faster"] = round(statistics.median(ratios), 2)
    found["times_faster_from_to"] = [round(min(ratios), 2), round(max(ratios), 2)]
    if compiled:
        of_compiled = [o / c for o, c in zip(seconds["ours"], seconds["compiled"], strict=True)]
        found["times_faster_compiled_than_ours"] = round(statistics.median(of_compiled), 2)
    found["page_faults_in_a_step"] = faults
    with keeping_freed_memory():
        found["a_step_of_ours"] = _shares(loops["ours"], given["ours"], 1000 * min(seconds["ours"]))
    found["gflops_of_one_large_product"] = _product_rates()
    return found


def _cpu_seconds(loop: Loop, given: tuple[Tensor, Tensor, Tensor], faults: dict[str, int], name: str) -> float:
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.process_time()
    loop.step(*given)
    faults[name] = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    return time.process_time() - started


def _cpu_seconds_with_compilers() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _kind(name: str) -> str:
    if name in ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm"):
        return "products"
    if "rnn_layer" in name:
        return "recurrent"
    return "convolutions" if "convolution" in name else "other"


def _shares(loop: Loop, given: tuple[Tensor, Tensor, Tensor], step_ms: float) -> dict[str, Any]:
    """Where the CPU time of a step goes, by kinds of operations, and the rate of its products."""
    repeats = 8
    with torch.profiler.profile(record_shapes=True) as profile:
        for _ in range(repeats):
            loop.step(*given)
    found = collections.defaultdict(list)
    for event in profile.events():
        found[event.name, str(event.input_shapes)].append(event.self_cpu_time_total)
    taken = dict.fromkeys(("products", "convolutions", "recurrent", "other"), 0.0)
    for (name, _), times in found.items():
        taken[_kind(name)] += sorted(times)[len(times) // 4] * len(times)
    # The profiler has time on the wall, in which others had their turn, so only its shares are taken.
    shares = {kind: value / sum(taken.values()) for kind, value in taken.items()}
    with FlopCounterMode(display=False) as counter:
        loop.step(*given)
    multiplied_ms = (shares["products"] + shares["convolutions"]) * step_ms
    return {
        "shares": {kind: round(value, 2) for kind, value in shares.items()},
        "gflops_of_products_and_convolutions": round(counter.get_total_flops() / multiplied_ms / 1e6, 1),
    }


def _product_rates() -> dict[str, float]:
    """GFLOPS of one product as large as those of regions, by each way that there is."""
    clips, regions, size = 256, 49, 512
    x, weights = torch.rand(clips, regions, size), torch.rand(size, size)
    halves = x.bfloat16(), weights.bfloat16()
    columns = x[:, :, None].permute(0, 3, 1, 2)
    ways: dict[str, Callable[[], Tensor]] = {
        "float32, MKL": lambda: functional.linear(x, weights),
        "float32, oneDNN": lambda: functional.conv2d(columns, weights[..., None, None]),
        "bfloat16, oneDNN": lambda: functional.linear(*halves),
    }
    rates = {}
    for name, way in ways.items():
        seconds = []
        for _ in range(6):
            started = time.process_time()
            way()
            seconds.append(time.process_time() - started)
        rates[name] = round(2 * clips * regions * size**2 / min(seconds) / 1e9, 1)
    return rates


def steps_by_instructions(model: str, folder: Path, *, compiled: bool) -> dict[str, Any]:
    """`steps` in processes of their own, each with what it is allowed to use."""
    found: dict[str, Any] = {}
    for name, (flag, precision, more) in INSTRUCTIONS.items():
        if flag not in machine()["cpu_features"]:
            continue
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": name, **more}
        command = [sys.executable, __file__, str(folder), "--step", model, "--precision", precision]
        # Once is enough of what takes a minute.
        once = ["--compile"] if compiled and precision == "float32" else []
        compiled = compiled and not once
        with tempfile.TemporaryDirectory() as nothing_compiled:
            environment["TORCHINDUCTOR_CACHE_DIR"] = nothing_compiled
            ran = subprocess.run([*command, *once], env=environment, stdout=subprocess.PIPE, text=True, check=True)
        asking = "import torch; torch.nn.functional.conv2d(torch.rand(16, 8, 4, 4), torch.rand(8, 8, 3, 3))"
        asked = [sys.executable, "-c", asking]
        said = subprocess.run(asked, env={**environment, "ONEDNN_VERBOSE": "1"}, capture_output=True, text=True)
        used = re.search(r"isa:(.*)", said.stdout)
        found[name] = {"onednn_uses": used[1] if used else "unknown", **json.loads(ran.stdout.splitlines()[-1])}
        print(model, name, json.dumps(found[name], indent=2), flush=True)
    return found


class Run:
    """A training that can be stopped after each epoch."""

    def __init__(self, folder: Path, settings: TrainingSettings, data: LocalizationData) -> None:
        self.folder, self.settings, self.data = folder, settings, data
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


class Runs:
    """The same training with all features held, with some, and with none."""

    def __init__(
        self, folder: Path, settings: TrainingSettings, opened: Callable[[TrainingSettings], LocalizationData]
    ) -> None:
        self.runs: dict[str, Run] = {}
        for name, size in HELD.items():
            changed = settings.with_changes(held_bytes=size)
            self.runs[name] = Run(folder / name, changed, opened(changed))

    def epoch(self) -> None:
        """One more of each; each is first as often as the others."""
        runs = list(self.runs.values())
        turn = len(runs[0].history) % len(runs)
        for run in runs[turn:] + runs[:turn]:
            run.epoch()

    def found(self) -> dict[str, Any]:
        """Times in those of all held, without the first epoch, which reads what is held."""
        kept = self.runs["all held"]
        for name, run in self.runs.items():
            same = (torch.equal(kept.weights[tensor], values) for tensor, values in run.weights.items())
            assert all(same), name
        found: dict[str, Any] = {"weights_are_the_same": True}
        for name, run in self.runs.items():
            wall = [a.seconds / b.seconds for a, b in zip(run.history[1:], kept.history[1:], strict=True)]
            cpu = [a / b for a, b in zip(run.cpu_seconds[1:], kept.cpu_seconds[1:], strict=True)]
            found[name] = {
                "clips_held": run.data.num_held("visual"),
                "epoch_seconds": [epoch.seconds for epoch in run.history],
                "epoch_and_evaluation_cpu_seconds": [round(value, 2) for value in run.cpu_seconds],
                "time_of_all_held": round(statistics.median(wall), 3),
                "cpu_time_of_all_held": round(statistics.median(cpu), 3),
            }
        return found


FLAGS = {"device": "cpu", "protocol": "validation", "schedule": "constant", "pooling": "mean", "few_events": 0}


def epochs_of_ave(model: str, folder: Path, clips: int, epochs: int) -> dict[str, Any]:
    """Epochs of the plain loop and of ours, on files in AVE's layout."""

    def opened(_: TrainingSettings) -> LocalizationData:
        data = open_data(folder)
        first(data, clips)
        return data

    settings = settings_for(model, flags=FLAGS)
    data = opened(settings)
    plain = Loop(data, data.examples("train"), settings)
    plain_seconds: list[float] = []
    with tempfile.TemporaryDirectory() as made:
        ours = Runs(Path(made), settings, opened)
        for number in range(epochs):
            plain_seconds.append(plain.epoch(number + 1))
            ours.epoch()
        val = data.examples("val")
        accuracy = segment_accuracy(predict(plain.model, data, val).classes, val.labels.first_classes)
        return {
            "batch_size": settings.batch_size,
            "precision": str(precision_of(settings, torch.device("cpu"), ("audio", "visual"))).removeprefix("torch."),
            "training_clips": len(data.examples("train")),
            "plain_float32_epoch_cpu_seconds": [round(value, 2) for value in plain_seconds],
            "runs": ours.found(),
            "validation_accuracy_after_the_last_epoch": {
                "plain": round(accuracy, 4),
                "ours": round(ours.runs["all held"].history[-1].accuracy or 0.0, 4),
            },
        }


def epochs_of_a_store(model: str, videos: int, epochs: int) -> dict[str, Any]:
    """Epochs of ours on a store of random features."""
    with tempfile.TemporaryDirectory() as made:
        labels, folder, store = growth.labelled_store(videos, Path(made), 20, CONV)
        settings = settings_for(model, flags=FLAGS)
        runs = Runs(Path(made), settings, lambda s: open_labelled(read_labels(labels, folder, store=store), store, s))
        for _ in range(epochs):
            runs.epoch()
        return {"videos": videos, "runs": runs.found()}


def peak_memory(model: str, videos: int, precision: str) -> dict[str, int]:
    """Peak memory in MB of a process that trains two epochs, and how much of it training added."""
    code = (
        "import re, sys, tempfile; from pathlib import Path\n"
        "from avel.training.own.labels import read_labels; from avel.training.own.opening import open_labelled\n"
        "from avel.training.loop import train; from avel.training.settings import settings_for\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', open('/proc/self/status').read())[1]) / 1000\n"
        "model, folder, precision = sys.argv[1], Path(sys.argv[2]), sys.argv[3]\n"
        "flags = {'epochs': 2, 'device': 'cpu', 'few_events': 0, 'precision': precision}\n"
        "settings = settings_for(model, flags=flags)\n"
        "before = peak()\n"
        "labelling = read_labels(folder / 'labels.csv', folder / 'videos', store=folder / 'store')\n"
        "data = open_labelled(labelling, folder / 'store', settings)\n"
        "with tempfile.TemporaryDirectory() as run: train(settings, data, run)\n"
        "print(round(peak()), round(peak() - before))\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        growth.labelled_store(videos, Path(folder), 20, CONV)
        command = [sys.executable, "-c", code, model, folder, precision]
        said = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(zip(("of_the_process", "added_by_training"), map(int, said.split()), strict=True))


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
    parser.add_argument("--videos", type=int, nargs="+", default=[800, 3200], help="sizes of a store")
    parser.add_argument("--compile", action="store_true", help="steps under torch.compile besides")
    parser.add_argument("--step", help="only the steps of this model, as JSON")
    parser.add_argument("--precision", default="auto", help="of these steps")
    arguments = parser.parse_args()
    if arguments.step:
        settings = settings_for(arguments.step, flags={**FLAGS, "precision": arguments.precision})
        print(json.dumps(steps(open_data(arguments.data), settings, compiled=arguments.compile)))
        return
    load = round(os.getloadavg()[1], 1)
    content: dict[str, Any] = {
        "load_average": load,
        "threads": torch.get_num_threads(),
        "data": arguments.data.name,
        "models": {},
    }
    for model in arguments.models:
        found = content["models"][model] = {
            "steps": steps_by_instructions(model, arguments.data, compiled=arguments.compile)
        }
        found["epochs"] = epochs_of_ave(model, arguments.data, arguments.clips, arguments.epochs)
        found["epochs_of_a_store"] = epochs_of_a_store(model, arguments.videos[0], arguments.epochs)
        found["peak_mb_by_precision_and_number_of_videos"] = {
            precision: {str(videos): peak_memory(model, videos, precision) for videos in arguments.videos}
            for precision in ("auto", "float32")
        }
        print(model, json.dumps({name: found[name] for name in found if name != "steps"}, indent=2), flush=True)
    content["held_bytes"] = HELD_BYTES
    content["bytes_held_a_video_without_features"] = round(bytes_a_video())
    save(__file__, content)


if __name__ == "__main__":
    main()
