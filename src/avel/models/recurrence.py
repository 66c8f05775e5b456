"""Recurrent layers step by step, for those of which every state is wanted or that cannot be packed."""

from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, tuple[Tensor, ...]], tuple[Tensor, ...]]
"""From the input of a segment (B, D) and the states before it, (B, H) each, to the states after it."""


def scan(
    step: Step, x: Tensor, valid: Tensor, start: tuple[Tensor, ...], *, backwards: bool = False
) -> tuple[Tensor, ...]:
    """Every state of a recurrent layer over the segments that are valid.

    Args:
        step: the layer's.
        x: (B, T, D).
        valid: (B, T) bool; padding leaves the states as they are, as if it were not there.
        start: the states before the first segment, (B, H) each.
        backwards: from the last segment to the first.

    Returns:
        For each state (B, T, H), what it is after each segment.

    Raises:
        ValueError: if T is left open, as exporters do: no graph has a step for each of any number of segments.
    """
    if not isinstance(x.shape[1], int):
        raise ValueError("what steps through the segments one by one can be exported for a fixed number of them only")
    states, history = start, []
    for t in reversed(range(x.shape[1])) if backwards else range(x.shape[1]):
        after = step(x[:, t], states)
        states = tuple(torch.where(valid[:, t, None], a, b) for a, b in zip(after, states, strict=True))
        history.append(states)
    if backwards:
        history.reverse()
    return tuple(torch.stack(of_one, dim=1) for of_one in zip(*history, strict=True))
