"""Decoded sound to mono samples at one rate, each at its place on the timeline, segment by segment."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
import numpy.typing as npt

from avel.media.container import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from avel.media.types import MIN_VALID_SHARE

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


class SoundTrack:
    """Decoded sound, cut into segments."""

    def __init__(self, segment_seconds: float, sample_rate: int | None, is_read: bool) -> None:
        self.is_ended = not is_read
        self.is_read = is_read
        self.has_content = False
        self.last_error = ""
        self._segment_seconds = segment_seconds
        self._rate = sample_rate or 0
        self._num_samples = round(segment_seconds * self._rate)
        self._placer = SoundPlacer(self._rate)
        self._segments: dict[int, _SoundSegment] = {}
        self._first_index = 0
        self._damaged_from: float | None = None

    @property
    def reached_seconds(self) -> float:
        """Up to here no more sound will come."""
        return self._placer.next_sample / self._rate if self._rate else 0.0

    def is_settled(self, index: int) -> bool:
        """Whether nothing more can come to a segment."""
        return self.is_ended or self._placer.next_sample >= self._start(index) + self._num_samples

    def damage(self, error: str) -> None:
        """A packet could not be decoded: its sound, up to the next good packet, is missing."""
        self.last_error = error
        if self._damaged_from is None:
            self._damaged_from = self._placer.end_seconds

    def add(self, frame: "AudioFrame", start: float, end: float) -> None:
        """Place a decoded frame at its time on the timeline, in seconds."""
        if not (MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE and frame.layout.nb_channels <= MAX_CHANNELS):
            self.damage(f"{frame.layout.nb_channels} channels at {frame.sample_rate} Hz")
            return
        if frame.is_corrupt and self._damaged_from is None:
            self._damaged_from = max(start, self._placer.end_seconds)
            start_of_good = end
        else:
            start_of_good = start
        if self._damaged_from is not None:
            first = int(self._damaged_from / self._segment_seconds)
            last = int(max(start_of_good - 1e-6, self._damaged_from) / self._segment_seconds)
            for index in range(max(first, self._first_index), last + 1):
                self._segment(index).is_damaged = True
            self._damaged_from = None
        self._write(self._placer.push(to_mono(frame), frame.sample_rate, start))

    def end(self) -> None:
        """Nothing more will come."""
        if self.is_read:
            self._write(self._placer.flush())
        self.is_ended = True

    def take(self, index: int, start: float, end: float) -> tuple[npt.NDArray[np.float32], bool, bool]:
        """The waveform of the next segment; whether it is valid; whether it is damaged."""
        segment = self._segments.pop(index, None) or self._new_segment()
        self._first_index = index + 1
        is_damaged = segment.is_damaged or (self._damaged_from is not None and end > self._damaged_from)
        share = segment.num_samples / max(1.0, (end - start) * self._rate)
        is_valid = self.is_read and not is_damaged and share >= MIN_VALID_SHARE
        waveform = segment.waveform
        if is_valid:
            waveform[round((end - start) * self._rate) :] = 0
        else:
            waveform[:] = 0
        return waveform, is_valid, is_damaged

    def _write(self, pieces: list[tuple[int, npt.NDArray[np.float32]]]) -> None:
        for position, samples in pieces:
            self.has_content = True
            index = max(self._first_index, int(position / (self._segment_seconds * self._rate)) - 1)
            while (start := self._start(index)) < position + len(samples):
                first, last = max(position, start), min(position + len(samples), start + self._num_samples)
                if first < last:
                    segment = self._segment(index)
                    segment.waveform[first - start : last - start] = samples[first - position : last - position]
                    segment.num_samples += last - first
                index += 1

    def _start(self, index: int) -> int:
        return round(index * self._segment_seconds * self._rate)

    def _segment(self, index: int) -> "_SoundSegment":
        if index not in self._segments:
            self._segments[index] = self._new_segment()
        return self._segments[index]

    def _new_segment(self) -> "_SoundSegment":
        return _SoundSegment(np.zeros(self._num_samples, dtype=np.float32))


@dataclass(slots=True)
class _SoundSegment:
    waveform: npt.NDArray[np.float32]
    num_samples: int = 0
    is_damaged: bool = False
