"""What a user opens: some videos, where their results are, and what each is called."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from avel.batch.journal import ResultJournal
from avel.batch.videos import find_items
from avel.documents import parse_json
from avel.features.discovery import discover_videos, is_media_name
from avel.features.source import absolute_text
from avel.features.walk import RESULTS_JOURNAL
from avel.outputs import FORMATS
from avel.wording import counted

SourceKind = Literal["folder", "results", "videos", "uploads"]

RESULTS_FOLDER = "avel-results"
"""Where the results of a folder of videos are kept, in that folder, unless a user says otherwise."""

_BEGIN = re.compile(r'\s*\{\s*"video"\s*:\s*("(?:[^"\\]|\\.)*")')
"""How a result of avel's begins."""
_BEGIN_BYTES = 1 << 16
_MAX_JSON_BYTES = 16 << 20
"""Larger files that do not begin as results do are looked at no further."""
_OTHER_JSON = (".partial.json", *(f".{one.suffix}" for one in FORMATS.values() if one.suffix.endswith(".json")))


@dataclass(frozen=True)
class CollectionItem:
    """One video.

    Attributes:
        id: the same whenever the same file is opened; says nothing of its path.
        path: the video, ``None`` where a result names one that is not there.
        name: of its result in the folder of the results, without suffix.
        shown: what people call it: the file's name.
        folder: that it is in, below what was given; empty at the top.
        results: folder of its result.
        is_uploaded: whether it came through the page, and lies in a folder that is removed at the end.
    """

    id: str
    path: Path | None
    name: str
    shown: str
    folder: str
    results: Path
    is_uploaded: bool = False

    @property
    def result(self) -> Path:
        """The JSON file of its result, whether it is there or not."""
        return self.results / f"{self.name}.json"


@dataclass(frozen=True)
class Collection:
    """What a user opened.

    Attributes:
        title: what to call it.
        source: what it is.
        items: the videos.
        results: folder of the results; ``None`` where each item says its own.
        failures: why something that was given cannot be opened, by its name.
        videos_folder: what label files name videos from, ``None`` when there is no one folder.
        named: ids of the videos that were given by name.
        given: the arguments that name all this.
        output: folder for the results, where it was given.
    """

    title: str
    source: SourceKind
    items: tuple[CollectionItem, ...]
    results: Path | None
    failures: dict[str, str]
    videos_folder: Path | None = None
    named: frozenset[str] = frozenset()
    given: tuple[str, ...] = ()
    output: str | None = None

    def items_now(self) -> tuple[CollectionItem, ...]:
        """What the same arguments name now; nothing where they have become something else, as results for videos."""
        again = open_collection(self.given, self.output)
        return again.items if again.source == self.source else ()


def open_collection(given: Sequence[str], output: str | None = None) -> Collection:
    """The videos and results that some arguments name.

    Args:
        given: video files, folders of videos, lists of videos (.txt), patterns; or one folder of results of ``avel
            localize``, or one result (.json). Nothing for a page to upload videos to.
        output: folder for the results; `RESULTS_FOLDER` in the folder of the videos when ``None``.

    Raises:
        ValueError: if results are given together with something else.
    """
    if not given:
        return Collection("Uploaded videos", "uploads", (), None if output is None else Path(output), {})
    paths = [Path(text) for text in given]
    has_results = [_is_result(path) or _is_results_folder(path) for path in paths]
    if any(has_results):
        if len(paths) > 1 or output is not None:
            raise ValueError(
                f"{paths[has_results.index(True)]} holds results. Give it alone and without --output: what is "
                "corrected is kept beside the results."
            )
        return replace(_of_results(paths[0]), given=tuple(given))
    folder = paths[0] if len(paths) == 1 and paths[0].is_dir() else None
    results = Path(output) if output is not None else _beside(paths) / RESULTS_FOLDER
    items, failures = find_items(given, output=results)
    names = ResultJournal(results).names([(item.path, item.name) for item in items])
    found = tuple(
        CollectionItem(
            id=item_id(item.path),
            path=Path(item.path),
            name=name,
            shown=Path(item.path).name,
            folder=_folder(item.name),
            results=results,
        )
        for item, name in zip(items, names, strict=True)
    )
    named = frozenset(item_id(text) for text in given) & {item.id for item in found}
    title = str(folder or (paths[0].name if len(paths) == 1 else counted(len(found), "video")))
    return Collection(
        title, "folder" if folder else "videos", found, results, failures, folder, named, tuple(given), output
    )


def item_id(path: str | os.PathLike[str]) -> str:
    """What the page calls a file."""
    return hashlib.sha256(absolute_text(os.fspath(path)).encode()).hexdigest()[:16]


def result_video(path: Path) -> str | None:
    """The video that a result of avel's names; ``None`` if a file is no such result."""
    try:
        with path.open("rb") as file:
            text = file.read(_BEGIN_BYTES).decode("utf-8", "replace")
        found = _BEGIN.match(text)
        return None if found is None else str(json.loads(found[1]))
    except (OSError, ValueError):
        return None


def _is_result(path: Path) -> bool:
    is_json = path.suffix.lower() == ".json" and path.is_file()
    return is_json and (result_video(path) is not None or _why_damaged(path) is not None)


def _is_results_folder(path: Path) -> bool:
    if not path.is_dir():
        return False
    if (path / RESULTS_JOURNAL).is_file():
        return True
    if _has_videos(path):
        return False
    return any(result_video(file) is not None or _why_damaged(file) is not None for file in _json_files(path))


def _has_videos(folder: Path) -> bool:
    return any(is_media_name(name) for _, _, names in os.walk(folder) for name in names)


def _json_files(folder: Path) -> Iterator[Path]:
    """Files that may be results by their names."""
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".json") and not name.endswith(_OTHER_JSON):
                yield Path(parent, name)


def _why_damaged(path: Path) -> str | None:
    """Why a file that does not begin as results do cannot be what it was; ``None`` where it is JSON of somebody's."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            content = file.read(_MAX_JSON_BYTES)
        if size > _MAX_JSON_BYTES:
            return None if content.lstrip()[:1] in (b"{", b"[") else _DAMAGED
        parse_json(content.decode("utf-8-sig"))
    except OSError as error:
        return f"cannot be read ({error.strerror or error})."
    except ValueError:
        return _DAMAGED
    return None


_DAMAGED = "is no result of avel, or damaged. Localize its video again with --force."


def _of_results(given: Path) -> Collection:
    folder = given.parent if given.is_file() else given
    candidates = [given] if given.is_file() else list(_json_files(folder))
    files = [path for path in candidates if result_video(path) is not None]
    journal = ResultJournal(folder)
    videos = {entry.name: Path(entry.video) for entry in journal.entries()}
    items = []
    for file in files:
        name = file.relative_to(folder).as_posix().removesuffix(".json")
        video = _find_video(result_video(file) or "", videos.get(name), folder)
        shown = video.name if video else Path(result_video(file) or name).name
        items.append(CollectionItem(item_id(file), video, name, shown, _folder(name), folder))
    if given.is_dir():
        items += _other_videos(folder, items)
    read = set(files)
    others = [path for path in candidates if path not in read]
    return Collection(
        given.name or str(given.absolute()), "results", tuple(items), folder, _damaged(folder, set(videos), others)
    )


def _damaged(folder: Path, journaled: Set[str], files: Sequence[Path]) -> dict[str, str]:
    """What is wrong with files that do not begin as results do, where the journal or their content says they were."""
    found = {}
    for file in files:
        path = file.relative_to(folder).as_posix()
        reason = _why_damaged(file) or (_DAMAGED if path.removesuffix(".json") in journaled else None)
        if reason is not None:
            found[path] = f"{file}: {reason}"
    return found


def _other_videos(folder: Path, of_results: Sequence[CollectionItem]) -> list[CollectionItem]:
    """Videos that lie among results and have none yet, where both are kept in one folder."""
    names = {item.name for item in of_results}
    have_results = {absolute_text(item.path) for item in of_results if item.path is not None}
    written = {folder / f"{name}.{one.suffix}" for name in names for one in FORMATS.values()}
    others = []
    for video, name in discover_videos([folder])[0]:
        is_written = video in written or any(parent in written for parent in video.parents)
        if not is_written and name not in names and absolute_text(video) not in have_results:
            others.append(CollectionItem(item_id(video), video, name, video.name, _folder(name), folder))
    return others


def _find_video(text: str, journaled: Path | None, folder: Path) -> Path | None:
    """The video of a result: where it was, or where the result was moved together with it."""
    candidates = [journaled] if journaled is not None else []
    if text and "\0" not in text:
        candidates += [Path(text), folder / text, folder.parent / text, folder / Path(text).name]
        candidates.append(folder.parent / Path(text).name)
    return next((path for path in candidates if path.is_file()), None)


def _folder(name: str) -> str:
    parent = Path(name).parent.as_posix()
    return "" if parent == "." else parent


def _beside(paths: Sequence[Path]) -> Path:
    first = paths[0]
    return first if first.is_dir() else first.parent
