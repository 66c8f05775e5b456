"""Features held in memory in half precision.

AVE's visual features are 8.3 GB of float64. They are read row by row into one float16 array of 2.1 GB (float32 where a
value is too large for that). Stores whose features would take more than `MAX_HELD_BYTES` are not held: each batch is
read from their files.
"""

import logging
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.errors import FeaturesError
from avel.training.examples import Rows
from avel.training.sources import FeatureSource, Floats

MAX_HELD_BYTES = 2 << 30
"""Of each modality. AVE's visual features just fit, as float16."""

_ROWS_AT_ONCE = 64

logger = logging.getLogger(__name__)


class HeldClips:
    """Clips of one source, read when they are first asked for; for each batch where they are too many to be held."""

    def __init__(self, source: FeatureSource) -> None:
        self.source = source
        self._arrays: dict[str, npt.NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.source)

    def take(self, what: str, rows: Rows) -> npt.NDArray[Any]:
        """Some rows."""
        if what != "valid" and what not in self._arrays:
            taken = self.source.read(what, np.float32, rows.tolist())
            if not np.isfinite(taken).all():
                raise self._not_finite(what, f"{rows.min()}-{rows.max()}")
            return taken
        return np.take(self.array(what), rows, axis=0)

    def array(self, what: str) -> npt.NDArray[Any]:
        """All rows, of a modality that is held, or of ``valid``."""
        if what == "valid" and what not in self._arrays:
            self._arrays[what] = self.source.valid()
        return self._arrays[what]

    def load(self, modality: str) -> None:
        """Read a modality if it is to be held and is not yet.

        Raises:
            FeaturesError: if it is not there, or cannot be read.
        """
        if modality in self._arrays:
            return
        missing = self.source.missing(modality)
        if missing:
            raise FeaturesError(f"{self.source.name}: there are no {modality} features ({missing}).")
        if self.source.is_quick():
            nbytes = self.source.read(modality, np.float16, [0]).nbytes * len(self.source)
            if nbytes > MAX_HELD_BYTES:
                return
        self._arrays[modality] = self._read(modality)

    def _read(self, modality: str) -> Floats:
        count = len(self.source)
        for dtype in (np.float16, np.float32):
            array: Floats | None = None
            for start in range(0, count, _ROWS_AT_ONCE):
                rows = range(start, min(start + _ROWS_AT_ONCE, count))
                block = self.source.read(modality, dtype, rows)
                if not np.isfinite(block).all():
                    break
                if array is None:
                    array = np.empty((count, *block.shape[1:]), dtype)
                array[start : start + len(block)] = block
            else:
                assert array is not None
                return array
            logger.info("%s: %s features do not fit into %s", self.source.name, modality, np.dtype(dtype))
        raise self._not_finite(modality, f"{rows.start}-{rows.stop - 1}")

    def _not_finite(self, modality: str, clips: str) -> FeaturesError:
        return FeaturesError(
            f"{self.source.name}: the {modality} features of clips {clips} hold NaN or infinite values. "
            "Extract them again."
        )
