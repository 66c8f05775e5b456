"""What a run goes on from, in one file: weights, optimizer, average and history up to the last whole epoch.

Everything that is drawn depends only on the seed, the epoch and the process, so nothing else is needed for a run that
was stopped and resumed to equal one that was not.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor, nn

from avel.documents import parse_json
from avel.files import write_bytes
from avel.training import checkpoint


@dataclass(frozen=True)
class Epoch:
    """A line of the log.

    Attributes:
        epoch: from 1.
        loss: mean over the training clips.
        accuracy: in [0, 1], on the split that chooses the epoch: the run's measure, see
            `avel.training.loop.TrainingResult`; ``None`` where none chooses it.
        learning_rate: at the epoch's first step.
        seconds: how long the pass over the training clips took, without the evaluation.
    """

    epoch: int
    loss: float
    accuracy: float | None
    learning_rate: float
    seconds: float

    def __str__(self) -> str:
        accuracy = "" if self.accuracy is None else f", accuracy {100 * self.accuracy:.1f} %"
        return f"loss {self.loss:.4f}{accuracy}"


def best_of(history: Sequence[Epoch]) -> Epoch:
    """The epoch that is kept: the most accurate, the earlier of equal ones; the last one where none is chosen."""
    if history[-1].accuracy is None:
        return history[-1]
    return max(history, key=lambda epoch: (epoch.accuracy or 0.0, -epoch.epoch))


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
        history = [Epoch(**epoch) for epoch in parse_json(metadata[checkpoint.KEY])["history"]]
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
