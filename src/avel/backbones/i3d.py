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
from typing import Any

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.engine import EngineOptions, from_frozen
from avel.backbones.i3d_network import normalized, probabilities
from avel.backbones.operations import FrozenNetwork, Tensors
from avel.media.types import PictureFormat

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
        self.labels: tuple[str, ...] = kinetics_classes()
        count = min(max(round(FRAMES * segment_seconds / WINDOW_SECONDS), 1), FRAMES)
        self.pictures: PictureFormat = PictureFormat(count, SIDE, SIDE)
        self.window_segments: int = max(1, round(WINDOW_SECONDS / segment_seconds))
        self._network = from_frozen(
            NETWORK,
            name=self.name,
            digest=weights.digest(WEIGHTS),
            options=options or EngineOptions(),
            items_at_once=1,
        )
        self.record: dict[str, Any] = {
            **self._network.record,
            "layer": "softmax",
            "window_segments": self.window_segments,
        }

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, 224, 224, 3) of segments in a row to (T, 1, 400) probabilities."""
        count = len(pictures)
        features = np.empty((count, 1, self.dims), np.float32)
        for start, end in self._windows(count):
            row = pictures[start:end].reshape(-1, *pictures.shape[2:])
            chosen = np.linspace(0, len(row) - 1, FRAMES).round().astype(np.int64)
            (found,) = self._network(row[chosen][np.newaxis])
            features[start:end] = found
        return features

    def _windows(self, count: int) -> Iterator[tuple[int, int]]:
        for start in range(0, count, self.window_segments):
            end = min(start + self.window_segments, count)
            yield max(0, end - self.window_segments), end


@cache
def kinetics_classes() -> tuple[str, ...]:
    """Names of the 400 classes in the order of the outputs."""
    text = (resources.files("avel.data") / "kinetics400_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def _tensors() -> Tensors:
    return normalized(weights.load_tensors(WEIGHTS))


NETWORK = FrozenNetwork(probabilities, _tensors, (FRAMES, SIDE, SIDE, 3))
"""From pictures (B, `FRAMES`, `SIDE`, `SIDE`, 3) to probabilities (B, 400)."""
