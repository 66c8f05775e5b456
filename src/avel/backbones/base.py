"""What every backbone offers to feature extraction."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.media.types import PictureFormat

Pictures = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


class Backbone(ABC):
    """A frozen, pretrained network with its own pre-processing.

    Attributes:
        name: as in ``avel weights list`` and in every record.
        dims: D, length of a feature vector.
        labels: names of the D outputs when they are scores of classes, else ``None``.
        exclusive: the labels exclude each other, so that their scores add up to 1.
        record: what has to be known to make the same features again: weight digest, engine, precision, options.
    """

    name: str
    dims: int
    labels: tuple[str, ...] | None
    exclusive: bool = False
    record: dict[str, Any]


class VisualBackbone(Backbone):
    """Pictures of segments to features.

    Attributes:
        pictures: the pictures it wants from the media reader.
        regions: R, how many places of the picture have a feature of their own.
        grid: rows and columns in which the regions lie, row by row from the top left one on, each an equal part of the
            picture; ``None`` when they lie otherwise, or there is one alone.
        window_segments: how many segments in a row it looks at together, where there are as many.
    """

    pictures: PictureFormat
    regions: int
    grid: tuple[int, int] | None = None
    window_segments: int = 1

    @abstractmethod
    def __call__(self, pictures: Pictures) -> Floats:
        """Features of segments.

        Args:
            pictures: (T, F, H, W, 3) uint8 RGB, as the media reader gives for `pictures`; any T >= 1.

        Returns:
            (T, R, D) float32.
        """


class AudioBackbone(Backbone):
    """Waveforms of segments to features.

    Attributes:
        sample_rate: samples a second of the waveform it wants.
        steps: S, how many feature vectors a segment gets, each for an equal part of it; ``None`` for one of the whole.
        context_seconds: how much of the sound before and after a segment it is given with it.
    """

    sample_rate: int
    steps: int | None = None
    context_seconds: float = 0.0

    @abstractmethod
    def __call__(self, waveforms: Floats) -> Floats:
        """Features of segments.

        Args:
            waveforms: (T, N) float32 mono in [-1, 1] at `sample_rate`, any T >= 1 and any N >= 1: a segment with
                `context_seconds` before and after it.

        Returns:
            (T, D) float32; (T, S, D) of a backbone with steps.
        """
