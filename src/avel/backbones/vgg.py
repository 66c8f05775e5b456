"""VGG-19: pictures to ``pool5`` features, the visual features of the AVE papers.

Simonyan and Zisserman, ICLR 2015 (arXiv:1409.1556). Per segment the mean over its frames of the last pooling layer's
output (Tian et al., ECCV 2018, section 4). Pictures are scaled to 224 x 224 without keeping their aspect; colours are
BGR minus the mean of ImageNet, and convolutions pad with zeros, as in the original.

There are two sets of weights. ``vgg19-original`` is what AVE's features were made with. ``vgg19`` is the same network
with every channel of every layer divided by a positive constant, so that its mean over ImageNet is one: its ``pool5``
equals the original's up to that scale per channel. What is trained on the one does not fit the other.

Precision ``int8`` takes 0.4 of the time. ``benchmarks/vgg_int8.py`` measures what that costs the features of segments.
On pictures with little in them it is more: up to 7 % before weights were rounded by kernels.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from avel.backbones import calibration, weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.engine import Calibration, EngineOptions, from_torch
from avel.media.types import Moments, PictureFormat, Scaling

if TYPE_CHECKING:
    import torch

_SIDE = 224
_FRAMES_PER_SECOND = 16
_CONVOLUTIONS = (2, 2, 4, 4, 4)
"""Of each block."""
_KEEP_FLOAT = tuple(f"layers.{number}" for number in (0, 1, 29, 31, 33, 35))  # the first two, and the last block
_OUTLIERS = 1e-5
"""Share of a layer's activations that 8 bits cut off, so that the others are finer."""
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
        WeightsError: if the weights are not available.
    """

    dims = 512
    regions = 49
    grid: tuple[int, int] = (7, 7)
    labels: tuple[str, ...] | None = None

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
            raise ValueError(f"weights_name must be 'vgg19' or 'vgg19-original'; got {weights_name!r}.")
        is_published = (weights_name, scaling, moments) == ("vgg19-original", "bilinear", "whole-interval")
        self.name = "vgg19-ave" if is_published else weights_name
        frames = (
            max(1, round(_FRAMES_PER_SECOND * segment_seconds)) if frames_per_segment is None else frames_per_segment
        )
        self.pictures: PictureFormat = PictureFormat(frames, _SIDE, _SIDE, scaling=scaling, moments=moments)
        self._network = from_torch(
            partial(_pool5, weights_name),
            (_SIDE, _SIDE, 3),
            name=weights_name,
            digest=weights.digest(weights_name),
            options=options or EngineOptions(),
            calibration=_calibration(),
        )
        self.record: dict[str, Any] = {
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
    from avel.backbones.vgg_network import Pool5Network

    network = Pool5Network()
    for convolution, (weight, bias) in zip(network.convolutions(), _tensors(weights_name), strict=True):
        convolution.load_state_dict({"weight": weight, "bias": bias})
    return network


def _tensors(weights_name: str) -> "list[tuple[torch.Tensor, torch.Tensor]]":
    """Weight and bias of every convolution in order, the 1 x 1 one first; weights (out, in, height, width)."""
    import torch

    stored = {name: torch.from_numpy(array) for name, array in weights.load_tensors(weights_name).items()}
    if weights_name == "vgg19":  # named "0.weight", "2.weight", ... by their places among layers
        places = sorted({int(name.split(".")[0]) for name in stored})
        return [(stored[f"{place}.weight"], stored[f"{place}.bias"]) for place in places]
    reverse = torch.eye(3).flip(0)[:, :, None, None] * 255
    pairs = [(reverse, -torch.tensor(_MEAN_BGR))]
    for block, count in enumerate(_CONVOLUTIONS, start=1):
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
    equalized, and their weights rounded so that kernels keep their sums.
    """
    pictures = calibration.pictures(_SIDE, _SIDE)
    return replace(
        pictures,
        prepare=partial(_prepared, pictures=pictures),
        prepared="equalized, sums of kernels kept",
        keep_float=_KEEP_FLOAT,
        outliers=_OUTLIERS,
    )


def _prepared(network: "torch.nn.Module", pictures: Calibration) -> "torch.nn.Module":
    from avel.backbones.vgg_network import Pool5Network, equalize, round_kernels

    assert isinstance(network, Pool5Network)
    return round_kernels(equalize(network, np.stack(list(pictures.items())[::2])), _KEEP_FLOAT)
