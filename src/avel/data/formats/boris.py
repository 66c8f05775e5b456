"""BORIS's exports: tabular events, a row for each start and each stop of a behaviour.

Lines about the observation may stand above them. Aggregated events, a row for each behaviour with its start and stop,
are a table as any other, see `avel.data.formats.table`.
"""

import csv
import io
from collections import defaultdict

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, plain_name, read_text

_HEAD_LINES = 60
_START, _STOP, _POINT = "START", "STOP", "POINT"
_TYPES = ("behavior type", "status")
_FILES = ("media file name", "media file path", "media file")


def find_header(text: str) -> tuple[int, str] | None:
    """Position of the line that names the columns of tabular events, and the delimiter."""
    for number, line in enumerate(lines_of(text)[:_HEAD_LINES]):
        for delimiter in (",", "\t", ";"):
            names = [name.strip().strip('"').lower() for name in line.split(delimiter)]
            if "behavior" in names and "time" in names and any(kind in names for kind in _TYPES):
                return number, delimiter
    return None


def read(source: LabelFile) -> AnnotationSet:
    """Read tabular events: states from their START to their STOP; points have no length and are left out."""
    text = read_text(source.path)
    header = find_header(text)
    if header is None:
        source.fail("has no line with the columns Behavior, Behavior type and Time. Export tabular events from BORIS.")
    first, delimiter = header
    reader = csv.DictReader(io.StringIO("\n".join(lines_of(text)[first:])), delimiter=delimiter)
    reader.fieldnames = [name.strip().lower() for name in reader.fieldnames or []]
    open_since: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    last = ""
    for row in reader:
        source.where = f"line {first + reader.line_num}"
        cells = {
            name: (value or "").strip()
            for name, value in row.items()
            if isinstance(name, str) and not isinstance(value, list)
        }
        behavior = cells.get("behavior", "")
        if not behavior:
            continue
        file = next((plain_name(cells[name]) for name in _FILES if cells.get(name)), "")
        video = source.options.video or file or cells.get("observation id") or source.path.stem
        time = source.number(cells.get("time", ""), "Time", comma=delimiter != ",")
        kind = next((cells[name].upper() for name in _TYPES if cells.get(name)), "")
        key = (video, cells.get("observation id", ""), cells.get("subject", ""), behavior)
        source.add_without_event(video)
        last = source.where
        if kind == _POINT:
            source.add(video, time, time, behavior)
        elif kind == _START:
            open_since[key].append(time)
        elif kind == _STOP and open_since[key]:
            source.add(video, open_since[key].pop(), time, behavior)
        elif kind == _STOP:
            source.fail(f"'{behavior}' stops at {time:g} s without having started. Fix the observation in BORIS.")
        else:
            source.fail(f"unknown type '{kind}'. Types are START, STOP and POINT.")
    unfinished = [key for key, times in open_since.items() if times]
    if unfinished:
        source.where = last
        source.fail(f"'{unfinished[0][3]}' of {unfinished[0][0]} starts but never stops. Fix the observation in BORIS.")
    source.where = ""
    return source.result()
