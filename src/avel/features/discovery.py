"""The videos that a person means by files, folders and lists."""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from avel.errors import MediaError
from avel.features.source import absolute_text
from avel.features.walk import walk
from avel.files import no_such_file

MEDIA_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".ts", ".webm", ".wmv"),
)
"""What is taken from a folder; a file that is named itself may be called anything."""
_SUFFIXES = frozenset(MEDIA_SUFFIXES)
LIST_SUFFIX = ".txt"
MAX_LIST_BYTES = 256 << 20


def discover_videos(inputs: Iterable[str | Path]) -> tuple[list[tuple[Path, str]], dict[str, str]]:
    """The videos that files, folders and lists name, each once, with a name for each.

    What avel wrote into a folder, such as annotated videos, is none of its videos. A video's name is its path in the
    folder that was given, without suffix, or its own name without suffix.

    Returns:
        Paths and names, and why something cannot be read, by its path.
    """
    found: dict[str, tuple[Path, str]] = {}
    failures: dict[str, str] = {}

    def add(path: Path, name: str) -> None:
        found.setdefault(absolute_text(path), (path, name))

    def fail(path: str | Path, reason: str) -> None:
        failures[str(path)] = f"{path}: {reason}"

    for given in inputs:
        if given == "":  # as of a shell's variable that is not set; it is not the current folder
            failures[""] = "One of the names of videos is empty. Name a file, or . for the current folder."
            continue
        path = Path(given)
        try:
            if path.is_dir():
                before = len(found), len(failures)
                for video in _media_files(path, fail):
                    add(video, video.relative_to(path).with_suffix("").as_posix())
                if (len(found), len(failures)) == before:
                    fail(
                        path,
                        f"there is no video in this folder (looked for {', '.join(MEDIA_SUFFIXES)}; what avel wrote "
                        "is left out).",
                    )
            elif path.suffix.lower() == LIST_SUFFIX:
                for video in listed_videos(path):
                    add(video, video.stem)
            else:
                add(path, path.stem)
        except (OSError, ValueError) as error:
            fail(path, f"cannot be read ({getattr(error, 'strerror', None) or error}).")
    return list(found.values()), failures


def check_some_are_there(videos: Collection[Path]) -> None:
    """Refuse videos of which none is there, before anything is written or loaded for them.

    Args:
        videos: video files; none are fine.

    Raises:
        MediaError: if there are some and all are missing, such as by a slip in the only name.
    """
    if not videos or any(os.path.lexists(video) for video in videos):
        return
    reason = no_such_file(next(iter(videos)))
    raise MediaError(reason if len(videos) == 1 else f"None of {len(videos)} videos is there. The first: {reason}")


def _media_files(folder: Path, fail: Callable[[str | Path, str], None]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        fail(error.filename, f"this folder cannot be read ({error.strerror}). Change its permissions.")

    for parent, folders, names in walk(folder, unreadable):
        folders.sort()
        for name in sorted(names):
            if is_media_name(name) and not _is_special(path := Path(parent, name)):
                yield path


def is_media_name(name: str) -> bool:
    """Whether a file of a folder is taken for a video, by its name."""
    dot = name.rfind(".")  # as Path.suffix, in a tenth of its time
    return dot > 0 and name[dot:].lower() in _SUFFIXES


def _is_special(path: Path) -> bool:
    """Whether there is a pipe, a socket or a device; reading one waits for somebody who may never write."""
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)  # noqa: PTH116 - quicker than Path.stat
    except OSError:
        return False  # whoever opens it says why it cannot be read


def listed_videos(path: Path) -> Iterator[Path]:
    """The videos that a text file names, one a line; relative paths are relative to the file.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is no such file.
    """
    if path.stat().st_size > MAX_LIST_BYTES:
        raise ValueError(f"it is larger than {MAX_LIST_BYTES >> 20} MiB")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line in file:
            name = line.strip()
            if "\0" in name:
                raise ValueError("it is not a text file")
            if name:
                yield path.parent / name
