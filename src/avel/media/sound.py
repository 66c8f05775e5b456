"""Decoded sound to mono samples at one rate, each at its place on the timeline, segment by segment."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

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


STEREO_GAINS = {"FL": 0.5, "FR": 0.5, "DL": 0.5, "DR": 0.5, "FC": math.sqrt(0.5), "LFE": 0.0, "LFE2": 0.0}
"""What each channel has in the mean of a stereo downmix after ITU-R BS.775-4: the front channels whole, the centre 3 dB
down in both, the low-frequency effects left out."""
SURROUND_GAIN = math.sqrt(0.125)
"""All other loudspeakers: 3 dB down in one of the two sides."""
RESAMPLED_SECONDS = 0.5
"""So much sound is resampled at once, where no gap comes before: of a packet's, the call costs more than the work."""
RELEASE_PER_SECOND = 0.5
"""How fast the gain comes back after a peak that was too loud for the mixture."""


def channel_gains(names: Sequence[str]) -> npt.NDArray[np.float32]:
    """(C,) how much of each channel is in the mono mixture.

    That is the mean of left and right, and of a standard stereo downmix where there are more loudspeakers; of
    ambisonics the omnidirectional channel. Channels that no layout names are averaged.

    Args:
        names: libav's name of each channel: ``FL``, ``FR``, ``FC``, ``LFE``, ...
    """
    if "AMBI0" in names:
        gains = [float(name == "AMBI0") for name in names]
    elif {"FL", "FR"} <= set(names) or {"DL", "DR"} <= set(names):
        gains = [STEREO_GAINS.get(name, SURROUND_GAIN) for name in names]
    else:
        gains = [1 / len(names)] * len(names)
    return np.array(gains, dtype=np.float32)


class MonoMixer:
    """Decoded frames to mono samples, whatever their format and layout, which may change from frame to frame.

    Frames of up to two channels of floating-point numbers, which most decoders give, are read as they are. All others
    are made packed by libswresample before: PyAV reads past the end of planar frames of some layouts. Where a mixture
    of several loudspeakers is over full scale it is turned down, not clipped.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._gain = 1.0

    def __call__(self, frame: "AudioFrame") -> Samples:
        """(S,) full scale at 1.

        Raises:
            av.FFmpegError: if libav cannot convert the frame.
            ValueError: if PyAV cannot.
        """
        key = (frame.format.name, frame.layout.name, frame.layout.nb_channels, frame.sample_rate)
        if key != self._key:
            self._packer = av.AudioResampler(format="flt")
            self._gains = channel_gains([channel.name for channel in frame.layout.channels])
            self._is_plain = frame.format.name in ("flt", "fltp") and len(self._gains) <= 2
            self._key = key
        channels = self._channels(frame)
        with np.errstate(over="ignore", invalid="ignore"):
            mono: Samples = self._gains @ channels
            is_finite = math.isfinite(float(mono.sum()))  # a hundred times a second, so asked cheaply
        if not is_finite:
            mono = self._gains @ np.nan_to_num(channels, posinf=0, neginf=0)
        return self._limited(mono, frame.sample_rate) if len(self._gains) > 2 else mono

    def _channels(self, frame: "AudioFrame") -> Samples:
        """(C, S) of a frame."""
        if self._is_plain and frame.format.is_planar:
            planes: list[Any] = list(frame.planes)
            return np.stack([np.frombuffer(plane, np.float32, frame.samples) for plane in planes])
        if self._is_plain:
            packed = [frame]
        else:
            frame.pts = None  # times are the caller's; the resampler would have its own idea of them
            packed = self._packer.resample(frame)
        pieces: list[Any] = [piece.to_ndarray().reshape(-1) for piece in packed]
        samples: Samples = pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, np.empty(0, np.float32)])
        return samples.reshape(-1, len(self._gains)).T

    def _limited(self, mono: Samples, rate: int) -> Samples:
        peak = float(np.abs(mono).max(initial=0.0))
        free = min(self._gain + RELEASE_PER_SECOND * len(mono) / rate, 1.0)
        start, end = (self._gain, free) if peak * free <= 1 else (1 / max(peak, 1.0),) * 2
        self._gain = end
        ramp: Samples = np.linspace(start, end, len(mono), dtype=np.float32)
        return mono * ramp


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
        self._waiting: list[Samples] = []
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
        self._waiting.append(mono)
        self.end_seconds += len(mono) / rate
        return ready if sum(map(len, self._waiting)) < RESAMPLED_SECONDS * rate else ready + self._resampled()

    def flush(self) -> list[tuple[int, Samples]]:
        """What is left of the last piece."""
        if self._resampler is None:
            return []
        ready = self._resampled() if self._waiting else []
        if self._rate != self.sample_rate:
            ready += self._place(self._resampler.resample(None))
        self._resampler = None
        return ready

    def _resampled(self) -> list[tuple[int, Samples]]:
        """What waits, made `sample_rate`."""
        assert self._resampler is not None
        frame = av.AudioFrame.from_ndarray(np.concatenate(self._waiting)[None], format="flt", layout="mono")
        self._waiting.clear()
        frame.sample_rate = self._rate
        frame.time_base = Fraction(1, self._rate)
        return self._place(self._resampler.resample(frame))

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
        self.is_ended: bool = not is_read
        self.is_read = is_read
        self.has_content: bool = False
        self.last_error: str = ""
        self._segment_seconds = segment_seconds
        self._rate = sample_rate or 0
        self._num_samples = round(segment_seconds * self._rate)
        self._mixer = MonoMixer()
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

    def damage(self, error: str, _seconds: float = -math.inf) -> None:
        """A packet could not be decoded: its sound, up to the next good packet, is missing."""
        self.last_error = error
        if self._damaged_from is None:
            self._damaged_from = self._placer.end_seconds

    def add(self, frame: "AudioFrame", start: float, end: float) -> None:
        """Place a decoded frame at its time on the timeline, in seconds."""
        if not (MIN_SAMPLE_RATE <= frame.sample_rate <= MAX_SAMPLE_RATE and frame.layout.nb_channels <= MAX_CHANNELS):
            self.damage(f"{frame.layout.nb_channels} channels at {frame.sample_rate} Hz")
            return
        try:
            mono = self._mixer(frame)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.damage(str(getattr(error, "strerror", None) or error))
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
        self._write(self._placer.push(mono, frame.sample_rate, start))

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
