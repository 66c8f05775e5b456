"""Single frames of a video, as they are and as files."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np

from avel.errors import MediaError, OutputError
from avel.files import replacing
from avel.media.container import choose_tracks, open_media
from avel.media.demux import Demuxer
from avel.media.pictures import Orientation, Scaler, display_size
from avel.media.types import Picture

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

QUALITY = 92
"""Of JPEG."""


def write_frames(video: str | Path, wanted: Mapping[Path, float], size: tuple[int, int]) -> None:
    """Write the pictures that are on screen at some moments, as JPEG, in one pass over the video.

    Args:
        video: the video.
        wanted: second of each file.
        size: width and height of the pictures.

    Raises:
        MediaError: if the video cannot be read.
        OutputError: if the video has no picture, or a file cannot be written.
    """
    todo = sorted(wanted.items(), key=lambda item: item[1])
    shown = frames_at(str(video), [seconds for _, seconds in todo])
    for (path, _), frame in zip(todo, shown, strict=True):
        if frame is None:
            raise MediaError(f"{video}: no picture of it can be decoded.")
        _save(frame, path, size)


def frames_at(video: str, moments: Sequence[float]) -> "Iterator[VideoFrame | None]":
    """The frames that are on screen at some moments, in one pass over the video.

    Args:
        video: the video.
        moments: seconds, in order.

    Returns:
        A frame for each moment, ``None`` for all of them where no picture of the video can be decoded.

    Raises:
        MediaError: if the video cannot be read.
        OutputError: if the video has no picture.
    """
    with open_media(video) as source:
        stream, _, _ = choose_tracks(source, video)
        if stream is None:
            raise OutputError(f"{video}: has no picture, so there are no frames to write.")
        stream.thread_type = "AUTO"
        shown: VideoFrame | None = None
        given = 0
        for frame, seconds in Demuxer(source, stream, None, video).pictures():
            while given < len(moments) and shown is not None and seconds > moments[given]:
                yield shown
                given += 1
            if given == len(moments):
                return
            shown = frame
        for _ in moments[given:]:
            yield shown


def key_frames(
    source: "InputContainer", stream: "VideoStream", moments: Iterable[float]
) -> "Iterator[VideoFrame | None]":
    """The key frames before some moments, each sought by itself; ``None`` where none can be decoded."""
    stream.codec_context.skip_frame = "NONKEY"
    base = float(stream.time_base) if stream.time_base else 1.0
    for moment in moments:
        frame = None
        try:
            source.seek((stream.start_time or 0) + int(moment / base), stream=stream)
            frame = next((f for packet in source.demux(stream) for f in stream.codec_context.decode(packet)), None)
        except (av.FFmpegError, OSError, ValueError):
            pass  # there is a place for a picture, and none to put there
        yield frame


def letterboxed(frame: "VideoFrame", stream: "VideoStream", size: tuple[int, int]) -> Picture:
    """(H, W, 3) RGB of a frame as displayed, on black where its shape is another one.

    Args:
        frame: of the stream.
        stream: it.
        size: width and height of the result.
    """
    orientation = Orientation.of(frame)
    shown = display_size(frame.width, frame.height, stream.sample_aspect_ratio, orientation)
    ratio = min(size[0] / shown[0], size[1] / shown[1])
    width, height = (max(2, round(side * ratio / 2) * 2) for side in shown)
    board = np.zeros((size[1], size[0], 3), np.uint8)
    top, left = (size[1] - height) // 2, (size[0] - width) // 2
    board[top : top + height, left : left + width] = Scaler((width, height))(frame, orientation)
    return board


def _save(frame: "VideoFrame", path: Path, size: tuple[int, int]) -> None:
    from PIL import Image

    picture = Image.fromarray(Scaler(size)(frame, Orientation.of(frame)))
    with replacing(path) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY)
