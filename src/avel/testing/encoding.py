"""Pictures and sound into a file: what all clips with a known answer are written by."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

TONE_AMPLITUDE = 0.5
_CODECS = {".mkv": ("ffv1", "pcm_s16le"), ".avi": ("mpeg4", "pcm_s16le"), ".webm": ("libvpx", "libopus")}
_USUAL_CODECS = ("libx264", "aac")
_SOUND_CHUNK = 1024

Draw = Callable[[int, float], npt.NDArray[np.uint8]]
"""Picture at a number and a time: (height, width, 3) RGB."""


def codecs_of(path: Path) -> tuple[str, str]:
    """Names of the codecs of pictures and sound that a file of this ending gets."""
    return _CODECS.get(path.suffix, _USUAL_CODECS)


def video_packets(
    stream: Any, shown: list[tuple[int, float]], draw: Draw, start_seconds: float
) -> Iterator[tuple[float, Any]]:
    """Packets of pictures at numbers and times, each with its time; the timeline starts at ``start_seconds``."""
    # The same file on every machine; and threads that wait for each other cost libvpx thirty times what it encodes in.
    stream.codec_context.thread_count = 1
    for number, seconds in shown:
        frame = av.VideoFrame.from_ndarray(draw(number, seconds), format="rgb24")
        frame.time_base = stream.codec_context.time_base
        frame.pts = round((start_seconds + seconds) / frame.time_base)
        for packet in stream.encode(frame):
            yield seconds, packet
    for packet in stream.encode(None):
        yield np.inf, packet


def audio_packets(
    stream: Any,
    tone: npt.NDArray[np.float32],
    span: tuple[float, float],
    channel_gains: Sequence[float],
    start_seconds: float,
) -> Iterator[tuple[float, Any]]:
    """Packets of the sound in a span of the timeline, each with its time; a gain for each channel."""
    rate = stream.sample_rate
    resampler = av.AudioResampler(format=stream.format.name, layout=stream.layout.name, rate=rate)
    first, last = (round(seconds * rate) for seconds in span)
    for position in range(first, last, _SOUND_CHUNK):
        chunk = tone[position : min(position + _SOUND_CHUNK, last)]
        channels = np.stack([chunk * np.float32(gain) for gain in channel_gains])
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=stream.layout.name)
        frame.sample_rate = rate
        frame.time_base = Fraction(1, rate)
        frame.pts = round(start_seconds * rate) + position
        for converted in resampler.resample(frame):
            for packet in stream.encode(converted):
                yield position / rate, packet
    for packet in stream.encode(None):
        yield np.inf, packet


def interleaved(tracks: list[Iterator[tuple[float, Any]]]) -> Iterator[Any]:
    """Packets of all tracks in the order of their times."""
    for _, packet in heapq.merge(*tracks, key=lambda item: item[0]):
        yield packet
