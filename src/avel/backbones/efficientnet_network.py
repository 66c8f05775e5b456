"""The network of `efficientnet`; it opens no file.

EfficientNet-Lite (Tan and Le, arXiv:1905.11946, in the form of TensorFlow's TPU models). Layers are called as in the
published checkpoints.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

from avel.backbones.operations import Operations, Tensors, V, folded

STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Blocks, kernel, stride, expansion, channels of each stage: Table 1 of the paper."""
STEM = 32
NORMALIZED = {"_conv_stem": "_bn0", "_expand_conv": "_bn0", "_depthwise_conv": "_bn1", "_project_conv": "_bn2"}
"""Which normalization follows a convolution, beside it; `_bn1` where it is none of these."""


class InvertedResidual(NamedTuple):
    """A block that widens, convolves each channel, and narrows again (Sandler et al., arXiv:1801.04381).

    Attributes:
        inputs: channels that come.
        outputs: channels that go.
        stride: of the convolution of each channel.
        expansion: how many times as wide it is between.
    """

    inputs: int
    outputs: int
    stride: int
    expansion: int


def blocks(width: float, depth: float) -> Iterator[InvertedResidual]:
    """All blocks in order.

    Args:
        width: channels relative to Lite0.
        depth: blocks relative to Lite0.
    """
    inputs = STEM
    for stage, (count, _, stride, expansion, channels) in enumerate(STAGES):
        outputs = scaled_channels(channels, width)
        for index in range(count if stage in (0, len(STAGES) - 1) else math.ceil(count * depth)):
            yield InvertedResidual(inputs, outputs, stride if index == 0 else 1, expansion)
            inputs = outputs


def probabilities(ops: Operations[V], pictures: V, *, width: float, depth: float) -> V:
    """(B, H, W, 3) uint8 RGB to (B, 1000) probabilities of the ImageNet classes.

    Args:
        ops: with tensors as of `normalized`.
        pictures: see above.
        width: channels relative to Lite0.
        depth: blocks relative to Lite0.
    """
    x = ops.transpose(ops.scaled(pictures, 127, 128), (0, 3, 1, 2))
    x = ops.relu(ops.convolution(x, "_conv_stem", stride=2), 6)
    for number, block in enumerate(blocks(width, depth)):
        before, name = x, f"_blocks.{number}"
        if block.expansion > 1:
            x = ops.relu(ops.convolution(x, f"{name}._expand_conv"), 6)
        x = ops.convolution(x, f"{name}._depthwise_conv", stride=block.stride, each=True)
        x = ops.convolution(ops.relu(x, 6), f"{name}._project_conv")
        if block.stride == 1 and block.inputs == block.outputs:
            x = ops.add(before, x)
    x = ops.relu(ops.convolution(x, "_conv_head"), 6)
    return ops.softmax(ops.linear(ops.mean(x, (2, 3)), "_fc"))


def normalized(stored: Tensors) -> Tensors:
    """The checkpoint's tensors with every normalization folded into the convolution before it."""
    tensors = {}
    for name, kernel in stored.items():
        layer, _, kind = name.rpartition(".")
        place, _, own = layer.rpartition(".")
        if kind != "weight" or "_conv" not in own:
            continue
        normalization = ".".join(filter(None, (place, NORMALIZED.get(own, "_bn1"))))
        mean, variance, shift, scale = (
            stored[f"{normalization}.{part}"] for part in ("running_mean", "running_var", "bias", "weight")
        )
        tensors[name], tensors[f"{layer}.bias"] = folded(kernel, mean, variance, shift, scale)
    return tensors | {name: stored[name] for name in ("_fc.weight", "_fc.bias")}


def scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to ``channels * width``, but not more than a tenth below it."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest
