"""EfficientNet-Lite: pictures to probabilities of the 1000 ImageNet classes.

Tan and Le, ICML 2019 (arXiv:1905.11946), in the "lite" form of TensorFlow's TPU models: no squeeze-and-excitation,
ReLU6 for swish, and a stem, first and last stage that do not grow with the network.

Pictures are scaled to a square without keeping their aspect: compared with the usual crop of the middle, instruments
at the edge of a wide picture are found, and nothing else is lost. Input is (x - 127) / 128; with the mean and deviation
that PyTorch's own networks take, the same weights still find most classes, but are less sure of them.

Precision ``int8`` runs as ``float16``: quantized after training, Lite0 named another most likely class in 4 of 10
segments of real clips, for three quarters of the time.
"""

from functools import cache, partial
from importlib import resources
from typing import Any

import numpy as np

from avel.backbones import weights
from avel.backbones.base import Floats, Pictures, VisualBackbone
from avel.backbones.efficientnet_network import normalized, probabilities
from avel.backbones.engine import EngineOptions, from_frozen
from avel.backbones.operations import FrozenNetwork, Tensors
from avel.media.types import PictureFormat

# Width and depth relative to Lite0, and side of the square picture it was trained with.
_SCALES = {
    "efficientnet-lite0": (1.0, 1.0, 224),
    "efficientnet-lite1": (1.0, 1.1, 240),
    "efficientnet-lite2": (1.1, 1.2, 260),
}
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
        WeightsError: if its weights are not available.
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
            raise ValueError(f"name must be one of {', '.join(_SCALES)}; got {name!r}.")
        self.name = name
        self.labels: tuple[str, ...] = imagenet_classes()
        side = _SCALES[name][2]
        frames = (
            max(1, round(_FRAMES_PER_SECOND * segment_seconds)) if frames_per_segment is None else frames_per_segment
        )
        self.pictures: PictureFormat = PictureFormat(frames, side, side)
        self._network = from_frozen(
            network(name),
            name=name,
            digest=weights.digest(name),
            options=options or EngineOptions(),
        )
        self.record: dict[str, Any] = {**self._network.record, "layer": "softmax", "frames_per_segment": frames}

    def __call__(self, pictures: Pictures) -> Floats:
        """See `VisualBackbone`: (T, F, H, W, 3) to (T, 1, 1000) probabilities."""
        segments, frames = pictures.shape[:2]
        (found,) = self._network(pictures.reshape(-1, *pictures.shape[2:]))
        return found.reshape(segments, frames, -1).mean(axis=1, keepdims=True, dtype=np.float32)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Names of the 1000 classes in the order of the outputs; synonyms are joined by commas."""
    text = (resources.files("avel.data") / "imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def network(name: str) -> FrozenNetwork:
    """One of the networks, from pictures (B, H, W, 3) to probabilities (B, 1000)."""
    width, depth, side = _SCALES[name]
    define = partial(probabilities, width=width, depth=depth)
    return FrozenNetwork(define, partial(_tensors, name), (side, side, 3))


def _tensors(name: str) -> Tensors:
    return normalized(weights.load_tensors(name))
