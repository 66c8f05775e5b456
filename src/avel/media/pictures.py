"""Decoded frames to RGB pictures of a wanted size: scaling, orientation, high dynamic range, transparency."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from av.filter import Graph
from av.sidedata.sidedata import Type as SideDataType

from avel.media.types import Colours, Picture, PictureFormat, Scaling

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

MAX_PIXEL_ASPECT = 16

# ITU-T H.273 transfer characteristics.
PQ, HLG = 16, 18
BT709_MATRIX, UNSPECIFIED_MATRIX = 1, 2
FULL_RANGE = 2
"""Of luma from 0 to 255 (H.273's VideoFullRangeFlag, as libav numbers it); from 16 to 235 otherwise."""
BT601_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SD_HEIGHT, HD_WIDTH = 576, 1280
SDR_WHITE_NITS = 203.0
"""Brightness of reference white in HDR pictures (ITU-R BT.2408); it becomes white."""
HLG_PEAK_NITS = 1000.0
HIGHLIGHT_KNEE = 0.8
"""Share of white up to which HDR brightness is kept; what is above is compressed into the rest."""
# ITU-R BT.2087, linear light.
BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
BT2020_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)
_FULL_LUMA = np.round((np.arange(256) - 16) * (255 / 219)).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Orientation:
    """How to turn a stored picture for display: transpose first, then flip."""

    transpose: bool = False
    flip_horizontal: bool = False
    flip_vertical: bool = False

    @classmethod
    def of(cls, frame: "VideoFrame") -> "Orientation":
        """From the frame's display matrix, to the nearest quarter turn."""
        side_data: Any = frame.side_data
        data = side_data.get(SideDataType.DISPLAYMATRIX)
        if data is None or len(bytes(data)) < 36:
            return cls()
        # x' = a x + c y, y' = b x + d y
        a, b, _, c, d, *_ = np.frombuffer(bytes(data), dtype=np.int32).tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, picture: Picture) -> Picture:
        """(H, W, C) as stored to (H, W, C) or (W, H, C) as displayed."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_vertical else 1, :: -1 if self.flip_horizontal else 1]


class Orientations:
    """Orientations of the frames of a video, in turn.

    Whoever looks at the side data of one of PyAV's frames makes it refer to itself, and it then waits for Python's
    garbage collector: hundreds of megabytes in high definition. So it is looked at where the rotation, which costs
    nothing, is another one than before.
    """

    def __init__(self) -> None:
        self._rotation: int | None = None
        self._orientation = Orientation()

    def of(self, frame: "VideoFrame") -> Orientation:
        """The next frame's."""
        if frame.rotation != self._rotation:
            self._rotation, self._orientation = frame.rotation, Orientation.of(frame)
        return self._orientation


def display_size(width: int, height: int, pixel_aspect: Fraction | None, orientation: Orientation) -> tuple[int, int]:
    """Width and height as displayed, of pictures stored with ``width`` and ``height``; one side grows, none shrinks."""
    if pixel_aspect and 1 / MAX_PIXEL_ASPECT <= pixel_aspect <= MAX_PIXEL_ASPECT:
        if pixel_aspect > 1:
            width = round(width * pixel_aspect)
        else:
            height = round(height / pixel_aspect)
    return (height, width) if orientation.transpose else (width, height)


def picture_size(wanted: PictureFormat, displayed: tuple[int, int] | None) -> tuple[int, int]:
    """Width and height of the pictures that a format gives; a square where nothing is displayed."""
    if wanted.width is not None and wanted.height is not None:
        return wanted.width, wanted.height
    assert wanted.longest_side is not None
    if displayed is None:
        return wanted.longest_side, wanted.longest_side
    ratio = min(1.0, wanted.longest_side / max(displayed))
    width, height = (max(2, 2 * int(side * ratio / 2 + 0.25)) for side in displayed)
    return width, height


class Scaler:
    """Frames to pictures of one size, in a libav filter graph that is made anew when the frames change.

    Args:
        size: width and height of the pictures, as displayed.
        scaling: as for `PictureFormat`.
        colours: as for `PictureFormat`.
    """

    def __init__(self, size: tuple[int, int], scaling: Scaling = "smooth", colours: Colours = "rgb") -> None:
        self.size = size
        self._scaling = scaling
        self._colours = colours
        self._key: tuple[Any, ...] | None = None

    def __call__(self, frame: "VideoFrame", orientation: Orientation) -> Picture:
        """The frame as a (H, W, 3) picture, RGB; or (H, W, 1), luma.

        Raises:
            av.FFmpegError: if libav cannot convert the frame.
        """
        key = (
            frame.width,
            frame.height,
            frame.format.name,
            frame.colorspace,
            frame.color_range,
            frame.color_trc,
            orientation.transpose,
        )
        if key != self._key:
            self._configure(frame, orientation)
            self._key = key
        self._source.push(frame)
        scaled: Any = self._sink.pull()
        pixels: npt.NDArray[Any] = scaled.to_ndarray()
        if frame.color_trc in (PQ, HLG):
            pixels = hdr_to_sdr(pixels, frame.color_trc)
        elif pixels.ndim == 2:
            pixels = pixels[..., None]
            if frame.color_range != FULL_RANGE:
                pixels = _FULL_LUMA[pixels]
        elif pixels.shape[2] == 4:
            pixels = over_black(pixels)
        if self._scaling == "bilinear":
            pixels = bilinear(pixels, self._stored_size(orientation))
        if self._colours == "luma" and pixels.shape[2] == 3:
            pixels = np.round(pixels @ BT601_LUMA).astype(np.uint8)[..., None]
        return orientation.apply(pixels)

    def _stored_size(self, orientation: Orientation) -> tuple[int, int]:
        width, height = self.size
        return (height, width) if orientation.transpose else (width, height)

    def _configure(self, frame: "VideoFrame", orientation: Orientation) -> None:
        stored = frame.width, frame.height
        width, height = stored if self._scaling == "bilinear" else self._stored_size(orientation)
        has_alpha = any(component.is_alpha for component in frame.format.components)
        is_hdr = frame.color_trc in (PQ, HLG)
        # Colours that are not asked for are not read; and luma taken out before it is scaled keeps its range, which
        # libswscale would stretch line by line, in three times the time.
        is_luma_alone = (
            self._colours == "luma"
            and not (is_hdr or has_alpha or frame.format.is_rgb)
            and len(frame.format.components) == 3
        )
        pixels = "rgb48le" if is_hdr else "rgba" if has_alpha else "gray" if is_luma_alone else "rgb24"
        graph = Graph()
        graph.threads = 1  # a frame is soon done, and the decoder has the other cores
        self._source = graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=frame.format.name,
            time_base="1/1000000",
            pixel_aspect="1/1",
            colorspace=str(colour_matrix(frame)),
            range=str(int(frame.color_range)),
        )
        self._sink = graph.add("buffersink")
        graph.link_nodes(
            self._source,
            *([graph.add("extractplanes", "y")] if is_luma_alone else []),
            graph.add("scale", f"{width}:{height}:flags={scale_flags(stored, (width, height))}"),
            graph.add("format", pixels),
            self._sink,
        ).configure()
        self._graph = graph


def colour_matrix(frame: "VideoFrame") -> int:
    """The matrix coefficients (ITU-T H.273) of a frame; where the file is silent, BT.709 for high definition.

    That is what players assume. libswscale takes BT.601 for all, which moves saturated colours by up to 30 of 255.
    """
    matrix = int(frame.colorspace)
    is_high_definition = frame.width >= HD_WIDTH or frame.height > SD_HEIGHT
    return BT709_MATRIX if matrix == UNSPECIFIED_MATRIX and is_high_definition and not frame.format.is_rgb else matrix


def scale_flags(stored: tuple[int, int], wanted: tuple[int, int]) -> str:
    """The scaler's algorithm. Never fast_bilinear: it shifts features by 2 to 6 %.

    Where both sides shrink to half or less, averaging the pixels under each new one does as well as bicubic (whose
    kernel libswscale widens to match) at half its time: 0.5 against 1.0 ms from 1280x720 to 224x224.
    """
    shrinks = all(s >= 2 * w for s, w in zip(stored, wanted, strict=True))
    return "area" if shrinks else "bicubic"


def bilinear(picture: Picture, size: tuple[int, int]) -> Picture:
    """(H, W, 3) to another width and height, from the four pixels nearest to where each new one's centre falls."""

    def taps(stored: int, wanted: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
        places = np.clip((np.arange(wanted) + 0.5) * stored / wanted - 0.5, 0, stored - 1)
        first = places.astype(np.intp)
        return first, np.minimum(first + 1, stored - 1), (places - first).astype(np.float32)

    left, right, across = taps(picture.shape[1], size[0])
    above, below, down = taps(picture.shape[0], size[1])

    def row(lines: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        first, second = picture[np.ix_(lines, left)], picture[np.ix_(lines, right)]
        return first + (second.astype(np.float32) - first) * across[:, None]

    upper, lower = row(above), row(below)
    scaled: Picture = np.round(upper + (lower - upper) * down[:, None, None]).astype(np.uint8)
    return scaled


def over_black(rgba: Picture) -> Picture:
    """(H, W, 4) with straight alpha to (H, W, 3) on a black ground, as players show it."""
    alpha = rgba[..., 3:].astype(np.uint16)
    return ((rgba[..., :3] * alpha + 127) // 255).astype(np.uint8)


def hdr_to_sdr(rgb: npt.NDArray[np.uint16], transfer: int) -> Picture:
    """High dynamic range, BT.2020 colours, to what an ordinary screen shows.

    Brightness is kept up to `HIGHLIGHT_KNEE` of `SDR_WHITE_NITS` and rolled off above, by the largest of the three
    colours so that hues stay. Transfer functions after ITU-R BT.2100. libswscale converts too, but computes a table
    of colours for 2 to 5 s first.

    Args:
        rgb: (H, W, 3), full range of 16 bits.
        transfer: `PQ` or `HLG`.
    """
    light = _pq_light()[rgb] if transfer == PQ else _hlg_light()[rgb]  # (H, W, 3), 1 is SDR white
    if transfer == HLG:
        # The system gamma of 1.2, on luminance.
        peak = HLG_PEAK_NITS / SDR_WHITE_NITS
        light = light * (peak * (light @ BT2020_LUMINANCE) ** np.float32(0.2))[..., None]
    light = np.maximum(light @ BT2020_TO_BT709.T, 0)
    brightest = light.max(axis=2, keepdims=True)
    room = 1 - HIGHLIGHT_KNEE
    rolled = HIGHLIGHT_KNEE + room * (1 - np.exp(-(np.maximum(brightest, HIGHLIGHT_KNEE) - HIGHLIGHT_KNEE) / room))
    light = np.where(brightest > HIGHLIGHT_KNEE, light * (rolled / np.maximum(brightest, HIGHLIGHT_KNEE)), light)
    picture: Picture = _srgb_codes()[(light * 4095 + 0.5).astype(np.uint16)]
    return picture


def _pq_light() -> npt.NDArray[np.float32]:
    if "pq" not in _tables:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        code = np.linspace(0, 1, 65536) ** (1 / m2)
        nits = 10000 * (np.maximum(code - c1, 0) / (c2 - c3 * code)) ** (1 / m1)
        _tables["pq"] = (nits / SDR_WHITE_NITS).astype(np.float32)
    return _tables["pq"]


def _hlg_light() -> npt.NDArray[np.float32]:
    if "hlg" not in _tables:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        code = np.linspace(0, 1, 65536)
        _tables["hlg"] = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12).astype(np.float32)
    return _tables["hlg"]


def _srgb_codes() -> npt.NDArray[np.uint8]:
    if "srgb" not in _tables:
        # A plain power (ITU-R BT.1886) is steep near black, where 4096 steps are few; sRGB's start is straight.
        light = np.linspace(0, 1, 4096)
        code = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        _tables["srgb"] = np.round(255 * code).astype(np.uint8)
    return _tables["srgb"]


_tables: dict[str, npt.NDArray[Any]] = {}
