"""A small picture of each video in a folder of results, which the page of all of them shows.

Whoever localizes a video makes its picture, too, so that workers share that work.
"""

import contextlib
from pathlib import Path

from avel.errors import OutputError
from avel.files import write_bytes
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
    if path is not None and destination.is_of_many:
        _write(video, path)


def thumbnail_of(destination: Destination, video: str, index: int) -> Path | None:
    """The picture of a video that was localized once; ``None`` if it has none, or results go to no folder.

    One that is missing is made. Only of videos that did no harm when they were read: this process reads it again.
    """
    path = thumbnail_path(destination, index)
    if path is None:
        return None
    if not path.is_file():
        _write(video, path)
    try:
        return path if path.stat().st_size else None
    except OSError:
        return None


def _write(video: str, path: Path) -> None:
    """Write a picture; an empty file where a video has none, so that it is not looked for in each run."""
    from avel.outputs.index_page import write_thumbnail

    with contextlib.suppress(OutputError, OSError):
        if not write_thumbnail(video, path):
            write_bytes(path, b"")
