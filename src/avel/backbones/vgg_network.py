"""The network of `vgg`; it opens no file.

VGG-19 without its fully connected layers (Simonyan and Zisserman, arXiv:1409.1556, configuration E).
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""Convolutions and their channels in each block; a pooling ends the block."""

ACTIVATIONS_SHARE = 0.65
"""How far `equalize` goes for activations rather than for weights, which lose less by `round_kernels`; from 0 to 1."""


class Pool5Network(nn.Module):
    """Pictures to the output of the last pooling layer."""

    def __init__(self) -> None:
        super().__init__()
        # RGB in [0, 1] to BGR in [0, 255] less the mean.
        layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
        channels = 3
        for count, width in BLOCKS:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.layers: nn.Sequential = nn.Sequential(*layers)

    def convolutions(self) -> list[nn.Conv2d]:
        """Every convolution in order, the one of the colours first."""
        return [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]

    def forward(self, pictures: Tensor) -> Tensor:
        """(N, H, W, 3) uint8 RGB to (N, H/32 * W/32, 512)."""
        x = pictures.permute(0, 3, 1, 2).to(next(self.parameters()).dtype) / 255
        for layer in self.layers:
            x = layer(x)
        return x.flatten(2).transpose(1, 2)


@torch.no_grad()
def equalize(network: Pool5Network, pictures: npt.NDArray[np.uint8]) -> Pool5Network:
    """The same function with channels of like range, since an 8-bit layer has one range for all of its channels.

    What a convolution gives is divided by a positive number per channel, and what the next one takes multiplied by it;
    ReLU and pooling do not mind (Nagel et al., ICCV 2019, arXiv:1906.04721). The number is between what would give all
    activations the same range and what would give it to the weights that meet them (Xiao et al., arXiv:2211.10438, with
    `ACTIVATIONS_SHARE` for their alpha). Numbers are powers of two, which changes no bit of the result in floating
    point.

    Args:
        network: changed in place.
        pictures: (N, H, W, 3), which show the usual activations.
    """
    convolutions = network.convolutions()
    greatest = _greatest_outputs(network, pictures)
    for index in range(1, len(convolutions) - 1):
        giving, taking = convolutions[index : index + 2]
        activations = greatest[index].clamp(min=1e-3 * float(greatest[index].max()))
        met = taking.weight.abs().amax((0, 2, 3)).clamp(min=1e-8)
        exponents = ACTIVATIONS_SHARE * activations.log2() - (1 - ACTIVATIONS_SHARE) * met.log2()
        factors = torch.exp2((exponents - exponents.mean()).round())
        giving.weight /= factors[:, None, None, None]
        assert giving.bias is not None
        giving.bias /= factors
        taking.weight *= factors[None, :, None, None]
    return network


def _greatest_outputs(network: Pool5Network, pictures: npt.NDArray[np.uint8]) -> list[Tensor]:
    """(C,) of each convolution: the largest number that each channel gives."""
    greatest = []
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    for layer in network.layers:
        x = layer(x)
        if isinstance(layer, nn.Conv2d):
            greatest.append(x.amax((0, 2, 3)))
    return greatest


@torch.no_grad()
def round_kernels(network: Pool5Network, keep_float: Collection[str]) -> Pool5Network:
    """Weights that 8 bits can hold, rounded so that every 3 x 3 kernel keeps its sum.

    Neighbouring activations are much alike, so that what the nine weights of a kernel lose adds up, unless they lose
    nothing together: where the nearest numbers change a kernel's sum by k steps, the k weights that were furthest from
    theirs go the other way. Half of the error of 8-bit weights comes to nothing by that (the idea that the nearest
    number need not be the best is Nagel et al.'s, arXiv:2004.10568).

    Args:
        network: changed in place. Each output channel has its own step, 1/127 of its greatest weight.
        keep_float: names of convolutions, such as ``"layers.0"``, that are left as they are.
    """
    for name, convolution in network.named_modules():
        if isinstance(convolution, nn.Conv2d) and name not in keep_float:
            step = convolution.weight.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-30) / 127
            exact = (convolution.weight / step).flatten(2)
            nearest = exact.round()
            lost = exact - nearest
            steps = lost.sum(-1, keepdim=True).round()
            rank = (lost * steps.sign()).argsort(-1, descending=True).argsort(-1)
            kept = nearest + (rank < steps.abs()) * steps.sign()
            convolution.weight.copy_(kept.view_as(convolution.weight) * step)
    return network
