"""VGG-19: pictures to ``pool5`` features, the visual features of the AVE papers.

Simonyan and Zisserman, ICLR 2015 (arXiv:1409.1556). Per segment the mean over its frames of the last pooling layer's
output (Tian et al., ECCV 2018, section 4). Pictures are scaled to 224 x 224 without keeping their aspect; colours are
BGR minus the mean of ImageNet, and convolutions pad with zeros, as in the original.

There are two sets of weights. ``vgg19-original`` is what AVE's features were made with. ``vgg19`` is the same network
with every channel of every layer divided by a positive constant, so that its mean over ImageNet is one: its ``pool5``
equals the original's up to that scale per channel. What is trained on the one does not fit the other.

Precision ``int8`` takes 0.4 of the time. Features of segments then have a relative L2 error of 3.0 % (median over two
segments of 16 clips; cosine 0.9975 or more); on pictures with little in them, up to 7 %.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from avel.backbones import calibration, weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.engine import Calibration, EngineOptions, from_torch
from avel.media.types import Moments, PictureFormat, Scaling

if TYPE_CHECKING:
    import torch

_SIDE = 224
_FRAMES_PER_SECOND = 16
# Convolutions and their channels in each block; a pooling ends the block.
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
_KEEP_FLOAT = tuple(f"layers.{number}" for number in (0, 1, 29, 31, 33, 35))  # the first two, and the last block
_MEAN_BGR = (103.939, 116.779, 123.68)


class Vgg19(VisualBackbone):
    """VGG-19 ``pool5``, 7 x 7 regions of 512 features.

    Args:
        options: device, precision, threads.
        weights_name: ``"vgg19"`` or ``"vgg19-original"``. The second with the scaling and the moments of AVE's recipe,
            ``"bilinear"`` and ``"whole-interval"``, is called ``vgg19-ave``.
        segment_seconds: length of a segment, which settles how many frames it has.
        frames_per_segment: how many frames the mean is over; the papers' 16 a second when ``None``. With 4 a second
            features change by 1 to 2 % and take a quarter of the time.
        scaling: as for `PictureFormat`. Bilinear scaling changes features by 6 to 11 %.
        moments: as for `PictureFormat`. Whole intervals change nothing where a segment has a whole number of frames;
            else they change late segments the most, whose pictures come up to half a second too early.

    Raises:
        ValueError: if the weights have another name.
        WeightsError: if the weights cannot be had.
    """

    dims = 512
    regions = 49
    grid = (7, 7)
    labels = None

    def __init__(
        self,
        options: EngineOptions | None = None,
        *,
        weights_name: str = "vgg19",
        segment_seconds: float = 1.0,
        frames_per_segment: int | None = None,
        scaling: Scaling = "smooth",
        moments: Moments = "even",
    ) -> None:
        if weights_name not in ("vgg19", "vgg19-original"):
            raise ValueError(f"VGG-19 has the weights vgg19 and vgg19-original; got {weights_name!r}.")
        is_published = (weights_name, scaling, moments) == ("vgg19-original", "bilinear", "whole-interval")
        self.name = "vgg19-ave" if is_published else weights_name
        frames = (
            max(1, round(_FRAMES_PER_SECOND * segment_seconds)) if frames_per_segment is None else frames_per_segment
        )
        self.pictures = PictureFormat(frames, _SIDE, _SIDE, scaling=scaling, moments=moments)
        self._network = from_torch(
            partial(_pool5, weights_name),
            (_SIDE, _SIDE, 3),
            name=weights_name,
            digest=weights.digest(weights_name),
            options=options or EngineOptions(),
            calibration=_calibration(),
        )
        self.record = {
            **self._network.record,
            "name": self.name,
            "layer": "pool5",
            "frames_per_segment": frames,
            "scaling": scaling,
            "moments": moments,
        }

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, 224, 224, 3) to (T, 49, 512)."""
        # One segment at a time, so that no more than one segment's feature maps are held.
        return np.stack([self._network(frames)[0].mean(axis=0, dtype=np.float32) for frames in pictures])


def _pool5(weights_name: str) -> "torch.nn.Module":
    from torch import Tensor, nn

    class Pool5(nn.Module):
        """(N, H, W, 3) uint8 RGB to (N, H/32 * W/32, 512)."""

        def __init__(self) -> None:
            super().__init__()
            # RGB in [0, 1] to BGR in [0, 255] less the mean.
            layers: list[nn.Module] = [nn.Conv2d(3, 3, 1)]
            channels = 3
            for count, width in _BLOCKS:
                for _ in range(count):
                    layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                    channels = width
                layers.append(nn.MaxPool2d(2))
            self.layers = nn.Sequential(*layers)

        def forward(self, pictures: Tensor) -> Tensor:
            x = pictures.permute(0, 3, 1, 2).to(next(self.parameters()).dtype) / 255
            features: Tensor = self.layers(x)
            return features.flatten(2).transpose(1, 2)

    network = Pool5()
    convolutions = [layer for layer in network.layers if isinstance(layer, nn.Conv2d)]
    for convolution, (weight, bias) in zip(convolutions, _tensors(weights_name), strict=True):
        convolution.load_state_dict({"weight": weight, "bias": bias})
    return network


def _tensors(weights_name: str) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """Weight and bias of every convolution in order, the 1 x 1 one first; weights (out, in, height, width)."""
    import torch

    stored = weights.load_tensors(weights_name)
    if weights_name == "vgg19":  # named "0.weight", "2.weight", ... by their places among layers
        places = sorted({int(name.split(".")[0]) for name in stored})
        return [(stored[f"{place}.weight"], stored[f"{place}.bias"]) for place in places]
    reverse = torch.eye(3).flip(0)[:, :, None, None] * 255
    pairs = [(reverse, -torch.tensor(_MEAN_BGR))]
    for block, (count, _) in enumerate(_BLOCKS, start=1):
        for number in range(1, count + 1):
            layer = f"block{block}_conv{number}"
            kernel, bias = (_only(stored, f"{layer}_{kind}_1:0") for kind in ("W", "b"))
            pairs.append((kernel.permute(3, 2, 0, 1).contiguous(), bias))
    return pairs


def _only(stored: "dict[str, torch.Tensor]", dataset: str) -> "torch.Tensor":
    (tensor,) = (tensor for name, tensor in stored.items() if name.rsplit("/", 1)[-1] == dataset)
    return tensor


def _calibration() -> Calibration:
    """How to make the network 8-bit.

    An error of 1 to 4 % in each layer adds up, so the first two convolutions, which are tiny, and the last block's stay
    in floating point (which takes a fifth more time and a fifth of the error away), and the channels in between are
    equalized.
    """
    pictures = calibration.pictures(_SIDE, _SIDE)
    return replace(pictures, prepare=partial(_equalized, pictures=pictures), keep_float=_KEEP_FLOAT)


def _equalized(network: "torch.nn.Module", pictures: Calibration) -> "torch.nn.Module":
    """The same function with channels of like range, since an 8-bit layer has one range for all of its channels.

    What a convolution gives is divided by a positive number per channel, and what the next one takes multiplied by it;
    ReLU and pooling do not mind (Nagel et al., ICCV 2019, arXiv:1906.04721). The number is chosen so that a channel's
    activations and the weights that meet them have the same share of the range (as in Xiao et al., arXiv:2211.10438).
    Numbers are powers of two, which changes no bit of the result in floating point.
    """
    import torch
    from torch import nn

    layers = network.layers
    assert isinstance(layers, nn.Sequential)
    convolutions: list[nn.Conv2d] = []
    greatest: list[torch.Tensor] = []  # of what each convolution gives, (channels,)
    with torch.no_grad():
        x = torch.from_numpy(np.stack(list(pictures.items())[::2])).permute(0, 3, 1, 2) / 255
        for layer in layers:
            x = layer(x)
            if isinstance(layer, nn.Conv2d):
                convolutions.append(layer)
                greatest.append(x.amax((0, 2, 3)))
        for index in range(1, len(convolutions) - 1):
            giving, taking = convolutions[index : index + 2]
            activations = greatest[index].clamp(min=1e-3 * float(greatest[index].max()))
            met = taking.weight.abs().amax((0, 2, 3)).clamp(min=1e-8)
            exponents = (activations / met).log2() / 2
            factors = torch.exp2((exponents - exponents.mean()).round())
            giving.weight /= factors[:, None, None, None]
            assert giving.bias is not None
            giving.bias /= factors
            taking.weight *= factors[None, :, None, None]
    return network
