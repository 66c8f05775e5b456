"""Packets of a file's video and audio track, decoded, with the times of their frames on one timeline."""

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import av

from avel.errors import MediaError
from avel.media.avi import Drift
from avel.media.container import another_recording_follows, declared_seconds, edit_list, unplaced_spans
from avel.media.timeline import TOGETHER_SECONDS, Coverage, LatePage, PageClock, PartJoiner, Placed
from avel.wording import counted

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MAX_JUMP_SECONDS = 60.0
MAX_DECLARED_JUMP_SECONDS = 3600.0
"""A time further than this after all that was read is taken as damaged; the second bound holds for times within the
duration that a file without sound declares, such as a slide show's."""
FREE_JUMP_SECONDS = 10.0
MAX_JUMPED_SECONDS = 600.0
"""All jumps of more than the first together may be no longer than the second (or than a `MAX_DECLARED_JUMP_SECONDS`): a
header that lies about the unit of time makes jumps of all pictures."""
MIN_PICTURE_SECONDS = 1e-4
"""Pictures that follow each other faster have a header that lies."""
MIN_PICTURES_JUDGED = 10
MAX_REORDERING_PICTURES = 16
MAX_READ_ERRORS = 100
SEAMS_TOLD = 8
MAX_DRIFT_SECONDS = 1.0
"""Sound of an AVI that is so much further ahead of the pictures beside it at the end than at the beginning is told."""
JOINABLE = frozenset({"mpegts", "mpeg", "ogg", "flv", "matroska"})
"""Containers whose files can be put one after the other, so that times may start again in the middle."""
SIGNED_TIMES = frozenset({"mpegts", "mpeg"})
"""Containers whose times begin anywhere: libav makes them negative when they wrap around soon after the beginning.
Elsewhere what is before 0 is the codec's priming, not shown or played."""
VP8_HEADER = b"OVP80"
"""Packets of a chained Ogg file that hold no picture, but the next part's headers."""


class AfterLoss:
    """Marks a packet before which others are lost.

    Each packet has a mark of its own: PyAV forgets an object that two packets share when the first of them is freed
    (``findings/pyav_opaque_of_two_packets.sh``).
    """


@dataclass(slots=True)
class DecodedPacket:
    """What one packet gave.

    Attributes:
        kind: of its track, ``"video"`` or ``"audio"``.
        frames: decoded.
        error: why it, or what was before it, is damaged.
        error_seconds: from when on, on the timeline, if that is known: a decoder still gives pictures from before.
    """

    kind: str
    frames: list[Any]
    error: str | None
    error_seconds: float = -math.inf


class Demuxer:
    """Packets of both tracks in the file's order, decoded; and how far the timeline goes.

    Args:
        container: an open file.
        video: its video track, if it has one.
        audio: its audio track, if it has one.
        path: the file's name, for messages.

    Attributes:
        declared_seconds: length of the timeline as the file declares it, if it does.
        decoded: kinds of tracks to decode, of ``"video"`` and ``"audio"``.
        reached_seconds: how far the timeline goes so far.
        sound: where there is sound, whether it is decoded or not.
        has_sound: whether there is an audio track.
        last_error: why something could not be read, in libav's words.
    """

    def __init__(
        self, container: "InputContainer", video: "VideoStream | None", audio: "AudioStream | None", path: Any
    ) -> None:
        self.decoded: set[str] = set()
        self.reached_seconds: float = 0.0
        self.sound: Coverage = Coverage()
        self.has_sound: bool = audio is not None
        self.last_error: str = ""
        self._path = path
        self._container = container
        self._streams: list[Any] = [stream for stream in (video, audio) if stream is not None]
        self._zero = self._start_of_timeline()
        self.declared_seconds: float | None = declared_seconds(container, self._streams, self._zero or 0.0)
        self._read_errors = 0
        self._jumps = 0
        self._undated = 0
        self._jumped_seconds = 0.0
        self._has_other_track = False
        self._counts_frames = container.format.name == "avi"
        self._first_dts: int | None = None
        self._reordering: float | None = None
        self._drift = Drift()
        self._cut_in = 0
        self._seams_told = 0
        self._unplaced_spans = unplaced_spans(path, container.format.name)
        self._unplaced_from: list[int] = []
        self._lies = video is not None and self._has_absurd_unit(video)
        self._last_byte = 0
        self._goes_on = False
        rate = video.average_rate if video is not None else None
        self._frame_seconds = float(1 / rate) if rate and rate >= 1 else 0.04
        self._bases = {stream.type: float(stream.time_base or 0) for stream in self._streams}
        self._clocks = {stream.type: FrameClock() for stream in self._streams}
        edits = {stream.type: edit_list(path, stream) for stream in self._streams}
        self._empty = {stream.type: edits[stream.type].empty_spans(stream.time_base) for stream in self._streams}
        self._is_cut = any(edits[s.type].later_edits(s.time_base) for s in self._streams if s.time_base)
        self._empty_edges = {kind: [edge for span in spans for edge in span] for kind, spans in self._empty.items()}
        self._restarts: list[tuple[int, int]] = []
        if audio is not None and audio.time_base and audio.codec_context.name == "aac":
            self._restarts = edits["audio"].restarts(audio.time_base)
        self._packet_samples = 0
        self._last_picture = -math.inf
        names = set(container.format.name.split(","))
        self._joiner = None
        if names & JOINABLE:
            grid = max(self._bases.values())
            self._joiner = PartJoiner(self._bases, grid, begins_at_zero="matroska" in names, may_repeat="ogg" in names)
        self._items = self._decode()

    def __iter__(self) -> Iterator[DecodedPacket]:
        return self._items

    def has_lost_end(self) -> bool:
        """Whether pictures at the end were lost, by the account of the video track or of the file."""
        if self.declared_seconds is None:
            return False
        end = self.declared_seconds
        for stream in self._streams:
            if stream.type == "video" and stream.duration and stream.duration > 0:
                end = float(((stream.start_time or 0) + stream.duration) * stream.time_base) - (self._zero or 0.0)
                return end > self._clocks["video"].expected + TOGETHER_SECONDS
        return end > self.reached_seconds + TOGETHER_SECONDS

    @property
    def zero_seconds(self) -> float:
        """The file's own time at which the timeline starts."""
        return self._zero or 0.0

    def is_one_piece(self) -> bool:
        """Whether the tracks are laid out without cuts, so that the times in the file are those of the timeline."""
        return not self._is_cut

    def empty_spans(self, kind: str) -> list[tuple[float, float]]:
        """Spans of the timeline, in seconds, in which the file says that nothing of a track is shown or played."""
        base, zero = self._bases.get(kind, 0.0), self._zero or 0.0
        return [(first * base - zero, last * base - zero) for first, last in self._empty.get(kind, [])]

    def new_seams(self) -> list[float]:
        """Where on the timeline parts with other times begin that were found since the last call, in seconds."""
        seams = self._joiner.seams if self._joiner is not None else []
        new, self._seams_told = seams[self._seams_told :], len(seams)
        return [seam.at_seconds - (self._zero or 0.0) for seam in new]

    def span(self, kind: str, frame: Any) -> tuple[float, float] | None:
        """When a frame starts and ends on the timeline, in seconds; ``None`` if its time cannot be right."""
        base = self._bases[kind]
        time = self._clocks[kind].time(frame)
        is_audio = kind == "audio"
        seconds = frame.samples / frame.sample_rate if is_audio else frame.duration * base or self._frame_seconds
        start = self._clocks[kind].expected if time is None else time * base - (self._zero or 0.0)
        if is_audio and time is not None and self._restarts:
            start += self._edit_lag_seconds(frame, time)
        if not is_audio and self._counts_frames:
            start -= self._reordering_seconds(frame)
        if self._clocks[kind].is_early:
            start = max(start, self._clocks[kind].expected)
        is_too_soon = not is_audio and 0 < start - self._last_picture < MIN_PICTURE_SECONDS
        if is_too_soon or (self._lies and not is_audio) or not self._reaches(start):
            self._jumps += 1
            return None
        # A picture's duration is that of its place in decoding order: its packet has told how far it reaches.
        end = start + seconds
        if not is_audio:
            end = min(end, max(self.reached_seconds, start + self._frame_seconds))
            self._last_picture = start
        self._clocks[kind].expected = end
        self.reached_seconds = max(self.reached_seconds, end)
        return start, end

    def pictures(self) -> "Iterator[tuple[VideoFrame, float]]":
        """Frames of the video track alone, each with when it goes on screen; damaged ones are left out."""
        self.decoded = {"video"}
        for item in self:
            for frame in item.frames:
                span = self.span("video", frame)
                if span is not None:
                    yield frame, span[0]

    def _edit_lag_seconds(self, frame: Any, time: int) -> float:
        """How much too early libav puts AAC behind a file's second edit.

        It leaves out the packet within which an edit begins, and lets the next one begin with the edit.
        """
        self._packet_samples = max(self._packet_samples, frame.samples)
        place = bisect_right(self._restarts, time, key=lambda restart: restart[0])
        packet = Fraction(self._packet_samples, frame.sample_rate) * round(1 / self._bases["audio"])
        if place == 0 or packet.denominator != 1:
            return 0.0
        return float(-self._restarts[place - 1][1] % int(packet)) * self._bases["audio"]

    def _reordering_seconds(self, frame: Any) -> float:
        """How much later than shown the pictures of an AVI are counted: by as many as the decoder holds for reordering.

        AVI counts pictures in the order of decoding, and libav gives each one that place as its (decoding) time.
        """
        if self._reordering is None:
            known = frame.dts is not None and self._first_dts is not None and not self.last_error
            late = (frame.dts - self._first_dts) * self._bases["video"] if known else 0.0
            self._reordering = late if 0 < late <= MAX_REORDERING_PICTURES * self._frame_seconds else 0.0
        return self._reordering

    def warnings(self) -> list[str]:
        """What is wrong with the file, one line each; complete when the iteration has ended."""
        lines = []
        if self._read_errors:
            lines.append(f"The file could not be read in {counted(self._read_errors, 'place')} ({self.last_error}).")
        zero = self._zero or 0.0
        for seam in self._joiner.seams[:SEAMS_TOLD] if self._joiner is not None else []:
            lines.append(
                f"The times in the file change at {seam.at_seconds - zero:.2f} s, from {seam.from_seconds:.2f} s to "
                f"{seam.to_seconds:.2f} s; what follows is placed directly after what was before."
            )
        for kind, told in (("video", "shows no pictures"), ("audio", "plays no sound")):
            for start, end in self.empty_spans(kind)[:SEAMS_TOLD] if kind in self.decoded else []:
                if start < self.reached_seconds:
                    lines.append(f"The file {told} from {start:.2f} s to {end:.2f} s, by its edit list.")
        if self._lies:
            lines.append("The header of the file gives the pictures an absurd unit of time; they were left out.")
        for first in self._unplaced_from[:SEAMS_TOLD]:
            lines.append(
                f"The file is damaged at byte {first}. What comes after it, up to where the file tells a time again, "
                "has no known place and was left out."
            )
        drift = abs(self._drift.seconds())
        if drift > MAX_DRIFT_SECONDS:
            lines.append(
                f"Sound and pictures that lie side by side in the file are {drift:.1f} s apart at "
                "its end. A rate in its header may be damaged; files of this kind hold no times that tell which."
            )
        if self._undated:
            lines.append(f"Placed after the ones before: {counted(self._undated, 'packet')} with wrong times.")
        if self._jumps and not self._lies:
            lines.append(f"Left out: {counted(self._jumps, 'packet')} with impossible times.")
        declared, held = self.declared_seconds, self.reached_seconds
        has_seams = self._joiner is not None and bool(self._joiner.seams)
        if declared is not None and declared > held + 1 and not self._is_stopped and not has_seams:
            lines.append(f"The file declares {declared:.1f} s but holds {held:.1f} s; it may be incomplete.")
        if self._has_other_track:
            lines.append("A track that begins in the middle of the file was left out.")
        if self._goes_on:
            lines.append(
                "Another recording begins in the file after what was read; files of this kind cannot be joined so. "
                "Split the file, or join the recordings with a video editor."
            )
        return lines

    def _has_absurd_unit(self, video: "VideoStream") -> bool:
        """Whether the pictures last more than a second each, and all together much longer than the file declares."""
        if not video.average_rate or video.frames < MIN_PICTURES_JUDGED or not self.declared_seconds:
            return False
        picture_seconds = 1 / float(video.average_rate)
        return picture_seconds > 1 and video.frames * picture_seconds > 2 * self.declared_seconds

    def _start_of_timeline(self) -> float | None:
        """The earliest time of the tracks in the file."""
        starts = [
            float(stream.start_time * stream.time_base)
            for stream in self._streams
            if stream.start_time is not None and stream.time_base
        ]
        if not starts:
            return None
        return min(starts) if self._container.format.name in SIGNED_TIMES else max(0.0, min(starts))

    def _decode(self) -> Iterator[DecodedPacket]:
        self._is_stopped = True
        for packet in self._dated():
            kind = packet.stream.type
            if packet.size:
                self._mend_presentation_time(packet)
                end = (packet.pos or 0) + packet.size
                self._last_byte = max(self._last_byte, end)
                self._reach(packet)
                if kind == "video" and self._first_dts is None:
                    self._first_dts = packet.dts
                if self._is_unplaced(packet):
                    yield DecodedPacket(kind, [], "its place in time is unknown")
                    continue
                is_after_loss = isinstance(packet.opaque, AfterLoss)
                if is_after_loss:
                    yield from self._drain(packet.stream)
                if is_after_loss or (kind == "video" and self._follows_cut(packet)):
                    yield DecodedPacket(kind, [], "parts of the file are missing", self._decoding_seconds(packet))
                yield self._decode_packet(packet.stream, packet)
            elif packet.dts is not None or packet.pts is not None:
                # Nothing in it: Theora repeats a picture so, and recordMyDesktop writes Vorbis of mostly empty packets.
                self._clocks[kind].is_early = kind == "audio"
        for stream in self._streams:
            yield self._decode_packet(stream, None)
        self._goes_on = another_recording_follows(self._path, self._container.format.name, self._last_byte)
        self._is_stopped = False

    def _decode_packet(self, stream: Any, packet: Any) -> DecodedPacket:
        if stream.type not in self.decoded:
            return DecodedPacket(stream.type, [], None)
        try:
            frames = stream.codec_context.decode(packet)
            return DecodedPacket(stream.type, [f for f in frames if not self._is_empty(stream.type, f.pts)], None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.last_error = str(getattr(error, "strerror", None) or error)
            return DecodedPacket(stream.type, [], self.last_error)

    def _mend_presentation_time(self, packet: Any) -> None:
        """A picture is shown soon after it is decoded: in a transport stream a later time is damaged."""
        if self._container.format.name not in SIGNED_TIMES or packet.pts is None or packet.dts is None:
            return
        late_seconds = (packet.pts - packet.dts) * float(packet.time_base)
        if late_seconds > MAX_REORDERING_PICTURES * self._frame_seconds:
            packet.pts = packet.dts
            self._undated += 1

    def _decoding_seconds(self, packet: Any) -> float:
        return -math.inf if packet.dts is None else packet.dts * self._bases[packet.stream.type] - (self._zero or 0.0)

    def _follows_cut(self, packet: Any) -> bool:
        """Whether pictures were lost before one that is made from them.

        libav says of a transport stream's picture that it is damaged when the next one was cut off: its parser is one
        behind. At the seam of two streams it says so too, though nothing is lost; there the one after is a key frame.
        """
        follows = self._cut_in == 1 and not packet.is_keyframe
        self._cut_in = max(self._cut_in - 1, 0)
        if packet.is_corrupt and self._container.format.name in SIGNED_TIMES:
            packet.is_corrupt = False
            self._cut_in = 2
        return follows

    def _is_unplaced(self, packet: Any) -> bool:
        """Whether a packet lies where the file is damaged so that its time is unknown."""
        if packet.pos is None:
            return False
        for first, last in self._unplaced_spans:
            if packet.pos < last and packet.pos + packet.size > first:
                if first not in self._unplaced_from:
                    self._unplaced_from.append(first)
                return True
        return False

    def _is_empty(self, kind: str, time: int | None) -> bool:
        """Whether an edit list leaves a time empty: what libav gives for it is the start of the track again."""
        return time is not None and bisect_right(self._empty_edges[kind], time) % 2 == 1

    def _drain(self, stream: Any) -> Iterator[DecodedPacket]:
        """What the decoder still holds, before something that does not follow it."""
        if stream.type in self.decoded:
            yield self._decode_packet(stream, None)
            stream.codec_context.flush_buffers()

    def _dated(self) -> Iterator[Any]:
        """Packets with their times on one timeline, even if those in the file start again."""
        joiner = self._joiner
        if joiner is None:
            yield from self._demux()
            return
        for packet in self._paged() if self._container.format.name == "ogg" else self._demux():
            # Decoding times only: presentation times go back and forth where there are B-frames.
            kind, time = packet.stream.type, packet.dts
            if not packet.size:
                if kind == "audio" and time is not None:
                    yield from self._moved(joiner.distrust(kind))
                yield packet
            elif bytes(packet)[: len(VP8_HEADER)] != VP8_HEADER:
                seconds = None if time is None else time * self._bases[kind]
                yield from self._moved(joiner.add(kind, seconds, (packet.duration or 0) * self._bases[kind], packet))
        yield from self._moved(joiner.finish())

    def _paged(self) -> Iterator[Any]:
        """Packets of an Ogg file, with the times of pages before which others are lost put right."""
        clock = PageClock()
        sparse: set[str] = set()
        for packet in self._demux():
            kind, base = packet.stream.type, self._bases[packet.stream.type]
            time = packet.dts if packet.dts is not None else packet.pts
            if not packet.size:
                # At the end of the file, and in tracks with empty packets: those of sound have times that jump about.
                yield from self._late(clock.end(kind, _end_of_pictures(packet.stream) if time is None else None))
                if kind == "audio" and time is not None:
                    sparse.add(kind)
            if kind in sparse or time is None or not packet.size:
                yield packet
            else:
                duration = (packet.duration or 0) * base
                yield from self._late(clock.add(kind, packet.pos or 0, time * base, duration, packet))
        for kind in self._bases:
            yield from self._late(clock.end(kind))

    def _late(self, pages: list[LatePage]) -> Iterator[Any]:
        for page in pages:
            for number, (packet, late_seconds) in enumerate(page):
                if late_seconds:
                    self._move(packet, late_seconds)
                    is_unconnected = late_seconds > 0 or not packet.is_keyframe
                    if number == 0 and packet.stream.type == "video" and is_unconnected:
                        packet.opaque = AfterLoss()
                yield packet

    @staticmethod
    def _move(packet: Any, seconds: float) -> None:
        shift = round(seconds / float(packet.time_base))
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift

    def _moved(self, ready: list[Placed]) -> Iterator[Any]:
        for placed in ready:
            packet = placed.item
            if placed.offset_seconds is None:
                self._undated += 1
                packet.pts = packet.dts = None  # both are of one header
            elif placed.offset_seconds:
                self._move(packet, placed.offset_seconds)
            yield packet

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
            except IndexError:
                # PyAV, at the end of the file: it knows no track that libav found on the way.
                self._has_other_track = True
                if len(self._streams) < 2:
                    missing = "audio" if self._streams[0].type == "video" else "video"
                    raise MediaError(
                        f"{self._path}: a track begins in the middle of the file and cannot be read; before it the "
                        f"file has no {missing} track. Split the file there, or convert each of its parts by itself."
                    ) from None
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
        duration = (packet.duration or 0) * base
        end = start + duration
        if self._counts_frames and packet.pos is not None:
            self._drift.add(packet.stream.type, packet.pos, end)
        if packet.stream.type == "audio":
            if not self._is_empty("audio", time):
                self.sound.add(start, duration)
        elif packet.pts is not None and packet.dts is not None:
            end = max(packet.dts * base - self._zero + duration, start + min(duration, self._frame_seconds))
        for reached in (start, end):
            if self._reaches(reached):
                self.reached_seconds = max(self.reached_seconds, reached)

    def _reaches(self, seconds: float) -> bool:
        """Whether a time can be right, so that the timeline goes on to it."""
        ahead = seconds - self.reached_seconds
        if ahead <= FREE_JUMP_SECONDS:
            return True
        declared = self.declared_seconds
        is_declared = not self.has_sound and declared is not None and seconds <= declared
        longest, together = MAX_JUMP_SECONDS, MAX_JUMPED_SECONDS
        if is_declared:
            longest = together = MAX_DECLARED_JUMP_SECONDS
        if ahead > longest or self._jumped_seconds + ahead > together:
            return False
        self._jumped_seconds += ahead
        self.reached_seconds = seconds
        return True


def _end_of_pictures(stream: Any) -> float | None:
    """Where the pictures of an Ogg file end by its last page, if that is known; of other tracks it is not exact."""
    if stream.type != "video" or stream.start_time != 0 or not stream.duration:
        return None
    return float(stream.duration * stream.time_base)


class FrameClock:
    """The time of a frame from its presentation and its decoding time, whichever misbehaves less.

    As libavcodec's best_effort_timestamp, which PyAV does not show: AVI has no presentation times, and what libav makes
    of them for files with B-frames is out of order.
    """

    def __init__(self) -> None:
        self.expected: float = 0.0
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
