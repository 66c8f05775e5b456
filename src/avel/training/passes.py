"""One pass over the clips that a model learns from."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from avel.errors import SettingsError
from avel.models.base import LearnedAtOnce
from avel.training.allocation import keeping_freed_memory
from avel.training.learner import Learner
from avel.training.optimization import learning_rate
from avel.training.state import Epoch


def one_pass(learner: Learner, network: nn.Module, history: Sequence[Epoch]) -> tuple[float, float]:
    """One pass over the training clips.

    Args:
        learner: its model learns.
        network: the same model, as `Learner.network` gave it.
        history: the epochs before.

    Returns:
        The learning rate of its first step, and the mean loss.

    Raises:
        SettingsError: if the loss is no finite number.
    """
    if isinstance(learner.model, LearnedAtOnce):
        return 0.0, _seen_at_once(learner, learner.model)
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
        with in_precision(processes.device.type, learner.precision):
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


def _seen_at_once(learner: Learner, model: LearnedAtOnce) -> float:
    """Let a model see all clips, whatever the number of processes; its mean loss after that."""
    size, count = learner.settings.batch_size, len(learner.examples)
    order = [range(i, min(i + size, count)) for i in range(0, count, size)]
    with torch.no_grad():
        for batch in learner.batches(order):
            model.see(batch.visual, batch.audio, batch.valid, learner.task.target(batch.labels, batch.valid))
        model.settle()
        total = 0.0
        for batch in learner.batches(order):
            output, target = (
                model(batch.visual, batch.audio, batch.valid),
                learner.task.target(batch.labels, batch.valid),
            )
            total += float(model.loss(output, target, batch.valid, learner.task.loss)) * len(batch.labels)
    if learner.average is not None:
        learner.average.update_parameters(learner.model)
    return total / count


def _drawn_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


@contextmanager
def in_precision(device: str, precision: torch.dtype) -> Iterator[None]:
    """Large products in a precision (autocast); float32 leaves everything as it is.

    oneDNN refuses recurrent layers in bfloat16 on processors without AVX-512; there PyTorch computes without it.
    """
    onednn = torch.backends.mkldnn
    before = onednn.enabled
    if device == "cpu" and precision == torch.bfloat16 and torch._C._has_mkldnn:
        onednn.enabled = before and torch.ops.mkldnn._is_mkldnn_bf16_supported()
    try:
        with torch.autocast(device, precision, enabled=precision != torch.float32):
            yield
    finally:
        onednn.enabled = before


@contextmanager
def computing(threads: int) -> Iterator[None]:
    """So many threads, and no choice of algorithms by measured time, so that equal seeds give equal results.

    Memory that a step frees is kept for the next one.
    """
    before = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark, torch.get_num_threads()
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    torch.set_num_threads(threads or before[2])
    try:
        with keeping_freed_memory():
            yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = before[:2]
        torch.set_num_threads(before[2])
