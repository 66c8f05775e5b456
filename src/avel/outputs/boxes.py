"""Where a model looks as boxes, and as a file in COCO's layout (Lin et al., ECCV 2014).

A box is where the attention of a segment is strong: the parts of the picture with at least `STRONG` of its largest
value, of which the connected group with the most attention counts. That is how class activation maps are made boxes
(Zhou et al., CVPR 2016, there with 20 % of the largest value); a box is as coarse as the attention's grid.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avel.errors import OutputError
from avel.events import BACKGROUND, Localization

STRONG = 0.5
"""Share of the largest value from which on a part of the picture belongs to the box."""


class Box(NamedTuple):
    """A box in shares of the picture's width and height, from its top left corner; all in [0, 1]."""

    left: float
    top: float
    width: float
    height: float


def attended_box(attention: npt.ArrayLike, strong: float = STRONG) -> Box | None:
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
    return Box(left / a.shape[1], top / a.shape[0], width / a.shape[1], height / a.shape[0])


def boxes(result: Localization, strong: float = STRONG) -> list[Box | None]:
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


def coco_text(result: Localization, width: int, height: int) -> str:
    """Boxes of the attended regions in COCO's layout, with the score of each.

    An image is the frame in the middle of a segment with an event, named by the video and the moment as the W3C's
    Media Fragments have it: ``clip.mp4#t=2.5``; ``seconds`` is that moment.

    Args:
        result: what was found, with its attention.
        width: of the picture as it is shown, in pixels.
        height: likewise.

    Raises:
        OutputError: if the model does not say where it looks.
    """
    found = boxes(result)
    there = [s.category for s, box in zip(result.segments, found, strict=True) if box and s.category != BACKGROUND]
    known = result.model.get("categories", ())
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*known, *there]), start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for segment, box in zip(result.segments, found, strict=True):
        if box is None or segment.category == BACKGROUND:
            continue
        seconds = round((segment.start_seconds + segment.end_seconds) / 2, 4)
        number = len(images) + 1
        name = f"{Path(result.video).name}#t={seconds:g}"
        images.append({"id": number, "file_name": name, "width": width, "height": height, "seconds": seconds})
        pixels = (box.left * width, box.top * height, box.width * width, box.height * height)
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "category_id": numbers[segment.category],
                "bbox": [round(value, 2) for value in pixels],
                "area": round(pixels[2] * pixels[3], 2),
                "iscrowd": 0,
                "score": round(segment.score, 4),
            }
        )
    content = {
        "info": {"description": f"regions attended to in {result.video} by {result.model.get('name', '?')}"},
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
