"""BORIS's exports: tabular events, a row for each start and each stop, and aggregated events, a row for each behaviour.

Lines about the observation may stand above the columns' names. An observation may play several files one after the
other; its times count from the start of the first then, and are put back into the file that they are in, where the
export says how long the files are (``Media duration (s)``).
"""

import csv
import io
from collections import defaultdict
from typing import NamedTuple

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, plain_name, read_text

_HEAD_LINES = 60
_START, _STOP, _POINT = "START", "STOP", "POINT"
_TYPES = ("behavior type", "status")
_FILES = ("media file name", "media file path", "media file")
_UNKNOWN = ("", "NA", "Not found")
_TABULAR = {"behavior", "time"}
_AGGREGATED = {"behavior", "start (s)", "stop (s)"}

BorisRow = dict[str, str]


class _Place(NamedTuple):
    """The file that a row is of, and when it starts in the observation, in seconds."""

    video: str
    start: float


def find_header(text: str) -> tuple[int, str] | None:
    """Position of the line that names the columns, and the delimiter."""
    for number, line in enumerate(lines_of(text)[:_HEAD_LINES]):
        for delimiter in (",", "\t", ";"):
            names = {name.strip().strip('"').lower() for name in line.split(delimiter)}
            if (names >= _TABULAR and names & set(_TYPES)) or (names >= _AGGREGATED and "observation id" in names):
                return number, delimiter
    return None


def read(source: LabelFile) -> AnnotationSet:
    """Read states from their start to their stop; points have no length and are left out."""
    text = read_text(source.path)
    header = find_header(text)
    if header is None:
        source.fail(
            "has no line with the columns Behavior, Behavior type and Time, or Behavior, Start (s) and Stop (s). "
            "Export tabular or aggregated events from BORIS."
        )
    first, delimiter = header
    rows = _Observed(source, lines_of(text)[first:], first, delimiter)
    if "start (s)" in rows.names:
        for row in rows:
            video, zero = rows.place(row)
            start = source.number(row["start (s)"], "Start (s)", comma=rows.comma)
            is_point = row.get("behavior type", "").upper() == _POINT or row["stop (s)"] in _UNKNOWN
            stop = start if is_point else source.number(row["stop (s)"], "Stop (s)", comma=rows.comma)
            source.add(video, start - zero, stop - zero, row["behavior"])
    else:
        _read_starts_and_stops(source, rows)
    source.where = ""
    return source.result()


def _read_starts_and_stops(source: LabelFile, rows: "_Observed") -> None:
    open_since: dict[tuple[str, ...], list[tuple[_Place, float]]] = defaultdict(list)
    last = ""
    for row in rows:
        last = source.where
        place, behavior = rows.place(row), row["behavior"]
        time = source.number(row["time"], "Time", comma=rows.comma)
        kind = next((row[name].upper() for name in _TYPES if row.get(name)), "")
        key = (row.get("observation id") or place.video, row.get("subject", ""), behavior)
        if kind == _POINT:
            source.add(place.video, time - place.start, time - place.start, behavior)
        elif kind == _START:
            open_since[key].append((place, time))
        elif kind == _STOP and open_since[key]:
            (video, zero), start = open_since[key].pop()
            source.add(video, start - zero, time - zero, behavior)
        elif kind == _STOP:
            source.fail(f"'{behavior}' stops at {time:g} s without having started. Fix the observation in BORIS.")
        else:
            source.fail(f"unknown type '{kind}'. Types are START, STOP and POINT.")
    unfinished = [(started[0][0].video, key[-1]) for key, started in open_since.items() if started]
    if unfinished:
        source.where = last
        video, behavior = unfinished[0]
        source.fail(f"'{behavior}' of {video} starts but never stops. Fix the observation in BORIS.")


class _Observed:
    """The rows of a table, by the names of its columns in lower case."""

    def __init__(self, source: LabelFile, lines: list[str], first: int, delimiter: str) -> None:
        self.comma = delimiter != ","
        self._source = source
        self._first = first
        self._reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=delimiter)
        self.names = [name.strip().lower() for name in next(self._reader)]
        self._files: dict[str, str] = {}

    def __iter__(self) -> "_Observed":
        return self

    def __next__(self) -> BorisRow:
        for values in self._reader:
            self._source.where = f"line {self._first + self._reader.line_num}"
            row: BorisRow = {}
            for name, value in zip(self.names, values, strict=False):  # an export pads or cuts empty cells at its end
                row.setdefault(name, value.strip())
            if row.get("behavior"):
                return {name: row.get(name, "") for name in self.names}
        raise StopIteration

    def place(self, row: BorisRow) -> _Place:
        """The file that a row is of, and when that starts in the row's observation."""
        source, observation = self._source, row.get("observation id", "")
        played, lengths = _first_player(row)
        named = next((row[name] for name in _FILES if row.get(name, "") not in _UNKNOWN), played[0] if played else "")
        video = source.options.video or plain_name(named) or observation or source.path.stem
        offset = row.get("time offset (s)", "")
        if offset not in _UNKNOWN and source.number(offset, "Time offset (s)", comma=self.comma):
            source.fail(
                f"the observation '{observation}' has a time offset of {offset} s, so that its times are not those of "
                "the video. Set it to 0 in BORIS, and export again."
            )
        source.add_without_event(video)
        if len(played) > 1:
            return _Place(video, self._start(observation, named, played, lengths))
        if self._files.setdefault(observation, named) != named and observation:
            self._refuse_several(observation, [self._files[observation], named])
        return _Place(video, 0.0)

    def _start(self, observation: str, named: str, played: list[str], lengths: list[str]) -> float:
        names = [plain_name(file) for file in played]
        if plain_name(named) not in names or len(lengths) != len(played) or set(lengths) & set(_UNKNOWN):
            self._refuse_several(observation, played)
        seconds = [self._source.number(length, "Media duration (s)", comma=True) for length in lengths]
        place = names.index(plain_name(named))
        self._source.durations.setdefault(names[place], seconds[place])
        return sum(seconds[:place])

    def _refuse_several(self, observation: str, files: list[str]) -> None:
        self._source.fail(
            f"the observation '{observation}' plays several files ({', '.join(map(plain_name, files))}), whose times "
            "count from the start of the first, and the export does not say how long they are. Export with a version "
            "of BORIS that writes 'Media duration (s)', or make an observation for each file."
        )


def _first_player(row: BorisRow) -> tuple[list[str], list[str]]:
    """The files that the first player plays one after the other, and their lengths, as far as the export says."""
    files = row.get("source", "").partition("|")[0]
    if not files.lower().startswith("player #"):
        return [], []
    lengths = row.get("media duration (s)", "").partition("|")[0]
    return [file.strip() for file in files.partition(":")[2].split(";")], [one.strip() for one in lengths.split(";")]
