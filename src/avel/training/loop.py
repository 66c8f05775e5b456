"""The training loop, in plain PyTorch.

Lightning's trainer would not make it shorter: its checkpoints are pickles, its resumption does not restore what is
drawn at random, and precision, launching and gradient clipping are one line each in PyTorch.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from avel.data.annotations import Split
from avel.training.checkpoint import CHECKPOINT_FILE
from avel.training.cross_validation import cross_validate
from avel.training.data import LocalizationData
from avel.training.learner import Learner, Measured, prepare
from avel.training.passes import computing, one_pass
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
        checkpoint: the model of the epoch that was kept.
        best_epoch: that epoch, from 1.
        accuracy: of that epoch, on ``chosen_on``; of cross-validation where no epoch was chosen.
        chosen_on: the split that chose the epoch; ``None`` by the protocol ``cross-validation``.
        measure: what ``accuracy`` is: ``segment_accuracy``; in multi-label, ``mean_average_precision`` over segments;
            ``video_`` before either where labels have no times.
        history: all epochs.
        stopped_early: whether it ended before the last epoch.
    """

    checkpoint: Path
    best_epoch: int
    accuracy: float
    chosen_on: Split | None
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
    measured: Measured | None = None,
) -> TrainingResult:
    """Train a model.

    Args:
        settings: how.
        data: on what.
        folder: of the run, see `avel.training.run_folder`; it must not hold another run unless ``resume``.
        resume: go on with the run that is in the folder, from its last whole epoch; start one if there is none.
        progress: called after each epoch.
        measured: how good models of these settings are by cross-validation, where that is known; otherwise it is
            found out first if the protocol is ``cross-validation``.

    Raises:
        SettingsError: if the folder holds a run, or one with other settings, or another training is writing in it.
        OutputError: if nothing can be written in the folder.
        FeaturesError: if features or a split are missing.
        ModelError: if the model or an option is unknown, or ``start_from`` does not fit.
    """
    folder = Path(folder)
    with joined_processes(settings.device) as processes, computing(settings.threads), ExitStack() as open_files:
        if processes.is_main:
            open_files.enter_context(locked(folder))
            check_folder(folder, resume=resume)
            check_same_settings(folder, settings)
        learner = prepare(settings, data, processes)
        if learner.chosen_on is None and measured is None:
            measured = cross_validate(settings, data, processes).measured
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
            rate, loss = one_pass(learner, network, history)
            seconds = round(time.perf_counter() - started, 3)
            found = learner.measured()
            now = measured if found is None else learner.checked(found)
            assert now is not None
            history.append(Epoch(len(history) + 1, loss, None if found is None else now.accuracy, rate, seconds))
            if processes.is_main:
                if best_of(history) is history[-1]:
                    learner.save(folder / CHECKPOINT_FILE, history[-1], now, {} if measured is None else measured.notes)
                # The state last: a run that is killed between the two trains this epoch again, to the same result.
                save_state(folder / STATE_FILE, learner.model, learner.optimizer, history, learner.average)
                log(history[-1])
                if progress is not None:
                    progress(history[-1], settings.epochs)
        processes.wait()
    return _result(learner, folder, history, measured)


def _is_over(settings: TrainingSettings, history: Sequence[Epoch]) -> bool:
    done, patience = len(history), settings.early_stop
    return done >= settings.epochs or bool(patience and done and done - best_of(history).epoch >= patience)


def _result(learner: Learner, folder: Path, history: Sequence[Epoch], measured: Measured | None) -> TrainingResult:
    best = best_of(history)
    accuracy = best.accuracy if best.accuracy is not None or measured is None else measured.accuracy
    assert accuracy is not None
    return TrainingResult(
        checkpoint=folder / CHECKPOINT_FILE,
        best_epoch=best.epoch,
        accuracy=accuracy,
        chosen_on=learner.chosen_on,
        measure=learner.measure,
        history=tuple(history),
        stopped_early=len(history) < learner.settings.epochs,
    )
