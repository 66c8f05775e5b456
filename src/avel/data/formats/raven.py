"""Raven's selection tables: tab-separated, a row for each selection and view.

A selection that was made in the waveform and in the spectrogram has a row for each view, and is one event. Where a
table is of several files, ``Begin File`` is the file and ``File Offset (s)`` the place in it; the other times count
from the first file on.
"""

import csv
import io
import re

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, plain_name, read_text
from avel.data.formats.naming import category_and_modality, last_moment, name_of
from avel.events import Localization, by_start

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


_AVEL_COLUMN = "annotation"
_COLUMNS = ("Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)")
_HIGHEST_HZ = 8000.0


def is_header(line: str) -> bool:
    """Whether a line names the columns of a selection table."""
    names = [name.strip().strip('"').lower() for name in line.split(_delimiter(line))]
    return "selection" in names and "begin time (s)" in names


def _delimiter(line: str) -> str:
    """Raven's own is a tab; spreadsheets save commas."""
    return "\t" if "\t" in line else ","


def read(source: LabelFile) -> AnnotationSet:
    """Read a selection table."""
    lines = lines_of(read_text(source.path))
    delimiter = _delimiter(lines[0])
    text = io.StringIO("\n".join(lines))
    is_raven = delimiter == "\t"
    reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE) if is_raven else csv.reader(text)
    names = [name.strip().lower() for name in next(reader, [])]
    missing = [name for name in ("selection", "begin time (s)", "end time (s)") if name not in names]
    if missing:
        source.fail(
            f"has no column '{missing[0]}'. Raven's selection tables have Selection, Begin Time (s), End Time (s)."
        )
    column = next((name for name in CATEGORY_COLUMNS if name in names), None)
    if column is None:
        source.fail(
            f"has no column for the category; looked for {', '.join(CATEGORY_COLUMNS)} in {', '.join(names)}. Call the "
            "column that says what is heard Annotation."
        )
    twice = next((name for name in names if name and names.count(name) > 1), None)
    if twice is not None:
        source.fail(f"the column '{twice}' occurs twice. Give each a name of its own.")
    seen: set[tuple[str, ...]] = set()
    without_offset: dict[str, str] = {}
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
        if file and not row.get("file offset (s)") and without_offset.setdefault("file", file) != file:
            source.fail(
                f"it is of {file}, and others of {without_offset['file']}; times count from the first file of a table, "
                "and no 'File Offset (s)' says where in its file a selection is. Add this column in Raven."
            )
        if file and row.get("file offset (s)"):
            offset = source.number(row["file offset (s)"], "File Offset (s)", comma=True)
            start, end = offset, offset + end - start
        category, modality = category_and_modality(row[column]) if column == _AVEL_COLUMN else (row[column], None)
        source.add(file or source.options.video or _video_of(source), start, end, category, modality=modality)
    source.where = ""
    if not seen:
        source.add_without_event(source.options.video or _video_of(source))
    return source.result()


def text(result: Localization) -> str:
    """A selection table of the events; the modality of one that is only heard or only seen is in its annotation."""
    lines = ["\t".join((*_COLUMNS, "Annotation", "Score"))]
    for number, event in enumerate(by_start(result.events), start=1):
        times = f"{event.start_seconds:.6f}\t{last_moment(event, 1e-6):.6f}"
        lines.append(f"{number}\tSpectrogram 1\t1\t{times}\t0.0\t{_HIGHEST_HZ}\t{name_of(event)}\t{event.score:.4f}")
    return "\n".join(lines) + "\n"


def _video_of(source: LabelFile) -> str:
    """The name of the sound, to which Raven adds ``.Table.1.selections``."""
    return re.sub(r"(\.selections)?\.(txt|csv)$", "", source.path.name.partition(".Table.")[0])
