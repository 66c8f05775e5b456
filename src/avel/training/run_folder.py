"""The folder of a run, which one training at a time writes into.

::

    settings.yaml            every setting of the run
    log.csv                  a line an epoch
    checkpoint.safetensors   the model of the best epoch, to use
    state.safetensors        the last epoch: model, optimizer and history, to go on from
    events.out.tfevents...   with ``tensorboard``
    .lock                    held while a training writes here
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avel.errors import SettingsError
from avel.files import make_folder, sole_writer
from avel.training.settings import TrainingSettings, from_mapping, read_yaml
from avel.training.state import Epoch

SETTINGS_FILE, LOG_FILE, STATE_FILE, LOCK_FILE = "settings.yaml", "log.csv", "state.safetensors", ".lock"

MAY_DIFFER = ("epochs", "device", "threads", "held_bytes", "tensorboard", "few_events")
"""Settings that a resumed run may have other values of."""


def check_folder(folder: Path, *, resume: bool) -> None:
    """Whether a run may be in a folder, before anything is read or computed.

    Raises:
        SettingsError: if the folder holds a run and ``resume`` is not said.
        OutputError: if there is or can be no such folder, or nothing can be written in it.
    """
    if (folder / SETTINGS_FILE).exists() and not resume:
        raise SettingsError(f"{folder}: holds a run already. Resume it (--resume), or give another folder.")
    make_folder(folder)


def check_same_settings(folder: Path, settings: TrainingSettings) -> None:
    """Refuse to go on with a run under other settings.

    Raises:
        SettingsError: if the folder holds a run with other settings.
    """
    before = folder / SETTINGS_FILE
    if before.exists():
        differences = settings.differences(from_mapping(read_yaml(before), str(before)), MAY_DIFFER)
        if differences:
            raise SettingsError(f"{folder}: holds a run with other settings: {'; '.join(differences)}.")


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Be the only training that writes into a folder; who holds the lock already may take it again.

    Raises:
        SettingsError: if another training holds it.
        OutputError: as `make_folder`.
    """
    make_folder(folder)
    busy = SettingsError(
        f"{folder}: another training is writing in this folder. Wait until it has ended, or give another folder."
    )
    with sole_writer(folder / LOCK_FILE, busy):
        yield


@contextmanager
def logging_epochs(
    folder: Path, history: Sequence[Epoch], *, tensorboard: bool = False
) -> Iterator[Callable[[Epoch], None]]:
    """Write epochs to log.csv, and to TensorBoard on request.

    Args:
        folder: of the run.
        history: the epochs of a run that goes on, which are written again.
        tensorboard: whether to write TensorBoard's files too.

    Yields:
        What writes the next epoch.
    """
    writer = _tensorboard(folder) if tensorboard else None
    with (folder / LOG_FILE).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, [*Epoch.__dataclass_fields__])
        table.writeheader()

        def log(epoch: Epoch) -> None:
            table.writerow(asdict(epoch))
            file.flush()
            if writer is not None:
                for name in ("loss", "accuracy", "learning_rate"):
                    if getattr(epoch, name) is not None:
                        writer.add_scalar(name, getattr(epoch, name), epoch.epoch)

        for epoch in history:
            log(epoch)
        try:
            yield log
        finally:
            if writer is not None:
                writer.close()


def _tensorboard(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise SettingsError("tensorboard: is not installed. Install avel[tensorboard], or leave it off.") from error
    return SummaryWriter(str(folder))
