"""How weights move: precision, optimizer, averaging and the learning rate of each step."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from avel.training.settings import TrainingSettings
from avel.training.state import Epoch

PLATEAU_THRESHOLD = 1e-4
"""Share by which a value has to be better than the best before it."""


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
        is_loss = settings.plateau_of == "training-loss"
        steps = _plateaus(
            [epoch.loss if is_loss else -(epoch.accuracy or 0.0) for epoch in history], settings.decay_patience
        )
    elif settings.schedule == "cosine":
        done = (epochs + iteration / iterations_per_epoch) / settings.epochs
        return settings.learning_rate * (1 + math.cos(math.pi * done)) / 2
    else:
        steps = 0
    return float(settings.learning_rate * factor**steps)


def _plateaus(values: Sequence[float], patience: int) -> int:
    """How often there were more than ``patience`` values without a new smallest.

    As `torch.optim.lr_scheduler.ReduceLROnPlateau`, for which a value is new only if it differs by `PLATEAU_THRESHOLD`.
    """
    best, waited, count = math.inf, 0, 0
    for value in values:
        is_better = value < best - abs(best) * PLATEAU_THRESHOLD if math.isfinite(best) else True
        best, waited = (value, 0) if is_better else (best, waited + 1)
        if waited > patience:
            waited, count = 0, count + 1
    return count
