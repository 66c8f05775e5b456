"""Folders that videos are looked for in, without what avel itself wrote there: annotated videos and clips of events."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from avel.documents import parse_json

RESULTS_JOURNAL = ".avel.jsonl"
"""The file in a folder of results that says what was written there; see `avel.batch.journal`."""


def walk(
    folder: Path, unreadable: Callable[[OSError], object] | None = None
) -> Iterator[tuple[str, list[str], list[str]]]:
    """A folder and those below it, as of `os.walk`, without the results that `RESULTS_JOURNAL` lists.

    Args:
        folder: where to begin.
        unreadable: called for a folder that cannot be read.

    Yields:
        A folder, the names of the folders in it, which may be changed to leave some out, and those of its files.
    """
    results: set[str] = set()
    for parent, folders, names in os.walk(folder, onerror=unreadable):
        if RESULTS_JOURNAL in names:
            results |= results_of(parent)
        if results:
            folders[:] = [name for name in folders if os.path.join(parent, name) not in results]  # noqa: PTH118
            names = [name for name in names if os.path.join(parent, name) not in results]  # noqa: PTH118
        yield parent, folders, names


def results_of(folder: str) -> set[str]:
    """The files and folders that the journal of a folder of results lists as written.

    Videos that were themselves localized are none of them, even where a result has the name of one.

    Args:
        folder: that holds `RESULTS_JOURNAL`.

    Returns:
        Their paths, which begin with ``folder``; none if the journal cannot be read.
    """
    found: set[str] = set()
    videos: set[str] = set()
    with contextlib.suppress(OSError), Path(folder, RESULTS_JOURNAL).open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
                entry = parse_json(line)
                videos.add(entry["video"])
                below = os.path.dirname(entry["name"])  # noqa: PTH120
                found |= {os.path.join(folder, below, file) for file in entry.get("files", ())}  # noqa: PTH118
    return {path for path in found if os.path.abspath(path) not in videos}  # noqa: PTH100
