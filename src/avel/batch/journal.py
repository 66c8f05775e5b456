"""What has been done in a folder of results, so that it is not done again: one JSON object a line.

A result counts as done for the same content of the video (SHA-256), the same settings and the same name, while its
files are there and nothing else was written to them meanwhile. A video whose size and times have not changed is not
read for that.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

from avel.documents import parse_json
from avel.events import Event
from avel.features.source import absolute_text, stamp_of
from avel.features.walk import RESULTS_JOURNAL
from avel.files import UniqueNames
from avel.version import __version__

_TEXTS = ("video", "sha256", "settings", "name", "status", "reason")

ItemStatus = Literal["done", "failed", "quarantined", "stopped"]


@dataclass(frozen=True)
class JournalEntry:
    """What became of one video.

    Attributes:
        video: absolute path.
        stamp: size and times of the file, which tell that it has not changed.
        sha256: of its content; empty if it could not be read.
        settings: `settings_digest` of what it was localized with.
        name: of its result.
        status: ``"quarantined"`` when it took the process that read it down with it; ``"stopped"`` when a user wanted
            no more of it and what was found until then replaced an earlier result.
        reason: why it is not done.
        events: category, start and end in seconds, score and modality of each.
        files: names of those that were written, without folders; unknown in entries of avel 0.2 and before.
    """

    video: str
    stamp: tuple[int, ...]
    sha256: str
    settings: str
    name: str
    status: ItemStatus
    reason: str = ""
    events: tuple[tuple[str, float, float, float, str], ...] = ()
    files: tuple[str, ...] = ()

    def found(self) -> tuple[Event, ...]:
        """The events.

        Raises:
            ValueError: if one is impossible.
        """
        return tuple(Event(c, s, e, p, m) for c, s, e, p, m in self.events)  # type: ignore[arg-type]


class ResultJournal:
    """The journal of a folder of results.

    Args:
        folder: of the results.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / RESULTS_JOURNAL
        self._latest: dict[str, JournalEntry] = {}
        self._done: dict[tuple[str, str], dict[str, JournalEntry]] = {}  # by settings and name, and then by content
        self._written: dict[tuple[str, str], tuple[str, str]] = {}  # by name and file, of which content and settings
        self._names = UniqueNames()
        self._named: dict[str, str] = {}
        self._ends_whole = True
        self._read_bytes = 0  # whole lines of this file
        self._read_from: tuple[int, int] | None = None
        self.read()

    def read(self) -> None:
        """Read what has been written there since the last time. Lines that cannot be read do not count."""
        try:
            with self._file.open("rb") as file:
                status = os.fstat(file.fileno())
                if self._read_from != (status.st_dev, status.st_ino) or status.st_size < self._read_bytes:
                    self._read_bytes = 0
                self._read_from = status.st_dev, status.st_ino
                file.seek(self._read_bytes)
                data = file.read()
        except OSError:
            return
        self._ends_whole = not data or data.endswith(b"\n")
        self._read_bytes += data.rfind(b"\n") + 1  # a line that is half there is read again when it is whole
        for line in data.decode("utf-8", "replace").splitlines():
            with contextlib.suppress(ValueError, KeyError, TypeError):
                fields = parse_json(line)
                if not all(isinstance(fields[name], str) for name in _TEXTS):
                    continue
                events = tuple((str(c), float(s), float(e), float(p), str(m)) for c, s, e, p, m in fields["events"])
                files = tuple(str(file) for file in fields.get("files", ()))
                more = {"stamp": tuple(fields["stamp"]), "events": events, "files": files}
                self._keep(JournalEntry(**{**fields, **more}))

    def _keep(self, entry: JournalEntry) -> None:
        self._latest[entry.video] = entry
        if entry.status == "done":
            self._done.setdefault((entry.settings, entry.name), {})[entry.sha256] = entry
        for file in entry.files:
            self._written[entry.name, file] = entry.sha256, entry.settings

    def add(self, entry: JournalEntry) -> None:
        """Write an entry. Without room for it the video is done again next time, and nothing worse."""
        line = json.dumps(asdict(entry), ensure_ascii=True) + "\n"
        with contextlib.suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("ab") as file:
                file.write(line.encode() if self._ends_whole else f"\n{line}".encode())
            self._ends_whole = True
        self._keep(entry)

    def entries(self) -> tuple[JournalEntry, ...]:
        """What became of each video last, with any settings."""
        return tuple(self._latest.values())

    def names(self, videos: Sequence[tuple[str, str]]) -> list[str]:
        """What the results of some videos are called: each has a name of its own, and keeps it.

        A video that has a result keeps its name, whatever comes or goes beside it. Another one gets the name that is
        wanted for it, with a number where a video that was asked about here, and is not forgotten, has that name.

        Args:
            videos: path of each, and the name that is wanted for its result.
        """
        for path, wanted in videos:
            video = absolute_text(path)
            before = self._latest[video].name if video in self._latest else ""
            if video not in self._named and _is_name_for(before, wanted) and self._names.take(before):
                self._named[video] = before
        new = {absolute_text(path): wanted for path, wanted in videos if absolute_text(path) not in self._named}
        self._named.update(zip(new, self._names.give(new.values()), strict=True))
        return [self._named[absolute_text(path)] for path, _ in videos]

    def forget(self, path: str) -> None:
        """Give the name of a video to others, since it is no longer there."""
        name = self._named.pop(absolute_text(path), None)
        if name is not None:
            self._names.free(name)

    def latest(self, path: str, settings: str) -> JournalEntry | None:
        """What became of a video last, with some settings."""
        entry = self._latest.get(absolute_text(path))
        return entry if entry is not None and entry.settings == settings else None

    def done(self, path: str, settings: str, name: str, files: Sequence[Path]) -> JournalEntry | None:
        """The entry of a video that need not be done again; ``None`` if it has to be.

        A video that is known by its content alone, since it was moved or touched, is written down with its path and
        times, so that its content is not read again the next time. Nor is it read where no entry can be of it.
        """
        candidates = self._done.get((settings, name), {})
        if not candidates or not all(file.exists() for file in files):
            return None
        video = absolute_text(path)
        before = self._latest.get(video)
        try:
            now = stamp(path)
            if before is not None and before.sha256 and before.stamp == now:
                entry = candidates.get(before.sha256)
            elif any(one.stamp[:1] in ((), now[:1]) for one in candidates.values()):
                entry = candidates.get(content_digest(path))
                if stamp(path) != now:
                    return None
            else:
                return None
        except OSError:
            return None
        if entry is None:
            return None
        of = entry.sha256, settings
        if any(self._written.get((name, file.name), of) != of for file in files):
            return None
        entry = replace(entry, video=video, stamp=now)
        if entry != before:
            self.add(entry)
        return entry

    def has_result(self, name: str, files: Sequence[Path]) -> bool:
        """Whether one of some files was written as the result of that name."""
        return any((name, file.name) in self._written for file in files)

    def left_alone(self, path: str, settings: str, *, failed: bool = False) -> JournalEntry | None:
        """The entry of a video that is quarantined, or `failed` if those are meant too, and has not changed since."""
        entry = self.latest(path, settings)
        statuses = ("quarantined", "failed") if failed else ("quarantined",)
        try:
            return entry if entry and entry.status in statuses and entry.stamp == stamp(path) else None
        except OSError:
            return None


def _is_name_for(name: str, wanted: str) -> bool:
    """Whether a name is the one that is wanted, or that one with a number."""
    stem, _, number = name.rpartition("-")
    return name == wanted or (stem == wanted and number.isdecimal())


def stamp(path: str | Path) -> tuple[int, ...]:
    """Size and times of a file.

    Raises:
        OSError: if it is not there.
    """
    return stamp_of(Path(path).stat())


def stamp_if_there(path: str | Path) -> tuple[int, ...]:
    """As `stamp`; empty if the file is not there."""
    try:
        return stamp(path)
    except OSError:
        return ()


def content_digest(path: str | Path) -> str:
    """SHA-256 of a file.

    Raises:
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def settings_digest(settings: Mapping[str, Any], formats: Sequence[str]) -> str:
    """What tells whether two runs would write the same: avel's version, settings, formats, and the files they name.

    Args:
        settings: of a `avel.localization.localizer.Localizer`.
        formats: that are written.
    """
    said = {name: _said(value) for name, value in settings.items()}
    text = json.dumps([__version__, said, list(formats)], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


def _said(value: Any) -> Any:
    """A setting, and of a file what is in it; of the folder of a run, its checkpoint."""
    if isinstance(value, str | os.PathLike):
        path = Path(value)
        with contextlib.suppress(OSError, ValueError):  # of words that are too long for a name of a file
            file = path / "checkpoint.safetensors" if path.is_dir() else path
            if file.is_file():
                return content_digest(file)
        return str(value)
    if isinstance(value, FunctionType):
        return f"{value.__module__}.{value.__qualname__}"
    return value
