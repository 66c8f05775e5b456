"""One pass over a video: pictures at given times, and the waveform, segment by segment.

The timeline starts at 0 with the earliest track that is read, and every picture and sample stays at the time that the
file gives it:

    file     |video  v0      v1      v2      v3  |                 v0 is on screen until v1 is due
             |audio      aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa            starts late, ends late
    segment  |---- 0 ----|---- 1 ----|---- 2 ----|-- 3 (padded)
    picture  i of s: on screen at (s + i / F) * segment_seconds, unless its format says otherwise

A picture is on screen from its time until the time of the next one, however long that takes: a slide show is valid
picture. The last one is on screen for the duration that the file gives it, and until the sound ends. Where pictures
and sound stop together there is a hole in the recording, and neither is valid; nor is what an edit list leaves empty
in the middle of a track. A segment's picture or sound is valid
when at least `MIN_VALID_SHARE` of the segment is covered and nothing in it was damaged. In a valid segment the first
picture also stands for moments shortly before it, and the last one for moments after it; so no picture of it is blank.
"""

import math
import os
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self

from avel.errors import MediaError
from avel.media.assembly import SegmentAssembly
from avel.media.container import (
    MAX_SAMPLE_RATE,
    MIN_SAMPLE_RATE,
    REPAIR,
    choose_tracks,
    open_media,
)
from avel.media.demux import DecodedPacket, Demuxer
from avel.media.frames import PictureTrack
from avel.media.pictures import Orientation, display_size
from avel.media.sound import SoundTrack
from avel.media.types import MediaInfo, MediaSegment, PictureFormat

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

THREAD_TYPE = "AUTO"
"""libav's choice, frame threads where the codec has them. In benchmarks/decode.json (2 busy CPUs, 16 pictures a second)
that takes 1.2 x the wall time of a null decode, and slice threads as long as one thread, 1.4 x: most encoders write
pictures of one slice. CPU time is the same within the noise."""
MAX_LOOKAHEAD = 256
"""Packets read to find the first picture, whose display matrix is in no header."""


class MediaReader:
    """Iterator over the segments of a video or audio file, in one pass and bounded memory.

    Only the file itself is opened: playlists and references to other files or addresses are refused. Pictures are
    turned as the file says, and stretched by its pixel aspect for ``longest_side``; high dynamic range becomes
    ordinary; transparent parts are black. Sound is the mean of left and right, of a standard stereo downmix where there
    are more channels. Frames are not deinterlaced.

    Damaged packets are skipped: the sound between the last good and the next good packet is silent and its segments
    are not valid; pictures are not valid until the next key frame.

    Args:
        path: file, or named pipe.
        segment_seconds: length of a segment.
        pictures: what to make of the video track, by name. Empty: it is not decoded.
        sample_rate: of the waveform, in Hz. ``None``: sound is not decoded.
        max_duration_seconds: read no further than this on the timeline.
        audio_track: number of the audio track to read, 1 for the file's first one. ``None``: the one that a player
            would play; see `avel.media.container.choose_tracks`.
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
        audio_track: int | None = None,
        threads: int = 0,
    ) -> None:
        if not (math.isfinite(segment_seconds) and segment_seconds > 0):
            raise ValueError(f"segment_seconds must be above 0, got {segment_seconds}.")
        if sample_rate is not None and not MIN_SAMPLE_RATE <= sample_rate <= MAX_SAMPLE_RATE:
            raise ValueError(f"sample_rate must be {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} Hz, got {sample_rate}.")
        if max_duration_seconds is not None and not max_duration_seconds > 0:
            raise ValueError(f"max_duration_seconds must be above 0, got {max_duration_seconds}.")
        if audio_track is not None and audio_track < 1:
            raise ValueError(f"audio_track must be 1 or more, got {audio_track}.")
        if threads < 0:
            raise ValueError(f"threads must be 0 or more, got {threads}.")
        self.path = path
        self.segment_seconds = segment_seconds
        self.formats: dict[str, PictureFormat] = dict(pictures or {})
        self.sample_rate = sample_rate
        self.warnings = []
        self._limit = max_duration_seconds if max_duration_seconds is not None else math.inf
        self._stack = ExitStack()
        try:
            self._open(threads, audio_track)
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

    def _open(self, threads: int, audio_track: int | None) -> None:
        container = self._stack.enter_context(open_media(self.path, self.warnings))
        video, audio, warnings = choose_tracks(container, self.path, audio_track)
        self.warnings += warnings
        for stream in (video, audio):
            if stream is not None:
                stream.codec_context.thread_count = threads
                stream.codec_context.thread_type = THREAD_TYPE
        self._source = Demuxer(container, video, audio, self.path)
        declared = self._source.declared_seconds
        self._lookahead: list[DecodedPacket] = []
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
            audio_track=list(container.streams.audio).index(audio) + 1 if audio is not None else None,
            audio_tracks=len(container.streams.audio),
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
        self._assembly = SegmentAssembly(
            self.segment_seconds,
            PictureTrack(
                self.segment_seconds,
                self.formats,
                displayed,
                is_read=wanted["video"],
                whole_interval=_whole_interval(video, declared, self.segment_seconds),
                empty_spans=self._source.empty_spans("video"),
            ),
            SoundTrack(self.segment_seconds, self.sample_rate, is_read=wanted["audio"]),
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
            yield from assembly.finished(self._limit, source)
            if assembly.is_past(self._limit):
                self.warnings.append(f"Only the first {self._limit:g} s were read, as asked for.")
                break
        else:
            assembly.end_tracks(source)
            if source.decoded and not assembly.has_content:
                reason = source.last_error or "no pictures, no sound"
                raise MediaError(f"{self.path}: nothing in it can be decoded ({reason}). {REPAIR}")
        yield from assembly.rest(min(source.reached_seconds, self._limit), source)
        self.warnings = list(dict.fromkeys(self.warnings + source.warnings() + assembly.warnings()))

    def _items(self) -> "Iterator[DecodedPacket]":
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


def probe(path: str | os.PathLike[str], audio_track: int | None = None) -> MediaInfo:
    """What a media file says of itself; its first picture is decoded to see how it is turned.

    Args:
        path: file, or named pipe.
        audio_track: as for `MediaReader`.

    Raises:
        MediaError: if it cannot be opened, or holds neither video nor audio that can be read.
    """
    with MediaReader(path, sample_rate=None, audio_track=audio_track) as reader:
        return reader.info
