"""Frozen networks as modules of PyTorch; see `avel.backbones.operations`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from avel.backbones.operations import FrozenNetwork, Operations, Padding, same_padding

_CONVOLUTIONS: dict[int, Any] = {2: functional.conv2d, 3: functional.conv3d}
_MAX_POOLS: dict[int, Any] = {2: functional.max_pool2d, 3: functional.max_pool3d}


class FrozenModule(nn.Module):
    """A frozen network with its weights, which follow the module's device and type.

    Args:
        network: what it computes.
    """

    def __init__(self, network: FrozenNetwork) -> None:
        super().__init__()
        self._define = network.define
        self._names: dict[str, str] = {}
        for name, array in network.tensors().items():
            self._names[name] = name.replace(".", "/")  # buffers' names have no dots
            self.register_buffer(self._names[name], torch.from_numpy(np.array(array, np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, *item_shape) to what the network gives, (B, ...)."""
        tensors = {name: self.get_buffer(buffer) for name, buffer in self._names.items()}
        return self._define(TorchOperations(tensors), x)


class TorchOperations(Operations[Tensor]):
    """Operations of PyTorch.

    Args:
        tensors: as of `Operations`, but tensors of PyTorch, all of one floating-point type.
    """

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__({})
        self._tensors = tensors
        self._dtype = next(iter(tensors.values())).dtype

    def scaled(self, x: Tensor, shift: float, divisor: float) -> Tensor:
        """See `Operations`."""
        return (x.to(self._dtype) - shift) / divisor

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """See `Operations`."""
        return x.permute(*order)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """See `Operations`."""
        return x.reshape(len(x), *shape)

    def convolution(
        self, x: Tensor, name: str, *, stride: int = 1, padding: Padding = "same", each: bool = False
    ) -> Tensor:
        """See `Operations`."""
        kernel = self._tensors[f"{name}.weight"]
        axes = kernel.dim() - 2
        x = _padded(x, kernel.shape[2:], [stride] * axes, padding)
        bias = self._tensors.get(f"{name}.bias")
        return _CONVOLUTIONS[axes](x, kernel, bias, stride=stride, groups=len(kernel) if each else 1)

    def max_pool(self, x: Tensor, kernel: Sequence[int], stride: Sequence[int], *, padding: Padding = "same") -> Tensor:
        """See `Operations`."""
        x = _padded(x, kernel, stride, padding)
        return _MAX_POOLS[len(kernel)](x, tuple(kernel), tuple(stride))

    def linear(self, x: Tensor, name: str) -> Tensor:
        """See `Operations`."""
        return functional.linear(x, self._tensors[f"{name}.weight"], self._tensors.get(f"{name}.bias"))

    def relu(self, x: Tensor, most: float | None = None) -> Tensor:
        """See `Operations`."""
        return x.clamp(0, most)

    def add(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Operations`."""
        return x + y

    def concatenate(self, values: Sequence[Tensor]) -> Tensor:
        """See `Operations`."""
        return torch.cat(list(values), dim=1)

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """See `Operations`."""
        return x.mean(tuple(axes))

    def softmax(self, x: Tensor) -> Tensor:
        """See `Operations`."""
        return x.softmax(dim=1)

    def sigmoid(self, x: Tensor) -> Tensor:
        """See `Operations`."""
        return x.sigmoid()


def _padded(x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Padding) -> Tensor:
    axes = zip(x.shape[2:], kernel, stride, strict=True)
    sides = [same_padding(*axis) if padding == "same" else (padding, padding) for axis in axes]
    return functional.pad(x, [zeros for side in reversed(sides) for zeros in side])
