"""Features that training looks at again and again: as many as memory is meant for are held, the others are read.

Both ways give the same numbers, so that no result depends on how much memory there is: half precision, or float32 for a
clip with a value that is too large for it. Clips that are not held are read from their files for each batch, in the
background; in the order of the batches, since a store has a file for each video and another order would read no less.
"""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from avel.data.clips import Rows
from avel.errors import FeaturesError
from avel.features.feature_file import FeatureArray
from avel.training.sources import FeatureSource

_EXPONENT_OF_HALF = 0x7C00
"""Bits of a float16 that are all set in infinite values and NaN alone."""

logger: logging.Logger = logging.getLogger(__name__)


@dataclass
class Budget:
    """Memory for features, of all clips and both modalities together.

    Attributes:
        held_bytes: that features may take.
        used_bytes: that they take.
    """

    held_bytes: int
    used_bytes: int = 0


class HeldClips:
    """Clips of one source. Those that fit in a budget are read when they are first asked for and held.

    A source whose single rows take long to read is held as a whole, whatever the budget.
    """

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._valid: npt.NDArray[np.bool_] | None = None
        self._held: dict[str, dict[int, FeatureArray]] = {"visual": {}, "audio": {}}

    def __len__(self) -> int:
        return len(self.source)

    def num_held(self, modality: str) -> int:
        """How many clips' features are in memory."""
        return len(self._held[modality])

    def valid(self, rows: Rows) -> npt.NDArray[np.bool_]:
        """(n, T) of some rows, False where a segment is only padding."""
        if self._valid is None:
            self._valid = self.source.valid()
        return np.take(self._valid, rows, axis=0)

    def put(self, modality: str, rows: Rows, out: Tensor, places: Rows) -> None:
        """Write some rows into ``out[places]``, converted to its type."""
        held = self._held[modality]
        with torch.inference_mode():  # where batches are asked for within it, ``out`` can be written in it alone
            for row, place in zip(rows.tolist(), places.tolist(), strict=True):
                features = held[row] if row in held else self._read(modality, row)
                out[place].copy_(torch.from_numpy(features))

    def load(self, modality: str, rows: Rows, budget: Budget) -> None:
        """Read some rows that are not held yet, as many as may be.

        Raises:
            FeaturesError: if the modality is not there, or cannot be read.
        """
        missing = self.source.missing(modality)
        if missing:
            raise FeaturesError(f"{self.source.name}: there are no {modality} features ({missing}).")
        held, is_bounded = self._held[modality], self.source.is_quick(modality)
        wanted = [row for row in np.unique(rows).tolist() if row not in held]
        for number, row in enumerate(wanted):
            features = self._read(modality, row)
            if is_bounded and budget.used_bytes + features.nbytes > budget.held_bytes:
                left = len(wanted) - number
                logger.info("%s: %s features of %d clips are not held", self.source.name, modality, left)
                return
            held[row] = features
            budget.used_bytes += features.nbytes

    def _read(self, modality: str, row: int) -> FeatureArray:
        features = self.source.row(modality, row)
        with np.errstate(over="ignore"):
            half = features.astype(np.float16, copy=False)
        if _is_finite_half(half):
            return half
        single = features.astype(np.float32, copy=False)
        if not np.isfinite(single).all():
            raise FeaturesError(
                f"{self.source.name}: the {modality} features of clip {row} hold NaN or infinite values. "
                "Extract them again."
            )
        return single


def _is_finite_half(features: npt.NDArray[Any]) -> bool:
    """`numpy.isfinite` of float16 takes fifteen times as long."""
    return bool((features.view(np.uint16) & _EXPONENT_OF_HALF).max(initial=0) < _EXPONENT_OF_HALF)
