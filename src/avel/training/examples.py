"""Clips to learn from or to be measured on, by their numbers, and the batches that a model is given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from avel.data.clips import Rows


@dataclass(frozen=True)
class Batch:
    """B clips, as a model takes them, and their labels.

    Attributes:
        visual: (B, T, R, D_v).
        audio: (B, T, D_a).
        valid: (B, T) bool.
        labels: (B, T, C) of 0 and 1, see `ClipLabels`.
    """

    visual: Tensor
    audio: Tensor
    valid: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ClipLabels:
    """Which of C classes are in each of the T segments of M clips: one; in multi-label one or more.

    The last class is background, and is where no other one is. Only the classes that are there are held, since (M, T,
    C) of 0 and 1 takes gigabytes where there are thousands of categories; `dense` gives it for some clips.

    Attributes:
        classes: (K,) the classes of all segments, clip by clip and segment by segment, in order in each.
        bounds: (M * T + 1,) where the classes of each segment begin, and at last K.
        num_segments: T.
        num_classes: C.
    """

    classes: npt.NDArray[np.int32]
    bounds: Rows
    num_segments: int
    num_classes: int

    @classmethod
    def listed(cls, classes: npt.ArrayLike, counts: npt.ArrayLike, num_segments: int, num_classes: int) -> "ClipLabels":
        """From the classes of all segments and how many each segment has, (M * T,)."""
        bounds = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)])
        return cls(np.asarray(classes, np.int32), bounds, num_segments, num_classes)

    def __len__(self) -> int:
        return (len(self.bounds) - 1) // self.num_segments

    @property
    def first_classes(self) -> Rows:
        """(M, T) the only class of each segment; in multi-label the first of its classes."""
        return self.classes[self.bounds[:-1]].astype(np.int64).reshape(-1, self.num_segments)

    @property
    def has_event(self) -> npt.NDArray[np.bool_]:
        """(M, T), False where a segment is background."""
        return np.asarray(self.first_classes < self.num_classes - 1)

    def dense(self) -> npt.NDArray[np.bool_]:
        """(M, T, C), True for each class that is there."""
        there = np.zeros((len(self.bounds) - 1, self.num_classes), np.bool_)
        there[np.repeat(np.arange(len(there)), np.diff(self.bounds)), self.classes] = True
        return there.reshape(-1, self.num_segments, self.num_classes)

    def of(self, numbers: Sequence[int] | Rows) -> "ClipLabels":
        """Those of some clips, in this order."""
        first = np.asarray(numbers, np.int64)[:, None] * self.num_segments
        return self._of_segments((first + np.arange(self.num_segments)).reshape(-1), self.num_segments)

    def of_segments(self, clips: Sequence[int] | Rows, segments: Sequence[int] | Rows) -> "ClipLabels":
        """Those of one segment of each of some clips, as clips of one segment."""
        return self._of_segments(np.asarray(clips, np.int64) * self.num_segments + np.asarray(segments, np.int64), 1)

    def with_more(self, other: "ClipLabels") -> "ClipLabels":
        """These, then others."""
        counts = np.concatenate([np.diff(self.bounds), np.diff(other.bounds)])
        classes = np.concatenate([self.classes, other.classes])
        return ClipLabels.listed(classes, counts, self.num_segments, self.num_classes)

    def _of_segments(self, chosen: Rows, num_segments: int) -> "ClipLabels":
        counts = np.diff(self.bounds)[chosen]
        new_bounds = np.cumsum(counts) - counts
        where = np.repeat(self.bounds[chosen] - new_bounds, counts) + np.arange(counts.sum())
        return ClipLabels.listed(self.classes[where], counts, num_segments, self.num_classes)


@dataclass(frozen=True)
class Examples:
    """M clips to learn from or to be measured on; sound and pictures may be of different clips.

    Attributes:
        visual_rows: (M,) rows of the data's clips.
        audio_rows: (M,) the same for the sound.
        labels: of the M clips.
    """

    visual_rows: Rows
    audio_rows: Rows
    labels: ClipLabels

    def __len__(self) -> int:
        return len(self.visual_rows)

    def of(self, numbers: Sequence[int]) -> "Examples":
        """Those of some numbers, in this order."""
        return Examples(self.visual_rows[numbers], self.audio_rows[numbers], self.labels.of(numbers))

    def with_more(self, other: "Examples") -> "Examples":
        """These, then others."""
        return Examples(
            np.concatenate([self.visual_rows, other.visual_rows]),
            np.concatenate([self.audio_rows, other.audio_rows]),
            self.labels.with_more(other.labels),
        )
