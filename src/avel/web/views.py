"""What a page shows of a video besides the video itself: pictures, sound, heat, scores.

What reads the video gives bytes, and is called in a process of its own (`avel.web.worker`).
"""

import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

from avel.errors import MediaError
from avel.events import Localization
from avel.media.container import choose_tracks, open_media
from avel.media.reader import MediaReader
from avel.media.types import Picture
from avel.outputs import heat, timeline
from avel.outputs.frames import frames_at, key_frames, letterboxed

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

FRAME_WIDTH, FRAME_HEIGHT = 160, 90
"""Of a thumbnail and of each frame of a strip; other shapes lie on black."""
JPEG_QUALITY = 80
WHOLE_SECONDS = 60.0
"""A video up to this long is decoded for its strip, and any up to here for a picture; else key frames are sought."""

SAMPLE_RATE = 16000
MAX_PEAKS = 200_000
PEAK_DECIMALS = 3

SPECTRUM_SAMPLES = 1024
COLUMNS_PER_SECOND = 50
MAX_SPECTRUM_COLUMNS = 8000
SPECTRUM_ROWS = 128
LOWEST_HERTZ, HIGHEST_HERTZ = 60.0, SAMPLE_RATE / 2
FLOOR_DECIBELS = -90.0
SPECTRUM_COLORS = [(0, 0, 4), (81, 18, 124), (183, 55, 121), (252, 137, 97), (252, 253, 191)]
"""RGB from quiet to loud; they grow lighter evenly."""

MAP_SIDE = 160
ScoreKind = Literal["audio_scores", "visual_scores", "scores"]


def thumbnail(video: str, at_seconds: float | None = None) -> bytes:
    """A picture of a video as JPEG.

    Args:
        video: the video.
        at_seconds: its moment; further into a video than `WHOLE_SECONDS`, the key frame before it. ``None`` for a
            picture from the first third.

    Raises:
        MediaError: if it has none that can be read.
    """
    with open_media(video) as source:
        stream = _pictures_of(source, video)
        if at_seconds is None:
            third = float(source.duration or 0) / av.time_base / 3
            frame = next(key_frames(source, stream, [third])) or next(frames_at(video, [0.0]))
        else:
            frame = next(key_frames(source, stream, [at_seconds])) if at_seconds > WHOLE_SECONDS else None
            frame = frame or next(frames_at(video, [at_seconds]))
        if frame is None:
            raise MediaError(f"{video}: no picture of it can be decoded.")
        return _jpeg(letterboxed(frame, stream, (FRAME_WIDTH, FRAME_HEIGHT)))


def strip(video: str, count: int, duration_seconds: float) -> bytes:
    """Frames at the middles of equal parts of a video, side by side, as JPEG; black where there is none.

    Raises:
        MediaError: if the video cannot be read, or has no picture.
    """
    moments = [(n + 0.5) * duration_seconds / count for n in range(count)]
    board = np.zeros((FRAME_HEIGHT, FRAME_WIDTH * count, 3), np.uint8)
    with open_media(video) as source:
        stream = _pictures_of(source, video)
        is_short = duration_seconds <= WHOLE_SECONDS
        for place, frame in enumerate(frames_at(video, moments) if is_short else key_frames(source, stream, moments)):
            if frame is not None:
                board[:, place * FRAME_WIDTH : (place + 1) * FRAME_WIDTH] = letterboxed(
                    frame, stream, (FRAME_WIDTH, FRAME_HEIGHT)
                )
    return _jpeg(board)


def _pictures_of(source: "InputContainer", video: str) -> "VideoStream":
    stream, _, _ = choose_tracks(source, video)
    if stream is None:
        raise MediaError(f"{video}: has no picture.")
    return stream


def _jpeg(picture: Picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def peaks(video: str, per_second: int, audio_track: int | None = None) -> bytes:
    """Least and greatest sample of each of many equal parts of a video, in [-1, 1]; 0 where there is no sound. JSON.

    Raises:
        MediaError: if the video cannot be read.
    """
    low: list[float] = []
    high: list[float] = []
    edges = np.round(np.linspace(0, SAMPLE_RATE, per_second, endpoint=False)).astype(np.int64)
    with MediaReader(video, sample_rate=SAMPLE_RATE, audio_track=audio_track) as reader:
        for segment in reader:
            kept = max(math.ceil((segment.end_seconds - segment.start_seconds) * per_second - 1e-6), 1)
            waveform = segment.waveform
            if not len(waveform):
                waveform = np.zeros(SAMPLE_RATE, np.float32)
            low += np.minimum.reduceat(waveform, edges)[:kept].astype(np.float64).round(PEAK_DECIMALS).tolist()
            high += np.maximum.reduceat(waveform, edges)[:kept].astype(np.float64).round(PEAK_DECIMALS).tolist()
            if len(low) >= MAX_PEAKS:
                break
    return json.dumps({"per_second": per_second, "minimum": low, "maximum": high}, separators=(",", ":")).encode()


def spectrogram(video: str, duration_seconds: float, audio_track: int | None = None) -> bytes:
    """How loud each frequency is over the whole video, from `LOWEST_HERTZ` at the bottom on a logarithmic scale. PNG.

    Raises:
        MediaError: if the video cannot be read.
    """
    each = max(math.ceil(duration_seconds * COLUMNS_PER_SECOND / MAX_SPECTRUM_COLUMNS), 1)
    spectrum = _Spectrum()
    end_seconds = 0.0
    with MediaReader(video, sample_rate=SAMPLE_RATE, audio_track=audio_track) as reader:
        for segment in reader:
            spectrum.add(segment.waveform if len(segment.waveform) else np.zeros(SAMPLE_RATE, np.float32))
            end_seconds = segment.end_seconds
    spectrum.add(np.zeros(SPECTRUM_SAMPLES, np.float32))
    loud = np.concatenate(spectrum.columns)[: max(math.ceil(end_seconds * COLUMNS_PER_SECOND), 1)]
    loud = np.maximum.reduceat(loud, np.arange(0, len(loud), each), axis=0)
    shares = 1 - 20 * np.log10(np.maximum(loud, 1e-9)) / FLOOR_DECIBELS
    places = np.linspace(0, 1, len(SPECTRUM_COLORS))
    picture = np.stack([np.interp(shares, places, [c[i] for c in SPECTRUM_COLORS]) for i in range(3)], axis=-1)
    out = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8).transpose(1, 0, 2)[::-1]).save(out, "PNG")
    return out.getvalue()


class _Spectrum:
    """Sound as it comes to columns of loudness, (N, `SPECTRUM_ROWS`), the lowest frequency first."""

    def __init__(self) -> None:
        hertz = np.geomspace(LOWEST_HERTZ, HIGHEST_HERTZ, SPECTRUM_ROWS + 1)[:-1]
        self.bins = (hertz * SPECTRUM_SAMPLES / SAMPLE_RATE).astype(np.int64)
        self.window = np.hanning(SPECTRUM_SAMPLES).astype(np.float32)
        self.held = np.zeros(SPECTRUM_SAMPLES // 2, np.float32)  # so that a column's moment is its window's middle
        self.columns: list[npt.NDArray[np.float32]] = []

    def add(self, waveform: npt.NDArray[np.float32]) -> None:
        hop = SAMPLE_RATE // COLUMNS_PER_SECOND
        self.held = np.concatenate([self.held, waveform])
        parts = np.lib.stride_tricks.sliding_window_view(self.held, SPECTRUM_SAMPLES)[::hop]
        self.held = self.held[len(parts) * hop :]
        power = np.abs(np.fft.rfft(parts * self.window, axis=1)).astype(np.float32) / (SPECTRUM_SAMPLES / 4)
        self.columns.append(np.maximum.reduceat(power, self.bins, axis=1))


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
    """Scores of a category over time: one value a segment, ``None`` where sound or picture could not be read.

    Results list the highest scores of a segment alone; others are 0.
    """
    tells = timeline.tells_modalities(result)

    def curve(kind: ScoreKind) -> list[float | None] | None:
        if kind != "scores" and not tells:
            return None
        values: list[float | None] = []
        for segment in result.segments:
            audio, visual = segment.valid.audio, segment.valid.visual
            is_read = {"audio_scores": audio, "visual_scores": visual, "scores": audio and visual}[kind]
            values.append(round(float((getattr(segment, kind) or {}).get(category, 0.0)), 4) if is_read else None)
        return values

    return {
        "segment_seconds": result.segment_seconds,
        "start_seconds": [segment.start_seconds for segment in result.segments],
        "audio": curve("audio_scores"),
        "visual": curve("visual_scores"),
        "combined": curve("scores"),
    }


def details(result: Localization) -> list[dict[str, Any]]:
    """What a result has besides scores and can be drawn as a line over time, without its values."""
    return [
        {"title": title, "meaning": detail.meaning, "low": detail.low, "high": detail.high}
        for detail, title, _ in timeline.detail_numbers(result)
    ]


def detail(result: Localization, title: str) -> list[float] | None:
    """The values of one of `details`, one a segment; ``None`` where there is none of that title."""
    rows = next((rows for _, known, rows in timeline.detail_numbers(result) if known == title), None)
    return None if rows is None else [round(float(value), 4) for value in rows]


def export(result: Localization, name: str, path: Path) -> None:
    """Write a result to a file in some format.

    Raises:
        AvelError: if it cannot be written, or the format cannot show it.
    """
    from avel.outputs import write

    write(result, path, name)
