"""Clips whose pictures and sound say what time it is, for finding what a reader puts in the wrong place.

Each picture carries its number and a checksum of it, so that a damaged picture is not taken for another one. The sound
is a tone that rises evenly, so that its pitch tells the time to a few milliseconds.
"""

import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from avel.testing.encoding import audio_packets, interleaved, video_packets
from avel.testing.tone_and_flash import draw_picture, picture_number

FRAME_RATE = 25
LONGEST_SECONDS = 10
FIRST_HERTZ, HERTZ_PER_SECOND = 400.0, 600.0
SIDE = 96
BLOCK_SECONDS = 0.05
"""Length of sound whose pitch is measured."""
MIN_TONE_SHARE = 0.5
"""Share of a block's energy that has to be in its tone."""

CODECS = {
    ".mp4": ("libx264", "aac", "mp4"),
    ".mkv": ("libx264", "aac", "matroska"),
    ".webm": ("libvpx", "libopus", "webm"),
    ".ts": ("libx264", "aac", "mpegts"),
    ".avi": ("mpeg4", "pcm_s16le", "avi"),
    ".ogg": ("libvpx", "libopus", "ogg"),
}
"""Codecs of pictures and sound, and the container, by ending."""


def make_time_coded_clip(path: str | os.PathLike[str], duration_seconds: float = 8.0) -> Path:
    """Write a clip of 25 pictures a second with a key frame every 0.8 s.

    Args:
        path: with one of the endings of `CODECS`.
        duration_seconds: at most `LONGEST_SECONDS`.

    Returns:
        ``path``.
    """
    path = Path(path)
    video_codec, audio_codec, container_name = CODECS[path.suffix]
    options = {"fflags": "+bitexact"} | ({"movflags": "+faststart"} if path.suffix == ".mp4" else {})
    noise = np.random.default_rng(1).integers(0, 60, (8, SIDE // 2, SIDE, 1), dtype=np.uint8)

    def draw(number: int, seconds: float) -> npt.NDArray[np.uint8]:
        picture = draw_picture(number | checksum(number) << 8, False, SIDE, SIDE)
        picture[SIDE // 2 :] = noise[number % len(noise)]
        return picture

    with av.open(str(path), "w", format=container_name, options=options) as container:
        # A negative speed is kept; a positive one depends on how busy the machine is.
        fast = {"deadline": "realtime", "cpu-used": "-8"} if video_codec == "libvpx" else {}
        video: Any = container.add_stream(video_codec, rate=FRAME_RATE, options={"g": "20", "b": "400k", **fast})
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, FRAME_RATE)
        audio: Any = container.add_stream(audio_codec, rate=48000, layout="mono")
        times = [(number, number / FRAME_RATE) for number in range(round(duration_seconds * FRAME_RATE))]
        tracks = [
            video_packets(video, times, draw, 0.0),
            audio_packets(audio, rising_tone(duration_seconds, 48000), (0.0, duration_seconds), (1.0,), 0.0),
        ]
        for packet in interleaved(tracks):
            container.mux(packet)
    return path


def rising_tone(duration_seconds: float, sample_rate: int) -> npt.NDArray[np.float32]:
    """The sound, (S,) in [-1, 1]."""
    seconds = np.arange(round(duration_seconds * sample_rate)) / sample_rate
    phase = 2 * np.pi * (FIRST_HERTZ * seconds + HERTZ_PER_SECOND / 2 * seconds**2)
    return (0.5 * np.sin(phase)).astype(np.float32)


def seconds_shown(picture: npt.NDArray[np.uint8]) -> float | None:
    """The time that a picture says, (H, W, 3); ``None`` if it is damaged."""
    code = picture_number(picture)
    number = code & 0xFF
    return number / FRAME_RATE if code >> 8 == checksum(number) else None


def checksum(number: int) -> int:
    """Eight bits, of the polynomial x^8 + x^2 + x + 1: two numbers with their checksums differ in four bits or more."""
    remainder = number
    for _ in range(8):
        remainder = (remainder << 1) ^ (0x107 if remainder & 0x80 else 0)
    return remainder ^ 0xFF


def seconds_heard(block: npt.NDArray[np.float32], sample_rate: int) -> float | None:
    """The time that `BLOCK_SECONDS` of sound say of their middle, (S,); ``None`` if they are damaged or not whole."""
    if np.count_nonzero(block) < 0.95 * len(block) or float(np.abs(block).max()) < 0.1:
        return None
    size = 16384
    power = np.abs(np.fft.rfft(block * np.hanning(len(block)), size)) ** 2
    peak = int(power.argmax())
    width = round(80 * size / sample_rate)
    near = slice(max(peak - width, 0), peak + width + 1)
    if power[near].sum() < MIN_TONE_SHARE * power.sum():
        return None
    # The middle of what is near the peak: within a block the tone moves evenly.
    hertz = float((power[near] * np.arange(near.start, near.start + len(power[near]))).sum() / power[near].sum())
    return (hertz * sample_rate / size - FIRST_HERTZ) / HERTZ_PER_SECOND
