"""A video written anew in a form that players know, at the times of the timeline that it was read on."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace

from avel.errors import MediaError
from avel.media.container import choose_tracks, open_media
from avel.media.demux import Demuxer
from avel.media.pictures import Orientation, Orientations, Scaler, display_size
from avel.media.reader import MediaReader
from avel.media.types import MediaSegment, Picture

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.container.core import Chapter
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

SAMPLE_RATE = 48000
SOUND_BIT_RATE = 128_000
TIME_BASE = Fraction(1, 90000)
OUTSIDE_SECONDS = 1.0
"""A picture that is due so long before the timeline starts, or after it ends, is a damaged file's."""

_BT709 = 1  # ITU-T H.273, of primaries, transfer and matrix

DrawOn = Callable[[Picture, float], None]
"""Changes a picture (H, W, 3) RGB that is on screen from some second on."""


@dataclass(frozen=True)
class Encoding:
    """A container and its codecs.

    Attributes:
        suffix: of its files, without the dot.
        picture_codec: libav's name of an encoder.
        sound_codec: the same for sound.
        options: of the encoder of pictures.
        container_options: of the container.
    """

    suffix: str
    picture_codec: str
    sound_codec: str
    options: Mapping[str, str] = field(default_factory=dict)
    container_options: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_available(self) -> bool:
        """Whether libav was built with its encoders."""
        return {self.picture_codec, self.sound_codec} <= av.codecs_available


MP4 = Encoding("mp4", "libx264", "aac", {"crf": "23", "preset": "veryfast"}, {"movflags": "+faststart"})
VP9 = Encoding("webm", "libvpx-vp9", "libopus", {"crf": "34", "b": "0", "deadline": "realtime", "cpu-used": "8"})
VP8 = Encoding("webm", "libvpx", "libvorbis", {"crf": "12", "b": "2M", "deadline": "realtime", "cpu-used": "8"})


@dataclass(frozen=True)
class PictureLook:
    """What a file has to be told before its first picture, and only a picture tells.

    Attributes:
        width: as displayed, in pixels; even.
        height: the same.
        rate: pictures a second, at least about.
    """

    width: int
    height: int
    rate: Fraction

    def within(self, longest_side: int) -> "PictureLook":
        """No longer than so many pixels on its longer side."""
        ratio = min(1.0, longest_side / max(self.width, self.height))
        return PictureLook(_even(self.width * ratio), _even(self.height * ratio), self.rate)


def picture_look(video: str) -> PictureLook | None:
    """How the pictures of a video look, ``None`` if it has no video track.

    Raises:
        MediaError: if it cannot be read, or no picture of it can be decoded.
    """
    with open_media(video) as source:
        stream, _, _ = choose_tracks(source, video)
        if stream is None:
            return None
        frame = next((frame for frame, _ in Demuxer(source, stream, None, video).pictures()), None)
        if frame is None:
            raise MediaError(f"{video}: no picture of it can be decoded.")
        width, height = display_size(frame.width, frame.height, stream.sample_aspect_ratio, Orientation.of(frame))
        rate = stream.average_rate or stream.guessed_rate or Fraction(30)
        return PictureLook(_even(width), _even(height), min(max(rate, Fraction(1)), Fraction(240)))


def rewrite(
    video: str,
    path: Path,
    look: PictureLook | None,
    *,
    encoding: Encoding = MP4,
    audio_track: int | None = None,
    end_seconds: float | None = None,
    draw: DrawOn | None = None,
    chapters: "Sequence[Chapter]" = (),
    key_seconds: float | None = None,
    progress: Callable[[float], None] | None = None,
) -> None:
    """Write a video anew; frames keep their times, and the sound, as mono, its place under them.

    Args:
        video: what to read.
        path: file to write, which is another one.
        look: of the pictures; ``None`` leaves them out.
        encoding: how to write.
        audio_track: as for `MediaReader`.
        end_seconds: of the timeline, where that is known: the last picture is held until then.
        draw: is given every picture before it is written.
        chapters: for the container.
        key_seconds: a picture of its own at least so often, so that it can be sought in; the encoder's when ``None``.
        progress: called with the seconds that are written.

    Raises:
        MediaError: if the video cannot be read.
        OSError: if the file cannot be written.
    """
    options = dict(encoding.container_options)
    with ExitStack() as stack:
        source = stack.enter_context(open_media(video))
        reader = stack.enter_context(MediaReader(video, sample_rate=SAMPLE_RATE, audio_track=audio_track))
        target = stack.enter_context(av.open(str(path), "w", format=encoding.suffix, options=options))
        stream, audio, _ = choose_tracks(source, video, audio_track)
        if chapters:
            target.set_chapters(list(chapters))
        pictures = None
        if look is not None and stream is not None:
            pictures = PictureWriter(target, look, encoding, draw)
            if key_seconds is not None:
                pictures.stream.codec_context.gop_size = max(round(key_seconds * look.rate), 1)
        sound = _TimelineSound(SoundWriter(target, encoding), reader, progress) if audio else None
        if pictures is not None and stream is not None:
            stream.thread_type = "AUTO"
            for frame, seconds in Demuxer(source, stream, audio, video).pictures():
                if (
                    not -OUTSIDE_SECONDS
                    <= seconds
                    <= (math.inf if end_seconds is None else end_seconds) + OUTSIDE_SECONDS
                ):
                    continue
                pictures.add(frame, max(seconds, 0.0))
                if sound is not None:
                    sound.add_until(seconds)
                if progress is not None:
                    progress(seconds)
            pictures.finish(end_seconds)
        if sound is not None:
            sound.finish()


class PictureWriter:
    """Draws on frames and encodes them, each at its time.

    Args:
        target: the file, which gets a track for them.
        look: of the pictures.
        encoding: how to write.
        draw: is given every picture before it is written.
    """

    def __init__(
        self, target: "OutputContainer", look: PictureLook, encoding: Encoding, draw: DrawOn | None = None
    ) -> None:
        self.target = target
        self.draw = draw
        self.scaler: Scaler = Scaler((look.width, look.height))
        self.orientations: Orientations = Orientations()
        self.last_pts = -1
        self.last_frame: VideoFrame | None = None
        self.frame_seconds: float = float(1 / look.rate)
        stream = target.add_stream(encoding.picture_codec, rate=look.rate, options=dict(encoding.options))
        self.stream: VideoStream = cast("VideoStream", stream)
        self.stream.width, self.stream.height = look.width, look.height
        self.stream.pix_fmt = "yuv420p"
        context = self.stream.codec_context
        context.time_base = TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG

    def add(self, frame: "VideoFrame", seconds: float) -> None:
        """Encode a frame, unless it is no later than the last one."""
        pts = round(seconds / TIME_BASE)
        if pts <= self.last_pts:
            return
        self.last_pts, self.last_frame = pts, frame
        picture = np.ascontiguousarray(self.scaler(frame, self.orientations.of(frame)))
        if self.draw is not None:
            if not picture.flags.writeable:
                picture = picture.copy()
            self.draw(picture, seconds)
        drawn = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv420p", dst_colorspace=Colorspace.ITU709, dst_color_range=ColorRange.MPEG
        )
        drawn.pts, drawn.time_base = pts, TIME_BASE
        self.target.mux(self.stream.encode(drawn))

    def finish(self, end_seconds: float | None) -> None:
        """Hold the last picture to the end of the timeline, where those that should follow it are damaged."""
        last_seconds = float(self.last_pts * TIME_BASE)
        if self.last_frame is not None and (end_seconds or 0.0) - last_seconds > 2 * self.frame_seconds:
            self.add(self.last_frame, (end_seconds or 0.0) - self.frame_seconds)
        self.target.mux(self.stream.encode(None))


class SoundWriter:
    """Encodes samples at `SAMPLE_RATE`, one after the other.

    Args:
        target: the file, which gets a track for them.
        encoding: how to write.
        channels: 1 or 2.

    Attributes:
        samples: how many were encoded.
    """

    def __init__(self, target: "OutputContainer", encoding: Encoding, channels: int = 1) -> None:
        self.target = target
        self.channels = channels
        self.samples = 0
        self._layout = "mono" if channels == 1 else "stereo"
        stream = target.add_stream(encoding.sound_codec, rate=SAMPLE_RATE, layout=self._layout)
        self.stream: AudioStream = cast("AudioStream", stream)
        self.stream.bit_rate = SOUND_BIT_RATE * channels

    def add(self, samples: npt.NDArray[np.float32]) -> None:
        """Encode the next samples, (channels, S), full scale at 1."""
        if not samples.shape[1]:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=self._layout)
        frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, self.samples, Fraction(1, SAMPLE_RATE)
        self.samples += frame.samples
        self.target.mux(self.stream.encode(frame))

    def finish(self) -> None:
        """Encode what is held back."""
        self.target.mux(self.stream.encode(None))


class _TimelineSound:
    """Encodes the sound as the media reader places it on the timeline: silence where there is none, never shifted."""

    def __init__(self, writer: SoundWriter, reader: MediaReader, progress: Callable[[float], None] | None) -> None:
        self.writer = writer
        self.segments: Iterator[MediaSegment] = reader
        self.progress = progress

    def add_until(self, seconds: float) -> None:
        """Encode what comes before a moment, so that picture and sound lie together in the file."""
        while self.writer.samples < seconds * SAMPLE_RATE:
            try:
                segment = next(self.segments, None)
            except MediaError:  # nothing of the sound can be decoded; the picture is worth having
                segment = None
            if segment is None:
                return
            held = round((segment.end_seconds - segment.start_seconds) * SAMPLE_RATE)
            self.writer.add(segment.waveform[None, :held])
            if self.progress is not None:
                self.progress(segment.end_seconds)

    def finish(self) -> None:
        self.add_until(math.inf)
        self.writer.finish()


def _even(pixels: float) -> int:
    """What yuv420p wants."""
    return max(int(pixels) // 2 * 2, 2)
