"""Clips whose events are flashes with a tone, for checking times.

Each picture carries its own number, so that a reader can be asked which one it gave, and each sample of the sound
follows from its time:

    +--+--+--+--+
    |16 bits of |   white is 1; the lowest bit is at the top left
    |the number |
    +--+--+--+--+
    |   flash   |   white during an event, else dark
    +-----------+
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from avel.testing.encoding import TONE_AMPLITUDE, audio_packets, codecs_of, interleaved, video_packets

WHITE, DARK = 235, 20


def make_clip(
    path: str | os.PathLike[str],
    duration_seconds: float = 2.0,
    *,
    events: Sequence[tuple[float, float]] = (),
    width: int = 64,
    height: int = 64,
    frame_rate: int | Fraction = 25,
    frame_times: Sequence[float] | None = None,
    rotation_degrees: int = 0,
    sample_rate: int = 16000,
    channel_gains: Sequence[float] = (1.0,),
    tone_hertz: float = 440.0,
    start_seconds: float = 0.0,
    video_span: tuple[float, float] | None = (0.0, np.inf),
    audio_span: tuple[float, float] | None = (0.0, np.inf),
    is_interleaved: bool = True,
    video_codec: str | None = None,
    audio_codec: str | None = None,
    video_options: Mapping[str, str] | None = None,
) -> Path:
    """Write a clip with a flash and a tone during each event.

    Args:
        path: ``.mp4`` (H.264 and AAC), ``.mkv`` (FFV1 and PCM, both lossless), ``.webm``, ``.avi``, ``.ts``, ...
        duration_seconds: of the timeline.
        events: spans on the timeline.
        width: in pixels, before rotation.
        height: in pixels, before rotation.
        frame_rate: pictures a second.
        frame_times: seconds on the timeline of each picture, instead of a constant rate.
        rotation_degrees: how far a player must turn the pictures, counterclockwise.
        sample_rate: in Hz.
        channel_gains: one or two channels; what each has of the tone.
        tone_hertz: of ``TONE_AMPLITUDE * sin(2 pi f t)``, t on the timeline.
        start_seconds: time in the file at which the timeline starts; a multiple of a picture's duration.
        video_span: part of the timeline that has pictures; ``None`` for no video track.
        audio_span: part of the timeline that has sound; ``None`` for no audio track.
        is_interleaved: else all pictures are written before all sound, where the container lets one.
        video_codec: instead of the container's usual one.
        audio_codec: instead of the container's usual one.
        video_options: for the video codec.

    Returns:
        ``path``.
    """
    path = Path(path)
    codecs = codecs_of(path)
    with av.open(str(path), "w") as container:
        packets: list[Iterator[tuple[float, Any]]] = []
        if video_span is not None:
            times = np.arange(round(duration_seconds * frame_rate)) / float(frame_rate)
            times = np.asarray(times if frame_times is None else frame_times)
            video: Any = container.add_stream(
                video_codec or codecs[0], rate=frame_rate, options=dict(video_options or {})
            )
            video.width, video.height, video.pix_fmt = width, height, "yuv420p"
            video.codec_context.time_base = 1 / Fraction(frame_rate) if frame_times is None else Fraction(1, 1000)
            if rotation_degrees:
                video.set_display_rotation(rotation_degrees)
            shown = [(n, t) for n, t in enumerate(times) if video_span[0] <= t < video_span[1]]

            def draw(number: int, seconds: float) -> npt.NDArray[np.uint8]:
                flashes = any(start <= seconds < end for start, end in events)
                return draw_picture(number, flashes, width, height)

            packets.append(video_packets(video, shown, draw, start_seconds))
        if audio_span is not None:
            layout = "mono" if len(channel_gains) == 1 else "stereo"
            audio: Any = container.add_stream(audio_codec or codecs[1], rate=sample_rate, layout=layout)
            span = (max(audio_span[0], 0.0), min(audio_span[1], duration_seconds))
            tone = tone_waveform(duration_seconds, events, sample_rate, tone_hertz)
            packets.append(audio_packets(audio, tone, span, channel_gains, start_seconds))
        for packet in interleaved(packets) if is_interleaved else (p for track in packets for _, p in track):
            container.mux(packet)
    return path


def tone_waveform(
    duration_seconds: float, events: Sequence[tuple[float, float]], sample_rate: int, tone_hertz: float = 440.0
) -> npt.NDArray[np.float32]:
    """The sound of a clip, (S,) in [-1, 1]."""
    seconds = np.arange(round(duration_seconds * sample_rate)) / sample_rate
    sounds = np.zeros(len(seconds), dtype=bool)
    for start, end in events:
        sounds |= (seconds >= start) & (seconds < end)
    return (sounds * TONE_AMPLITUDE * np.sin(2 * np.pi * tone_hertz * seconds)).astype(np.float32)


def draw_picture(number: int, is_flash: bool, width: int = 64, height: int = 64) -> npt.NDArray[np.uint8]:
    """Picture of a clip, (height, width, 3) RGB."""
    picture = np.full((height, width, 3), WHITE if is_flash else DARK, dtype=np.uint8)
    rows, columns = np.linspace(0, height // 2, 5).astype(int), np.linspace(0, width, 5).astype(int)
    for bit in range(16):
        row, column = divmod(bit, 4)
        cell = picture[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
        cell[:] = WHITE if number >> bit & 1 else DARK
    return picture


def picture_number(picture: npt.NDArray[np.uint8]) -> int:
    """The number that a picture of a clip carries, of any size: (H, W, 3)."""
    return sum(1 << bit for bit in range(16) if _cell_mean(picture, bit) > 128)


def is_flash(picture: npt.NDArray[np.uint8]) -> bool:
    """Whether a picture of a clip shows an event: (H, W, 3)."""
    height = len(picture)
    return bool(picture[height * 5 // 8 : height * 7 // 8].mean() > 128)


def _cell_mean(picture: npt.NDArray[np.uint8], bit: int) -> float:
    height, width = picture.shape[:2]
    row, column = divmod(bit, 4)
    top, left = height / 2 * (row + 0.25) / 4, width * (column + 0.25) / 4
    bottom, right = height / 2 * (row + 0.75) / 4, width * (column + 0.75) / 4
    return float(picture[round(top) : max(round(bottom), round(top) + 1), round(left) : round(right)].mean())
