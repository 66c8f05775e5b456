"""AVE's ``Annotations.txt`` (Tian et al., ECCV 2018): ``Category&VideoID&Quality&Start&End``."""

from dataclasses import dataclass
from pathlib import Path

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, read_text

AVE_SECONDS = 10
"""Length of every AVE video, in whole seconds."""


@dataclass(frozen=True, slots=True)
class AveRow:
    """One row of AVE's ``Annotations.txt``: one sample, which is a video and at most one event in it.

    Attributes:
        category: event category of the row, also where the span is empty.
        video: YouTube identifier; the same one may stand in several rows.
        quality: as written; ``good`` in all published rows.
        start_seconds: whole seconds, in [0, 10].
        end_seconds: whole seconds, in [``start_seconds``, 10]; equal to it when the row holds no event.
    """

    category: str
    video: str
    quality: str
    start_seconds: int
    end_seconds: int

    @property
    def length_seconds(self) -> int:
        """Length of the event, 0 when the row holds none."""
        return self.end_seconds - self.start_seconds


@dataclass(frozen=True)
class AveTable:
    """What a file in the format of AVE's ``Annotations.txt`` holds.

    Attributes:
        rows: readable rows in order, without the header.
        has_header: whether the first line is a header.
        malformed: line number (from 1) and complaint of each line that is not a row.
    """

    rows: tuple[AveRow, ...]
    has_header: bool
    malformed: tuple[tuple[int, str], ...]


def read_ave_table(path: str | Path) -> AveTable:
    """Read a file in the format of AVE's ``Annotations.txt``, ``Category&VideoID&Quality&Start&End``.

    Whether there is a header is found out: one that is taken for a row shifts the index of every row.

    Raises:
        AnnotationsError: if the file cannot be read.
    """
    rows: list[AveRow] = []
    malformed: list[tuple[int, str]] = []
    has_header = False
    for number, line in enumerate(lines_of(read_text(Path(path))), start=1):
        if not line.strip():
            continue
        fields = [f.strip() for f in line.split("&")]
        if not rows and not malformed and not has_header and fields[0].lower().startswith("categor"):
            has_header = True
            continue
        try:
            rows.append(_ave_row(fields))
        except ValueError as error:
            malformed.append((number, str(error)))
    return AveTable(tuple(rows), has_header, tuple(malformed))


def read(source: LabelFile) -> AnnotationSet:
    """Read AVE's rows as annotations of videos."""
    table = read_ave_table(source.path)
    if table.malformed:
        number, complaint = table.malformed[0]
        source.where = f"line {number}"
        source.fail(complaint)
    for row in table.rows:
        source.where = f"row of {row.video}"
        if row.length_seconds:
            source.add(row.video, float(row.start_seconds), float(row.end_seconds), row.category)
        else:
            source.add_without_event(row.video)
    return source.result()


def _ave_row(fields: list[str]) -> AveRow:
    if len(fields) != 5:
        raise ValueError(f"{len(fields)} fields; a row is Category&VideoID&Quality&Start&End.")
    category, video, quality, start, end = fields
    if not category or not video:
        raise ValueError("the category or the video identifier is empty.")
    if not (start.isascii() and start.isdigit() and end.isascii() and end.isdigit()):
        raise ValueError(f"start '{start}' and end '{end}' must be whole seconds.")
    if not int(start) <= int(end) <= AVE_SECONDS:
        raise ValueError(f"the span {start}-{end} must be in order and within 0-{AVE_SECONDS}.")
    return AveRow(category, video, quality, int(start), int(end))
