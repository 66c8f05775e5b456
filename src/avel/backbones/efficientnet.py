"""EfficientNet-Lite: pictures to probabilities of the 1000 ImageNet classes.

Tan and Le, ICML 2019 (arXiv:1905.11946), in the "lite" form of TensorFlow's TPU models: no squeeze-and-excitation,
ReLU6 for swish, and a stem, first and last stage that do not grow with the network.

Pictures are scaled to a square without keeping their aspect: compared with the usual crop of the middle, instruments
at the edge of a wide picture are found, and nothing else is lost. Input is (x - 127) / 128; with the mean and deviation
that PyTorch's own networks take, the same weights still find most classes, but are less sure of them.

Precision ``int8`` runs as ``float16``: quantized after training, Lite0 named another most likely class in 4 of 10
segments of real clips, for three quarters of the time.
"""

import math
from functools import cache, partial
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.engine import EngineOptions, from_torch
from avel.media.types import PictureFormat

if TYPE_CHECKING:
    import torch

# Width and depth relative to Lite0, and side of the square picture it was trained with.
_SCALES = {
    "efficientnet-lite0": (1.0, 1.0, 224),
    "efficientnet-lite1": (1.0, 1.1, 240),
    "efficientnet-lite2": (1.1, 1.2, 260),
}
# Blocks, kernel, stride, expansion, channels of each stage: Table 1 of the paper.
_STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _HEAD = 32, 1280
_FRAMES_PER_SECOND = 4


class EfficientNetLite(VisualBackbone):
    """Probabilities of the 1000 ImageNet classes, mean over a segment's frames.

    Args:
        options: device, precision, threads.
        name: ``"efficientnet-lite0"``, ``-lite1`` or ``-lite2``.
        segment_seconds: length of a segment, which settles how many frames it has.
        frames_per_segment: how many frames the mean is over; 4 a second when ``None``.

    Raises:
        ValueError: if there is no such network.
        WeightsError: if its weights cannot be had.
    """

    dims = 1000
    regions = 1
    exclusive = True

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        name: str = "efficientnet-lite0",
        segment_seconds: float = 1.0,
        frames_per_segment: int | None = None,
    ) -> None:
        if name not in _SCALES:
            raise ValueError(f"EfficientNet-Lite comes as {', '.join(_SCALES)}; got {name!r}.")
        self.name = name
        self.labels = imagenet_classes()
        side = _SCALES[name][2]
        frames = (
            max(1, round(_FRAMES_PER_SECOND * segment_seconds)) if frames_per_segment is None else frames_per_segment
        )
        self.pictures = PictureFormat(frames, side, side)
        self._network = from_torch(
            partial(_network, name),
            (side, side, 3),
            name=name,
            digest=weights.digest(name),
            options=options or EngineOptions(),
        )
        self.record = {**self._network.record, "layer": "softmax", "frames_per_segment": frames}

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, H, W, 3) to (T, 1, 1000) probabilities."""
        segments, frames = pictures.shape[:2]
        (probabilities,) = self._network(pictures.reshape(-1, *pictures.shape[2:]))
        features: Floats = probabilities.reshape(segments, frames, -1).mean(axis=1, keepdims=True, dtype=np.float32)
        return features


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Names of the 1000 classes in the order of the outputs; synonyms are joined by commas."""
    text = (resources.files("avel.data") / "imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def _network(name: str) -> "torch.nn.Module":
    """The network with its weights; attributes are called as in the checkpoint."""
    from torch import Tensor, nn
    from torch.nn.functional import pad, relu6

    def normalization(channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, eps=1e-3)

    class Convolution(nn.Conv2d):
        """A convolution that pads as TensorFlow does: the odd row or column of zeros comes last."""

        def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> None:
            super().__init__(inputs, outputs, kernel, stride, groups=groups, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            (top, bottom), (left, right) = (
                _same_padding(side, self.kernel_size[0], self.stride[0]) for side in x.shape[2:]
            )
            return super().forward(pad(x, (left, right, top, bottom)))

    class Block(nn.Module):
        def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
            super().__init__()
            self.expands = expansion > 1
            self.adds_input = stride == 1 and inputs == outputs
            inner = inputs * expansion
            if self.expands:
                self._expand_conv = Convolution(inputs, inner)
                self._bn0 = normalization(inner)
            self._depthwise_conv = Convolution(inner, inner, kernel, stride, groups=inner)
            self._bn1 = normalization(inner)
            self._project_conv = Convolution(inner, outputs)
            self._bn2 = normalization(outputs)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = relu6(self._bn0(self._expand_conv(x))) if self.expands else x
            y = relu6(self._bn1(self._depthwise_conv(y)))
            y = self._bn2(self._project_conv(y))
            return x + y if self.adds_input else y

    class Network(nn.Module):
        """(N, H, W, 3) uint8 RGB to (N, 1000) probabilities."""

        def __init__(self, width: float, depth: float) -> None:
            super().__init__()
            self._conv_stem = Convolution(3, _STEM, 3, 2)
            self._bn0 = normalization(_STEM)
            blocks, inputs = [], _STEM
            for stage, (count, kernel, stride, expansion, channels) in enumerate(_STAGES):
                outputs = _scaled_channels(channels, width)
                for index in range(count if stage in (0, len(_STAGES) - 1) else math.ceil(count * depth)):
                    blocks.append(Block(inputs, outputs, kernel, stride if index == 0 else 1, expansion))
                    inputs = outputs
            self._blocks = nn.ModuleList(blocks)
            self._conv_head = Convolution(inputs, _HEAD)
            self._bn1 = normalization(_HEAD)
            self._fc = nn.Linear(_HEAD, 1000)

        def forward(self, pictures: Tensor) -> Tensor:
            x = (pictures.permute(0, 3, 1, 2).to(self._fc.weight.dtype) - 127) / 128
            x = relu6(self._bn0(self._conv_stem(x)))
            for block in self._blocks:
                x = block(x)
            x = relu6(self._bn1(self._conv_head(x)))
            logits: Tensor = self._fc(x.mean((2, 3)))
            return logits.softmax(dim=1)

    width, depth, _ = _SCALES[name]
    network = Network(width, depth)
    network.load_state_dict(weights.load_tensors(name))
    return network


def _same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    total = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def _scaled_channels(channels: int, width: float) -> int:
    """The multiple of 8 nearest to ``channels * width``, but not more than a tenth below it."""
    wanted = channels * width
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest
