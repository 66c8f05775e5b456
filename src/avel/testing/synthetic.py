"""Tiny clips with a known answer, for tests and docs.

Each picture carries its own number, so that a reader can be asked which one it gave, and each sample of the sound
follows from its time:

    +--+--+--+--+
    |16 bits of |   white is 1; the lowest bit is at the top left
    |the number |
    +--+--+--+--+
    |   flash   |   white during an event, else dark
    +-----------+

Clips of `make_shapes_clip` have events of several categories, each a shape that moves about and a sound of its own, so
that something can be learned from them.
"""

import heapq
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

TONE_AMPLITUDE = 0.5
WHITE, DARK = 235, 20
NOISE_AMPLITUDE = 0.005
_CODECS = {".mkv": ("ffv1", "pcm_s16le"), ".avi": ("mpeg4", "pcm_s16le"), ".webm": ("libvpx", "libopus")}
_SOUND_CHUNK = 1024


Draw = Callable[[int, float], npt.NDArray[np.uint8]]
"""Picture at a number and a time: (height, width, 3) RGB."""


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
    codecs = _CODECS.get(path.suffix, ("libx264", "aac"))
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream(codecs[0], rate=frame_rate)
        video.width, video.height, video.pix_fmt = width, height, "yuv420p"
        video.codec_context.time_base = 1 / Fraction(frame_rate)
        audio: Any = container.add_stream(codecs[1], rate=sample_rate, layout="mono")
        times = [(n, n / frame_rate) for n in range(round(duration_seconds * frame_rate))]
        packets = [
            _video_packets(video, times, scene, 0.0),
            _audio_packets(audio, waveform, (0.0, duration_seconds), (1.0,), 0.0),
        ]
        for packet in _interleaved(packets):
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
    codecs = _CODECS.get(path.suffix, ("libx264", "aac"))
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

            packets.append(_video_packets(video, shown, draw, start_seconds))
        if audio_span is not None:
            layout = "mono" if len(channel_gains) == 1 else "stereo"
            audio: Any = container.add_stream(audio_codec or codecs[1], rate=sample_rate, layout=layout)
            span = (max(audio_span[0], 0.0), min(audio_span[1], duration_seconds))
            tone = tone_waveform(duration_seconds, events, sample_rate, tone_hertz)
            packets.append(_audio_packets(audio, tone, span, channel_gains, start_seconds))
        for packet in _interleaved(packets) if is_interleaved else (p for track in packets for _, p in track):
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


def _video_packets(
    stream: Any, shown: list[tuple[int, float]], draw: Draw, start_seconds: float
) -> Iterator[tuple[float, Any]]:
    for number, seconds in shown:
        frame = av.VideoFrame.from_ndarray(draw(number, seconds), format="rgb24")
        frame.time_base = stream.codec_context.time_base
        frame.pts = round((start_seconds + seconds) / frame.time_base)
        for packet in stream.encode(frame):
            yield seconds, packet
    for packet in stream.encode(None):
        yield np.inf, packet


def _audio_packets(
    stream: Any,
    tone: npt.NDArray[np.float32],
    span: tuple[float, float],
    channel_gains: Sequence[float],
    start_seconds: float,
) -> Iterator[tuple[float, Any]]:
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


def _interleaved(tracks: list[Iterator[tuple[float, Any]]]) -> Iterator[Any]:
    for _, packet in heapq.merge(*tracks, key=lambda item: item[0]):
        yield packet
