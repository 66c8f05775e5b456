"""Clips to learn from or to be measured on, by their numbers, and the batches that a model is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from avel.data.clips import Rows

DenseLabels = npt.NDArray[np.uint8]
"""0 and 1 in one byte each: thousands of categories make them large."""


@dataclass(frozen=True)
class Batch:
    """B clips, as a model takes them, and their labels.

    Attributes:
        visual: (B, T, R, D_v).
        audio: (B, T, D_a).
        valid: (B, T) bool.
        labels: (B, T, C) as in `Examples`.
    """

    visual: Tensor
    audio: Tensor
    valid: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Examples:
    """M clips to learn from or to be measured on; sound and pictures may be of different clips.

    Attributes:
        visual_rows: (M,) rows of the data's clips.
        audio_rows: (M,) the same for the sound.
        labels: (M, T, C) of 0 and 1: one-hot; in multi-label, 1 for each category that is there, for background where
            none is.
    """

    visual_rows: Rows
    audio_rows: Rows
    labels: DenseLabels

    def __len__(self) -> int:
        return len(self.labels)

    def of(self, numbers: Sequence[int]) -> "Examples":
        """Those of some numbers, in this order."""
        return Examples(self.visual_rows[numbers], self.audio_rows[numbers], self.labels[numbers])

    def with_more(self, other: "Examples") -> "Examples":
        """These, then others."""
        return Examples(
            np.concatenate([self.visual_rows, other.visual_rows]),
            np.concatenate([self.audio_rows, other.audio_rows]),
            np.concatenate([self.labels, other.labels]),
        )
