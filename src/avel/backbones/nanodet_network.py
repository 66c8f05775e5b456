"""The network of `nanodet`; it opens no file.

NanoDet-g (RangiLyu, https://github.com/RangiLyu/nanodet, configuration ``nanodet-g``): a backbone of cross stage
partial blocks (Wang et al., arXiv:1911.11929), a path aggregation neck (Liu et al., arXiv:1803.01534), and heads that
say a class and the distances to a box's four sides, each as a distribution (Li et al., arXiv:2006.04388).
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

CLASSES = 80
SIDE = 416
STRIDES = (8, 16, 32)
DISTANCES = 11
"""Of a side from the middle of a cell: 0 to 10 strides."""

STAGES = ((32, 1, 1), (64, 2, 2), (128, 2, 2), (256, 3, 2))
"""Inner channels, blocks and stride of each stage; it gives twice as many channels."""
NECK = 128
MEAN_BGR = (103.53, 116.28, 123.675)
DEVIATION_BGR = (57.375, 57.12, 58.395)


class LeakyConvolution(nn.Conv2d):
    """A 3 x 3 convolution and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H', W')."""
        return leaky_relu(super().forward(x), 0.1)


class PartialStage(nn.Module):
    """Blocks of two convolutions, both results of which go on, and the stage's first result beside them."""

    def __init__(self, inputs: int, width: int, blocks: int, stride: int) -> None:
        super().__init__()
        self.first: LeakyConvolution = LeakyConvolution(inputs, width, stride)
        self.blocks: nn.ModuleList = nn.ModuleList(
            nn.ModuleList([LeakyConvolution(width, width // 2), LeakyConvolution(width // 2, width // 2)])
            for _ in range(blocks)
        )
        self.last: LeakyConvolution = LeakyConvolution(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 2 * width, H', W')."""
        first = x = self.first(x)
        for block in self.blocks:
            one, two = block.children()
            half = one(x)
            x = torch.cat([two(half), half], dim=1)
        return torch.cat([self.last(x), first], dim=1)


class NanoDetNetwork(nn.Module):
    """Pictures to scores and boxes of every cell of three grids."""

    def __init__(self) -> None:
        super().__init__()
        self.stem: LeakyConvolution = LeakyConvolution(3, STAGES[0][0], 2)
        inputs = (STAGES[0][0], *(2 * width for width, _, _ in STAGES[:-1]))
        self.stages: nn.ModuleList = nn.ModuleList(
            PartialStage(i, *stage) for i, stage in zip(inputs, STAGES, strict=True)
        )
        self.laterals: nn.ModuleList = nn.ModuleList(nn.Conv2d(2 * width, NECK, 1) for width, _, _ in STAGES[1:])
        self.heads: nn.ModuleList = nn.ModuleList(
            nn.ModuleList([LeakyConvolution(NECK, NECK), nn.Conv2d(NECK, CLASSES + 4 * DISTANCES, 1)]) for _ in STRIDES
        )

    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution: backbone, laterals, heads."""
        return [module for module in self.modules() if isinstance(module, nn.Conv2d)]

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Scores and distances of the cells of all grids.

        Args:
            pictures: (B, 416, 416, 3) uint8 RGB.

        Returns:
            (B, 3549, 80) scores in [0, 1], and (B, 3549, 4) distances in pixels to left, top, right and bottom from the
            middle of the cell.
        """
        dtype = self.stem.weight.dtype
        mean, deviation = (torch.tensor(v, dtype=dtype)[:, None, None] for v in (MEAN_BGR, DEVIATION_BGR))
        x = (pictures.permute(0, 3, 1, 2).flip(1).to(dtype) - mean) / deviation
        levels = self._neck(self._levels(self.stem(x)))
        found = []
        for level, head in zip(levels, self.heads, strict=True):
            convolution, last = head.children()
            found.append(last(convolution(level)).flatten(2).transpose(1, 2))  # (B, cells, 124)
        scores = torch.cat([level[:, :, :CLASSES].sigmoid() for level in found], dim=1)
        steps = torch.arange(DISTANCES, dtype=dtype)
        distances = [
            (level[:, :, CLASSES:].unflatten(2, (4, DISTANCES)).softmax(3) * steps).sum(3) * stride
            for level, stride in zip(found, STRIDES, strict=True)
        ]
        return scores, torch.cat(distances, dim=1)

    def _levels(self, x: Tensor) -> list[Tensor]:
        x = nn.functional.max_pool2d(x, 3, 2, 1)
        levels = []
        for stage in self.stages:
            x = stage(x)
            levels.append(x)
        return levels[1:]

    def _neck(self, levels: list[Tensor]) -> list[Tensor]:
        fine, middle, coarse = (lateral(level) for lateral, level in zip(self.laterals, levels, strict=True))
        middle = middle + _resized(coarse, middle)
        fine = fine + _resized(middle, fine)
        middle = middle + _resized(fine, middle)
        return [fine, middle, coarse + _resized(middle, coarse)]


def _resized(x: Tensor, like: Tensor) -> Tensor:
    return interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)
