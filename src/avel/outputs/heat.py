"""Where a model looks, as a warm veil over a picture: over what it looks at more than it would look at anything."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from avel.media.types import Picture

Grid = npt.NDArray[np.float32]

FULL_SHARE = 2.0
"""A part of the picture with so many times its equal share of the attention is at full heat, or the strongest part when
it has more: a model that looks everywhere alike points at nothing, however its map is scaled."""

OPACITY = 0.75
COLORS = [(255, 214, 64), (250, 128, 32), (214, 20, 60)]
"""RGB from weak to strong; they differ in lightness too."""


def heat(attention: Grid) -> Grid:
    """How strongly each part of a picture is to be marked.

    Args:
        attention: (rows, columns) of one segment, as in `avel.events.Localization.attention`.

    Returns:
        (rows, columns) in [0, 1]; all zeros where there is no event.
    """
    gate = float(attention.sum())
    if gate <= 0:
        return np.zeros_like(attention)
    above = np.maximum(attention / gate * attention.size - 1, 0)
    return np.asarray(above / max(float(above.max()), FULL_SHARE - 1) * min(gate, 1.0), np.float32)


def veil(attention: Grid, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """The veil of one segment.

    Args:
        attention: (rows, columns).
        size: width and height of the pictures that it is for.

    Returns:
        (height, width, 4), RGB in [0, 255] and opacity in [0, 1].
    """
    image = Image.fromarray(heat(attention), mode="F").resize(size, Image.Resampling.BICUBIC)
    strength = np.clip(np.asarray(image), 0, 1)
    places = np.linspace(0, 1, len(COLORS))
    colors = [np.interp(strength, places, [color[channel] for color in COLORS]) for channel in range(3)]
    return np.stack([*colors, OPACITY * strength], axis=-1).astype(np.float32)


def lay_over(picture: Picture, of: npt.NDArray[np.float32]) -> Picture:
    """A picture under a veil.

    Args:
        picture: (H, W, 3) RGB.
        of: as `veil` gives it, for that size.
    """
    opacity = of[..., 3:]
    return np.asarray(picture * (1 - opacity) + of[..., :3] * opacity + 0.5, np.uint8)
