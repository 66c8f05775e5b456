"""The videos that a user means by files, folders, lists and patterns, and where the result of each belongs."""

import glob
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from avel.features.discovery import discover_videos, listed_videos
from avel.features.source import absolute_text
from avel.files import no_such_file

_PATTERN = frozenset("*?[")


@dataclass(frozen=True)
class VideoItem:
    """One video to localize.

    Attributes:
        path: where it is.
        name: of its result: its path in the folder that was given, or its own name, without suffix.
        shown: what a user calls it.
    """

    path: str
    name: str
    shown: str


def find_items(
    given: Sequence[str],
    lists: Sequence[Path] = (),
    *,
    shown: Mapping[str, str] | None = None,
    output: Path | None = None,
) -> tuple[list[VideoItem], dict[str, str]]:
    """The videos that some arguments name, each once, and why others are not there.

    Args:
        given: video files; folders, of which all media files are taken, but for those in ``output``; text files (.txt)
            with a path a line; patterns such as ``videos/**/*.mp4``.
        lists: more text files with a path a line, whatever they are called.
        shown: what a user calls a path, where that is not the path itself.
        output: the folder of the results, whose own videos are none to localize.

    Returns:
        The videos, and by its name why something is none; a folder in ``output`` is, where nothing else is given.
    """
    called = shown or {}
    inputs: list[str | Path] = []
    failures: dict[str, str] = {}
    for text in given:
        if _PATTERN & set(text) and not Path(text).exists():
            matching = sorted(glob.glob(text, recursive=True))  # noqa: PTH207 - the pattern may be absolute
            if not matching:
                failures[text] = f"{text}: no file fits this pattern."
            inputs += matching
        else:
            inputs.append(text)
    for file in lists:
        try:
            inputs += listed_videos(file)
        except (OSError, ValueError) as error:
            failures[str(file)] = f"{file}: cannot be read ({getattr(error, 'strerror', None) or error})."
    found, more = discover_videos(inputs)
    failures |= more
    items = []
    named = {str(one) for one in inputs}
    results = None if output is None else absolute_text(output / "_").removesuffix("_")
    is_left_out = False
    for video, name in found:
        path = str(video)
        if not video.exists() and not video.is_symlink():
            failures[path] = no_such_file(path)
        elif path in named or results is None or not absolute_text(video).startswith(results):
            items.append(VideoItem(path, name or "video", called.get(path, path)))
        else:
            is_left_out = True
    if is_left_out and output is not None and not items:
        # Beside others, as `*` gives them, the folder of the results is not meant.
        inside = [str(one) for one in inputs if is_of_results(one, output)]
        failures |= {folder: of_results(folder, output) for folder in inside}
    return items, failures


def is_of_results(folder: str | Path, output: Path) -> bool:
    """Whether a folder is the one of the results or lies in it, so that its videos count as results."""
    return Path(folder).is_dir() and Path(absolute_text(folder)).is_relative_to(absolute_text(output))


def of_results(folder: str | Path, output: Path) -> str:
    """What to tell a user of a folder that `is_of_results`."""
    where = "is the folder of the results" if absolute_text(folder) == absolute_text(output) else f"lies in {output}"
    return (
        f"{folder}: it {where}, in which videos count as results, such as clips of events, and are not localized. "
        "Let -o name another folder, such as one of its own in it or beside it."
    )
