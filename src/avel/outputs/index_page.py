"""A folder of results as one HTML page: a picture of each video, what was found in it, and a way to its own page."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from PIL import Image

from avel.errors import MediaError
from avel.files import replacing
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.templates import page_templates

THUMBNAIL_SIDE = 240
THUMBNAIL_SECONDS = 2.0
"""The picture is the last one that is a whole second after the beginning, within this: many videos begin black."""
_JPEG_QUALITY = 80


@dataclass(frozen=True)
class IndexedVideo:
    """One video on the page.

    Attributes:
        name: as a user knows it.
        categories: of its events, one for each event.
        page: its result, relative to the page; ``None`` when there is none to look at.
        thumbnail: a picture of it, relative to the page, if there is one.
        reason: why it failed, if it did.
    """

    name: str
    categories: Sequence[str] = ()
    page: str | None = None
    thumbnail: str | None = None
    reason: str = ""


def index_page(videos: Sequence[IndexedVideo]) -> str:
    """The page as HTML text; names are text in it, never markup."""
    environment = page_templates("avel.outputs")
    environment.filters["address"] = lambda path: quote(os.fsencode(path))  # names may be no valid UTF-8
    counts = Counter(category for video in videos for category in set(video.categories))
    categories = [name for name, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    numbers = {name: number for number, name in enumerate(categories)}
    rows = [
        {
            "video": video,
            "counts": sorted(Counter(video.categories).items(), key=lambda item: (-item[1], item[0])),
            "numbers": " ".join(str(numbers[name]) for name in sorted(set(video.categories))),
        }
        for video in videos
    ]
    return environment.get_template("index.html.j2").render(
        rows=rows,
        categories=[(name, counts[name]) for name in categories],
        failed=sum(bool(video.reason) for video in videos),
    )


def write_thumbnail(video: str, path: Path) -> bool:
    """Write a small picture of a video as JPEG.

    Returns:
        Whether there was one to write.

    Raises:
        OutputError: if it cannot be written.
    """
    wanted = {"small": PictureFormat(1, longest_side=THUMBNAIL_SIDE)}
    try:
        with MediaReader(video, pictures=wanted, sample_rate=None, max_duration_seconds=THUMBNAIL_SECONDS) as reader:
            pictures = [segment.pictures["small"][0] for segment in reader if segment.visual_valid]
    except MediaError:
        return False
    if not pictures:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        Image.fromarray(pictures[-1]).save(temporary, "JPEG", quality=_JPEG_QUALITY)
    return True
