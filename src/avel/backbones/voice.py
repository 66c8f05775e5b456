"""Pitch of a voice: the difference between a man's and a woman's speech that no tagger at hand hears.

AudioSet has separate classes for them, YAMNet does not. Adult men speak at about 120 Hz and women at about 210 Hz
(Traunmueller and Eriksson, "The frequency range of the voice fundamental in the speech of male and female adults",
1995), so the median pitch of a segment tells them apart most of the time. It says nothing of whether there is speech
at all: any periodic sound has a pitch, so these scores only ever go with a tagger's.
"""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from avel.backbones.base import AudioBackbone, Floats

SPLIT_HZ = 165.0
"""Between the two: the geometric mean of 120 Hz and 225 Hz."""

LOWEST_HZ, HIGHEST_HZ = 70.0, 400.0
FRAME_SECONDS, HOP_SECONDS = 0.045, 0.02
MIN_PERIODICITY = 0.6
NEAR_HIGHEST = 0.85
MIN_RMS = 1e-3
SOFTNESS_OCTAVES = 0.12
MIN_VOICED_FRAMES = 4


class Voice(AudioBackbone):
    """Scores of "low voice" and "high voice" from the median pitch of a segment's periodic frames.

    A frame's pitch is the lag of a peak of its autocorrelation, divided by that of the window (Boersma 1993);
    frames without a clear peak, or nearly silent, do not count. A segment with fewer than a handful of periodic frames
    scores 0 in both.
    """

    name = "voice"
    dims = 2
    labels = ("low voice", "high voice")
    sample_rate = 16000

    def __init__(self) -> None:
        self.record = {"method": "autocorrelation", "split_hz": SPLIT_HZ}
        self._frame = round(FRAME_SECONDS * self.sample_rate)
        self._hop = round(HOP_SECONDS * self.sample_rate)
        self._window = np.hanning(self._frame)
        self._fft = 1 << (2 * self._frame - 1).bit_length()
        self._window_correlation = self._autocorrelation(self._window[None])[0]

    def __call__(self, waveforms: Floats) -> Floats:
        """(T, S) waveforms to (T, 1 + 1) scores in [0, 1]; see `AudioBackbone`."""
        return np.stack([self._scores(waveform) for waveform in waveforms]).astype(np.float32)

    def pitches(self, waveform: Floats) -> npt.NDArray[np.float64]:
        """Pitch in Hz of each periodic frame of a (S,) waveform."""
        if len(waveform) < self._frame:
            return np.empty(0)
        frames = np.lib.stride_tricks.sliding_window_view(waveform, self._frame)[:: self._hop].astype(np.float64)
        frames = frames - frames.mean(axis=1, keepdims=True)
        frames = frames[np.sqrt((frames**2).mean(axis=1)) > MIN_RMS]
        if not len(frames):
            return np.empty(0)
        correlation = self._autocorrelation(frames * self._window)
        correlation = correlation / correlation[:, :1] / (self._window_correlation / self._window_correlation[0])
        shortest, longest = int(self.sample_rate / HIGHEST_HZ), int(self.sample_rate / LOWEST_HZ)
        candidates = correlation[:, shortest : longest + 1]
        # Multiples of the period peak as high as the period itself, so the first peak that comes close to the highest
        # is the period (McLeod and Wyvill 2005). The slope that falls away from lag 0 is no peak.
        inner = candidates[:, 1:-1]
        peaks = (inner > candidates[:, :-2]) & (inner >= candidates[:, 2:]) & (inner > MIN_PERIODICITY)
        heights = np.where(peaks, inner, 0.0)
        highest = heights.max(axis=1, keepdims=True)
        clear = highest[:, 0] > 0
        first = np.argmax(peaks & (heights >= NEAR_HIGHEST * highest), axis=1)
        periods: npt.NDArray[np.float64] = (first[clear] + 1 + shortest) / self.sample_rate
        return 1 / periods

    def _autocorrelation(self, frames: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        power = np.abs(np.fft.rfft(frames, self._fft, axis=1)) ** 2
        return np.fft.irfft(power, axis=1)[:, : self._frame // 2]

    def _scores(self, waveform: Floats) -> tuple[float, float]:
        pitches = self.pitches(waveform)
        if len(pitches) < MIN_VOICED_FRAMES:
            return 0.0, 0.0
        high = float(expit(np.log2(np.median(pitches) / SPLIT_HZ) / SOFTNESS_OCTAVES))
        return 1.0 - high, high
