"""The training loop, in plain PyTorch.

Lightning's trainer would not make it shorter: its checkpoints are pickles, its resumption does not restore what is
drawn at random, and precision, launching and gradient clipping are one line each in PyTorch.

A run is a folder::

    settings.yaml            every setting of the run
    log.csv                  a line an epoch
    checkpoint.safetensors   the model of the best epoch, to use
    state.safetensors        the last epoch: model, optimizer and history, to go on from
    events.out.tfevents...   with ``tensorboard``

Everything that is drawn depends only on the seed, the epoch and the process, so a run that was stopped and resumed
equals one that was not.
"""

import csv
import json
import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from avel.data.annotations import Split
from avel.errors import FeaturesError, SettingsError
from avel.files import write_bytes
from avel.metrics.multi_label import choose_thresholds, mean_average_precision
from avel.metrics.segments import segment_accuracy
from avel.metrics.values import Classes
from avel.models import registry
from avel.models.base import LocalizationModel
from avel.training import checkpoint
from avel.training.checkpoint import CHECKPOINT_FILE, CheckpointInfo
from avel.training.data import Examples, LocalizationData
from avel.training.processes import Processes, joined
from avel.training.settings import TrainingSettings, from_mapping, read_yaml
from avel.training.tasks import Task, task_of

SETTINGS_FILE, LOG_FILE = "settings.yaml", "log.csv"
STATE_FILE = "state.safetensors"

MAY_DIFFER = ("epochs", "device", "threads", "tensorboard", "few_events")
"""Settings that a resumed run may have other values of."""

EVALUATION_BATCH = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """A line of the log.

    Attributes:
        epoch: from 1.
        loss: mean over the training clips.
        accuracy: in [0, 1], on the split that chooses the epoch: the run's measure, see `TrainingResult`.
        learning_rate: at the epoch's first step.
        seconds: how long the pass over the training clips took, without the evaluation.
    """

    epoch: int
    loss: float
    accuracy: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True)
class TrainingResult:
    """What came out.

    Attributes:
        checkpoint: the best epoch's model.
        best_epoch: from 1.
        accuracy: of the best epoch, on ``chosen_on``.
        chosen_on: the split that chose the epoch.
        measure: what ``accuracy`` is: ``segment_accuracy``; in multi-label, ``mean_average_precision`` over segments;
            ``video_`` before either where labels have no times.
        history: all epochs.
        stopped_early: whether it ended before the last epoch.
    """

    checkpoint: Path
    best_epoch: int
    accuracy: float
    chosen_on: Split
    measure: str
    history: tuple[Epoch, ...]
    stopped_early: bool


class Predicted(NamedTuple):
    """What a model says of M clips.

    Attributes:
        logits: (M, T, C) float32.
        valid: (M, T) bool, False where a segment is only padding.
        seconds: how long the model computed.
    """

    logits: "np.ndarray[Any, np.dtype[np.float32]]"
    valid: "np.ndarray[Any, np.dtype[np.bool_]]"
    seconds: float

    @property
    def classes(self) -> Classes:
        """(M, T) class of each segment where classes exclude each other."""
        classes: Classes = self.logits.argmax(-1)
        return classes


class Judged(NamedTuple):
    """What a split is judged by: N clips of T segments, or where labels have no times N videos as one segment each.

    Attributes:
        logits: (N, T, C).
        labels: (N, T, C), the truth.
        valid: (N, T) bool.
    """

    logits: Tensor
    labels: Tensor
    valid: Tensor


Progress = Callable[[Epoch, int], None]
"""Called after each epoch with its line of the log and the number of epochs."""


def train(
    settings: TrainingSettings,
    data: LocalizationData,
    folder: str | Path,
    *,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainingResult:
    """Train a model.

    Args:
        settings: how.
        data: on what.
        folder: of the run; it must not hold another one unless ``resume``.
        resume: go on with the run that is in the folder, from its last whole epoch; start one if there is none.
        progress: called after each epoch.

    Raises:
        SettingsError: if the folder holds a run, or one with other settings.
        FeaturesError: if features or a split are missing.
        ModelError: if the model or an option is unknown, or ``start_from`` does not fit.
    """
    folder = Path(folder)
    with joined(settings.device) as processes, _computing(settings.threads):
        run = _Run(settings, data, folder, processes)
        if processes.is_main:
            run.prepare(resume)
        processes.wait()
        return run.train(resume, progress)


def check_folder(folder: Path, settings: TrainingSettings, resume: bool) -> None:
    """Whether a run may be in a folder.

    Raises:
        SettingsError: if the folder holds a run, or one with other settings.
    """
    before = folder / SETTINGS_FILE
    if before.exists() and not resume:
        raise SettingsError(f"{folder}: holds a run already. Resume it, or give another folder.")
    if before.exists():
        differences = settings.differences(from_mapping(read_yaml(before), str(before)), MAY_DIFFER)
        if differences:
            raise SettingsError(f"{folder}: holds a run with other settings: {'; '.join(differences)}.")


class _Run:
    def __init__(self, settings: TrainingSettings, data: LocalizationData, folder: Path, processes: Processes) -> None:
        self.settings, self.data, self.folder, self.processes = settings, data, folder, processes
        self.task: Task = task_of(settings)
        self.measure = measure_of(settings, data)
        self.chosen_on: Split = "val" if settings.protocol == "validation" else "test"
        self.entry = registry.entry(settings.model)
        self.options = registry.options_of(settings.model, **settings.options).model_dump()
        self.precision = precision_of(settings, processes.device, self.entry.modalities)
        self.examples = data.examples("train", multi_label=settings.multi_label)
        if settings.task == "weak":
            self.examples = self.examples.joined(data.backgrounds(settings.backgrounds, settings.seed))
        self.judged = data.examples(self.chosen_on, multi_label=settings.multi_label)
        if settings.multi_label and not self.judged.labels[..., :-1].any():
            raise FeaturesError(f"{data.name}: split {self.chosen_on} has no event, so no epoch can be chosen on it.")
        if settings.class_weights == "balanced":
            valid = torch.from_numpy(data.valid(self.examples))
            target = self.task.target(torch.from_numpy(self.examples.labels), valid)
            self.task = self.task.balanced(target, valid)
        torch.manual_seed(settings.seed)
        self.model = registry.build(settings.model, data.dims, **settings.options)
        has_own_loss = type(self.model).loss is not LocalizationModel.loss
        if settings.multi_label and has_own_loss:
            raise SettingsError(
                f"multi_label: '{settings.model}' has a loss of its own, for classes that exclude each other. "
                "Train it without multi_label, or another model."
            )
        if settings.label_smoothing and has_own_loss:
            raise SettingsError(f"label_smoothing: '{settings.model}' has a loss of its own. Leave it at 0.")
        if settings.start_from:
            checkpoint.take_over(self.model, settings.start_from)
        self.model.spec = self.task.spec(data.categories)
        self.model.to(processes.device)
        self.average: AveragedModel | None = None
        if settings.average_weights:
            averaging = averaging_of(settings.average_weights)
            self.average = AveragedModel(self.model, multi_avg_fn=averaging, use_buffers=True)
        self.optimizer = optimizer_of(settings, self.model)
        self.history: list[Epoch] = []
        self.last: Judged | None = None

    def prepare(self, resume: bool) -> None:
        """Look at the folder and write the settings."""
        check_folder(self.folder, self.settings, resume)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.settings.save(self.folder / SETTINGS_FILE)

    def train(self, resume: bool, progress: Progress | None) -> TrainingResult:
        if resume and (self.folder / STATE_FILE).exists():
            self.history = load_state(self.folder / STATE_FILE, self.model, self.optimizer, self.average)
        network: nn.Module = self.model
        if self.processes.count > 1:
            network = nn.parallel.DistributedDataParallel(self.model)
        with self._logs() as log:
            while not self._is_over():
                number = len(self.history) + 1
                started = time.perf_counter()
                rate = self._learning_rate(0)
                loss = self._epoch(network, number)
                seconds = round(time.perf_counter() - started, 3)
                self.history.append(Epoch(number, loss, self._accuracy(), rate, seconds))
                if self.processes.is_main:
                    self._save()
                    log(self.history[-1])
                    if progress is not None:
                        progress(self.history[-1], self.settings.epochs)
        self.processes.wait()
        best = self._best()
        return TrainingResult(
            checkpoint=self.folder / CHECKPOINT_FILE,
            best_epoch=best.epoch,
            accuracy=best.accuracy,
            chosen_on=self.chosen_on,
            measure=self.measure,
            history=tuple(self.history),
            stopped_early=len(self.history) < self.settings.epochs,
        )

    def _epoch(self, network: nn.Module, number: int) -> float:
        """One pass over the training clips; the mean loss."""
        settings, processes = self.settings, self.processes
        order = np.random.default_rng([settings.seed, number]).permutation(len(self.examples))
        whole = [order[i : i + settings.batch_size].tolist() for i in range(0, len(order), settings.batch_size)]
        torch.manual_seed(_drawn_seed(settings.seed, number, processes.rank))
        network.train()
        total = torch.zeros((), device=processes.device)
        batches = self._batches(self.examples, [processes.share(batch) for batch in whole])
        for iteration, batch in enumerate(batches):
            for group in self.optimizer.param_groups:
                group["lr"] = self._learning_rate(iteration)
            with torch.autocast(processes.device.type, self.precision, enabled=self.precision != torch.float32):
                output = network(batch.visual, batch.audio, batch.valid)
            target = self.task.target(batch.labels, batch.valid)
            loss = self.model.loss(output, target, batch.valid, self.task.loss)
            loss = loss * processes.weight(whole[iteration])
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if settings.clip_gradient_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), settings.clip_gradient_norm)
            self.optimizer.step()
            if self.average is not None:
                self.average.update_parameters(self.model)
            total += loss.detach() * len(whole[iteration])
        mean = float(np.mean(processes.gather(float(total)))) / len(self.examples)
        if not math.isfinite(mean):
            raise SettingsError(
                f"the loss of epoch {number} is {mean}. Use a smaller learning_rate, clip_gradient_norm, or float32."
            )
        return mean

    def _batches(self, examples: Examples, order: Sequence[Sequence[int]]) -> Iterator[Any]:
        return self.data.batches(
            examples, order, self.entry.modalities, dtype=self.precision, device=self.processes.device
        )

    def _accuracy(self) -> float:
        """The run's measure on the split that chooses the epoch; each process looks at its share of it."""
        count, processes = len(self.judged), self.processes
        mine = range(processes.rank, count, processes.count)
        part = Examples(*(getattr(self.judged, name)[mine] for name in ("visual_rows", "audio_rows", "labels")))
        predicted = predict(self.kept, self.data, part, device=processes.device, modalities=self.entry.modalities)
        parts = processes.gather((predicted.logits, predicted.valid))
        logits, valid = (np.empty((count, *array.shape[1:]), array.dtype) for array in parts[0])
        for rank, (some_logits, some_valid) in enumerate(parts):
            logits[rank :: processes.count], valid[rank :: processes.count] = some_logits, some_valid
        self.last = judged(self.data, self.chosen_on, self.task, logits, self.judged.labels, valid)
        return accuracy_of(self.task, self.last)

    @property
    def kept(self) -> LocalizationModel:
        """What is judged and saved: the model with its weights, or with their average."""
        if self.average is None:
            return self.model
        return cast(LocalizationModel, self.average.module)

    def _learning_rate(self, iteration: int) -> float:
        return learning_rate(self.settings, iteration, self._iterations_per_epoch, self.history)

    @property
    def _iterations_per_epoch(self) -> int:
        return math.ceil(len(self.examples) / self.settings.batch_size)

    def _best(self) -> Epoch:
        return max(self.history, key=lambda epoch: (epoch.accuracy, -epoch.epoch))

    def _is_over(self) -> bool:
        done = len(self.history)
        if done >= self.settings.epochs:
            return True
        patience = self.settings.early_stop
        return bool(patience and done and done - self._best().epoch >= patience)

    def _save(self) -> None:
        """The state of this epoch, and the checkpoint when it is the best."""
        if self._best().epoch == len(self.history):
            info = CheckpointInfo(
                model=self.settings.model,
                options=self.options,
                dims=self.data.dims,
                categories=self.data.categories,
                features=self.data.record,
                num_segments=self.data.num_segments,
                thresholds=self._thresholds(),
                settings=self.settings.to_dict(),
                metrics={self.chosen_on: {self.measure: self._best().accuracy}},
                notes={
                    "epoch": len(self.history),
                    "chosen_on": self.chosen_on,
                    "data": self.data.name,
                    **self.data.notes,
                },
            )
            checkpoint.save(self.folder / CHECKPOINT_FILE, self.kept, info)
        # After the checkpoint: a run that is killed between the two trains this epoch again, to the same result.
        save_state(self.folder / STATE_FILE, self.model, self.optimizer, self.history, self.average)

    def _thresholds(self) -> tuple[float, ...]:
        """Of the epoch that was just judged; none where classes exclude each other."""
        if not self.task.multi_label:
            return ()
        assert self.last is not None
        scores, true = self.task.scores(self.last.logits), self.last.labels[..., :-1] > 0
        return choose_thresholds(scores[self.last.valid].numpy(), true[self.last.valid].numpy())

    @contextmanager
    def _logs(self) -> Iterator[Callable[[Epoch], None]]:
        """Write epochs to log.csv, and to TensorBoard on request; earlier epochs of a resumed run are written again."""
        if not self.processes.is_main:
            yield lambda epoch: None
            return
        writer = _tensorboard(self.folder) if self.settings.tensorboard else None
        with (self.folder / LOG_FILE).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, [*Epoch.__dataclass_fields__])
            table.writeheader()

            def log(epoch: Epoch) -> None:
                table.writerow(asdict(epoch))
                file.flush()
                if writer is not None:
                    for name in ("loss", "accuracy", "learning_rate"):
                        writer.add_scalar(name, getattr(epoch, name), epoch.epoch)

            for epoch in self.history:
                log(epoch)
            try:
                yield log
            finally:
                if writer is not None:
                    writer.close()


def predict(
    model: LocalizationModel,
    data: LocalizationData,
    examples: Examples,
    *,
    device: str | torch.device = "cpu",
    modalities: Sequence[str] = ("audio", "visual"),
) -> Predicted:
    """Logits of all segments, computed in float32 whatever the training computed in."""
    numbers = np.arange(len(examples)).tolist()
    order = [numbers[i : i + EVALUATION_BATCH] for i in range(0, len(numbers), EVALUATION_BATCH)]
    was_training = model.training
    model.eval()
    logits = np.empty((len(examples), data.num_segments, data.dims.num_classes), np.float32)
    valid = np.empty(logits.shape[:2], np.bool_)
    seconds = 0.0
    with torch.inference_mode():
        for numbers, batch in zip(order, data.batches(examples, order, modalities, device=device), strict=True):
            started = time.perf_counter()
            found = model(batch.visual, batch.audio, batch.valid).logits.cpu()
            seconds += time.perf_counter() - started
            logits[numbers], valid[numbers] = found.numpy(), batch.valid.cpu().numpy()
    model.train(was_training)
    return Predicted(logits, valid, seconds)


def judged(
    data: LocalizationData,
    split: Split,
    task: Task,
    logits: "np.ndarray[Any, np.dtype[np.float32]]",
    labels: "np.ndarray[Any, np.dtype[np.float32]]",
    valid: "np.ndarray[Any, np.dtype[np.bool_]]",
) -> Judged:
    """What a split's clips are judged by.

    Where labels have no times, all clips of a video count as one segment, see `Task.of_video`.

    Args:
        data: the data set.
        split: which part.
        task: of the training.
        logits: (M, T, C) of the split's clips.
        labels: (M, T, C).
        valid: (M, T).
    """
    found = Judged(*map(torch.from_numpy, (logits, labels, valid)))
    if data.has_times:
        return found
    pooled, true = [], []
    for clips in data.by_video(split):
        inside = found.valid[clips]
        pooled.append(task.of_video(found.logits[clips][inside])[None])
        true.append(found.labels[clips][inside][:1])  # a video's label is that of all of its segments
    return Judged(torch.stack(pooled), torch.stack(true), torch.ones(len(pooled), 1, dtype=torch.bool))


def accuracy_of(task: Task, found: Judged) -> float:
    """Mean average precision in multi-label, else the share of segments whose class is right."""
    if task.multi_label:
        scores, true = task.scores(found.logits), found.labels[..., :-1] > 0
        return mean_average_precision(scores[found.valid].numpy(), true[found.valid].numpy())
    return segment_accuracy(task.decide(found.logits).numpy(), found.labels.argmax(-1).numpy(), valid=found.valid)


def measure_of(settings: TrainingSettings, data: LocalizationData) -> str:
    """Name of what `accuracy_of` gives, see `TrainingResult`.

    Raises:
        SettingsError: if the task needs times that the labels do not have.
    """
    if not data.has_times and (settings.task != "weak" or settings.weak_labels != "one-hot"):
        raise SettingsError(
            f"task: {data.name} says which categories are in a video, not when. That teaches the weak task with "
            f"one-hot labels, not {settings.task} with {settings.weak_labels}."
        )
    name = "mean_average_precision" if settings.multi_label else "segment_accuracy"
    return name if data.has_times else f"video_{name.removeprefix('segment_')}"


def precision_of(settings: TrainingSettings, device: torch.device, modalities: Sequence[str]) -> torch.dtype:
    """What the large products are computed in.

    ``auto`` is bfloat16 where the processor has instructions for it and the model looks at pictures: the attention over
    regions is then nearly all of the work, while small recurrent networks gain nothing.
    """
    if settings.precision != "auto":
        return torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    if "visual" not in modalities:
        return torch.float32
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    has_instructions = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if has_instructions else torch.float32


def optimizer_of(settings: TrainingSettings, model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer that settings ask for."""
    parameters, rate, decay = model.parameters(), settings.learning_rate, settings.weight_decay
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, lr=rate, momentum=0.9, weight_decay=decay)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr=rate, weight_decay=decay, fused=True)  # one pass over the weights instead of eight


def averaging_of(decay: float) -> Callable[..., None]:
    """Update of an exponential moving average of weights, for `AveragedModel`.

    After the n-th step the decay is at most (1 + n) / (10 + n), so that the average of a short training is not one of
    its random start.
    """

    def update(averaged: Any, current: Any, steps: Tensor | int) -> None:
        count = int(steps)
        get_ema_multi_avg_fn(min(decay, (1 + count) / (10 + count)))(averaged, current, steps)  # type: ignore[no-untyped-call]

    return update


def learning_rate(
    settings: TrainingSettings, iteration: int, iterations_per_epoch: int, history: Sequence[Epoch]
) -> float:
    """The learning rate of a step, which depends on nothing else, so that a resumed run needs no more.

    Args:
        settings: schedule and its settings.
        iteration: of the step in its epoch, from 0.
        iterations_per_epoch: steps in an epoch.
        history: the epochs before.
    """
    epochs, factor = len(history), settings.decay_factor
    if settings.schedule == "step":
        steps = (epochs * iterations_per_epoch + iteration) // settings.decay_iterations
    elif settings.schedule == "milestones":
        steps = sum(epochs >= milestone for milestone in settings.decay_epochs)
    elif settings.schedule == "plateau":
        steps = _plateaus([epoch.accuracy for epoch in history], settings.decay_patience)
    elif settings.schedule == "cosine":
        done = (epochs + iteration / iterations_per_epoch) / settings.epochs
        return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2
    else:
        steps = 0
    return float(settings.learning_rate * factor**steps)


def _plateaus(accuracies: Sequence[float], patience: int) -> int:
    """How often there were ``patience`` epochs without a new best."""
    best, waited, count = -math.inf, 0, 0
    for accuracy in accuracies:
        waited = 0 if accuracy > best else waited + 1
        best = max(best, accuracy)
        if waited == patience:
            waited, count = 0, count + 1
    return count


def save_state(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    history: Sequence[Epoch],
    average: nn.Module | None = None,
) -> None:
    """Write what a run goes on from."""
    state = optimizer.state_dict()
    tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{name}": tensor for name, tensor in average.state_dict().items()}
    for number, values in state["state"].items():
        tensors |= {f"optimizer.{number}.{name}": torch.as_tensor(value) for name, value in values.items()}
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    content = {"history": [asdict(epoch) for epoch in history]}
    write_bytes(path, save(tensors, {checkpoint.KEY: json.dumps(content)}))


def load_state(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, average: nn.Module | None = None
) -> list[Epoch]:
    """Read what `save_state` wrote into a model, its optimizer and its average; returns the history.

    Raises:
        ModelError: if the file is damaged or of another model.
    """
    with checkpoint.open_file(path) as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - safe_open is no mapping
    try:
        history = [Epoch(**epoch) for epoch in json.loads(metadata[checkpoint.KEY])["history"]]
        model.load_state_dict(_below("model.", tensors))
        if average is not None:
            average.load_state_dict(_below("average.", tensors))
        state = optimizer.state_dict()
        state["state"] = {}
        for name, tensor in _below("optimizer.", tensors).items():
            number, _, key = name.partition(".")
            state["state"].setdefault(int(number), {})[key] = tensor
        optimizer.load_state_dict(state)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise checkpoint.damaged(path, str(error)) from error
    return history


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _drawn_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def _computing(threads: int) -> Iterator[None]:
    """So many threads, and no choice of algorithms by measured time, so that equal seeds give equal results."""
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.get_num_threads()
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.set_num_threads(threads or before[2])
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise SettingsError("tensorboard: is not installed. Install avel[tensorboard], or leave it off.") from error
    return SummaryWriter(str(folder))
