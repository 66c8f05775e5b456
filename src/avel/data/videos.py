"""The video files that a label file names, found in a folder."""

import difflib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote

from avel.errors import AnnotationsError
from avel.features.discovery import MEDIA_SUFFIXES
from avel.features.walk import RESULTS_JOURNAL, results_of
from avel.wording import counted

MAX_FILES = 1_000_000
_SHOWN = 5


def find_videos(names: Iterable[str], folder: str | Path, *, where: Mapping[str, str] | None = None) -> dict[str, Path]:
    """The file of each video.

    A label file may name a video by its path below the folder, by its file name, or by either without the ending; an
    absolute path counts when it leads into the folder, and by its file name elsewhere. A name that is not there as it
    is written is tried as a part of a URL: ``dog%20park.mp4`` may be ``dog park.mp4``. What avel wrote into the
    folder, such as annotated videos and clips, is meant only by its path with the ending.

    Args:
        names: as the label file has them.
        folder: where the videos are, at any depth.
        where: place in the label file of each name, for messages.

    Returns:
        Path of each name's file, in the order of the names.

    Raises:
        AnnotationsError: if a video is not there, a name fits several files, or two names are of one file.
    """
    folder, where = Path(folder), where or {}
    known = _known_names(folder)
    found: dict[str, Path] = {}
    missing: list[str] = []
    for name in names:
        fitting = _fitting(name, folder, known) or _fitting(unquote(name), folder, known)
        if len(fitting) > 1:
            files = ", ".join(str(path.relative_to(folder)) for path in fitting[:_SHOWN])
            raise AnnotationsError(
                f"{where.get(name, 'labels')}: '{name}' may be any of {files} in {folder}. "
                "Give the path below that folder, with the ending."
            )
        if fitting:
            found[name] = fitting[0]
        else:
            missing.append(name)
    if missing:
        raise AnnotationsError(_missing(missing, len(missing) + len(found), folder, where, known))
    names_of: dict[Path, str] = {}
    for name, path in found.items():
        other = names_of.setdefault(path, name)
        if other != name:
            raise AnnotationsError(
                f"{where.get(name, 'labels')}: '{name}' and '{other}' are the same video, {path}. Use one of the names."
            )
    return found


def _fitting(name: str, folder: Path, known: Mapping[str, list[Path]]) -> list[Path]:
    return known.get(_below(name, folder)) or known.get(name.replace("\\", "/").rpartition("/")[2]) or []


def _known_names(folder: Path) -> dict[str, list[Path]]:
    """Files by everything that they may be called."""
    if not folder.is_dir():
        raise AnnotationsError(f"{folder}: no such folder. Give the folder that the videos are in.")
    files: list[Path] = []
    results: set[str] = set()
    for parent, folders, names in os.walk(folder):
        if RESULTS_JOURNAL in names:
            results |= results_of(parent)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files += [Path(parent, name) for name in sorted(names)]
        if len(files) > MAX_FILES:
            raise AnnotationsError(f"{folder}: holds more than {MAX_FILES} files. Give the folder of the videos alone.")
    known: dict[str, list[Path]] = {}
    for path in files:
        if results and not results.isdisjoint(map(str, (path, *path.parents))):
            continue  # what avel wrote is meant by its whole path only
        below = path.relative_to(folder)
        called = {below.as_posix(), path.name}
        if path.suffix.lower() in MEDIA_SUFFIXES:
            called |= {below.with_suffix("").as_posix(), path.stem}
        for name in called:
            known.setdefault(name, []).append(path)
    # A path is of one file, even where it is the mere name of others in deeper folders.
    for path in files:
        known[path.relative_to(folder).as_posix()] = [path]
    return known


def _below(name: str, folder: Path) -> str:
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    return Path(os.path.normpath(path)).as_posix()


def _missing(
    missing: list[str], total: int, folder: Path, where: Mapping[str, str], known: Mapping[str, list[Path]]
) -> str:
    first = missing[0]
    near = difflib.get_close_matches(first, known, n=1)
    hint = f"Did you mean '{near[0]}'? " if near else ""
    also = f" (and {', '.join(missing[1:_SHOWN])}{', ...' if len(missing) > _SHOWN else ''})" if missing[1:] else ""
    return (
        f"{where.get(first, 'labels')}: there is no video '{first}'{also} in {folder}; "
        f"missing: {len(missing)} of {counted(total, 'video')}. {hint}"
        "Name videos by their path below the folder or their file name, with or without the ending."
    )
