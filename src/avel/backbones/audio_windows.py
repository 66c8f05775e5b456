"""Windows of a fixed length that cover segments of any length, or that lie around the steps of segments."""

import math

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats
from avel.backbones.logmel import LogMel

_SLACK = 0.15
"""In hops: how much one window may leave out of a segment at both ends together (73 ms where it has 0.975 s), and how
much further apart than a hop several may be. Segments of 1 s and 2 s then need 1 and 3 windows, not 2 and 4."""


def cover(waveforms: Floats, length: int) -> Floats:
    """Windows of segments: about half a window apart, the first at a segment's start and the last at its end.

    A segment that one window nearly covers has that one, in its middle. A segment that is shorter is followed by
    silence.

    Args:
        waveforms: (T, S) segments; any S >= 1.
        length: samples in a window.

    Returns:
        (T, W, length), the same number of windows W >= 1 for each segment.
    """
    if waveforms.shape[1] < length:
        waveforms = np.pad(waveforms, ((0, 0), (0, length - waveforms.shape[1])))
    starts = _starts(waveforms.shape[1] - length, length // 2)
    return np.stack([waveforms[:, start : start + length] for start in starts], axis=1)


def _starts(rest: int, hop: int) -> npt.NDArray[np.int64]:
    count = 1 + max(0, math.ceil(rest / hop - _SLACK))
    if count == 1:
        return np.array([rest // 2])
    return np.linspace(0, rest, count).round().astype(np.int64)


def steps_in(segment_seconds: float, hop_seconds: float) -> int:
    """How many steps of about `hop_seconds` a segment has."""
    return max(1, round(segment_seconds / hop_seconds))


def around_steps(waveforms: Floats, log_mel: LogMel, length: int, steps: int) -> Floats:
    """Log-mel windows that lie each around the middle of one step of a segment; their frames are made once for all.

    Args:
        waveforms: (T, N) segments with half a window of context before and after each.
        log_mel: makes the frames.
        length: F, frames of a window.
        steps: S, equal parts of a segment.

    Returns:
        (T, S, F, M). A window starts at the frame nearest to where it should.
    """
    frames = log_mel(waveforms)
    segment_frames = (waveforms.shape[1] - log_mel.samples(length)) / log_mel.hop_samples
    starts = np.floor((np.arange(steps) + 0.5) * segment_frames / steps + 0.5).astype(np.int64)
    starts = starts.clip(0, frames.shape[1] - length)
    return np.stack([frames[:, start : start + length] for start in starts], axis=1)
