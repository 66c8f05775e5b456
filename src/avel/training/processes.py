"""Training in several processes, on one machine or many: data parallel, started by PyTorch's own launcher.

    torchrun --nproc-per-node 2 -m avel train DATA -o RUN

Each process takes its share of every batch; gradients are averaged, so that the result is that of one process up to
rounding, but for what is drawn at random (dropout).
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from avel.errors import SettingsError


@dataclass(frozen=True)
class Processes:
    """One process among those of a training.

    Attributes:
        rank: its number.
        count: how many there are.
        device: what it computes on.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes files."""
        return self.rank == 0

    def share(self, batch: Sequence[int]) -> Sequence[int]:
        """The part of a batch that this process takes; at least one, since all have to take part in every step."""
        return batch[self.rank :: self.count] or batch[:1]

    def weight(self, batch: Sequence[int]) -> float:
        """Factor of this process's mean loss, so that the mean over processes is the mean over the batch."""
        return len(batch[self.rank :: self.count]) * self.count / len(batch)

    def gather(self, value: Any) -> list[Any]:
        """A value of every process, by rank."""
        if self.count == 1:
            return [value]
        gathered: list[Any] = [None] * self.count
        distributed.all_gather_object(gathered, value)
        return gathered

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


@contextlib.contextmanager
def joined_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started, or be the only one.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        SettingsError: if the device is not there.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device, int(os.environ.get("LOCAL_RANK", "0")))
    if count == 1 or distributed.is_initialized():
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        yield Processes(rank, count, chosen)
        return
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size(), chosen)
    finally:
        distributed.destroy_process_group()


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of a process.

    Raises:
        SettingsError: if it is not there.
    """
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= available:
        raise SettingsError(f"device: there is no {name}; found {available} CUDA devices. Use cpu or auto.")
    return device
