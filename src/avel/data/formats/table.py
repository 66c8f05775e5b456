"""Tables, ``video,start_seconds,end_seconds,category[,split]``, with a comma, ``;``, tab or ``|`` between.

Without times, ``video,category[,split]``, a table labels whole videos; `read_video_labels` reads it.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from avel.data.annotations import AnnotationSet, VideoLabels
from avel.data.formats.label_file import LabelFile, read_text
from avel.events import BACKGROUND, Event, Localization, by_start

CSV_REQUIRED = ("video", "start_seconds", "end_seconds", "category")
CSV_COLUMNS = (*CSV_REQUIRED, "split")
VIDEO_CSV_REQUIRED = ("video", "category")
VIDEO_CSV_COLUMNS = (*VIDEO_CSV_REQUIRED, "split")
CSV_DELIMITERS = (",", ";", "\t", "|")

RESULT_COLUMNS = ("video", "category", "start_seconds", "end_seconds", "score", "modality")

_FORMULA_STARTS = ("=", "+", "-", "@")


def labels_whole_videos(path: str | Path) -> bool:
    """Whether a file is a CSV file that names videos and categories but no times.

    Raises:
        AnnotationsError: if the file cannot be read.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in (".eaf", ".json"):
        return False
    first = next((line for line in read_text(path).splitlines() if line.strip()), "")
    header = header_of(first, VIDEO_CSV_REQUIRED)
    return header is not None and not {"start_seconds", "end_seconds"} & set(header[0])


def read_video_labels(path: str | Path, *, categories: Sequence[str] | None = None) -> VideoLabels:
    """Read a CSV file without times, ``video,category[,split]``; a video with several categories has several rows.

    A row whose category is empty, or ``background``, is a video without event.

    Args:
        path: the file.
        categories: the event categories that may occur, in the order wanted; without it, all that occur.

    Raises:
        AnnotationsError: if the file cannot be read or is not as said here.
    """
    source = LabelFile(Path(path), categories)
    videos: dict[str, dict[str, None]] = {}
    for row in _rows(source, VIDEO_CSV_REQUIRED, VIDEO_CSV_COLUMNS):
        source.add_without_event(row["video"], row.get("split") or None)
        found = videos.setdefault(row["video"], {})
        if row["category"] not in ("", BACKGROUND):
            found[source.category(row["category"])] = None
    if not videos:
        source.fail("no video is labelled in it. Give each a row below the first line.")
    seen = tuple(dict.fromkeys(category for found in videos.values() for category in found))
    result = source.result()
    return VideoLabels(
        videos={video: tuple(found) for video, found in videos.items()},
        categories=source.categories or seen,
        splits=result.videos_without_event,
        source=result.source,
        where=result.where,
    )


def read(source: LabelFile) -> AnnotationSet:
    """Read a table of events."""
    for row in _rows(source, CSV_REQUIRED, CSV_COLUMNS):
        split = row.get("split") or None
        start, end, category = row["start_seconds"], row["end_seconds"], row["category"]
        if not start and not end and category in ("", BACKGROUND):
            source.add_without_event(row["video"], split)
            continue
        source.add(
            row["video"],
            source.number(start, "start_seconds"),
            source.number(end, "end_seconds"),
            category,
            split,
        )
    return source.result()


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


def result_rows(video: str, events: Iterable[Event]) -> Iterator[tuple[str, ...]]:
    """The cells of `RESULT_COLUMNS` for each event of a video, by start."""
    for e in by_start(events):
        times = (f"{value:.4f}".rstrip("0").rstrip(".") for value in (e.start_seconds, e.end_seconds, e.score))
        yield (_inert(video), _inert(e.category), *times, e.modality)


def header_of(line: str, required: Sequence[str] = CSV_REQUIRED) -> tuple[list[str], str] | None:
    """Column names and delimiter, if the line is a header of ours."""
    for delimiter in CSV_DELIMITERS:
        try:
            names = [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:  # a field longer than any name
            continue
        if set(required) <= set(names):
            return names, delimiter
    return None


def _rows(source: LabelFile, required: Sequence[str], allowed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows by column name; an optional column may be missing in all of them."""
    lines = list(io.StringIO(read_text(source.path), newline=""))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        source.fail(f"the file is empty. Its first line must be {','.join(allowed)} (split may be left out).")
    source.where = f"line {first + 1}"
    header = header_of(lines[first], required)
    if header is None:
        source.fail(
            f"found {lines[first].strip()[:80]!r}, but the first line must name the columns: "
            f"{','.join(allowed)} (split may be left out)."
        )
    names, delimiter = header
    unknown = [name for name in names if name not in allowed]
    if unknown or len(set(names)) < len(names):
        what = f"unknown column '{unknown[0]}'" if unknown else "a column occurs twice"
        source.fail(f"{what}. Columns are {', '.join(allowed)}, each once.")
    reader = csv.reader(lines[first + 1 :], delimiter=delimiter, strict=True)
    try:
        for values in reader:
            source.where = f"line {first + 1 + reader.line_num}"
            if not any(value.strip() for value in values):
                continue
            if len(values) != len(names):
                source.fail(
                    f"{len(values)} values for {len(names)} columns ({','.join(names)}). "
                    "Put a category that holds a comma in double quotes."
                )
            yield {name: value.strip() for name, value in zip(names, values, strict=True)}
    except csv.Error as error:
        source.where = f"line {first + 1 + reader.line_num}"
        source.fail(f"not readable as CSV: {error}. Put a value that holds a comma or a quote in double quotes.")


def _inert(cell: str) -> str:
    cell = cell.replace("\r", " ")  # which the csv module leaves unquoted when lines end with "\n"
    return f"'{cell}" if cell.lstrip().startswith(_FORMULA_STARTS) else cell
