"""Where a sound that is looked for is silent: it has features like any other, but nothing can be found by them."""

from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.base import AudioBackbone, Floats
from avel.features.extract import FeatureBatch

SILENT_DBFS = -60.0
"""A segment whose sound is quieter, as root mean square, is taken for silence."""

IT_IS_SILENT = f"it is silent (below {SILENT_DBFS:g} dB of full scale)"
"""What is said of it."""


class SegmentLevel(AudioBackbone):
    """Root mean square of each segment, in dB of full scale."""

    name = "loudness"
    dims = 1
    labels: tuple[str, ...] | None = None

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.record: dict[str, Any] = {"name": self.name}

    def __call__(self, waveforms: Floats) -> Floats:
        """See `AudioBackbone`."""
        power = np.mean(np.square(waveforms, dtype=np.float64), axis=1, keepdims=True)
        return np.asarray(10 * np.log10(np.maximum(power, 1e-12)), np.float32)


def is_loud(batch: FeatureBatch) -> npt.NDArray[np.bool_]:
    """(T,) where a batch that `SegmentLevel` was among the networks of is not silent."""
    return np.asarray(batch.audio[SegmentLevel.name][:, 0] >= SILENT_DBFS)
