"""Raven's selection tables: tab-separated, a row for each selection and view.

A selection that was made in the waveform and in the spectrogram has a row for each view, and is one event. Where a
table is of several files, ``Begin File`` is the file and ``File Offset (s)`` the place in it; the other times count
from the first file on.
"""

import csv
import io

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, plain_name, read_text

CATEGORY_COLUMNS = (
    "annotation",
    "species",
    "label",
    "tag",
    "class",
    "category",
    "common name",
    "species code",
    "call type",
)


def is_header(line: str) -> bool:
    """Whether a line names the columns of a selection table."""
    names = [name.strip().lower() for name in line.split("\t")]
    return "selection" in names and "begin time (s)" in names


def read(source: LabelFile) -> AnnotationSet:
    """Read a selection table."""
    lines = lines_of(read_text(source.path))
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter="\t", quoting=csv.QUOTE_NONE)
    names = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in ("selection", "begin time (s)", "end time (s)") if name not in names]
    if missing:
        source.fail(
            f"has no column '{missing[0]}'. Raven's selection tables have Selection, Begin Time (s), End Time (s)."
        )
    column = next((name for name in CATEGORY_COLUMNS if name in names), None)
    if column is None:
        source.fail(f"has no column for the category; looked for {', '.join(CATEGORY_COLUMNS)}.")
    seen: set[tuple[str, ...]] = set()
    for values in reader:
        source.where = f"line {reader.line_num}"
        if not any(value.strip() for value in values):
            continue
        if len(values) != len(names):
            source.fail(f"{len(values)} values for {len(names)} columns.")
        row = {name: value.strip() for name, value in zip(names, values, strict=True)}
        start = source.number(row["begin time (s)"], "Begin Time (s)", comma=True)
        end = source.number(row["end time (s)"], "End Time (s)", comma=True)
        one = (row["selection"], row["begin time (s)"], row["end time (s)"], row.get("channel", ""), row[column])
        if one in seen:
            continue  # another view of the same selection
        seen.add(one)
        file = row.get("begin file") or plain_name(row.get("begin path", ""))
        if file and row.get("file offset (s)"):
            offset = source.number(row["file offset (s)"], "File Offset (s)", comma=True)
            start, end = offset, offset + end - start
        source.add(file or source.options.video or _video_of(source), start, end, row[column])
    source.where = ""
    if not seen:
        source.add_without_event(source.options.video or _video_of(source))
    return source.result()


def _video_of(source: LabelFile) -> str:
    """The name of the sound, to which Raven adds ``.Table.1.selections``."""
    return source.path.name.partition(".Table.")[0].removesuffix(".txt").removesuffix(".selections")
