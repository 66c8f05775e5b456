"""Whose voice speaks, a man's or a woman's: what no tagger at hand hears, said only where it is clear over seconds.

AudioSet has separate classes for them, YAMNet does not. Two witnesses are asked, and have to agree:

- **pitch**: adult men speak at about 120 Hz and women at about 210 Hz (Traunmueller and Eriksson, "The frequency range
  of the voice fundamental in the speech of male and female adults", 1995). But a man who shouts is as high as a woman,
  and a low voice may be a woman's;
- **the sound of the voice**: a network that was trained on 2000 speakers (`avel.backbones.speaker_gender`).

Neither says whether there is speech at all: any periodic sound has a pitch. So these scores only ever go with a
tagger's.
The margins were chosen on the 20 voices of ``benchmarks/voices.py``, which says what they do on others' copies.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.arithmetic import sigmoid
from avel.backbones.base import AudioBackbone, Floats
from avel.backbones.engine import EngineOptions
from avel.backbones.speaker_gender import SpeakerGender

VOICES = ("low voice", "high voice")
"""A man's and a woman's, as tables of categories name them."""

REFERENCE_HZ = 165.0
"""Between the two: the geometric mean of 120 Hz and 225 Hz. Evidence gives pitches in octaves above it."""
HIGHEST_MALE_HZ, LOWEST_FEMALE_HZ = 150.0, 195.0
MIN_MALE_ODDS, MIN_FEMALE_ODDS = 4.0, 3.0
"""Of the network's log odds, either way. It leans towards men in noise and in a far microphone."""
ODDS_SOFTNESS, OCTAVES_SOFTNESS = 2.0, 0.12

SPAN_SECONDS = 5.0
"""Over how long a voice is judged: a few words around a moment."""
MIN_VOICED_SECONDS = 0.8
"""Of periodic sound in the span; less is too little to judge by."""

LOWEST_HZ, HIGHEST_HZ = 70.0, 400.0
FRAME_SECONDS, HOP_SECONDS = 0.045, 0.02
MIN_PERIODICITY = 0.6
NEAR_HIGHEST = 0.85
MIN_RMS = 1e-3
MIN_VOICED_FRAMES = 4


class Voice(AudioBackbone):
    """Evidence of a segment on whose voice it is, for `voice_scores`, which judges several segments together.

    The three numbers are the share of the segment that is periodic; the log odds that it is a man's voice; and the
    median pitch in octaves above `REFERENCE_HZ`. All three are 0 in a segment with fewer than a handful of periodic
    frames, and the second in a segment shorter than 0.695 s.

    A frame's pitch is the lag of a peak of its autocorrelation, divided by that of the window (Boersma 1993);
    frames without a clear peak, or nearly silent, do not count.

    Args:
        options: how the network is run.

    Raises:
        WeightsError: if the network's weights are not available.
    """

    name = "voice"
    dims = 3
    labels: tuple[str, ...] | None = None
    sample_rate = 16000

    def __init__(self, options: EngineOptions | None = None) -> None:
        self._gender = SpeakerGender(options or EngineOptions())
        self.record: dict[str, Any] = {"method": "autocorrelation", "network": self._gender.record}
        self._frame = round(FRAME_SECONDS * self.sample_rate)
        self._hop = round(HOP_SECONDS * self.sample_rate)
        self._window = np.hanning(self._frame)
        self._fft = 1 << (2 * self._frame - 1).bit_length()
        self._window_correlation = self._autocorrelation(self._window[None])[0]

    def __call__(self, waveforms: Floats) -> Floats:
        """(T, S) waveforms to (T, 3) evidence; see `AudioBackbone`."""
        evidence = np.zeros((len(waveforms), self.dims), np.float32)
        voiced = []
        for index, waveform in enumerate(waveforms):
            pitches = self.pitches(waveform)
            if len(pitches) >= MIN_VOICED_FRAMES:
                voiced.append(index)
                share = len(pitches) * self._hop / len(waveform)
                evidence[index] = min(share, 1.0), 0.0, np.log2(np.median(pitches) / REFERENCE_HZ)
        if voiced:
            evidence[voiced, 1] = self._gender(waveforms[voiced])
        return evidence

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


def voice_scores(evidence: Floats, speech: Floats, segment_seconds: float) -> Floats:
    """Scores of `VOICES`, 0 unless both witnesses are clear of it over the `SPAN_SECONDS` around a segment.

    Args:
        evidence: (T, 3) of the segments of a video, in order, as `Voice` gives it.
        speech: (T,) how much each of them is speech; segments count by it.
        segment_seconds: length of a segment.

    Returns:
        (T, 2) float32, each 0 or in [0.5, 1]; never both above 0.
    """
    reach = round((SPAN_SECONDS / segment_seconds - 1) / 2)
    share, odds, octaves, counts = (_around(v, reach) for v in (*evidence.T, speech))  # (T, K) each
    weights = share * counts
    total = np.maximum(weights.sum(axis=1), 1e-9)
    odds = (weights * odds).sum(axis=1) / total
    octaves = _weighted_median(octaves, weights)
    enough = np.where(counts > 0, share, 0).sum(axis=1) * segment_seconds >= MIN_VOICED_SECONDS
    scores = np.zeros((len(evidence), 2), np.float32)
    for column, (sign, least, bound) in enumerate(
        ((1, MIN_MALE_ODDS, HIGHEST_MALE_HZ), (-1, MIN_FEMALE_ODDS, LOWEST_FEMALE_HZ))
    ):
        by_sound = (sign * odds - least) / ODDS_SOFTNESS
        by_pitch = sign * (np.log2(bound / REFERENCE_HZ) - octaves) / OCTAVES_SOFTNESS
        margin = np.minimum(by_sound, by_pitch)
        scores[:, column] = np.where(enough & (margin >= 0), sigmoid(margin), 0)
    return scores


def _around(values: Floats, reach: int) -> npt.NDArray[np.float64]:
    """(T, 2 * reach + 1): each value with its neighbours, zeros outside."""
    padded = np.pad(values.astype(np.float64), reach)
    return np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)


def _weighted_median(values: npt.NDArray[np.float64], weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(T,) of each row of (T, K): the first value up to which half of the weight lies."""
    order = np.argsort(values, axis=1)
    values, weights = np.take_along_axis(values, order, 1), np.take_along_axis(weights, order, 1)
    cumulated = weights.cumsum(axis=1)
    first = (cumulated >= cumulated[:, -1:] / 2).argmax(axis=1)
    return values[np.arange(len(values)), first]
