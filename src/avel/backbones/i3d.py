"""I3D: what people do, seen in motion, as probabilities of the 400 classes of Kinetics.

Carreira and Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017
(arXiv:1705.07750): Inception-v1 with every filter and pool of it grown in time; the network for pictures, not the one
for optical flow. Weights are DeepMind's (ImageNet, then Kinetics-400), kept by Flax.

It was trained on 64 pictures at 25 a second and takes 16 over the same time here, a quarter of the work. Pictures are
scaled to a square without keeping their aspect, for the reason that `avel.backbones.efficientnet` gives.

Precision ``int8`` runs as ``float16``: quantized after training, its answers are others (relative error 0.35).
"""

from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.engine import EngineOptions, from_torch
from avel.media.types import PictureFormat

if TYPE_CHECKING:
    import torch

    from avel.backbones.i3d_network import I3dNetwork, Unit3d

WEIGHTS = "i3d-kinetics400"
FRAMES = 16
WINDOW_SECONDS = 2.56
SIDE = 224


class I3d(VisualBackbone):
    """Probabilities of the 400 Kinetics classes in windows of `FRAMES` pictures over about `WINDOW_SECONDS`.

    A window covers as many segments as it takes, and all of them get its probabilities. Windows lie one after the
    other; the last one is moved back so that it is full, where there is enough.

    Args:
        options: device, precision, threads.
        segment_seconds: length of a segment.

    Raises:
        WeightsError: if its weights are not available.
    """

    name = "i3d"
    dims = 400
    regions = 1
    exclusive = True

    def __init__(self, options: EngineOptions | None = None, *, segment_seconds: float = 1.0) -> None:
        self.labels = kinetics_classes()
        count = min(max(round(FRAMES * segment_seconds / WINDOW_SECONDS), 1), FRAMES)
        self.pictures = PictureFormat(count, SIDE, SIDE)
        self.window_segments = max(1, round(WINDOW_SECONDS / segment_seconds))
        self._network = from_torch(
            _network,
            (FRAMES, SIDE, SIDE, 3),
            name=self.name,
            digest=weights.digest(WEIGHTS),
            options=options or EngineOptions(),
        )
        self.record: dict[str, Any] = {
            **self._network.record,
            "layer": "softmax",
            "window_segments": self.window_segments,
        }

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, 224, 224, 3) of segments in a row to (T, 1, 400) probabilities."""
        count = len(pictures)
        probabilities = np.empty((count, 1, self.dims), np.float32)
        for start, end in self._windows(count):
            row = pictures[start:end].reshape(-1, *pictures.shape[2:])
            chosen = np.linspace(0, len(row) - 1, FRAMES).round().astype(np.int64)
            (found,) = self._network(row[chosen][np.newaxis])
            probabilities[start:end] = found
        return probabilities

    def _windows(self, count: int) -> Iterator[tuple[int, int]]:
        for start in range(0, count, self.window_segments):
            end = min(start + self.window_segments, count)
            yield max(0, end - self.window_segments), end


@cache
def kinetics_classes() -> tuple[str, ...]:
    """Names of the 400 classes in the order of the outputs."""
    text = (resources.files("avel.data") / "kinetics400_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def _network() -> "torch.nn.Module":
    from avel.backbones.i3d_network import I3dNetwork

    network = I3dNetwork()
    tensors = weights.load_tensors(WEIGHTS)
    for name, unit in _units(network).items():
        kernel = tensors[f"params|{name}|Conv_0|kernel"]  # (T, H, W, inputs, outputs)
        unit.convolution.load_state_dict({"weight": kernel.permute(4, 3, 0, 1, 2)})
        mean, variance = (tensors[f"batch_stats|{name}|BatchNorm_0|{part}"].flatten() for part in ("mean", "var"))
        shift = {"running_mean": mean, "running_var": variance, "bias": tensors[f"params|{name}|BatchNorm_0|bias"]}
        unit.normalization.load_state_dict(shift, strict=False)  # its scale stays 1
    last = "params|Logits/Conv3d_0c_1x1|Conv_0"
    kernel = tensors[f"{last}|kernel"].reshape(network.logits.in_features, -1)
    network.logits.load_state_dict({"weight": kernel.T, "bias": tensors[f"{last}|bias"]})
    return network


def _units(network: "I3dNetwork") -> "dict[str, Unit3d]":
    """By their names in the checkpoint."""
    units = {
        "Conv3d_1a_7x7": network.conv_1a,
        "Conv3d_2b_1x1": network.conv_2b,
        "Conv3d_2c_3x3": network.conv_2c,
    }
    for name, module in network.inception_modules():
        units |= {
            f"{name}|Branch_0/Conv3d_0a_1x1": module.branch_0,
            f"{name}|Branch_1/Conv3d_0a_1x1": module.branch_1_reduce,
            f"{name}|Branch_1/Conv3d_0b_3x3": module.branch_1,
            f"{name}|Branch_2/Conv3d_0a_1x1": module.branch_2_reduce,
            f"{name}|Branch_2/Conv3d_0b_3x3": module.branch_2,
            f"{name}|Branch_3/Conv3d_0b_1x1": module.branch_3,
        }
    return units
