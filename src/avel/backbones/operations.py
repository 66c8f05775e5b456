"""What frozen networks are made of, so that each is written once and runs on OpenVINO as on PyTorch.

A network is a function of `Operations` and its input. `avel.backbones.openvino_operations` makes a graph of it, for
which PyTorch need not be installed, and `avel.backbones.torch_operations` a module, for GPUs.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import numpy.typing as npt

Tensors = Mapping[str, npt.NDArray[Any]]
"""Arrays by name."""

Padding = Literal["same"] | int
"""Zeros at both ends of an axis; ``same`` is as many as leave ceil(side / stride) places, the odd one last, as
TensorFlow has it."""

V = TypeVar("V")
"""A value within a network, (B, ...), of the engine that runs it."""


class Operations(ABC, Generic[V]):
    """The operations of one engine, on values (B, C, ...) of any number of axes.

    Args:
        tensors: ``NAME.weight`` (C', C, ...) and ``NAME.bias`` (C',), which may be missing, of each
            convolution and linear layer, float32.
    """

    def __init__(self, tensors: Tensors) -> None:
        self.tensors = tensors

    @abstractmethod
    def scaled(self, x: V, shift: float, divisor: float) -> V:
        """``(x - shift) / divisor`` in floating point."""

    @abstractmethod
    def transpose(self, x: V, order: Sequence[int]) -> V:
        """Axes in another order."""

    @abstractmethod
    def reshape(self, x: V, shape: Sequence[int]) -> V:
        """(B, ...) to (B, *shape)."""

    @abstractmethod
    def convolution(self, x: V, name: str, *, stride: int = 1, padding: Padding = "same", each: bool = False) -> V:
        """(B, C, ...) to (B, C', ...).

        Args:
            x: with as many axes as the kernel.
            name: of the kernel and its bias.
            stride: along every axis.
            padding: zeros at both ends of every axis.
            each: each channel by itself, with a kernel (C, 1, ...).
        """

    @abstractmethod
    def max_pool(self, x: V, kernel: Sequence[int], stride: Sequence[int], *, padding: Padding = "same") -> V:
        """The greatest of each window of values of 0 or more."""

    @abstractmethod
    def linear(self, x: V, name: str) -> V:
        """(B, C) to (B, C')."""

    @abstractmethod
    def relu(self, x: V, most: float | None = None) -> V:
        """Values from 0 to `most`."""

    @abstractmethod
    def add(self, x: V, y: V) -> V:
        """Sum of two values of one shape."""

    @abstractmethod
    def concatenate(self, values: Sequence[V]) -> V:
        """One after the other along the channels, axis 1."""

    @abstractmethod
    def mean(self, x: V, axes: Sequence[int]) -> V:
        """Mean over some axes, which are gone then."""

    @abstractmethod
    def softmax(self, x: V) -> V:
        """Of (B, C), over C."""

    @abstractmethod
    def sigmoid(self, x: V) -> V:
        """Of each value."""


@dataclass(frozen=True)
class FrozenNetwork:
    """A network that is not trained any more.

    Attributes:
        define: what it computes of one value; it may not depend on the batch.
        tensors: gives its weights, as `Operations` takes them.
        item_shape: shape of one item, without B.
        dtype: of the items.
    """

    define: Callable[[Operations[Any], Any], Any]
    tensors: Callable[[], Tensors]
    item_shape: tuple[int, ...]
    dtype: npt.DTypeLike = np.uint8


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of ``side``, of which a convolution leaves ceil(side / stride)."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def folded(
    kernel: npt.NDArray[np.float32],
    mean: npt.NDArray[np.float32],
    variance: npt.NDArray[np.float32],
    shift: npt.NDArray[np.float32],
    scale: npt.NDArray[np.float32] | float = 1.0,
    *,
    epsilon: float = 1e-3,
    bias: npt.NDArray[np.float32] | float = 0.0,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Weight and bias of a convolution or linear layer that does what a batch normalization after it did.

    Args:
        kernel: (C', ...).
        mean: (C',) of the normalization, as all that follow.
        variance: of the same.
        shift: its beta.
        scale: its gamma.
        epsilon: what is added to the variance.
        bias: (C',) of the layer itself.
    """
    factor = np.asarray(scale / np.sqrt(variance.astype(np.float64) + epsilon))
    weight = kernel * factor.reshape(-1, *[1] * (kernel.ndim - 1))
    return weight.astype(np.float32), np.asarray((bias - mean) * factor + shift, np.float32)
