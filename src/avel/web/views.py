"""What a page shows of a video besides the video itself: pictures, sound, heat, scores."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from avel.errors import MediaError
from avel.events import Localization
from avel.media.container import choose_tracks, open_media
from avel.media.demux import Demuxer
from avel.media.pictures import Orientation, Scaler, display_size
from avel.media.reader import MediaReader
from avel.outputs import heat, timeline

FRAME_WIDTH, FRAME_HEIGHT = 160, 90
"""Of a thumbnail and of each frame of a strip; other shapes lie on black."""
JPEG_QUALITY = 80
SAMPLE_RATE = 8000
MAX_PEAKS = 200_000
MAP_SIDE = 160
PEAK_DECIMALS = 3


def thumbnail(video: Path) -> bytes:
    """A picture of a video, from its first third, as JPEG.

    Raises:
        MediaError: if it has none that can be read.
    """
    with open_media(video) as source:
        stream, _, _ = choose_tracks(source, str(video))
        if stream is None:
            raise MediaError(f"{video}: has no picture.")
        duration = float(source.duration or 0) / 1_000_000
        if duration > 1 and source.seekable if hasattr(source, "seekable") else duration > 1:
            source.seek(int((duration / 3) * 1_000_000) + (source.start_time or 0))
        for packet in source.demux(stream):
            for frame in packet.decode():
                size = display_size(frame.width, frame.height, stream.sample_aspect_ratio, Orientation.of(frame))
                return jpeg(_letterboxed(frame, size))
    raise MediaError(f"{video}: no picture of it can be decoded.")


def _letterboxed(frame: Any, size: tuple[int, int]) -> npt.NDArray[np.uint8]:
    ratio = min(FRAME_WIDTH / size[0], FRAME_HEIGHT / size[1])
    width, height = (max(2, round(side * ratio / 2) * 2) for side in size)
    picture = Scaler((width, height))(frame, Orientation.of(frame))
    board = np.zeros((FRAME_HEIGHT, FRAME_WIDTH, 3), np.uint8)
    top, left = (FRAME_HEIGHT - height) // 2, (FRAME_WIDTH - width) // 2
    board[top : top + height, left : left + width] = picture
    return board


def jpeg(picture: npt.NDArray[np.uint8]) -> bytes:
    """(H, W, 3) RGB as JPEG."""
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def strip(video: Path, count: int, duration_seconds: float) -> bytes:
    """Frames at the middles of equal parts of a video, side by side, as JPEG.

    Raises:
        MediaError: if the video cannot be read.
    """
    board = np.zeros((FRAME_HEIGHT, FRAME_WIDTH * count, 3), np.uint8)
    moments = [(n + 0.5) * duration_seconds / count for n in range(count)]
    with open_media(video) as source:
        stream, _, _ = choose_tracks(source, str(video))
        if stream is None:
            raise MediaError(f"{video}: has no picture.")
        shown = None
        place = 0
        for frame, seconds in Demuxer(source, stream, None, str(video)).pictures():
            while place < count and shown is not None and seconds > moments[place]:
                _put(board, place, shown, stream)
                place += 1
            if place == count:
                break
            shown = frame
        for rest in range(place, count):
            if shown is not None:
                _put(board, rest, shown, stream)
    return jpeg(board)


def _put(board: npt.NDArray[np.uint8], place: int, frame: Any, stream: Any) -> None:
    size = display_size(frame.width, frame.height, stream.sample_aspect_ratio, Orientation.of(frame))
    board[:, place * FRAME_WIDTH : (place + 1) * FRAME_WIDTH] = _letterboxed(frame, size)


def peaks(video: Path, per_second: float, audio_track: int | None = None) -> dict[str, Any]:
    """Least and greatest sample of each of many equal parts of a video, in [-1, 1]; 0 where there is no sound.

    Raises:
        MediaError: if the video cannot be read.
    """
    low: list[float] = []
    high: list[float] = []
    with MediaReader(video, sample_rate=SAMPLE_RATE, audio_track=audio_track) as reader:
        parts = max(round(per_second), 1)
        for segment in reader:
            held = segment.end_seconds - segment.start_seconds
            samples = np.zeros(SAMPLE_RATE // parts * parts, np.float32)
            length = min(len(samples), len(segment.waveform))
            samples[:length] = segment.waveform[:length]
            table = samples.reshape(parts, -1)
            kept = max(round(held * parts), 1)
            low += table.min(axis=1)[:kept].round(PEAK_DECIMALS).tolist()
            high += table.max(axis=1)[:kept].round(PEAK_DECIMALS).tolist()
            if len(low) > MAX_PEAKS:
                break
    return {"per_second": parts, "minimum": low, "maximum": high}


def heat_map(result: Localization, segment: int) -> bytes | None:
    """Where in the picture the event of a segment is, as PNG with alpha; ``None`` where nothing says that."""
    attention = result.attention
    if attention is None or not 0 <= segment < len(attention) or not attention[segment].any():
        return None
    rows, columns = attention.shape[1:]
    ratio = MAP_SIDE / max(rows, columns)
    veil = heat.veil(attention[segment], (max(round(columns * ratio), 1), max(round(rows * ratio), 1)))
    veil[..., 3] *= 255
    out = io.BytesIO()
    Image.fromarray(np.round(veil).astype(np.uint8), "RGBA").save(out, "PNG")
    return out.getvalue()


def scores(result: Localization, category: str) -> dict[str, Any]:
    """Scores of a category over time: one value a segment, ``None`` where sound or picture could not be read."""
    tells = timeline.tells_modalities(result)

    def curve(kind: str) -> list[float | None] | None:
        if kind != "scores" and not tells:
            return None
        values: list[float | None] = []
        for segment in result.segments:
            valid = segment.valid
            readable = {
                "audio_scores": valid.audio,
                "visual_scores": valid.visual,
                "scores": valid.audio and valid.visual,
            }[kind]
            of = getattr(segment, kind) or {}
            values.append(round(float(of.get(category, 0.0)), 4) if readable else None)
        return values

    return {
        "segment_seconds": result.segment_seconds,
        "start_seconds": [segment.start_seconds for segment in result.segments],
        "audio": curve("audio_scores"),
        "visual": curve("visual_scores"),
        "combined": curve("scores"),
    }
