"""Clips with events of several categories, each a shape that moves about and a sound of its own.

Something can be learned from them.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from avel.testing.encoding import TONE_AMPLITUDE, audio_packets, codecs_of, interleaved, video_packets

NOISE_AMPLITUDE = 0.005


@dataclass(frozen=True)
class Shape:
    """What an event category looks and sounds like.

    Attributes:
        form: ``disc``, ``square`` or ``stripes``.
        colour: RGB.
        hertz: of the tone, which has two overtones.
        pulses: how often a second the tone is interrupted; 0 never.
    """

    form: str
    colour: tuple[int, int, int]
    hertz: float
    pulses: float = 0.0


SHAPES: Mapping[str, Shape] = {
    "red disc": Shape("disc", (220, 40, 40), 220.0),
    "green square": Shape("square", (40, 190, 70), 880.0, pulses=6.0),
    "blue stripes": Shape("stripes", (70, 90, 235), 2600.0),
}
"""Categories of `make_shapes_clip`."""


def make_shapes_clip(
    path: str | os.PathLike[str],
    duration_seconds: float,
    events: Sequence[tuple[str, float, float]],
    *,
    seen_only: Sequence[tuple[str, float, float]] = (),
    heard_only: Sequence[tuple[str, float, float]] = (),
    seed: int = 0,
    width: int = 160,
    height: int = 120,
    frame_rate: int = 8,
    sample_rate: int = 16000,
    waveforms: Sequence[tuple[float, npt.NDArray[np.float32]]] = (),
    places: Sequence[tuple[float, float]] | None = None,
    size: float = 0.625,
) -> Path:
    """Write a clip whose events are shapes that sound.

    Args:
        path: as for `make_clip`.
        duration_seconds: of the clip.
        events: category of `SHAPES`, start and end of each; they may overlap.
        seen_only: shapes without their sound.
        heard_only: sounds without their shape.
        seed: of the background, and of where shapes are and how they move.
        width: in pixels.
        height: in pixels.
        frame_rate: pictures a second.
        sample_rate: in Hz.
        waveforms: other sounds, each with the second at which it starts: (S,) in [-1, 1].
        places: middle (x, y) of each shape in shares of the picture's sides, first those of ``events``; shapes then
            stay there, and `shape_box` says what they cover. Drawn at random, with movement, when ``None``.
        size: of shapes, as a share of the picture's shorter side.

    Returns:
        ``path``.

    Raises:
        ValueError: if there is no such category, or not one place for each shape.
    """
    shown, heard = [*events, *seen_only], [*events, *heard_only]
    for category, _, _ in (*shown, *heard):
        if category not in SHAPES:
            raise ValueError(f"Unknown category {category!r}. There are: {', '.join(SHAPES)}.")
    random = np.random.default_rng(seed)
    if places is not None and len(places) != len(shown):
        raise ValueError(f"There are {len(places)} places for {len(shown)} shapes.")
    scene = _Scene(random, shown, width, height, places, size)
    seconds = np.arange(round(duration_seconds * sample_rate)) / sample_rate
    sound = NOISE_AMPLITUDE * random.standard_normal(len(seconds))
    for category, start, end in heard:
        inside = (seconds >= start) & (seconds < end)
        sound[inside] += _tone(SHAPES[category], seconds[inside])
    for start, other in waveforms:
        first = round(start * sample_rate)
        part = other[: max(len(sound) - first, 0)]
        sound[first : first + len(part)] += part
    waveform = np.clip(sound, -1, 1).astype(np.float32)

    path = Path(path)
    codecs = codecs_of(path)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codecs[0], rate=frame_rate)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / Fraction(frame_rate)
        audio: Any = container.add_stream(codecs[1], rate=sample_rate, layout="mono")
        times = [(n, n / frame_rate) for n in range(round(duration_seconds * frame_rate))]
        packets = [
            video_packets(video, times, scene, 0.0),
            audio_packets(audio, waveform, (0.0, duration_seconds), (1.0,), 0.0),
        ]
        for packet in interleaved(packets):
            container.mux(packet)
    return path


def shape_box(
    place: tuple[float, float], size: float = 0.625, width: int = 160, height: int = 120
) -> tuple[float, float, float, float]:
    """Where a shape of `make_shapes_clip` is: left, top, right, bottom in shares of the picture's sides.

    Args:
        place: its middle.
        size: of shapes, as a share of the picture's shorter side.
        width: of the picture.
        height: of the picture.
    """
    x, y = place
    half_width, half_height = size / 2 * min(width, height) / width, size / 2 * min(width, height) / height
    return max(x - half_width, 0.0), max(y - half_height, 0.0), min(x + half_width, 1.0), min(y + half_height, 1.0)


class _Scene:
    """Shapes that move before a dim background."""

    def __init__(
        self,
        random: np.random.Generator,
        shown: Sequence[tuple[str, float, float]],
        width: int,
        height: int,
        places: Sequence[tuple[float, float]] | None,
        size: float,
    ) -> None:
        self._shown = shown
        coarse = random.integers(20, 90, size=(4, 5, 3))
        self._background = np.kron(coarse, np.ones((-(-height // 4), -(-width // 5), 1)))[:height, :width]
        self._rows, self._columns = np.mgrid[:height, :width]
        self._size = size / 2 * min(width, height)
        self._places = random.uniform(0.3, 0.7, size=(len(shown), 2)) * (height, width)
        self._speeds = random.uniform(-0.08, 0.08, size=(len(shown), 2)) * (height, width)
        if places is not None:
            self._places = np.array([(y, x) for x, y in places]).reshape(-1, 2) * (height, width)
            self._speeds = np.zeros_like(self._places)

    def __call__(self, number: int, seconds: float) -> npt.NDArray[np.uint8]:
        picture = self._background.copy()
        for (category, start, end), place, speed in zip(self._shown, self._places, self._speeds, strict=True):
            if start <= seconds < end:
                y, x = place + speed * np.sin(2 * (seconds - start))
                picture[self._inside(SHAPES[category].form, self._rows - y, self._columns - x)] = SHAPES[
                    category
                ].colour
        return picture.astype(np.uint8)

    def _inside(self, form: str, y: npt.NDArray[Any], x: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        size = self._size
        inside = np.hypot(y, x) < size if form == "disc" else np.maximum(abs(y), abs(x)) < size
        if form == "stripes":
            inside = inside & ((x // (size / 4)) % 2 == 0)
        return np.asarray(inside, np.bool_)


def _tone(shape: Shape, seconds: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    waves = np.sum([np.sin(2 * np.pi * n * shape.hertz * seconds) / n for n in (1, 2, 3)], axis=0)
    gate = np.sin(2 * np.pi * shape.pulses * seconds) >= 0 if shape.pulses else np.ones_like(seconds)
    return np.asarray(0.4 * TONE_AMPLITUDE * waves * gate, np.float64)
