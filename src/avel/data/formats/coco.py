"""Boxes in COCO's layout (Lin et al., ECCV 2014)."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avel.events import BACKGROUND, Localization


class RegionBox(NamedTuple):
    """A box in shares of the picture's width and height, from its top left corner; all in [0, 1]."""

    left: float
    top: float
    width: float
    height: float


def text(result: Localization, boxes: Sequence[RegionBox | None], width: int, height: int) -> str:
    """Boxes of the attended regions in COCO's layout, with the score of each.

    An image is the frame in the middle of a segment with an event, named by the video and the moment as the W3C's
    Media Fragments have it: ``clip.mp4#t=2.5``; ``seconds`` is that moment.

    Args:
        result: what was found.
        boxes: of each segment, ``None`` where there is none.
        width: of the picture as it is shown, in pixels.
        height: likewise.
    """
    there = [s.category for s, box in zip(result.segments, boxes, strict=True) if box and s.category != BACKGROUND]
    known = result.model.get("categories", ())
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*known, *there]), start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for segment, box in zip(result.segments, boxes, strict=True):
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
