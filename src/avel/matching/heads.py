"""The heads of a trained dual encoder in NumPy, for those who only search and so never import PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from avel.backbones.base import Floats
from avel.documents import parse_json
from avel.errors import ModelError
from avel.files import open_safetensors

FORMAT = "avel matcher 1"
"""Of a matcher's file, under ``format`` in its metadata; what it is stands under ``avel``."""

LEAK = 0.3
"""Of the LeakyReLU between the layers."""

DUAL_ENCODER = "dual-encoder"
MODALITIES = ("visual", "audio")

_MAX_SIZE = 1 << 16


@dataclass(frozen=True)
class EncoderHead:
    """Square root, scale, two layers, length 1.

    Attributes:
        mean: (D,).
        scale: (D,), above 0.
        first: (H, D) weights and (H,) biases.
        last: (E, H) weights and (E,) biases.
    """

    mean: Floats
    scale: Floats
    first: tuple[Floats, Floats]
    last: tuple[Floats, Floats]

    def __call__(self, features: Floats) -> Floats:
        """(N, D) to (N, E) of length 1."""
        x = (np.sign(features) * np.sqrt(np.abs(features)) - self.mean) / self.scale
        x = x @ self.first[0].T + self.first[1]
        x = np.where(x > 0, x, np.float32(LEAK) * x) @ self.last[0].T + self.last[1]
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), np.float32)


@dataclass(frozen=True)
class EncoderHeads:
    """Both heads, and what the file says of them.

    Attributes:
        visual: of pictures.
        audio: of sound.
        said: plain values, ``features`` and more.
    """

    visual: EncoderHead
    audio: EncoderHead
    said: Mapping[str, Any]

    @property
    def dims(self) -> int:
        """E."""
        return len(self.visual.last[1])


def load_heads(path: str | Path) -> EncoderHeads:
    """Read a dual encoder that `avel.matching.weights.save` wrote.

    Raises:
        ModelError: if the file is missing, is damaged, or holds another matcher.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"{path}: no such file. `avel train-matching` makes one.")
    try:
        with open_safetensors(path, "numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise ModelError(f"{path}: is not a matcher of avel, its format is {metadata.get('format')!r}.")
            said = parse_json(metadata["avel"])
            if said["matcher"] != DUAL_ENCODER:
                raise ModelError(
                    f"{path}: holds the matcher {said['matcher']}, whose distances cannot be searched for. Train a "
                    f"{DUAL_ENCODER}: avel train-matching."
                )
            heads = {modality: _head(file, modality) for modality in MODALITIES}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: is damaged ({error}). Make or get it again.") from error
    if len(heads["visual"].last[1]) != len(heads["audio"].last[1]):
        raise ModelError(f"{path}: is damaged (its heads have different sizes). Make or get it again.")
    return EncoderHeads(heads["visual"], heads["audio"], said)


def _head(file: Any, modality: str) -> EncoderHead:
    def read(name: str, dimensions: int) -> Floats:
        values = file.get_tensor(name)
        if values.ndim != dimensions or values.dtype != np.float32 or max(values.shape, default=1) > _MAX_SIZE:
            raise ValueError(f"{name} is {values.dtype} of shape {values.shape}")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} holds values that are not finite")
        return np.asarray(values)

    mean, scale = read(f"{modality}_mean", 1), read(f"{modality}_scale", 1)
    layers = [
        (read(f"embed_{modality}.{number}.weight", 2), read(f"embed_{modality}.{number}.bias", 1)) for number in (0, 2)
    ]
    (first, first_bias), (last, last_bias) = layers
    if not (
        mean.shape == scale.shape == first.shape[1:]
        and first.shape[:1] == first_bias.shape == last.shape[1:]
        and last.shape[:1] == last_bias.shape
        and bool((scale > 0).all())
    ):
        raise ValueError(f"the layers of {modality} do not fit each other")
    return EncoderHead(mean, scale, (first, first_bias), (last, last_bias))
