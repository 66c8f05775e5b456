"""The network of `i3d`; it opens no file.

Inflated 3D Inception-V1 (Carreira and Zisserman, CVPR 2017, arXiv:1705.07750, figure 3), as in DeepMind's
``kinetics-i3d``: padding as TensorFlow's ``SAME``, batch normalization without a scale. Attributes are called as the
endpoints there.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d, pad

from avel.backbones.efficientnet_network import same_padding

CLASSES = 400

MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}
"""Input channels of each module, and channels of its convolutions."""


class Unit3d(nn.Module):
    """Convolution, batch normalization, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.kernel, self.stride = kernel, stride
        self.convolution = nn.Conv3d(inputs, outputs, kernel, stride, bias=False)
        self.normalization = nn.BatchNorm3d(outputs, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, C', T', H', W')."""
        return self.normalization(self.convolution(_padded(x, (self.kernel,) * 3, (self.stride,) * 3))).relu()


class InceptionModule3d(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        self.branch_0 = Unit3d(inputs, channels[0])
        self.branch_1_reduce = Unit3d(inputs, channels[1])
        self.branch_1 = Unit3d(channels[1], channels[2], 3)
        self.branch_2_reduce = Unit3d(inputs, channels[3])
        self.branch_2 = Unit3d(channels[3], channels[4], 3)
        self.branch_3 = Unit3d(inputs, channels[5])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, T, H, W) to (B, C', T, H, W)."""
        branches = [
            self.branch_0(x),
            self.branch_1(self.branch_1_reduce(x)),
            self.branch_2(self.branch_2_reduce(x)),
            self.branch_3(_max_pool(x, (3, 3, 3), (1, 1, 1))),
        ]
        return torch.cat(branches, dim=1)


class I3dNetwork(nn.Module):
    """Pictures of a window to probabilities of what people do in it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_1a = Unit3d(3, 64, 7, 2)
        self.conv_2b = Unit3d(64, 64)
        self.conv_2c = Unit3d(64, 192, 3)
        self.mixed = nn.ModuleDict({name: InceptionModule3d(*sizes) for name, sizes in MIXED.items()})
        self.logits = nn.Linear(1024, CLASSES)

    def inception_modules(self) -> list[tuple[str, InceptionModule3d]]:
        """By the names of their endpoints, in order."""
        return [(name, module) for name, module in self.mixed.items() if isinstance(module, InceptionModule3d)]

    def forward(self, pictures: Tensor) -> Tensor:
        """(B, 16, 224, 224, 3) uint8 RGB to (B, 400) probabilities."""
        x = pictures.permute(0, 4, 1, 2, 3).to(self.logits.weight.dtype) / 127.5 - 1
        x = _max_pool(self.conv_1a(x), (1, 3, 3), (1, 2, 2))
        x = _max_pool(self.conv_2c(self.conv_2b(x)), (1, 3, 3), (1, 2, 2))
        for name, module in self.mixed.items():
            if name == "Mixed_4b":
                x = _max_pool(x, (3, 3, 3), (2, 2, 2))
            elif name == "Mixed_5b":
                x = _max_pool(x, (2, 2, 2), (2, 2, 2))
            x = module(x)
        # Two slices are left, over both of which the original's pooling goes.
        return self.logits(x.mean((2, 3, 4))).softmax(dim=1)


def _max_pool(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    # Zeros change no maximum, as nothing is negative after a ReLU.
    return max_pool3d(_padded(x, kernel, stride), kernel, stride)


def _padded(x: Tensor, kernel: tuple[int, int, int], stride: tuple[int, int, int]) -> Tensor:
    sides = [same_padding(side, k, s) for side, k, s in zip(x.shape[2:], kernel, stride, strict=True)]
    return pad(x, [zeros for side in reversed(sides) for zeros in side])
