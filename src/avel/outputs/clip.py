"""The video with its events burnt in and as chapters, as MP4 (H.264 and AAC)."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace

from avel.data.formats.chapters import chapters_of
from avel.errors import MediaError, OutputError
from avel.events import Localization
from avel.media.container import choose_tracks, open_media
from avel.media.demux import Demuxer
from avel.media.pictures import Orientation, Scaler, display_size
from avel.media.reader import MediaReader
from avel.media.types import MediaSegment
from avel.outputs.overlay import Overlay

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.container.core import Chapter
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

CRF = "23"
PRESET = "veryfast"
SAMPLE_RATE = 48000
SOUND_BIT_RATE = 128_000
TIME_BASE = Fraction(1, 90000)

_BT709 = 1  # ITU-T H.273, of primaries, transfer and matrix


def save(result: Localization, path: Path) -> None:
    """Write the video with its events; frames keep their times, and the sound, as mono, its place under them.

    Args:
        result: what was found.
        path: file to write, which is not the video itself.

    Raises:
        MediaError: if the video is no longer there.
        OutputError: if the video has no picture.
        OSError: if the file cannot be written.
    """
    size, rate = _look(result)
    track = result.model.get("audio_track")
    with (
        open_media(result.video) as source,
        MediaReader(result.video, sample_rate=SAMPLE_RATE, audio_track=track) as reader,
        av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as target,
    ):
        video, audio, _ = choose_tracks(source, result.video, track)
        assert video is not None
        target.set_chapters(_chapters(result))
        video.thread_type = "AUTO"
        pictures = _PictureTrack(result, target, size, rate)
        sound = _SoundTrack(target, reader) if audio else None
        for frame, seconds in Demuxer(source, video, audio, result.video).pictures():
            # A time beyond the timeline is a damaged file's.
            if not -1 <= seconds <= result.duration_seconds + result.segment_seconds:
                continue
            pictures.add(frame, max(seconds, 0.0))
            if sound is not None:
                sound.add_until(seconds)
        pictures.finish(result.duration_seconds)
        if sound is not None:
            sound.finish()


def _chapters(result: Localization) -> list["Chapter"]:
    return [
        {
            "id": number,
            "start": round(1000 * one.start_seconds),
            "end": round(1000 * one.end_seconds),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": one.title},
        }
        for number, one in enumerate(chapters_of(result))
    ]


def _look(result: Localization) -> tuple[tuple[int, int], Fraction]:
    """Size and rate of the frames to write: an MP4 has to be told before its first frame, and only a frame tells."""
    with open_media(result.video) as source:
        video, _, _ = choose_tracks(source, result.video)
        if video is None:
            raise OutputError(
                f"{result.video}: no picture to draw the events into, so that there can be no mp4. "
                "Choose html or png, which show the sound, or json, csv, srt or vtt."
            )
        frame = next((frame for frame, _ in Demuxer(source, video, None, result.video).pictures()), None)
        if frame is None:
            raise OutputError(f"{result.video}: no picture of it can be decoded, so that there can be no mp4.")
        width, height = display_size(frame.width, frame.height, video.sample_aspect_ratio, Orientation.of(frame))
        rate = video.average_rate or video.guessed_rate or Fraction(30)
        # yuv420p wants even sides.
        return (max(width // 2 * 2, 2), max(height // 2 * 2, 2)), min(max(rate, Fraction(1)), Fraction(240))


class _PictureTrack:
    """Draws frames and encodes them, each at its time."""

    def __init__(self, result: Localization, target: "OutputContainer", size: tuple[int, int], rate: Fraction) -> None:
        self.target = target
        self.scaler = Scaler(size)
        self.overlay = Overlay(result, size)
        self.last_pts = -1
        self.last_frame: VideoFrame | None = None
        self.frame_seconds = float(1 / rate)
        self.stream: VideoStream = target.add_stream("libx264", rate=rate, options={"crf": CRF, "preset": PRESET})
        self.stream.width, self.stream.height = size
        self.stream.pix_fmt = "yuv420p"
        context = self.stream.codec_context
        context.time_base = TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG

    def add(self, frame: "VideoFrame", seconds: float) -> None:
        pts = round(seconds / TIME_BASE)
        if pts <= self.last_pts:
            return
        self.last_pts, self.last_frame = pts, frame
        picture = np.ascontiguousarray(self.scaler(frame, Orientation.of(frame)))
        if not picture.flags.writeable:
            picture = picture.copy()
        self.overlay.draw(picture, seconds)
        drawn = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        drawn.pts, drawn.time_base = pts, TIME_BASE
        self.target.mux(self.stream.encode(drawn))

    def finish(self, end_seconds: float) -> None:
        """Hold the last picture to the end of the timeline, where those that should follow it are damaged."""
        last_seconds = float(self.last_pts * TIME_BASE)
        if self.last_frame is not None and end_seconds - last_seconds > 2 * self.frame_seconds:
            self.add(self.last_frame, end_seconds - self.frame_seconds)
        self.target.mux(self.stream.encode(None))


class _SoundTrack:
    """Encodes the sound as the media reader places it on the timeline: silence where there is none, never shifted."""

    def __init__(self, target: "OutputContainer", reader: MediaReader) -> None:
        self.target = target
        self.segments: Iterator[MediaSegment] = reader
        self.samples = 0
        self.stream: AudioStream = target.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        self.stream.bit_rate = SOUND_BIT_RATE

    def add_until(self, seconds: float) -> None:
        """Encode what comes before a moment, so that picture and sound lie together in the file."""
        while self.samples < seconds * SAMPLE_RATE:
            try:
                segment = next(self.segments, None)
            except MediaError:  # nothing of the sound can be decoded; the picture is worth having
                segment = None
            if segment is None:
                return
            held = round((segment.end_seconds - segment.start_seconds) * SAMPLE_RATE)
            frame = av.AudioFrame.from_ndarray(segment.waveform[None, :held], format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self.samples, Fraction(1, SAMPLE_RATE)
            self.samples += frame.samples
            self.target.mux(self.stream.encode(frame))

    def finish(self) -> None:
        self.add_until(math.inf)
        self.target.mux(self.stream.encode(None))
