"""Where a model looks, as boxes.

A box is where the attention of a segment is strong: the parts of the picture with at least `STRONG` of its largest
value, of which the connected group with the most attention counts. That is how class activation maps are made boxes
(Zhou et al., CVPR 2016, there with 20 % of the largest value); a box is as coarse as the attention's grid.
"""

import numpy as np
import numpy.typing as npt

from avel.data.formats.coco import RegionBox
from avel.errors import OutputError
from avel.events import Localization

STRONG = 0.5
"""Share of the largest value from which on a part of the picture belongs to the box."""


def attended_box(attention: npt.ArrayLike, strong: float = STRONG) -> RegionBox | None:
    """The box around the part of a picture that is attended to.

    Args:
        attention: (rows, columns) of a segment, 0 or more, such as ``result.attention[t]``.
        strong: share of the largest value that a part of the picture needs; above 0, at most 1.

    Returns:
        ``None`` where there is no attention, as in segments without an event.

    Raises:
        ValueError: if the attention has another shape or is negative or not finite, or ``strong`` is out of range.
    """
    a = np.asarray(attention, np.float64)
    if a.ndim != 2 or not a.size or not np.isfinite(a).all() or (a < 0).any():
        raise ValueError(f"attention must be (rows, columns), finite and 0 or more, got shape {a.shape}.")
    if not 0 < strong <= 1:
        raise ValueError(f"strong must be above 0 and at most 1, got {strong}.")
    if not a.max() > 0:
        return None
    groups = _groups(a >= strong * a.max())
    rows, columns = np.array(max(groups, key=lambda cells: sum(a[cell] for cell in cells))).T
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) + 1 - top, int(columns.max()) + 1 - left
    return RegionBox(left / a.shape[1], top / a.shape[0], width / a.shape[1], height / a.shape[0])


def _groups(mask: npt.NDArray[np.bool_]) -> list[list[tuple[int, int]]]:
    """Cells of a mask that touch each other, also at a corner, together; row by row."""
    left = {(int(row), int(column)): None for row, column in np.argwhere(mask)}  # in order
    groups = []
    while left:
        group = [next(iter(left))]
        del left[group[0]]
        for row, column in group:
            beside = [(r, c) for r in range(row - 1, row + 2) for c in range(column - 1, column + 2) if (r, c) in left]
            for cell in beside:
                del left[cell]
            group += beside
        groups.append(group)
    return groups


def boxes(result: Localization, strong: float = STRONG) -> list[RegionBox | None]:
    """The box of each segment, ``None`` where no event is; see `attended_box`.

    Raises:
        OutputError: if the model does not say where it looks.
    """
    if result.attention is None:
        name = result.model.get("name", "?")
        raise OutputError(
            f"{result.video}: the model '{name}' does not say where in the picture an event is. Use a model with "
            "spatial attention, trained on features of several regions, such as those of vgg19."
        )
    return [attended_box(one, strong) for one in result.attention]
