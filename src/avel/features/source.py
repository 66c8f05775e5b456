"""The video that features were made from, known by its content."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class SourceFile:
    """The file that features were made from.

    Attributes:
        path: absolute, as it was when the features were made.
        size_bytes: its size.
        sha256: of its content, in hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> Self:
        """Read a file from end to end.

        Raises:
            OSError: if it cannot be read.
        """
        with Path(path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(absolute_text(path), os.fstat(file.fileno()).st_size, digest)


def stamp_of(status: os.stat_result) -> tuple[int, int, int]:
    """Size and times of a file, of which one at least is another after it was changed, moved or replaced."""
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def absolute_text(path: str | Path) -> str:
    """Absolute path as text that can be written as UTF-8, whatever bytes the file name has."""
    return os.fsencode(os.path.abspath(path)).decode("utf-8", "backslashreplace")  # noqa: PTH100 - keeps links
