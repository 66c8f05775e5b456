"""A small picture of each video in a folder of results, which the page of all of them shows.

Whoever localizes a video makes its picture, too, so that workers share that work.
"""

import contextlib
from pathlib import Path

from avel.errors import OutputError
from avel.outputs.destination import Destination

THUMBNAILS = ".avel-thumbnails"


def thumbnail_path(destination: Destination, index: int) -> Path | None:
    """Where the picture of a video is kept; ``None`` when results go to no folder."""
    if destination.kind != "folder" or destination.output is None:
        return None
    return destination.output / THUMBNAILS / f"{destination.names[index]}.jpg"


def renew_thumbnail(destination: Destination, video: str, index: int) -> None:
    """Write the picture of a video that was just localized, if it is one of many and there is room for it."""
    path = thumbnail_path(destination, index)
    if path is None or not destination.is_of_many:
        return
    from avel.outputs.index_page import write_thumbnail

    with contextlib.suppress(OutputError, OSError):
        write_thumbnail(video, path)
