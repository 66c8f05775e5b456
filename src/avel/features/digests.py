"""Digests of videos that had to be read to be known, so that none is read twice.

A video that has not changed since its features were made is known by its path. One that was moved, copied or touched
(by ``touch``, by a new owner, by a backup that was restored) has to be read from end to end. What it is, is kept in a
table beside the index of the store, as long as the file is the same.
"""

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from avel.errors import FeaturesError
from avel.features.source import SourceFile, absolute_text, stamp_of
from avel.files import write_text

DIGESTS_FILE = "digests.csv"
_COLUMNS = ("source", "source_bytes", "modified_ns", "changed_ns", "sha256")


class ReadSource(NamedTuple):
    """A video that was read from end to end.

    Attributes:
        source: what it is.
        modified_ns: when its content was changed last.
        changed_ns: when it was changed, moved or replaced last.
    """

    source: SourceFile
    modified_ns: int
    changed_ns: int

    def is_still(self, path: str | Path) -> bool:
        """Whether the file at a path is the one that was read.

        Raises:
            OSError: if it is not there.
        """
        was = self.source.size_bytes, self.modified_ns, self.changed_ns
        return self.source.path == absolute_text(path) and stamp_of(Path(path).stat()) == was


def read_source(path: str | Path, before: ReadSource | None = None) -> ReadSource:
    """Read a video from end to end, unless it was read before and has not changed.

    Raises:
        OSError: if it cannot be read.
    """
    if before is not None and before.is_still(path):
        return before
    _, modified_ns, changed_ns = stamp_of(Path(path).stat())
    return ReadSource(SourceFile.of(path), modified_ns, changed_ns)


class SourceDigests:
    """The table of a store; nothing is lost with it but time.

    Args:
        folder: of the store.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / DIGESTS_FILE
        self._known = {row.source.path: row for row in self._rows()}
        self._new: dict[str, ReadSource] = {}

    def known(self, path: str | Path) -> ReadSource | None:
        """A video that was read before and has not changed; ``None`` if it has to be read."""
        row = self._known.get(absolute_text(path))
        try:
            return row if row is not None and row.is_still(path) else None
        except OSError:
            return None

    def of(self, path: str | Path) -> SourceFile:
        """What a video is; it is read if need be.

        Raises:
            OSError: if it cannot be read.
        """
        row = read_source(path, self._known.get(absolute_text(path)))
        self.add(row)
        return row.source

    def add(self, row: ReadSource) -> None:
        """Remember a video that was read."""
        if self._known.get(row.source.path) != row:
            self._known[row.source.path] = self._new[row.source.path] = row

    def save(self) -> None:
        """Write what is new, where the folder can be written; videos that are no longer there are left out."""
        if not self._new:
            return
        rows = {row.source.path: row for row in self._rows()} | self._new  # another process may have written some
        text = io.StringIO(newline="")
        table = csv.writer(text, lineterminator="\n")
        table.writerow(_COLUMNS)
        for path, row in sorted(rows.items()):
            with contextlib.suppress(OSError):
                if row.is_still(path):
                    table.writerow([path, row.source.size_bytes, row.modified_ns, row.changed_ns, row.source.sha256])
        with contextlib.suppress(FeaturesError):
            write_text(self._file, text.getvalue(), raises=FeaturesError)
            self._new = {}

    def _rows(self) -> Iterator[ReadSource]:
        """The rows of the table; none of one that cannot be read."""
        with contextlib.suppress(OSError, ValueError, csv.Error), self._file.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                with contextlib.suppress(KeyError, TypeError, ValueError):
                    path, size, modified, changed, sha256 = (row[name] for name in _COLUMNS)
                    yield ReadSource(SourceFile(path, int(size), sha256), int(modified), int(changed))
