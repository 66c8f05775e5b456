"""What a picture of a result shows of the video itself: frames along the timeline and the waveform's envelope."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avel.errors import MediaError
from avel.events import Localization, segment_index
from avel.media.reader import MediaReader, probe
from avel.media.types import MediaInfo, MediaSegment, PictureFormat

STRIP_ASPECT = 12.5
"""Width of the strip of frames over its height."""
MIN_FRAMES, MAX_FRAMES = 6, 24
FRAME_SIDE = 256
"""Longer side of a frame of the strip in pixels."""

ENVELOPE_POINTS = 2000
SAMPLE_RATE = 16000
"""Of the sound that the envelope is taken from."""

_CHUNK_SECONDS = 2.0
"""Sound and pictures are read in parts of at most this length: as much as is missing where something is damaged."""

_PICTURES, _SIGHTS = "strip", "sights"

MAX_SIGHTS = 12
"""Moments of events at which the picture is shown with where the model looks."""
_SIGHTS_A_SEGMENT = 4
"""Pictures are looked at so often in a segment, to take the one nearest to its middle."""


@dataclass(frozen=True)
class Frame:
    """One frame of the strip.

    Attributes:
        seconds: the middle of the part of the timeline that it stands for, and the moment when it is on screen.
        pixels: (H, W, 3) uint8 RGB, or ``None`` where the picture could not be read.
    """

    seconds: float
    pixels: npt.NDArray[np.uint8] | None


@dataclass(frozen=True)
class Sight:
    """A moment of an event, for where the model looks.

    Attributes:
        segment: its number.
        frame: the picture in the middle of the segment, or as near to it as there is one.
    """

    segment: int
    frame: Frame


@dataclass(frozen=True)
class Evidence:
    """Frames and sound of a video, of a size that does not grow with its length.

    Attributes:
        frames: at equal distances over the timeline; empty when the video has no picture.
        aspect: display width over height of the video, ``None`` when it has no picture.
        low: (N,) float32, least sample in each of N equal parts of the timeline; NaN where there is no sound. Empty
            when the video has no sound.
        high: (N,) float32, the greatest sample.
        sights: moments of events, by time, at most `MAX_SIGHTS`; none when the model does not say where.
    """

    frames: tuple[Frame, ...]
    aspect: float | None
    low: npt.NDArray[np.float32]
    high: npt.NDArray[np.float32]
    sights: tuple[Sight, ...] = ()

    @property
    def has_picture(self) -> bool:
        """The file has a video track."""
        return self.aspect is not None

    @property
    def has_sound(self) -> bool:
        """The file has an audio track."""
        return len(self.low) > 0

    @property
    def kinds(self) -> tuple[str, ...]:
        """What the file has, of ``"audio"`` and ``"visual"``."""
        return ("audio",) * self.has_sound + ("visual",) * self.has_picture

    @property
    def peak(self) -> float:
        """Greatest absolute sample, 0 without sound."""
        if not len(self.low) or np.isnan(self.low).all():
            return 0.0
        return float(max(-np.nanmin(self.low), np.nanmax(self.high)))


def gather(result: Localization) -> Evidence:
    """Read the video of a result once more, in one pass and bounded memory.

    Raises:
        MediaError: if the video is no longer there or can no longer be read.
    """
    info = _info(result)
    has_picture = info.width is not None and info.height is not None
    aspect = info.width / info.height if info.width and info.height else None
    count = min(max(round(STRIP_ASPECT / aspect), MIN_FRAMES), MAX_FRAMES) if aspect else 1
    # Each frame stands for an even number of chunks, so that its moment is the start of one.
    per_frame = 2 * math.ceil(result.duration_seconds / count / _CHUNK_SECONDS / 2)
    chunk_seconds = result.duration_seconds / count / per_frame
    frames: list[Frame] = []
    envelope = _Envelope(result.duration_seconds)
    sights = _Sights(result, chunk_seconds)
    pictures = {}
    if has_picture:
        pictures[_PICTURES] = PictureFormat(frames_per_segment=1, longest_side=FRAME_SIDE)
        if sights.segments:
            pictures[_SIGHTS] = PictureFormat(frames_per_segment=sights.per_chunk, longest_side=FRAME_SIDE)
    with MediaReader(
        result.video,
        segment_seconds=chunk_seconds,
        pictures=pictures,
        sample_rate=SAMPLE_RATE if info.sample_rate else None,
        audio_track=result.model.get("audio_track"),
    ) as reader:
        for segment in reader:
            if has_picture and segment.index % per_frame == per_frame // 2 and len(frames) < count:
                picture = segment.pictures[_PICTURES][0].copy() if segment.visual_valid else None
                frames.append(Frame(segment.start_seconds, picture))
            if segment.visual_valid and _SIGHTS in pictures:
                sights.add(segment)
            if segment.audio_valid:
                envelope.add(segment)
    low, high = envelope.low, envelope.high
    if info.sample_rate is None:
        low = high = np.empty(0, np.float32)
    return Evidence(tuple(frames), aspect, low, high, sights.found())


def sight_segments(result: Localization, at_most: int = MAX_SIGHTS) -> list[int]:
    """Segments at which to show where the model looks: the best of each event first, then others of events, in time."""
    attention = result.attention
    if attention is None:
        return []
    strength = attention.sum(axis=(1, 2))
    lit = np.flatnonzero(strength)
    if len(lit) <= at_most:
        return lit.tolist()
    chosen: dict[int, None] = {}
    for event in sorted(result.events, key=lambda e: -e.score):
        first = min(segment_index(event.start_seconds, result.segment_seconds), len(attention) - 1)
        end = max(math.ceil(event.end_seconds / result.segment_seconds - 1e-6), first + 1)
        best = first + int(np.argmax(strength[first:end]))
        if strength[best] > 0 and len(chosen) < at_most:
            chosen[best] = None
    rest = [int(t) for t in lit if int(t) not in chosen]
    missing = at_most - len(chosen)
    evenly = [rest[i] for i in np.linspace(0, len(rest) - 1, missing).astype(int)] if missing else []
    return sorted({*chosen, *evenly})


class _Sights:
    """Keeps the picture nearest to the middle of each segment that is to be shown."""

    def __init__(self, result: Localization, chunk_seconds: float) -> None:
        self.segments = sight_segments(result)
        self.per_chunk = max(math.ceil(_SIGHTS_A_SEGMENT * chunk_seconds / result.segment_seconds), 1)
        self._middles = np.array([(t + 0.5) * result.segment_seconds for t in self.segments])
        self._half = result.segment_seconds / 2
        self._chunk_seconds = chunk_seconds
        self._best: dict[int, tuple[float, Frame]] = {}

    def add(self, chunk: MediaSegment) -> None:
        start, end = chunk.start_seconds, chunk.start_seconds + self._chunk_seconds
        moments = start + np.arange(self.per_chunk) * self._chunk_seconds / self.per_chunk
        first, last = np.searchsorted(self._middles, [start - self._half, end + self._half])
        for i in range(first, last):
            distances = abs(moments - self._middles[i])
            nearest = int(distances.argmin())
            distance = float(distances[nearest])
            if distance < self._half and distance < self._best.get(i, (math.inf,))[0]:
                self._best[i] = distance, Frame(float(moments[nearest]), chunk.pictures[_SIGHTS][nearest].copy())

    def found(self) -> tuple[Sight, ...]:
        return tuple(Sight(self.segments[i], frame) for i, (_, frame) in sorted(self._best.items()))


class _Envelope:
    """Least and greatest sample in each part of a timeline, from chunks of sound in any order."""

    def __init__(self, duration_seconds: float) -> None:
        # A part holds at least one sample, else short clips would have gaps.
        self.count = max(min(ENVELOPE_POINTS, int(duration_seconds * SAMPLE_RATE)), 1)
        self.duration_seconds = duration_seconds
        self.low = np.full(self.count, np.nan, np.float32)
        self.high = np.full(self.count, np.nan, np.float32)

    def add(self, segment: MediaSegment) -> None:
        held = segment.end_seconds - segment.start_seconds
        samples = segment.waveform[: max(round(held * SAMPLE_RATE), 1)]  # without the padding
        times = segment.start_seconds + np.arange(len(samples)) / SAMPLE_RATE
        parts = np.minimum((times / self.duration_seconds * self.count).astype(np.int64), self.count - 1)
        starts = np.flatnonzero(np.diff(parts, prepend=-1))
        self.low[parts[starts]] = np.fmin(self.low[parts[starts]], np.minimum.reduceat(samples, starts))
        self.high[parts[starts]] = np.fmax(self.high[parts[starts]], np.maximum.reduceat(samples, starts))


def _info(result: Localization) -> MediaInfo:
    if not Path(result.video).exists():
        raise MediaError(
            f"{result.video}: the video is no longer there, and the picture of a result shows its frames and sound. "
            "Put it back, or write json, csv, srt or vtt, which do without."
        )
    return probe(result.video)
