"""One pass over a video: pictures at given times, and the waveform, segment by segment.

The timeline starts at 0 with the earliest track that is read, and every picture and sample stays at the time that the
file gives it:

    file     |video  v0      v1      v2      v3  |                 v0 is on screen until v1 is due
             |audio      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa            starts late, ends late
    segment  |---- 0 ----|---- 1 ----|---- 2 ----|-- 3 (padded)
    picture  i of s: on screen at (s + i / F) * segment_seconds, unless its format says otherwise

A picture is on screen from its time until the time of the next one, however long that takes: a slide show is valid
picture. The last one is on screen for the duration that the file gives it. A segment's picture or sound is valid when
at least `MIN_VALID_SHARE` of the segment is covered and nothing in it was damaged. In a valid segment the first picture
also stands for moments shortly before it, and the last one for moments after it; so no picture of it is blank.
"""

import math
import os
from collections import deque
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import av
import numpy as np
import numpy.typing as npt

from avel.errors import MediaError
from avel.media.container import (
    MAX_CHANNELS,
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    REPAIR,
    choose_tracks,
    declared_seconds,
    open_media,
)
from avel.media.pictures import Orientation, Picture, Scaler, display_size, picture_size
from avel.media.sound import SoundPlacer, to_mono
from avel.media.types import MediaInfo, MediaSegment, PictureFormat

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MIN_TAIL_SHARE = 0.1
"""A rest at the end shorter than this share of a segment is dropped, unless it is all there is: tracks of a clip cut to
10 s commonly end a few milliseconds after it."""
MIN_VALID_SHARE = 0.5
"""Share of a segment that must be covered by a modality for it to be valid there."""

MAX_SOUND_AHEAD_SECONDS = 600.0
MAX_PICTURES_AHEAD_SECONDS = 30.0
MAX_PICTURES_AHEAD_BYTES = 256 << 20
"""How far one track may run ahead of the other, in badly interleaved files, before the other is taken as missing. This
bounds memory. Sound takes 64 kB a second, pictures up to some MB."""

MAX_JUMP_SECONDS = 60.0
MAX_DECLARED_JUMP_SECONDS = 3600.0
"""A time further than this after all that was read is taken as damaged; the second bound holds for times within the
duration that the file declares."""
MAX_READ_ERRORS = 100
THREAD_TYPE = "AUTO"
"""libav's choice, frame threads where the codec has them. In benchmarks/decode.json (2 busy CPUs, 16 pictures a second)
that takes 1.2 x the wall time of a null decode, and slice threads as long as one thread, 1.4 x: most encoders write
pictures of one slice. CPU time is the same within the noise."""
MAX_LOOKAHEAD = 256
"""Packets read to find the first picture, whose display matrix is in no header."""
SPANS_TOLD = 8


class MediaReader:
    """Iterator over the segments of a video or audio file, in one pass and bounded memory.

    Only the file itself is opened: playlists and references to other files or addresses are refused. Pictures are
    turned as the file says, and stretched by its pixel aspect for ``longest_side``; high dynamic range becomes
    ordinary; transparent parts are black. Sound is the average of all channels. Frames are not deinterlaced.

    Damaged packets are skipped: the sound between the last good and the next good packet is silent and its segments
    are not valid; pictures are not valid until the next key frame.

    Args:
        path: file, or named pipe.
        segment_seconds: length of a segment.
        pictures: what to make of the video track, by name. Empty: it is not decoded.
        sample_rate: of the waveform, in Hz. ``None``: sound is not decoded.
        max_duration_seconds: read no further than this on the timeline.
        threads: for decoding; 0 is as many as the machine has.

    Attributes:
        info: what the file says of itself.
        warnings: what could not be read, one line each; complete when the iteration has ended.

    Raises:
        MediaError: on opening, or at the end of the iteration, if there is nothing that can be read.
        ValueError: if an argument is impossible.
    """

    info: MediaInfo
    warnings: list[str]

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        segment_seconds: float = 1.0,
        pictures: Mapping[str, PictureFormat] | None = None,
        sample_rate: int | None = 16000,
        max_duration_seconds: float | None = None,
        threads: int = 0,
    ) -> None:
        if not (math.isfinite(segment_seconds) and segment_seconds > 0):
            raise ValueError(f"segment_seconds must be above 0, got {segment_seconds}.")
        if sample_rate is not None and not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(f"sample_rate must be {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, got {sample_rate}.")
        if max_duration_seconds is not None and not max_duration_seconds > 0:
            raise ValueError(f"max_duration_seconds must be above 0, got {max_duration_seconds}.")
        if threads < 0:
            raise ValueError(f"threads must be 0 or more, got {threads}.")
        self.path = path
        self.segment_seconds = segment_seconds
        self.formats = dict(pictures or {})
        self.sample_rate = sample_rate
        self.warnings = []
        self._limit = max_duration_seconds if max_duration_seconds is not None else math.inf
        self._stack = ExitStack()
        try:
            self._open(threads)
        except BaseException:
            self._stack.close()
            raise
        self._segments: Generator[MediaSegment] = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MediaSegment]:
        return self

    def __next__(self) -> MediaSegment:
        return next(self._segments)

    def close(self) -> None:
        """Close the file; nothing can be read after this."""
        self._segments.close()
        self._stack.close()

    def _open(self, threads: int) -> None:
        container = self._stack.enter_context(open_media(self.path))
        video, audio, self.warnings = choose_tracks(container, self.path)
        for stream in (video, audio):
            if stream is not None:
                stream.codec_context.thread_count = threads
                stream.codec_context.thread_type = THREAD_TYPE
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in (video, audio)
            if stream is not None and stream.start_time is not None and stream.time_base
        ]
        # What a track holds before 0 is the codec's priming, not shown or played.
        zero = max(0.0, min(starts)) if starts else None
        declared = declared_seconds(container, [s for s in (video, audio) if s is not None], zero or 0.0)
        self._source = _Source(container, video, audio, zero, declared)
        self._lookahead: list[_Decoded] = []
        first = self._first_frame() if video is not None else None
        orientation = Orientation.of(first) if first is not None else Orientation()
        displayed = None
        if video is not None:
            stored = (first.width, first.height) if first is not None else (video.width, video.height)
            displayed = display_size(*stored, video.sample_aspect_ratio, orientation)
        if displayed is not None and min(displayed) == 0:
            displayed = None
        self.info = MediaInfo(
            path=os.fspath(self.path),
            duration_seconds=declared,
            width=displayed[0] if displayed else None,
            height=displayed[1] if displayed else None,
            frame_rate=float(video.average_rate) if video is not None and video.average_rate else None,
            sample_rate=(audio.codec_context.sample_rate or None) if audio is not None else None,
        )
        if video is None and self.formats:
            self.warnings.append("The file has no video track that can be read.")
        if audio is None and self.sample_rate is not None:
            self.warnings.append("The file has no audio track that can be read.")
        wanted = {
            "video": video is not None and bool(self.formats),
            "audio": audio is not None and self.sample_rate is not None,
        }
        self._source.decoded = {kind for kind, is_wanted in wanted.items() if is_wanted}
        self._assembly = _Assembly(
            self.segment_seconds,
            _Pictures(
                self.segment_seconds,
                self.formats,
                displayed,
                is_read=wanted["video"],
                whole_interval=_whole_interval(video, declared, self.segment_seconds),
            ),
            _Sound(self.segment_seconds, self.sample_rate, is_read=wanted["audio"]),
        )

    def _first_frame(self) -> "VideoFrame | None":
        """The first frame of the video track; what was read on the way to it is kept for the iteration."""
        self._source.decoded = {"video", "audio"} if self.sample_rate is not None else {"video"}
        for item in self._source:
            self._lookahead.append(item)
            if item.kind == "video" and item.frames:
                first: VideoFrame = item.frames[0]
                return first
            if len(self._lookahead) >= MAX_LOOKAHEAD:
                break
        return None

    def _read(self) -> Generator[MediaSegment]:
        source, assembly = self._source, self._assembly
        for item in self._items():
            if item.kind not in source.decoded:
                continue
            assembly.add(item, source)
            yield from assembly.finished(self._limit)
            if assembly.is_past(self._limit):
                self.warnings.append(f"Only the first {self._limit:g} s were read, as asked for.")
                break
        else:
            assembly.end_tracks()
            if source.decoded and not assembly.has_content:
                reason = source.last_error or "no pictures, no sound"
                raise MediaError(f"{self.path}: nothing in it can be decoded ({reason}). {REPAIR}")
        yield from assembly.rest(min(source.reached_seconds, self._limit))
        self.warnings = list(dict.fromkeys(self.warnings + source.warnings() + assembly.warnings()))

    def _items(self) -> "Iterator[_Decoded]":
        while self._lookahead:
            yield self._lookahead.pop(0)
        yield from self._source


def _whole_interval(video: "VideoStream | None", declared_seconds: float | None, segment_seconds: float) -> float:
    """Frames of a segment without their fraction, as share of all of them; see `PictureFormat.moments`."""
    rate = float(video.average_rate or 0) if video is not None else 0.0
    if video is None or not rate:
        return 1.0
    count = max(1, round((declared_seconds or 0.0) / segment_seconds))
    interval = video.frames // count if video.frames and declared_seconds else int(rate * segment_seconds)
    return max(1, interval) / (rate * segment_seconds)


def probe(path: str | os.PathLike[str]) -> MediaInfo:
    """What a media file says of itself; its first picture is decoded to see how it is turned.

    Raises:
        MediaError: if it cannot be opened, or holds neither video nor audio.
    """
    with MediaReader(path, sample_rate=None) as reader:
        return reader.info


@dataclass(slots=True)
class _Decoded:
    """What one packet gave."""

    kind: str
    frames: list[Any]
    error: str | None


class _Source:
    """Packets of both tracks in the file's order, decoded; and how far the timeline goes."""

    def __init__(
        self,
        container: "InputContainer",
        video: "VideoStream | None",
        audio: "AudioStream | None",
        zero: float | None,
        declared: float | None,
    ) -> None:
        self.decoded: set[str] = set()
        self.reached_seconds = 0.0
        self.last_error = ""
        self._container = container
        self._streams: list[Any] = [stream for stream in (video, audio) if stream is not None]
        self._zero = zero
        self._declared = declared
        self._read_errors = 0
        self._jumps = 0
        rate = video.average_rate if video is not None else None
        self._frame_seconds = float(1 / rate) if rate and rate >= 1 else 0.04
        self._bases = {stream.type: float(stream.time_base or 0) for stream in self._streams}
        self._clocks = {stream.type: FrameClock() for stream in self._streams}
        self._items = self._decode()

    def __iter__(self) -> Iterator[_Decoded]:
        return self._items

    def span(self, kind: str, frame: Any) -> tuple[float, float] | None:
        """When a frame starts and ends on the timeline; ``None`` if its time cannot be right."""
        base = self._bases[kind]
        time = self._clocks[kind].time(frame)
        is_audio = kind == "audio"
        seconds = frame.samples / frame.sample_rate if is_audio else frame.duration * base or self._frame_seconds
        start = self._clocks[kind].expected if time is None else time * base - (self._zero or 0.0)
        if self._clocks[kind].is_early:
            start = max(start, self._clocks[kind].expected)
        if not self._is_plausible(start):
            self._jumps += 1
            return None
        end = start + (seconds if self._is_plausible(start + seconds) else self._frame_seconds)
        self._clocks[kind].expected = end
        self.reached_seconds = max(self.reached_seconds, end)
        return start, end

    def warnings(self) -> list[str]:
        lines = []
        if self._read_errors:
            lines.append(f"The file could not be read in {self._read_errors} places ({self.last_error}).")
        if self._jumps:
            lines.append(f"{self._jumps} packets with impossible times were left out.")
        if self._declared is not None and self._declared > self.reached_seconds + 1 and not self._is_stopped:
            held = self.reached_seconds
            lines.append(f"The file declares {self._declared:.1f} s but holds {held:.1f} s; it may be incomplete.")
        return lines

    def _decode(self) -> Iterator[_Decoded]:
        self._is_stopped = True
        for packet in self._demux():
            kind = packet.stream.type
            if packet.size:
                self._reach(packet)
                yield self._decode_packet(packet.stream, packet)
            elif packet.dts is not None or packet.pts is not None:
                # Nothing in it: Theora repeats a picture so, and recordMyDesktop writes Vorbis of mostly empty packets.
                self._clocks[kind].is_early = kind == "audio"
        for stream in self._streams:
            yield self._decode_packet(stream, None)
        self._is_stopped = False

    def _decode_packet(self, stream: Any, packet: Any) -> _Decoded:
        if stream.type not in self.decoded:
            return _Decoded(stream.type, [], None)
        try:
            return _Decoded(stream.type, stream.codec_context.decode(packet), None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.last_error = str(getattr(error, "strerror", None) or error)
            return _Decoded(stream.type, [], self.last_error)

    def _demux(self) -> Iterator[Any]:
        while True:
            try:
                yield from self._container.demux(self._streams)
                return
            except (av.FFmpegError, OSError) as error:
                # The demuxer goes on behind the damage.
                self.last_error = str(getattr(error, "strerror", None) or error)
                self._read_errors += 1
                if self._read_errors >= MAX_READ_ERRORS:
                    return

    def _reach(self, packet: Any) -> None:
        """Damaged packets take up time too."""
        time = packet.pts if packet.pts is not None else packet.dts
        if time is None or not packet.time_base or packet.is_discard:
            return
        base = float(packet.time_base)
        if self._zero is None:
            self._zero = time * base
        start = time * base - self._zero
        end = start + (packet.duration or 0) * base
        for reached in (start, end):
            if self._is_plausible(reached):
                self.reached_seconds = max(self.reached_seconds, reached)

    def _is_plausible(self, seconds: float) -> bool:
        ahead = seconds - self.reached_seconds
        is_declared = self._declared is not None and seconds <= self._declared
        return ahead <= (MAX_DECLARED_JUMP_SECONDS if is_declared else MAX_JUMP_SECONDS)


class FrameClock:
    """The time of a frame from its presentation and its decoding time, whichever misbehaves less.

    As libavcodec's best_effort_timestamp, which PyAV does not show: AVI has no presentation times, and what libav makes
    of them for files with B-frames is out of order.
    """

    def __init__(self) -> None:
        self.expected = 0.0
        self.is_early = False
        """Times may be too early, never too late: libav counts empty packets as sound when it works out the times of an
        Ogg page from its end."""
        self._last_pts = self._last_dts = -math.inf
        self._faulty_pts = self._faulty_dts = 0

    def time(self, frame: Any) -> int | None:
        """When a frame is due, in its stream's time base, from the more trustworthy of its two stamps."""
        pts, dts = frame.pts, frame.dts
        if dts is not None:
            self._faulty_dts += dts <= self._last_dts
            self._last_dts = dts
        if pts is not None:
            self._faulty_pts += pts <= self._last_pts
            self._last_pts = pts
        if pts is not None and (self._faulty_pts <= self._faulty_dts or dts is None):
            return int(pts)
        return None if dts is None else int(dts)


class _Pictures:
    """Puts frames on screen one after the other, and picks and scales those that are on screen when one is due."""

    def __init__(
        self,
        segment_seconds: float,
        formats: Mapping[str, PictureFormat],
        displayed: tuple[int, int] | None,
        is_read: bool,
        whole_interval: float,
    ) -> None:
        self.formats = formats
        self.sizes = {name: picture_size(wanted, displayed) for name, wanted in formats.items()}
        self.is_ended = not is_read
        self.is_read = is_read
        self.first_seconds = math.inf
        self.shown_until = 0.0
        """Up to here it is settled which pictures are on screen."""
        self.last_error = ""
        self.segments: deque[_PictureSegment] = deque()
        self.queued_bytes = 0
        self._first_index = 0
        self._segment_seconds = segment_seconds
        self._scalers = {name: Scaler(size, formats[name].scaling) for name, size in self.sizes.items()}
        self._pace = {name: 1.0 if wanted.moments == "even" else whole_interval for name, wanted in formats.items()}
        self._latest = max([1.0, *self._pace.values()])
        self._next_tick = dict.fromkeys(formats, 0)
        self._frame: VideoFrame | None = None
        self._end_seconds = 0.0
        self._good_until = math.inf
        self._waits_for_key = False

    def is_settled(self, index: int) -> bool:
        return self.is_ended or self.shown_until >= (index + 1) * self._segment_seconds * self._latest - 1e-6

    def damage(self, error: str) -> None:
        self.last_error = error
        self._waits_for_key = True
        self._good_until = self._end_seconds

    def show(self, frame: "VideoFrame", start: float, end: float) -> None:
        """A frame goes on screen, and the one before goes off."""
        # Containers round times to their unit, Matroska to milliseconds: a moment is not before a frame's time when
        # it is only so by rounding.
        start -= min(float(frame.time_base or 0) / 2, 0.0005)
        if self._frame is None:
            self.first_seconds = start
            index = max(self._first_index, int(max(start, 0.0) / self._segment_seconds))
            for name, wanted in self.formats.items():
                self._next_tick[name] = index * wanted.frames_per_segment
        elif start < self.shown_until:
            return
        else:
            self._pick(start)
        if frame.key_frame:
            self._waits_for_key = False
        self._frame = frame
        self._pictures: dict[str, Picture] = {}
        self._end_seconds = end
        self._good_until = -math.inf if self._waits_for_key or frame.is_corrupt else math.inf
        self.shown_until = max(start, 0.0)

    def settle(self, index: int) -> None:
        """Wait no longer for frames of a segment."""
        if self._end_seconds > index * self._segment_seconds:
            self._pick((index + 1) * self._segment_seconds)
        for name, wanted in self.formats.items():
            self._next_tick[name] = max(self._next_tick[name], (index + 1) * wanted.frames_per_segment)
        self.shown_until = max(self.shown_until, self._end_seconds)

    def end(self) -> None:
        if self.is_read:
            # To the end of its segment: the last picture stays when it is over. `shown_until` tells what is covered.
            count = math.ceil((self._end_seconds - 1e-6) / self._segment_seconds)
            self._pick(count * self._segment_seconds * self._latest - 1e-6)
            self.shown_until = max(self.shown_until, self._end_seconds)
        self.is_ended = True
        self._frame = None

    def take(self, index: int, start: float, end: float) -> tuple[dict[str, Picture], bool, bool]:
        """The pictures of the next segment; whether they are valid; whether they are damaged."""
        segment = self._segment(index)
        self.segments.popleft()
        self.queued_bytes -= segment.num_bytes
        self._first_index = index + 1
        covered = min(end, self.shown_until) - max(start, self.first_seconds)
        is_valid = covered >= MIN_VALID_SHARE * (end - start) - 1e-6 and not segment.is_damaged and segment.is_full
        pictures = {}
        for name, wanted in self.formats.items():
            if is_valid:
                pictures[name] = np.stack(_without_holes(segment.pictures[name]))
            else:
                width, height = self.sizes[name]
                pictures[name] = np.zeros((wanted.frames_per_segment, height, width, 3), dtype=np.uint8)
        return pictures, is_valid, segment.is_damaged

    def _pick(self, until: float) -> None:
        """The frame on screen is the picture of all moments before ``until`` that have none."""
        if self._frame is None:
            return
        for name, wanted in self.formats.items():
            count = wanted.frames_per_segment
            tick = self._next_tick[name]
            while (seconds := tick * self._segment_seconds / count * self._pace[name]) < until:
                if tick >= self._first_index * count:
                    segment = self._segment(tick // count)
                    if seconds >= self._good_until:
                        segment.is_damaged = True
                    is_new = name not in self._pictures
                    picture = self._scaled(name)
                    if picture is None:
                        segment.is_damaged = True
                    else:
                        segment.pictures[name][tick % count] = picture
                        if is_new:
                            segment.num_bytes += picture.nbytes
                            self.queued_bytes += picture.nbytes
                tick += 1
            self._next_tick[name] = tick

    def _scaled(self, name: str) -> Picture | None:
        assert self._frame is not None
        if name not in self._pictures:
            try:
                self._pictures[name] = self._scalers[name](self._frame, Orientation.of(self._frame))
            except (av.FFmpegError, ValueError, MemoryError) as error:
                self.last_error = str(getattr(error, "strerror", None) or error)
                return None
        return self._pictures[name]

    def _segment(self, index: int) -> "_PictureSegment":
        while len(self.segments) <= index - self._first_index:
            self.segments.append(
                _PictureSegment({name: [None] * wanted.frames_per_segment for name, wanted in self.formats.items()})
            )
        return self.segments[index - self._first_index]


@dataclass(slots=True)
class _PictureSegment:
    """The pictures picked so far; a still picture is there several times, but takes memory once."""

    pictures: dict[str, list[Picture | None]]
    is_damaged: bool = False
    num_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return bool(self.pictures) and all(any(p is not None for p in row) for row in self.pictures.values())


def _without_holes(row: list[Picture | None]) -> list[Picture]:
    """Moments without a picture show the one before, or else the first one."""
    latest = next(picture for picture in row if picture is not None)
    filled = []
    for picture in row:
        latest = picture if picture is not None else latest
        filled.append(latest)
    return filled


class _Sound:
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
        return self._placer.next_sample / self._rate if self._rate else 0.0

    def is_settled(self, index: int) -> bool:
        return self.is_ended or self._placer.next_sample >= self._start(index) + self._num_samples

    def damage(self, error: str) -> None:
        self.last_error = error
        if self._damaged_from is None:
            self._damaged_from = self._placer.end_seconds

    def add(self, frame: "AudioFrame", start: float, end: float) -> None:
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


class _Assembly:
    """Both modalities' segments, joined as soon as both are there."""

    def __init__(self, segment_seconds: float, pictures: _Pictures, sound: _Sound) -> None:
        self._segment_seconds = segment_seconds
        self._pictures = pictures
        self._sound = sound
        self._index = 0
        self._lost: dict[str, list[tuple[float, float]]] = {}

    @property
    def has_content(self) -> bool:
        return self._pictures.first_seconds < math.inf or self._sound.has_content

    def add(self, item: _Decoded, source: _Source) -> None:
        part = self._pictures if item.kind == "video" else self._sound
        if item.error is not None:
            part.damage(item.error)
        for frame in item.frames:
            span = source.span(item.kind, frame)
            if span is None:
                continue
            if item.kind == "video":
                self._pictures.show(frame, *span)
            else:
                self._sound.add(frame, *span)

    def finished(self, limit: float) -> Iterator[MediaSegment]:
        """Segments that are settled, and those for which one track has been waited for long enough."""
        while not self.is_past(limit):
            pictures, sound = self._pictures, self._sound
            has_pictures, has_sound = pictures.is_settled(self._index), sound.is_settled(self._index)
            if not (has_pictures or has_sound):
                return
            if not has_sound:
                ahead = pictures.shown_until - sound.reached_seconds
                if ahead < MAX_PICTURES_AHEAD_SECONDS and pictures.queued_bytes < MAX_PICTURES_AHEAD_BYTES:
                    return
            elif not has_pictures:
                if sound.reached_seconds - pictures.shown_until < MAX_SOUND_AHEAD_SECONDS:
                    return
                pictures.settle(self._index)
            yield self._take(min((self._index + 1) * self._segment_seconds, limit))

    def is_past(self, limit: float) -> bool:
        return limit - self._index * self._segment_seconds < MIN_TAIL_SHARE * self._segment_seconds and self._index > 0

    def end_tracks(self) -> None:
        self._pictures.end()
        self._sound.end()

    def rest(self, end_seconds: float) -> Iterator[MediaSegment]:
        """The segments up to the end of the timeline."""
        while not self.is_past(end_seconds):
            yield self._take(min((self._index + 1) * self._segment_seconds, end_seconds))

    def warnings(self) -> list[str]:
        return [f"{what} in {_told(spans)}." for what, spans in self._lost.items()]

    def _take(self, end: float) -> MediaSegment:
        index = self._index
        start = index * self._segment_seconds
        pictures, visual_valid, visual_damaged = self._pictures.take(index, start, end)
        waveform, audio_valid, audio_damaged = self._sound.take(index, start, end)
        if self._pictures.is_read and not visual_valid:
            self._lose("Pictures", visual_damaged, self._pictures.last_error, start, end)
        if self._sound.is_read and not audio_valid:
            self._lose("Sound", audio_damaged, self._sound.last_error, start, end)
        self._index += 1
        return MediaSegment(
            index=index,
            start_seconds=start,
            end_seconds=end,
            pictures=pictures,
            waveform=waveform,
            audio_valid=audio_valid,
            visual_valid=visual_valid,
        )

    def _lose(self, modality: str, is_damaged: bool, error: str, start: float, end: float) -> None:
        reason = f"damaged ({error})" if is_damaged and error else "damaged" if is_damaged else "missing"
        spans = self._lost.setdefault(f"{modality} {reason}", [])
        if spans and abs(spans[-1][1] - start) < 1e-6:
            spans[-1] = (spans[-1][0], end)
        elif len(spans) <= SPANS_TOLD:
            spans.append((start, end))


def _told(spans: list[tuple[float, float]]) -> str:
    told = ", ".join(f"{round(start, 3):g}-{round(end, 3):g} s" for start, end in spans[:SPANS_TOLD])
    return told + (" and later" if len(spans) > SPANS_TOLD else "")
