"""Frozen networks as graphs of OpenVINO; see `avel.backbones.operations`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.operations import FrozenNetwork, Operations, Padding
from avel.runtimes import openvino

_op = openvino.opset13


def graph(network: FrozenNetwork, name: str) -> openvino.Model:
    """The graph of a network for one item."""
    given = _op.parameter([1, *network.item_shape], np.dtype(network.dtype).type)
    found = network.define(OpenVinoOperations(network.tensors()), given.output(0))
    return openvino.Model([found], [given], name)


class OpenVinoOperations(Operations[openvino.Output]):
    """Operations of OpenVINO; B is 1."""

    def scaled(self, x: openvino.Output, shift: float, divisor: float) -> openvino.Output:
        """See `Operations`."""
        x = x if x.get_element_type() == openvino.Type.f32 else _op.convert(x, np.float32).output(0)
        less = _op.subtract(x, np.float32(shift)) if shift else x
        return _op.divide(less, np.float32(divisor)).output(0)

    def transpose(self, x: openvino.Output, order: Sequence[int]) -> openvino.Output:
        """See `Operations`."""
        return _op.transpose(x, np.array(order)).output(0)

    def reshape(self, x: openvino.Output, shape: Sequence[int]) -> openvino.Output:
        """See `Operations`."""
        return _op.reshape(x, np.array([1, *shape]), special_zero=False).output(0)

    def convolution(
        self, x: openvino.Output, name: str, *, stride: int = 1, padding: Padding = "same", each: bool = False
    ) -> openvino.Output:
        """See `Operations`."""
        kernel = self.tensors[f"{name}.weight"]
        axes = kernel.ndim - 2
        arguments = ([stride] * axes, *_zeros(padding, axes), [1] * axes, _KINDS[padding == "same"])
        if each:
            found = _op.group_convolution(x, _constant(kernel[:, np.newaxis]), *arguments)
        else:
            found = _op.convolution(x, _constant(kernel), *arguments)
        return self._biased(found.output(0), name, axes)

    def max_pool(
        self, x: openvino.Output, kernel: Sequence[int], stride: Sequence[int], *, padding: Padding = "same"
    ) -> openvino.Output:
        """See `Operations`."""
        axes = len(kernel)
        before, after = _zeros(padding, axes)
        kind = _KINDS[padding == "same"]
        return _op.max_pool(x, list(stride), [1] * axes, before, after, list(kernel), auto_pad=kind).output(0)

    def linear(self, x: openvino.Output, name: str) -> openvino.Output:
        """See `Operations`."""
        product = _op.matmul(x, _constant(self.tensors[f"{name}.weight"]), False, True)
        return self._biased(product.output(0), name, 0)

    def relu(self, x: openvino.Output, most: float | None = None) -> openvino.Output:
        """See `Operations`."""
        return (_op.relu(x) if most is None else _op.clamp(x, 0.0, most)).output(0)

    def add(self, x: openvino.Output, y: openvino.Output) -> openvino.Output:
        """See `Operations`."""
        return _op.add(x, y).output(0)

    def concatenate(self, values: Sequence[openvino.Output]) -> openvino.Output:
        """See `Operations`."""
        return _op.concat(list(values), 1).output(0)

    def mean(self, x: openvino.Output, axes: Sequence[int]) -> openvino.Output:
        """See `Operations`."""
        return _op.reduce_mean(x, np.array(axes), False).output(0)

    def softmax(self, x: openvino.Output) -> openvino.Output:
        """See `Operations`."""
        return _op.softmax(x, 1).output(0)

    def sigmoid(self, x: openvino.Output) -> openvino.Output:
        """See `Operations`."""
        return _op.sigmoid(x).output(0)

    def _biased(self, x: openvino.Output, name: str, axes: int) -> openvino.Output:
        bias = self.tensors.get(f"{name}.bias")
        return x if bias is None else _op.add(x, _constant(bias.reshape(1, -1, *[1] * axes))).output(0)


_KINDS = {True: "same_upper", False: "explicit"}


def _zeros(padding: Padding, axes: int) -> tuple[list[int], list[int]]:
    """Before and after each axis, where they are explicit."""
    count = 0 if padding == "same" else padding
    return [count] * axes, [count] * axes


def _constant(array: npt.NDArray[Any]) -> openvino.Node:
    return _op.constant(np.ascontiguousarray(array, np.float32))
