"""The network of `efficientnet`; it opens no file.

EfficientNet-Lite (Tan and Le, arXiv:1905.11946, in the form of TensorFlow's TPU models). Attributes are called as in
the published checkpoints.
"""

import math

from torch import Tensor, nn
from torch.nn.functional import pad, relu6

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
STEM, HEAD = 32, 1280
CLASSES = 1000


class PaddedConvolution(nn.Conv2d):
    """A convolution that pads as TensorFlow does: the odd row or column of zeros comes last."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', ceil(H / stride), ceil(W / stride))."""
        (top, bottom), (left, right) = (same_padding(side, self.kernel_size[0], self.stride[0]) for side in x.shape[2:])
        return super().forward(pad(x, (left, right, top, bottom)))


class InvertedResidual(nn.Module):
    """A block that widens, convolves each channel, and narrows again (Sandler et al., arXiv:1801.04381)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.expands = expansion > 1
        self.adds_input = stride == 1 and inputs == outputs
        inner = inputs * expansion
        if self.expands:
            self._expand_conv = PaddedConvolution(inputs, inner)
            self._bn0 = _normalization(inner)
        self._depthwise_conv = PaddedConvolution(inner, inner, kernel, stride, groups=inner)
        self._bn1 = _normalization(inner)
        self._project_conv = PaddedConvolution(inner, outputs)
        self._bn2 = _normalization(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        y = relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = relu6(self._bn1(self._depthwise_conv(y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.adds_input else y


class EfficientNetLiteNetwork(nn.Module):
    """Pictures to probabilities of the ImageNet classes.

    Args:
        width: channels relative to Lite0.
        depth: blocks relative to Lite0.
    """

    def __init__(self, width: float, depth: float) -> None:
        super().__init__()
        self._conv_stem = PaddedConvolution(3, STEM, 3, 2)
        self._bn0 = _normalization(STEM)
        blocks, inputs = [], STEM
        for stage, (count, kernel, stride, expansion, channels) in enumerate(STAGES):
            outputs = scaled_channels(channels, width)
            for index in range(count if stage in (0, len(STAGES) - 1) else math.ceil(count * depth)):
                blocks.append(InvertedResidual(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head = PaddedConvolution(inputs, HEAD)
        self._bn1 = _normalization(HEAD)
        self._fc = nn.Linear(HEAD, CLASSES)

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, 1000) probabilities."""
        x = (pictures.permute(0, 3, 1, 2).to(self._fc.weight.dtype) - 127) / 128
        x = relu6(self._bn0(self._conv_stem(x)))
        for block in self._blocks:
            x = block(x)
        x = relu6(self._bn1(self._conv_head(x)))
        return self._fc(x.mean((2, 3))).softmax(dim=1)


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after an axis of ``side``, of which a convolution leaves ceil(side / stride)."""
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to ``channels * width``, but not more than a tenth below it."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest


def _normalization(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
