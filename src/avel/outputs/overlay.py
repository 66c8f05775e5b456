"""Events drawn into frames: where they are, the names of those that are on now, and a bar of the whole timeline."""

import bisect
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from avel.events import Event, Localization, Modality, segment_index
from avel.media.types import Picture
from avel.outputs import heat, timeline

MAX_NAMES = 4

_SHADE = (12, 14, 16, 185)
_INK = (255, 255, 255, 255)
_SOFT = (255, 255, 255, 190)
_TRACK = (255, 255, 255, 70)
# On a dark shade over any picture the colours of paper are too dark; these are those of the page's dark scheme.
_COLORS: dict[Modality, str] = {"audio-visual": "#2bb38e", "audio": "#56aee6", "visual": "#f2893f"}


class Overlay:
    """Draws one result into frames of one size.

    Args:
        result: what was found.
        size: width and height of the frames.
    """

    def __init__(self, result: Localization, size: tuple[int, int]) -> None:
        self.result = result
        self.width, self.height = size
        text = max(round(min(self.height, self.width * 0.75) * 0.045), 10)
        self.pad: int = max(text // 2, 3)
        self.bar: int = max(round(self.height * 0.014), 4)
        self.line: int = round(text * 1.75)
        self._bold = _font("DejaVuSans-Bold.ttf", text)
        self._plain = _font("DejaVuSans.ttf", round(text * 0.82))
        room = int(self.height * 0.6 - self.bar - 2 * self.pad) // self.line
        self.names: int = max(min(MAX_NAMES, room), 1)
        self._bar = self._timeline()
        self._moments = sorted({moment for e in result.events for moment in (e.start_seconds, e.end_seconds)})
        self._between = 0  # the labels change where an event starts or ends, and are kept in between
        self._labels: Image.Image | None = None
        self._segment = -1  # the veil changes from segment to segment
        self._veil: npt.NDArray[np.float32] | None = None

    def draw(self, picture: Picture, seconds: float) -> None:
        """Draw into a frame.

        Args:
            picture: (H, W, 3) RGB, changed in place.
            seconds: the frame's time.
        """
        self._draw_heat(picture, seconds)
        between = bisect.bisect_right(self._moments, seconds)
        if between != self._between:
            now = [e for e in self.result.events if e.start_seconds <= seconds < e.end_seconds]
            self._between, self._labels = between, self._names(now) if now else None
        top = self.height - self._bar.height
        _blend(picture, self._bar, 0, top)
        if self._labels is not None:
            _blend(picture, self._labels, self.pad, top - self._labels.height - self.pad // 2)
        x = self._x(seconds)
        half = max(self.bar // 6, 1)
        picture[top + self.pad - 1 : top + self.pad + self.bar + 1, max(x - half, 0) : x + half] = 255

    def _draw_heat(self, picture: Picture, seconds: float) -> None:
        attention = self.result.attention
        if attention is None:
            return
        segment = min(segment_index(seconds, self.result.segment_seconds), len(attention) - 1)
        if segment != self._segment:
            is_lit = bool(attention[segment].any())
            self._segment = segment
            self._veil = heat.veil(attention[segment], (self.width, self.height)) if is_lit else None
        if self._veil is not None:
            picture[:] = heat.lay_over(picture, self._veil)

    def _x(self, seconds: float) -> int:
        share = min(max(seconds / self.result.duration_seconds, 0.0), 1.0)
        return self.pad + round(share * (self.width - 2 * self.pad))

    def _timeline(self) -> Image.Image:
        image = Image.new("RGBA", (self.width, self.bar + 2 * self.pad), _SHADE)
        draw = ImageDraw.Draw(image)
        draw.rectangle((self.pad, self.pad, self.width - self.pad - 1, self.pad + self.bar - 1), fill=_over(_TRACK))
        for modality in ("visual", "audio", "audio-visual"):  # the strongest statement on top
            for event in self.result.events:
                if event.modality == modality:
                    left, right = self._x(event.start_seconds), self._x(event.end_seconds) - 1
                    # What is only heard is the upper half of the bar, what is only seen the lower.
                    top = self.pad + (self.bar // 2 if modality == "visual" else 0)
                    bottom = self.pad + (self.bar // 2 if modality == "audio" else self.bar) - 1
                    draw.rectangle((left, top, max(left, right), bottom), fill=_COLORS[event.modality])
        return image

    def _names(self, events: list[Event]) -> Image.Image:
        order = sorted(events, key=lambda e: (e.modality != "audio-visual", -e.score, e.category))
        shown = order if len(order) <= self.names else order[: max(self.names - 1, 1)]
        more = len(order) - len(shown)
        rows = len(shown) + (1 if more and self.names > 1 else 0)
        image = Image.new("RGBA", (self.width - 2 * self.pad, rows * self.line), (0, 0, 0, 0))
        for row, event in enumerate(shown):
            tail = f"  +{more}" if more and self.names == 1 else ""
            self._name(image, row * self.line, event, tail)
        if more and self.names > 1:
            self._chip(image, len(shown) * self.line, None, "", f"{more} more")
        return image

    def _name(self, image: Image.Image, top: int, event: Event, tail: str) -> None:
        name = " ".join(event.category.split())
        word = f"{timeline.MODALITY_WORDS[event.modality]} {event.score:.2f}{tail}"
        room = image.width - self.line - 2 * self.pad
        if self._bold.getlength(name) + self.pad + self._plain.getlength(word) > room:
            word = tail.strip()
        room -= round(self._plain.getlength(word)) + self.pad
        while len(name) > 1 and self._bold.getlength(name) > room:
            name = name.removesuffix("…")[:-1].rstrip() + "…"
        self._chip(image, top, event.modality, name, word)

    def _chip(self, image: Image.Image, top: int, modality: Modality | None, name: str, word: str) -> None:
        draw = ImageDraw.Draw(image)
        height = self.line - max(self.line // 10, 1)
        swatch = round(height * 0.42)
        x, middle = self.pad, top + height // 2
        ends = x + self._plain.getlength(word)
        if modality is not None:
            ends += swatch + self.pad + self._bold.getlength(name) + (self.pad if word else 0)
        draw.rounded_rectangle((0, top, round(ends) + self.pad, top + height - 1), max(height // 5, 2), fill=_SHADE)
        if modality is not None:
            box = (x, middle - swatch // 2, x + swatch - 1, middle - swatch // 2 + swatch - 1)
            full = modality == "audio-visual"
            draw.rectangle(
                box, fill=_COLORS[modality] if full else None, outline=_COLORS[modality], width=max(swatch // 6, 1)
            )
            x += swatch + self.pad
            draw.text((x, middle), name, font=self._bold, fill=_INK, anchor="lm")
            x += round(self._bold.getlength(name)) + self.pad
        draw.text((x, middle), word, font=self._plain, fill=_SOFT, anchor="lm")


def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def _over(color: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """A colour with transparency laid over the shade: `ImageDraw` replaces and does not blend."""
    alpha = color[3] / 255
    red, green, blue = (
        round(alpha * above + (1 - alpha) * below) for above, below in zip(color[:3], _SHADE[:3], strict=True)
    )
    return red, green, blue, _SHADE[3]


def _blend(picture: Picture, image: Image.Image, left: int, top: int) -> None:
    """Lay an image over a part of a picture; what lies outside the picture is cut."""
    layer = np.asarray(image)
    layer = layer[max(-top, 0) :]
    top = max(top, 0)
    part = picture[top : top + layer.shape[0], left : left + layer.shape[1]]
    layer = layer[: part.shape[0], : part.shape[1]]
    alpha = layer[..., 3:].astype(np.uint16)
    part[...] = ((part * (255 - alpha) + layer[..., :3] * alpha + 127) // 255).astype(np.uint8)
