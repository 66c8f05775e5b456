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
    from scipy import ndimage

    a = np.asarray(attention, np.float64)
    if a.ndim != 2 or not a.size or not np.isfinite(a).all() or (a < 0).any():
        raise ValueError(f"attention must be (rows, columns), finite and 0 or more, got shape {a.shape}.")
    if not 0 < strong <= 1:
        raise ValueError(f"strong must be above 0 and at most 1, got {strong}.")
    if not a.max() > 0:
        return None
    groups, count = ndimage.label(a >= strong * a.max(), structure=np.ones((3, 3)))
    weights = ndimage.sum_labels(a, groups, np.arange(1, count + 1))
    rows, columns = np.nonzero(groups == 1 + int(np.argmax(weights)))
    top, left = int(rows.min()), int(columns.min())
    height, width = int(rows.max()) + 1 - top, int(columns.max()) + 1 - left
    return RegionBox(left / a.shape[1], top / a.shape[0], width / a.shape[1], height / a.shape[0])


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
