"""Tables: a row for each event, with its video, start, end and category; with a comma, ``;``, tab or ``|`` between.

What the columns are is found out from their names, as people and data sets write them (``video``, ``filename``;
``start``, ``onset``, ``begin``; ``end``, ``offset``, ``stop``; ``category``, ``label``, ``event_label``), or without
names from their order, ``video,start,end,category[,split]``. So DCASE's and DESED's tables, AudioSet's strong labels
and BORIS's aggregated events are such tables too, and what `text` writes is one.

Without times, a table labels whole videos; `read_video_labels` reads it.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from avel.data.annotations import SPLITS, Annotation, AnnotationSet, Split, VideoLabels
from avel.data.formats.label_file import LabelFile, ReadOptions, read_text
from avel.data.formats.subtitles import timestamp
from avel.events import BACKGROUND, MODALITIES, Event, Localization, by_start

Role = Literal["video", "start", "end", "category", "split", "modality"]
ROLES: tuple[Role, ...] = get_args(Role)

EVENT_LABELS = "event_labels"
"""The column of DESED's weak labels, in which several categories stand with commas between."""

COLUMN_NAMES: Mapping[Role, Sequence[str]] = {
    "video": (
        *("video", "filename", "file", "file_name", "video_id", "videoid", "video_name", "vid_name", "clip"),
        *("segment_id", "media_file_name", "media_file", "media_files", "media"),
    ),
    "start": (
        "start_seconds",
        "start",
        "onset",
        "begin",
        "start_time_seconds",
        "start_time",
        "begin_time",
        "start_timestamp",
    ),
    "end": ("end_seconds", "end", "offset", "stop", "end_time_seconds", "end_time", "stop_time", "stop_timestamp"),
    "category": (
        "category",
        "event_label",
        "label",
        "event_category",
        "class",
        "cls_name",
        "behavior",
        "behaviour",
        "event",
        "annotation",
        "sound_event_recording",
        EVENT_LABELS,
    ),
    "split": ("split", "subset"),
    "modality": ("modality",),
}
"""What a column may be called; the first that is there counts."""

DELIMITERS = (",", ";", "\t", "|")
SPLIT_NAMES: Mapping[str, Split] = {
    **{split: split for split in SPLITS},
    **{"training": "train", "validation": "val", "valid": "val", "testing": "test", "evaluation": "test"},
}

CLOCK_COLUMNS = ("video", "category", "start", "end", "score", "modality")
LABEL_COLUMNS = ("video", "start_seconds", "end_seconds", "category", "modality")
RESULT_COLUMNS = ("video", "category", "start_seconds", "end_seconds", "score", "modality")

_EXPECTED = "video,start,end,category"
_FORMULA_STARTS = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Header:
    """What the columns of a table are.

    Attributes:
        delimiter: between the columns.
        columns: position of each column that is used.
        names: of all columns; empty where the table has no line with names.
    """

    delimiter: str
    columns: Mapping[Role, int]
    names: tuple[str, ...] = ()

    @property
    def has_times(self) -> bool:
        """Whether a row says when its event is."""
        return "start" in self.columns and "end" in self.columns


def header_of(line: str) -> Header | None:
    """What the columns of a table are, by its first line; ``None`` if that is no line of a table."""
    for delimiter in DELIMITERS:
        cells = _cells(line, delimiter)
        names = tuple(map(_plain, cells))
        columns: dict[Role, int] = {}
        for role in ROLES:
            position = next((names.index(name) for name in COLUMN_NAMES[role] if name in names), None)
            if position is not None:
                columns[role] = position
        if "category" in columns and ("video" in columns or {"start", "end"} <= columns.keys()):
            return Header(delimiter, columns, tuple(cell.strip() for cell in cells))
    for delimiter in DELIMITERS:
        cells = _cells(line, delimiter)
        if len(cells) in (4, 5) and all(map(_is_time, cells[1:3])) and not _is_time(cells[3]):
            order: Sequence[Role] = ("video", "start", "end", "category", "split")
            return Header(delimiter, {role: n for n, role in enumerate(order[: len(cells)])})
        if (
            len(cells) in (5, 6) and all(map(_is_time, cells[2:4])) and not _is_time(cells[4])
        ):  # DCASE: file, scene, ...
            return Header(delimiter, {"video": 0, "start": 2, "end": 3, "category": 4})
        if len(cells) == 3 and all(map(_is_time, cells[:2])) and not _is_time(cells[2]):
            return Header(delimiter, {"start": 0, "end": 1, "category": 2})
    return None


def read(source: LabelFile) -> AnnotationSet:
    """Read a table of events."""
    header, rows = _table(source)
    if not header.has_times:
        source.fail(
            f"has the columns {', '.join(header.names)}, but none that says when an event starts and ends. "
            f"Name the columns {_EXPECTED}."
        )
    count = 0
    for row in rows:
        count += 1
        split = _split(source, row.get("split", ""))
        video = _video(source, row)
        start, end, category = row["start"], row["end"], row["category"]
        if not start and not end and category in ("", BACKGROUND):
            source.add_without_event(video, split)
            continue
        modality = row.get("modality") or None
        if modality is not None and modality not in MODALITIES:
            source.fail(f"unknown modality '{modality}'. Supported modalities are {', '.join(MODALITIES)}.")
        comma = header.delimiter != ","
        source.add(
            video,
            source.seconds(start, "the start", comma=comma),
            source.seconds(end, "the end", comma=comma),
            category,
            split,
            modality,
        )
    source.where = ""
    if not count:
        source.warn("has no row below the names of its columns, so that it says nothing of any video")
    return source.result()


def has_no_times(text: str) -> bool:
    """Whether the first line of a table names videos and categories but no times."""
    header = header_of(next((line for line in text.splitlines() if line.strip()), ""))
    return header is not None and "video" in header.columns and not {"start", "end"} & header.columns.keys()


def read_video_labels(path: str | Path, *, categories: Sequence[str] | None = None) -> VideoLabels:
    """Read a table without times, ``video,category[,split]``; a video with several categories has several rows.

    A row whose category is empty, or ``background``, is a video without event.

    Args:
        path: the file.
        categories: the event categories that may occur, in the order wanted; without it, all that occur.

    Raises:
        AnnotationsError: if the file cannot be read or is not as said here.
    """
    source = LabelFile(Path(path), ReadOptions(None if categories is None else tuple(categories)))
    videos: dict[str, dict[str, None]] = {}
    header, rows = _table(source)
    for row in rows:
        video = _video(source, row)
        source.add_without_event(video, _split(source, row.get("split", "")))
        found = videos.setdefault(video, {})
        several = header.names and _plain(header.names[header.columns["category"]]) == EVENT_LABELS
        for category in row["category"].split(",") if several else [row["category"]]:
            if category.strip() not in ("", BACKGROUND):
                found[source.category(category)] = None
    if not videos:
        source.fail("no video is labelled in it. Give each a row below the first line.")
    seen = tuple(dict.fromkeys(category for found in videos.values() for category in found))
    result = source.result()
    return VideoLabels(
        videos={video: tuple(found) for video, found in videos.items()},
        categories=source.options.categories or seen,
        splits=result.videos_without_event,
        source=result.source,
        where=result.where,
        warnings=result.warnings,
    )


def text(result: Localization) -> str:
    """One line for each event, after a line of `RESULT_COLUMNS`.

    A spreadsheet runs a cell that starts with ``=``, ``+``, ``-`` or ``@`` as a formula. File names and categories can
    come from strangers, so such a cell gets an apostrophe in front, as OWASP advises ("CSV Injection").
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    writer.writerows(result_rows(result.video, result.events))
    return out.getvalue()


def labels_text(events: Iterable[Annotation], without_event: Iterable[str] = ()) -> str:
    """Labels as `read` reads them: one line for each event, and one for each video that has none.

    Args:
        events: in the order wanted.
        without_event: videos that were looked at and have no event.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(LABEL_COLUMNS)
    for e in events:
        times = (f"{value:.4f}".rstrip("0").rstrip(".") for value in (e.start_seconds, e.end_seconds))
        writer.writerow((_inert(e.video), *times, _inert(e.category), e.modality or ""))
    writer.writerows((_inert(video), "", "", "", "") for video in without_event)
    return out.getvalue()


def clock_text(result: Localization) -> str:
    """As `text`, with times as ``HH:MM:SS.mmm``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CLOCK_COLUMNS)
    for e in by_start(result.events):
        times = (timestamp(round(1000 * time), ".") for time in (e.start_seconds, e.end_seconds))
        writer.writerow((_inert(result.video), _inert(e.category), *times, f"{e.score:.4f}", e.modality))
    return out.getvalue()


def result_rows(video: str, events: Iterable[Event]) -> Iterator[tuple[str, ...]]:
    """The cells of `RESULT_COLUMNS` for each event of a video, by start."""
    for e in by_start(events):
        times = (f"{value:.4f}".rstrip("0").rstrip(".") for value in (e.start_seconds, e.end_seconds, e.score))
        yield (_inert(video), _inert(e.category), *times, e.modality)


def _table(source: LabelFile) -> tuple[Header, Iterator[dict[Role, str]]]:
    """The header of a table and its rows by what the columns are."""
    lines = list(io.StringIO(read_text(source.path), newline=""))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        source.fail(f"the file is empty. Its first line names the columns: {_EXPECTED}.")
    source.where = f"line {first + 1}"
    header = header_of(lines[first])
    if header is None:
        source.fail(
            f"found {lines[first].strip()[:80]!r}, which neither names the columns nor is a row of {_EXPECTED}. "
            f"Let the first line name the columns: {_EXPECTED}."
        )
    plain = [_plain(name) for name in header.names]
    twice = [header.names[at] for at in header.columns.values() if header.names and plain.count(plain[at]) > 1]
    if twice:
        source.fail(f"the column '{twice[0]}' occurs twice in {', '.join(header.names)}. Give each a name of its own.")
    source.where = ""
    _tell(source, header)
    skipped = first + bool(header.names)
    return header, _rows(source, header, lines[skipped:], skipped)


def _tell(source: LabelFile, header: Header) -> None:
    """Say what was understood, where it is not what the documentation says."""
    if not header.names:
        source.warn(f"its first line names no columns, so they were taken to be {', '.join(header.columns)}")
        return
    usual = {COLUMN_NAMES[role][0] for role in ROLES} | {"start", "end", "score"}
    taken = {role: header.names[position] for role, position in header.columns.items()}
    unusual = [f"{role} from '{name}'" for role, name in taken.items() if _plain(name) not in usual]
    unused = [name for name in header.names if name not in taken.values() and _plain(name) not in usual]
    if unusual:
        source.warn(f"was read as a table with {', '.join(unusual)}")
    if unused:
        source.warn(f"the columns {', '.join(unused)} were not used")


def _rows(source: LabelFile, header: Header, lines: list[str], skipped: int) -> Iterator[dict[Role, str]]:
    count = len(header.names) or None
    reader = csv.reader(lines, delimiter=header.delimiter, strict=True)
    try:
        for values in reader:
            source.where = f"line {skipped + reader.line_num}"
            if not any(value.strip() for value in values):
                continue
            count = count or len(values)
            if len(values) == 1 and header.has_times and header.columns.get("video") == 0:
                values += [""] * (count - 1)  # a recording without event, as DCASE's tables have it
            if len(values) != count:
                source.fail(
                    f"{len(values)} values for {count} columns ({','.join(header.names) or _EXPECTED}). "
                    "Put a category that holds a comma in double quotes."
                )
            yield {role: _uninert(values[position].strip()) for role, position in header.columns.items()}
    except csv.Error as error:
        source.where = f"line {skipped + reader.line_num}"
        source.fail(f"not readable as CSV: {error}. Put a value that holds a comma or a quote in double quotes.")


def _cells(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error:  # a field longer than any name
        return []


def _plain(name: str) -> str:
    """A column's name without its unit, in one spelling: ``Start (s)`` is ``start``."""
    without = re.sub(r"\((?:s|sec|seconds)\)|\[(?:s|sec|seconds)\]", "", name.lower())
    return re.sub(r"[\s_()-]+", "_", without).strip("_")


def _is_time(text: str) -> bool:
    return re.fullmatch(r"\s*(?:(?:\d+:)?\d{1,2}:)?\d+(?:[.,]\d+)?\s*", text, re.ASCII) is not None


def _split(source: LabelFile, name: str) -> Split | None:
    if not name:
        return None
    if name.lower() not in SPLIT_NAMES:
        source.fail(f"Unknown split '{name}'. Supported splits are {', '.join(SPLITS)}.")
    return SPLIT_NAMES[name.lower()]


def _video(source: LabelFile, row: Mapping[Role, str]) -> str:
    return row.get("video", source.options.video or source.path.stem)


def _inert(cell: str) -> str:
    cell = cell.replace("\r", " ")  # which the csv module leaves unquoted when lines end with "\n"
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA_STARTS) else cell


def _uninert(cell: str) -> str:
    """Undo `_inert`."""
    return cell[1:] if cell.startswith("'") and cell[1:].lstrip().startswith(_FORMULA_STARTS) else cell
