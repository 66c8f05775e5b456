"""Packets of a file's video and audio track, decoded, with the times of their frames."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import av

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

MAX_JUMP_SECONDS = 60.0
MAX_DECLARED_JUMP_SECONDS = 3600.0
"""A time further than this after all that was read is taken as damaged; the second bound holds for times within the
duration that the file declares."""
MAX_READ_ERRORS = 100


@dataclass(slots=True)
class DecodedPacket:
    """What one packet gave."""

    kind: str
    frames: list[Any]
    error: str | None


class Demuxer:
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

    def __iter__(self) -> Iterator[DecodedPacket]:
        return self._items

    def span(self, kind: str, frame: Any) -> tuple[float, float] | None:
        """When a frame starts and ends on the timeline, in seconds; ``None`` if its time cannot be right."""
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
        """What is wrong with the file, one line each; complete when the iteration has ended."""
        lines = []
        if self._read_errors:
            lines.append(f"The file could not be read in {self._read_errors} places ({self.last_error}).")
        if self._jumps:
            lines.append(f"{self._jumps} packets with impossible times were left out.")
        if self._declared is not None and self._declared > self.reached_seconds + 1 and not self._is_stopped:
            held = self.reached_seconds
            lines.append(f"The file declares {self._declared:.1f} s but holds {held:.1f} s; it may be incomplete.")
        return lines

    def _decode(self) -> Iterator[DecodedPacket]:
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

    def _decode_packet(self, stream: Any, packet: Any) -> DecodedPacket:
        if stream.type not in self.decoded:
            return DecodedPacket(stream.type, [], None)
        try:
            return DecodedPacket(stream.type, stream.codec_context.decode(packet), None)
        except (av.FFmpegError, ValueError, MemoryError) as error:
            self.last_error = str(getattr(error, "strerror", None) or error)
            return DecodedPacket(stream.type, [], self.last_error)

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
