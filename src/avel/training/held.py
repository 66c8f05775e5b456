"""Features held in memory in half precision, those of the clips that are asked for.

AVE's visual features are 8.3 GB of float64. They are read row by row as float16, 2.1 GB if all of them are needed
(float32 where a value is too large for that). Stores whose features would take more than `MAX_HELD_BYTES` are not held:
each batch is read from their files.
"""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.data.clips import Rows
from avel.errors import FeaturesError
from avel.features.feature_file import FeatureArray
from avel.training.sources import FeatureSource

MAX_HELD_BYTES = 2 << 30
"""Of each modality. AVE's visual features just fit, as float16."""

_ROWS_AT_ONCE = 64

logger: logging.Logger = logging.getLogger(__name__)


class HeldClips:
    """Clips of one source, read when they are first asked for; for each batch where they are too many to be held."""

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._valid: npt.NDArray[np.bool_] | None = None
        self._held: dict[str, dict[int, FeatureArray]] = {}

    def __len__(self) -> int:
        return len(self.source)

    def num_held(self, modality: str) -> int:
        """How many clips' features are in memory."""
        return len(self._held.get(modality, ()))

    def take(self, what: str, rows: Rows) -> npt.NDArray[Any]:
        """Some rows of ``visual``, ``audio`` or ``valid``."""
        if what == "valid":
            if self._valid is None:
                self._valid = self.source.valid()
            return np.take(self._valid, rows, axis=0)
        if what in self._held:
            held = self._held[what]
            return np.stack([held[row] for row in rows.tolist()])
        taken = self.source.read(what, np.float32, rows.tolist())
        if not np.isfinite(taken).all():
            raise self._not_finite(what, rows.tolist())
        return taken

    def load(self, modality: str, rows: Rows) -> None:
        """Read some rows if they are to be held and are not yet.

        Raises:
            FeaturesError: if the modality is not there, or cannot be read.
        """
        missing = self.source.missing(modality)
        if missing:
            raise FeaturesError(f"{self.source.name}: there are no {modality} features ({missing}).")
        if self.source.is_quick() and modality not in self._held:
            nbytes = self.source.read(modality, np.float16, [0]).nbytes * len(self.source)
            if nbytes > MAX_HELD_BYTES:
                return
        held = self._held.setdefault(modality, {})
        wanted = [row for row in np.unique(rows).tolist() if row not in held]
        for start in range(0, len(wanted), _ROWS_AT_ONCE):
            some = wanted[start : start + _ROWS_AT_ONCE]
            held.update(zip(some, self._read(modality, some), strict=True))

    def _read(self, modality: str, rows: Sequence[int]) -> FeatureArray:
        for dtype in (np.float16, np.float32):
            block = self.source.read(modality, dtype, rows)
            if np.isfinite(block).all():
                return block
            logger.info("%s: %s features do not fit into %s", self.source.name, modality, np.dtype(dtype))
        raise self._not_finite(modality, rows)

    def _not_finite(self, modality: str, rows: Sequence[int]) -> FeaturesError:
        return FeaturesError(
            f"{self.source.name}: the {modality} features of clips {min(rows)}-{max(rows)} hold NaN or infinite "
            "values. Extract them again."
        )
