"""The training loop, in plain PyTorch.

Lightning's trainer would not make it shorter: its checkpoints are pickles, its resumption does not restore what is
drawn at random, and precision, launching and gradient clipping are one line each in PyTorch.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from avel.data.annotations import Split
from avel.errors import SettingsError
from avel.training.checkpoint import CHECKPOINT_FILE
from avel.training.data import LocalizationData
from avel.training.learner import Learner, prepare
from avel.training.optimization import learning_rate
from avel.training.prediction import accuracy_of
from avel.training.processes import joined_processes
from avel.training.run_folder import (
    SETTINGS_FILE,
    STATE_FILE,
    check_folder,
    check_same_settings,
    locked,
    logging_epochs,
)
from avel.training.settings import TrainingSettings
from avel.training.state import Epoch, best_of, load_state, save_state


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


EpochProgress = Callable[[Epoch, int], None]
"""Called after each epoch with its line of the log and the number of epochs."""


def train(
    settings: TrainingSettings,
    data: LocalizationData,
    folder: str | Path,
    *,
    resume: bool = False,
    progress: EpochProgress | None = None,
) -> TrainingResult:
    """Train a model.

    Args:
        settings: how.
        data: on what.
        folder: of the run, see `avel.training.run_folder`; it must not hold another run unless ``resume``.
        resume: go on with the run that is in the folder, from its last whole epoch; start one if there is none.
        progress: called after each epoch.

    Raises:
        SettingsError: if the folder holds a run, or one with other settings, or another training is writing in it.
        OutputError: if nothing can be written in the folder.
        FeaturesError: if features or a split are missing.
        ModelError: if the model or an option is unknown, or ``start_from`` does not fit.
    """
    folder = Path(folder)
    with joined_processes(settings.device) as processes, _computing(settings.threads), ExitStack() as open_files:
        if processes.is_main:
            open_files.enter_context(locked(folder))
            check_folder(folder, resume=resume)
            check_same_settings(folder, settings)
        learner = prepare(settings, data, processes)
        if processes.is_main:
            settings.save(folder / SETTINGS_FILE)
        processes.wait()
        history: list[Epoch] = []
        if resume and (folder / STATE_FILE).exists():
            history = load_state(folder / STATE_FILE, learner.model, learner.optimizer, learner.average)
        if processes.is_main:
            log = open_files.enter_context(logging_epochs(folder, history, tensorboard=settings.tensorboard))
        network = learner.network()
        while not _is_over(settings, history):
            started = time.perf_counter()
            rate, loss = _one_pass(learner, network, history)
            seconds = round(time.perf_counter() - started, 3)
            found = learner.measured()
            history.append(Epoch(len(history) + 1, loss, accuracy_of(learner.task, found), rate, seconds))
            if processes.is_main:
                if best_of(history) is history[-1]:
                    learner.save(folder / CHECKPOINT_FILE, history[-1], found)
                # The state last: a run that is killed between the two trains this epoch again, to the same result.
                save_state(folder / STATE_FILE, learner.model, learner.optimizer, history, learner.average)
                log(history[-1])
                if progress is not None:
                    progress(history[-1], settings.epochs)
        processes.wait()
    return _result(learner, folder, history)


def _one_pass(learner: Learner, network: nn.Module, history: Sequence[Epoch]) -> tuple[float, float]:
    """One pass over the training clips; the learning rate of its first step, and the mean loss."""
    settings, processes, epoch = learner.settings, learner.processes, len(history) + 1
    size, count = settings.batch_size, len(learner.examples)
    order = np.random.default_rng([settings.seed, epoch]).permutation(count)
    whole = [order[i : i + size].tolist() for i in range(0, count, size)]
    rates = [learning_rate(settings, step, len(whole), history) for step in range(len(whole))]
    torch.manual_seed(_drawn_seed(settings.seed, epoch, processes.rank))
    network.train()
    total = torch.zeros((), device=processes.device)
    batches = learner.batches([processes.share(batch) for batch in whole])
    for batch, numbers, rate in zip(batches, whole, rates, strict=True):
        for group in learner.optimizer.param_groups:
            group["lr"] = rate
        with torch.autocast(processes.device.type, learner.precision, enabled=learner.precision != torch.float32):
            output = network(batch.visual, batch.audio, batch.valid)
        target = learner.task.target(batch.labels, batch.valid)
        loss = learner.model.loss(output, target, batch.valid, learner.task.loss)
        loss = loss * processes.weight(numbers)
        learner.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if settings.clip_gradient_norm:
            nn.utils.clip_grad_norm_(learner.model.parameters(), settings.clip_gradient_norm)
        learner.optimizer.step()
        if learner.average is not None:
            learner.average.update_parameters(learner.model)
        total += loss.detach() * len(numbers)
    mean = float(np.mean(processes.gather(float(total)))) / count
    if not math.isfinite(mean):
        raise SettingsError(
            f"the loss of epoch {epoch} is {mean}. Use a smaller learning_rate, clip_gradient_norm, or float32."
        )
    return rates[0], mean


def _is_over(settings: TrainingSettings, history: Sequence[Epoch]) -> bool:
    done, patience = len(history), settings.early_stop
    return done >= settings.epochs or bool(patience and done and done - best_of(history).epoch >= patience)


def _result(learner: Learner, folder: Path, history: Sequence[Epoch]) -> TrainingResult:
    best = best_of(history)
    return TrainingResult(
        checkpoint=folder / CHECKPOINT_FILE,
        best_epoch=best.epoch,
        accuracy=best.accuracy,
        chosen_on=learner.chosen_on,
        measure=learner.measure,
        history=tuple(history),
        stopped_early=len(history) < learner.settings.epochs,
    )


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
