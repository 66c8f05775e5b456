"""Whether a model looks at the place where an event is: the pointing game on clips with a known place.

Input
    A map of attention and a box, or none, for each segment: (T, rows, columns) and T boxes.

Conventions
    The place that a model points at is the part of the picture with the most attention; it is a hit when that part
    touches the true box. Beside it stands what points without looking: a part at random, and always the middle. A map
    that is lit where there is no event points at nothing, so how many are is told too. Counts are over segments.

Range
    Shares are in [0, 1], and ``nan`` where no segment has both a box and a lit map.

Source
    Zhang et al., "Top-down Neural Attention by Excitation Backprop", ECCV 2016. Their tolerance of 15 pixels is about
    half of a part of a 7 x 7 grid on 224 pixels, which is ours.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.metrics.values import Number
from avel.records import Record

RelativeBox = tuple[float, float, float, float]
"""Left, top, right and bottom in shares of the picture's width and height."""


@dataclass(frozen=True)
class Pointing(Record):
    """How well a model points.

    Attributes:
        hits: share of the pointed segments where it points at the event's box; ``nan`` when there is none.
        inside: mean share of the attention that lies in the box, in the pointed segments; ``nan`` when there is none.
        random: expected share of hits of pointing at a part of the picture at random, in the same segments.
        middle: share of hits of always pointing at the middle.
        pointed: number of segments that have a box and a map that is lit.
        unlit: number of segments that have a box and a map that is dark: the event was not found.
        false: number of segments without a box whose map is lit.
        dark: number of segments without a box whose map is dark, as it should be.
    """

    hits: Number
    inside: Number
    random: Number
    middle: Number
    pointed: int
    unlit: int
    false: int
    dark: int


def pointing(attention: npt.ArrayLike, boxes: Sequence[RelativeBox | None]) -> Pointing:
    """Measure where a model points; for several videos, join their segments.

    Args:
        attention: (T, rows, columns), 0 or more, as in `avel.events.Localization.attention`.
        boxes: (T,) where the event is in each segment, ``None`` where there is none.

    Raises:
        ValueError: if shapes or values are not as above.
    """
    maps = np.asarray(attention, np.float64)
    if maps.ndim != 3 or 0 in maps.shape[1:]:
        raise ValueError(f"attention must have shape (T, rows, columns), got {maps.shape}.")
    if len(boxes) != len(maps):
        raise ValueError(f"There must be a box or None for each of {len(maps)} segments, got {len(boxes)}.")
    if not (np.isfinite(maps) & (maps >= 0)).all():
        raise ValueError("attention must be finite and 0 or more.")
    shape = maps.shape[1:]
    is_lit = maps.any(axis=(1, 2))
    has_box = np.array([box is not None for box in boxes], np.bool_)
    table = np.zeros((0, 4))  # hit, inside, random, middle
    for t in np.flatnonzero(is_lit & has_box):
        box = boxes[int(t)]
        assert box is not None
        shares = covered(box, *shape)
        hit = shares > 0
        inside = (maps[t] * shares).sum() / maps[t].sum()
        middle = hit[shape[0] // 2, shape[1] // 2]
        row = [hit.flat[maps[t].argmax()], inside, hit.mean(), middle]
        table = np.vstack([table, row])
    hits, inside, random, middle = (float(column.mean()) if len(column) else math.nan for column in table.T)
    return Pointing(
        hits=hits,
        inside=inside,
        random=random,
        middle=middle,
        pointed=int((is_lit & has_box).sum()),
        unlit=int((~is_lit & has_box).sum()),
        false=int((is_lit & ~has_box).sum()),
        dark=int((~is_lit & ~has_box).sum()),
    )


def covered(box: RelativeBox, rows: int, columns: int) -> npt.NDArray[np.float64]:
    """(rows, columns), the share of each part of the picture that lies in a box.

    Raises:
        ValueError: if the box is empty or reaches out of the picture.
    """
    left, top, right, bottom = box
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise ValueError(f"A box is left < right and top < bottom in [0, 1], got {box}.")
    return np.outer(_overlap(top, bottom, rows), _overlap(left, right, columns))


def _overlap(start: float, end: float, count: int) -> npt.NDArray[np.float64]:
    """Share of each of ``count`` equal parts of [0, 1] that lies in [start, end)."""
    edges = np.arange(count + 1)
    low, high = np.maximum(edges[:-1], start * count), np.minimum(edges[1:], end * count)
    return np.where(high - low > 1e-9, high - low, 0.0)  # without what is only rounding
