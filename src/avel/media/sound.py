"""Decoded sound to mono samples at one rate, each at its place on the timeline."""

from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler

Samples = npt.NDArray[np.float32]

JITTER_SECONDS = 0.01
"""Sound whose time is off by no more than this from the end of what came before goes on from there: containers round
times to milliseconds, and the shortest loss worth a gap is one packet of 20 ms or more."""


def to_mono(frame: "AudioFrame") -> Samples:
    """(S,) average of the channels, of any layout, full scale at 1."""
    values = frame.to_ndarray()
    if not frame.format.is_planar:
        values = values.reshape(frame.samples, -1).T  # (C, S)
    mono = values.mean(axis=0, dtype=np.float64)
    if values.dtype.kind == "u":
        mono = (mono - 128) / 128
    elif values.dtype.kind == "i":
        mono /= 2 ** (8 * values.dtype.itemsize - 1)
    samples: Samples = np.nan_to_num(mono, nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
    return samples


class SoundPlacer:
    """Places decoded sound on the timeline by its times, and resamples it.

    A gap is left where no sound is; where two pieces overlap the first stays. Resampling (libswresample) is done for
    each piece without gaps on its own, so that a gap costs nothing and no delay adds up.

    Args:
        sample_rate: wanted, in Hz.
    """

    def __init__(self, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self.end_seconds = 0.0
        """End of the sound that has come in."""
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._next_sample = 0

    @property
    def next_sample(self) -> int:
        """Position from which on samples are still to come."""
        return self._next_sample

    def push(self, mono: Samples, rate: int, start_seconds: float) -> list[tuple[int, Samples]]:
        """Take the next piece.

        Args:
            mono: (S,)
            rate: of the piece, in Hz.
            start_seconds: of its first sample; what is before 0 or before the end of the last piece is cut.

        Returns:
            What is ready: position of its first sample at `sample_rate`, and the samples.
        """
        is_open = self._resampler is not None
        late = self.end_seconds - start_seconds
        if late > (JITTER_SECONDS if is_open else 0):
            cut = min(len(mono), round(late * rate))
            mono = mono[cut:]
            start_seconds += cut / rate
        if len(mono) == 0:
            return []
        ready = []
        if is_open and (rate != self._rate or start_seconds - self.end_seconds > JITTER_SECONDS):
            ready = self.flush()
        if self._resampler is None:
            self._resampler = av.AudioResampler(format="flt", layout="mono", rate=self.sample_rate)
            self._rate = rate
            self.end_seconds = max(start_seconds, self.end_seconds)
            self._next_sample = max(round(self.end_seconds * self.sample_rate), self._next_sample)
        frame = av.AudioFrame.from_ndarray(mono[None], format="flt", layout="mono")
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        self.end_seconds += len(mono) / rate
        return ready + self._place(self._resampler.resample(frame))

    def flush(self) -> list[tuple[int, Samples]]:
        """What is left of the last piece."""
        if self._resampler is None:
            return []
        ready = self._place(self._resampler.resample(None)) if self._rate != self.sample_rate else []
        self._resampler = None
        return ready

    def _place(self, frames: "list[AudioFrame]") -> list[tuple[int, Samples]]:
        ready = []
        for frame in frames:
            samples = np.clip(frame.to_ndarray()[0], -1, 1)
            ready.append((self._next_sample, samples))
            self._next_sample += len(samples)
        return ready
