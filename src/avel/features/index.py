"""The table of a store's videos: made from the feature files, and never believed over them."""

import csv
import io
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from avel.errors import FeaturesError
from avel.features.feature_file import StoredFeatures
from avel.files import write_text


@dataclass(frozen=True)
class IndexRow:
    """A line of the index.

    Attributes:
        key: name in the store.
        source: path of the video.
        source_bytes: its size.
        sha256: of the video.
        duration_seconds: length of the video.
        segments: T.
        visual_valid: number of segments whose pictures could be read.
        audio_valid: number of segments whose sound could be read.
        warnings: number of warnings.
        file_bytes: size of the feature file.
        file_modified_ns: when the feature file was written; with its size this tells whether the line is still true.
    """

    key: str
    source: str
    source_bytes: int
    sha256: str
    duration_seconds: float
    segments: int
    visual_valid: int
    audio_valid: int
    warnings: int
    file_bytes: int
    file_modified_ns: int


def index_row(stored: StoredFeatures, status: os.stat_result) -> IndexRow:
    """The line of a feature file, whose size and time are ``status``."""
    return IndexRow(
        key=stored.key,
        source=stored.source.path,
        source_bytes=stored.source.size_bytes,
        sha256=stored.source.sha256,
        duration_seconds=stored.duration_seconds,
        segments=len(stored),
        visual_valid=int(stored.visual_valid.sum()),
        audio_valid=int(stored.audio_valid.sum()),
        warnings=len(stored.warnings),
        file_bytes=status.st_size,
        file_modified_ns=status.st_mtime_ns,
    )


_COLUMNS = {column.name: column.type for column in fields(IndexRow)}


def read_index(file: Path) -> dict[str, IndexRow]:
    """Lines by key; none of a table that cannot be read, which is then made again."""
    try:
        with file.open(encoding="utf-8", newline="") as opened:
            table = csv.DictReader(opened)
            return {line["key"]: IndexRow(**{c: kind(line[c]) for c, kind in _COLUMNS.items()}) for line in table}  # type: ignore[operator]
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return {}


def write_index(file: Path, rows: Iterable[IndexRow]) -> None:
    """Write all lines.

    Raises:
        FeaturesError: if the table cannot be written.
    """
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(_COLUMNS), lineterminator="\n")
    table.writeheader()
    table.writerows(asdict(row) for row in rows)
    write_text(file, text.getvalue(), raises=FeaturesError)
