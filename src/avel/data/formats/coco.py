"""Boxes in COCO's layout (Lin et al., ECCV 2014)."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from avel.events import BACKGROUND, Localization


class RegionBox(NamedTuple):
    """A box in shares of the picture's width and height, from its top left corner; all in [0, 1]."""

    left: float
    top: float
    width: float
    height: float


def text(
    result: Localization,
    boxes: Sequence[RegionBox | None],
    width: int,
    height: int,
    frames: Mapping[int, str] | None = None,
) -> str:
    """Boxes of the attended regions in COCO's layout, each also as a polygon, with its score.

    An image is the frame in the middle of a segment with an event. Numbers are made of the video's path, so that the
    files of several videos can be joined.

    Args:
        result: what was found.
        boxes: of each segment, ``None`` where there is none.
        width: of the picture as it is shown, in pixels.
        height: likewise.
        frames: file of the frame of each segment, as seen from the file that is written; without it, an image is named
            by the video and the moment as the W3C's Media Fragments have it, ``clip.mp4#t=2.5``.
    """
    there = segments_with_boxes(result, boxes)
    known = result.model.get("categories", ())
    names = dict.fromkeys([*known, *(result.segments[t].category for t in there)])
    numbers = {name: number for number, name in enumerate(names, start=1)}
    name = Path(result.video).name
    video_id = int.from_bytes(hashlib.sha256(os.fsencode(Path(result.video).absolute())).digest()[:4])
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for t, box in there.items():
        number = video_id * 2**20 + t + 1  # below 2**53, as far as JSON's numbers are exact everywhere
        seconds = middle_seconds(result, t)
        image = {"id": number, "file_name": f"{name}#t={seconds:g}" if frames is None else frames[t]}
        images.append({**image, "width": width, "height": height, "video_id": video_id, "seconds": seconds})
        left, top, right, bottom = (
            round(value, 2)
            for value in (
                box.left * width,
                box.top * height,
                (box.left + box.width) * width,
                (box.top + box.height) * height,
            )
        )
        annotations.append(
            {
                "id": number,
                "image_id": number,
                "video_id": video_id,
                "category_id": numbers[result.segments[t].category],
                "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                "segmentation": [[left, top, right, top, right, bottom, left, bottom]],
                "area": round((right - left) * (bottom - top), 2),
                "iscrowd": 0,
                "score": round(result.segments[t].score, 4),
            }
        )
    content = {
        "info": {"description": f"regions attended to in {result.video} by {result.model.get('name', '?')}"},
        "videos": [{"id": video_id, "file_name": name}],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def segments_with_boxes(result: Localization, boxes: Sequence[RegionBox | None]) -> dict[int, RegionBox]:
    """Numbers of the segments that have an event and a box, with the box."""
    pairs = enumerate(zip(result.segments, boxes, strict=True))
    return {t: box for t, (segment, box) in pairs if box is not None and segment.category != BACKGROUND}


def middle_seconds(result: Localization, segment: int) -> float:
    """The moment of a segment's frame."""
    return round((result.segments[segment].start_seconds + result.segments[segment].end_seconds) / 2, 4)
