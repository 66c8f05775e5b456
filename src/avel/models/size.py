"""How large a model is, and how much it computes for a clip."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from avel.models import registry
from avel.models.options import Dims

SEGMENTS = 10
"""Of the clip; AVE's have as many."""


@dataclass(frozen=True)
class ModelSize:
    """Size of a model.

    Attributes:
        parameters: how many numbers it learns.
        flops_per_clip: operations on numbers for a clip of `SEGMENTS` segments, those of its matrix products; a
            multiplication and an addition are two.
    """

    parameters: int
    flops_per_clip: int


def size_of(name: str, dims: Dims | None = None, **options: Any) -> ModelSize:
    """Size of a model of the registry, by running it once.

    Args:
        name: of the model.
        dims: sizes of its input; AVE's published features if left out.
        options: those that differ from the defaults.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    dims = dims or Dims()
    with torch.device("meta"):
        model = registry.build(name, dims, **options)
    # Numbers do not matter, and to draw them would take most of the time.
    model = model.to_empty(device="cpu").eval()
    for tensor in (*model.parameters(), *model.buffers()):
        torch.nn.init.zeros_(tensor)
    visual = torch.zeros(1, SEGMENTS, dims.regions, dims.visual_dims)
    audio, valid = torch.zeros(1, SEGMENTS, dims.audio_dims), torch.ones(1, SEGMENTS, dtype=torch.bool)
    mapping = {torch.ops.aten.mkldnn_rnn_layer: _recurrent_flops}
    # With gradients, since PyTorch's fast path without them is one operation that is not counted.
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        model(visual, audio, valid)
    return ModelSize(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops())


def _recurrent_flops(x: Any, from_input: Any, from_state: Any, *_: Any, **__: Any) -> int:
    """Of one direction of a recurrent layer, from the shapes of its input (T, B, D) and weights (4 H, D), (4 H, H)."""
    segments, videos, _dims = x
    return 2 * segments * videos * (from_input[0] * from_input[1] + from_state[0] * from_state[1])
