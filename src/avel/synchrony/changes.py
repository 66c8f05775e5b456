"""What changes in a picture and in a sound, many times a second: the two sides that synchrony compares.

They are backbones like any other, so that one pass over a video makes them beside all else. Neither knows a class.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.base import AudioBackbone, Floats, Pictures, VisualBackbone
from avel.backbones.logmel import LogMel
from avel.media.types import PictureFormat

ROWS, COLUMNS = 8, 8
SIDE = 128
"""Width and height of the pictures that are compared, in pixels."""
RATE = 50
"""Moments a second: more than most videos have pictures, so that each change has its time within 20 ms."""
MAX_MOMENTS = 500
"""In a segment, so that long ones do not fill the memory; they are looked at less often."""
_SAME_PICTURE = 0.02
"""Mean difference, in grey levels, below which two pictures are one that was shown twice."""
_BLOCK_WIDTH = SIDE // COLUMNS
_MEAN = np.full(_BLOCK_WIDTH, ROWS * COLUMNS / SIDE**2, np.float32)
"""What each pixel of a block counts in its mean."""


def moments(segment_seconds: float) -> int:
    """How many moments a segment has; the same for both sides."""
    return min(max(round(RATE * segment_seconds), 2), MAX_MOMENTS)


class Motion(VisualBackbone):
    """Motion energy: how much each block of the picture's luma differs from the picture before, in grey levels.

    A segment's first moment has no picture before it, and one picture shown twice has no motion of its own: both are
    NaN, for `joined` to fill in.

    Args:
        segment_seconds: length of a segment.
    """

    name = "motion"
    labels: tuple[str, ...] | None = None
    regions = ROWS * COLUMNS
    grid: tuple[int, int] = (ROWS, COLUMNS)

    def __init__(self, segment_seconds: float = 1.0) -> None:
        self.dims: int = moments(segment_seconds)
        self.pictures: PictureFormat = PictureFormat(self.dims, width=SIDE, height=SIDE, colours="luma")
        self.record: dict[str, Any] = {"method": "block differences of luma", "side": SIDE, "grid": [ROWS, COLUMNS]}

    def __call__(self, pictures: Pictures) -> Floats:
        """(T, F, H, W, 1) pictures to (T, R, F) motion energy; see `VisualBackbone`."""
        energies = np.full((len(pictures), self.regions, pictures.shape[1]), np.nan, np.float32)
        for segment, into in zip(pictures, energies, strict=True):
            words = np.ascontiguousarray(segment).reshape(len(segment), -1).view(np.uint64)
            at = np.concatenate([[0], np.flatnonzero((words[1:] != words[:-1]).any(axis=1)) + 1])
            grey = segment[at].astype(np.float32).reshape(len(at), -1, _BLOCK_WIDTH)
            lines = np.abs(grey[1:] - grey[:-1]) @ _MEAN  # of the lines of each block
            blocks = lines.reshape(-1, ROWS, SIDE // ROWS, COLUMNS).sum(axis=2)
            moved = blocks.mean(axis=(1, 2)) >= _SAME_PICTURE
            into[:, at[1:][moved]] = blocks[moved].reshape(-1, self.regions).T
        return energies


class Onsets(AudioBackbone):
    """Loudness and onset strength of a sound at the moments of `Motion`.

    Loudness is the mean of log-mel bands; onset strength is the mean of their rises within 20 ms (spectral flux; Bello
    et al., "A tutorial on onset detection in music signals", 2005).

    Args:
        segment_seconds: length of a segment.
    """

    name = "onsets"
    labels: tuple[str, ...] | None = None
    sample_rate = 16000

    def __init__(self, segment_seconds: float = 1.0) -> None:
        self._moments = moments(segment_seconds)
        self.dims: int = 2 * self._moments
        self.record: dict[str, Any] = {"method": "log-mel loudness and spectral flux"}
        self._log_mel = LogMel(bands=40, lowest_hz=80.0, highest_hz=7600.0)

    def __call__(self, waveforms: Floats) -> Floats:
        """(T, S) waveforms to (T, 2 F): loudness of each moment, then onset strength of each; see `AudioBackbone`."""
        padded = np.pad(waveforms, ((0, 0), (200, 600)), mode="symmetric")
        frames = self._log_mel(padded)  # (T, N, M), every 10 ms, centred
        loudness = frames.mean(axis=2)
        flux = np.zeros_like(loudness)
        flux[:, 1:-1] = np.maximum(frames[:, 2:] - frames[:, :-2], 0).mean(axis=2)
        seconds = waveforms.shape[1] / self.sample_rate
        at = np.arange(self._moments) * seconds / self._moments * 100  # in frames
        sides = [np.stack([np.interp(at, np.arange(len(y)), y) for y in _smoothed(x)]) for x in (loudness, flux)]
        return np.concatenate(sides, axis=1).astype(np.float32)


def _smoothed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Each row averaged over 30 ms."""
    padded = np.pad(values, ((0, 0), (1, 1)), mode="edge")
    mean: npt.NDArray[Any] = (padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]) / 3
    return mean


def joined(motion: Floats, onsets: Floats) -> tuple[Floats, Floats]:
    """Features of T segments as two series without gaps.

    Args:
        motion: (T, R, F) as `Motion` gives it; zeros where a segment could not be read.
        onsets: (T, 2 F) as `Onsets` gives it.

    Returns:
        (N, R) motion energy and (N, 2) loudness and onset strength, N = T F; what is missing is interpolated.
    """
    segments, regions, count = motion.shape
    series = motion.transpose(0, 2, 1).reshape(-1, regions).astype(np.float32)
    known = np.flatnonzero(np.isfinite(series[:, 0]))
    if len(known):
        at = np.arange(len(series))
        shown = np.diff(known, prepend=-1)  # a difference that took several moments is spread over them
        shown[0] = 1
        # A difference belongs between its two pictures: half of the time that it took before its moment.
        between = known - shown / 2
        filled = series[known] / shown[:, None]
        series = np.stack([np.interp(at, between, column) for column in filled.T], axis=1).astype(np.float32)
    else:
        series = np.zeros_like(series)
    sound = onsets.reshape(segments, 2, count).transpose(0, 2, 1).reshape(-1, 2)
    return series, sound
