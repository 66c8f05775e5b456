"""What people wrote down about videos: event intervals, read from the formats that annotation tools write.

One internal form for all of them, `AnnotationSet`. Readers:

===============  ==========================================================================================
``ave``          AVE's ``Annotations.txt`` (Tian et al., ECCV 2018), with or without its header
``csv``          ``video,start_seconds,end_seconds,category[,split]``; also with ``;``, tab or ``|`` between
``elan``         ELAN's ``.eaf``, through pympi
``audacity``     Audacity's exported label tracks
``label-studio``  Label Studio's JSON and JSON-MIN exports: audio regions, time series, video timelines
===============  ==========================================================================================

A CSV file without times, ``video,category[,split]``, labels whole videos; `read_video_labels` reads it.

All times are seconds from the start of the video; all spans are half open, ``[start, end)``. Files come from elsewhere:
sizes are bounded, XML may define nothing, and every complaint names the file, the line, what was found and what to do.
"""

import csv
import difflib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from avel.errors import AnnotationsError
from avel.events import BACKGROUND

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

Format = Literal["ave", "csv", "elan", "audacity", "label-studio"]
FORMATS: tuple[Format, ...] = get_args(Format)

MAX_FILE_BYTES = 64 * 2**20

DURATION_TOLERANCE_SECONDS = 0.1
"""How far an event may reach past the end of its video: the tracks of one file often differ by a few frames."""

AVE_SECONDS = 10
"""Length of every AVE video, in whole seconds."""

CSV_REQUIRED = ("video", "start_seconds", "end_seconds", "category")
CSV_COLUMNS = (*CSV_REQUIRED, "split")
VIDEO_CSV_REQUIRED = ("video", "category")
VIDEO_CSV_COLUMNS = (*VIDEO_CSV_REQUIRED, "split")
CSV_DELIMITERS = (",", ";", "\t", "|")


@dataclass(frozen=True, slots=True)
class Annotation:
    """One event that somebody marked in a video.

    Attributes:
        video: the video as the label file names it: a path, a file name, or an identifier.
        start_seconds: first moment, inclusive; 0 or more.
        end_seconds: last moment, exclusive; after ``start_seconds``.
        category: name of the event category, never `BACKGROUND`.
        split: part of the data set, one of `SPLITS`, or ``None`` when the file does not say.
    """

    video: str
    start_seconds: float
    end_seconds: float
    category: str
    split: Split | None = None

    def __post_init__(self) -> None:
        if not self.video:
            raise ValueError("The video has no name.")
        if not (math.isfinite(self.start_seconds) and math.isfinite(self.end_seconds)):
            raise ValueError(f"Times must be finite, got [{self.start_seconds}, {self.end_seconds}).")
        if self.start_seconds < 0:
            raise ValueError(f"The event starts at {self.start_seconds:g} s. Times must be 0 or more.")
        if not self.end_seconds > self.start_seconds:
            raise ValueError(
                f"The event ends at {self.end_seconds:g} s but starts at {self.start_seconds:g} s. "
                "An event must end after it starts."
            )
        if not self.category:
            raise ValueError("The event has no category.")
        if self.category == BACKGROUND:
            raise ValueError(f"'{BACKGROUND}' is where no event is, not an event category. Leave such spans out.")
        if self.split is not None and self.split not in SPLITS:
            raise ValueError(f"Unknown split '{self.split}'. Supported splits are {', '.join(SPLITS)}.")


@dataclass(frozen=True)
class AnnotationSet:
    """The annotations of a set of videos. Videos may have several events, and events may overlap.

    Attributes:
        events: in the order of the file.
        categories: event categories, C - 1 of them: those given to the reader, or else in order of first appearance.
        videos_without_event: split (or ``None``) of each video that was looked at and has no event.
        source: the file or folder it was read from.
        where: for messages, the place in the files where each video is first named.
    """

    events: tuple[Annotation, ...]
    categories: tuple[str, ...]
    videos_without_event: Mapping[str, Split | None] = field(default_factory=dict)
    source: str = ""
    where: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def videos(self) -> tuple[str, ...]:
        """Each video once: those with events in order of first appearance, then those without."""
        return tuple(dict.fromkeys([*(e.video for e in self.events), *self.videos_without_event]))

    @property
    def num_categories(self) -> int:
        """Number of event categories, without background."""
        return len(self.categories)

    @property
    def num_classes(self) -> int:
        """Number of event categories and background."""
        return len(self.categories) + 1

    def split_of(self) -> dict[str, Split | None]:
        """Split of each video, in the order of `videos`; ``None`` where the file does not say."""
        of_events = {e.video: e.split for e in self.events}
        return {video: of_events.get(video, self.videos_without_event.get(video)) for video in self.videos}

    def by_video(self) -> dict[str, tuple[Annotation, ...]]:
        """Events of each video in the order of `videos`; empty for a video without event."""
        events: dict[str, list[Annotation]] = {video: [] for video in self.videos}
        for event in self.events:
            events[event.video].append(event)
        return {video: tuple(found) for video, found in events.items()}

    def in_split(self, split: Split) -> "AnnotationSet":
        """The part of the set that belongs to a split; the categories stay the same.

        Raises:
            ValueError: if there is no such split.
        """
        if split not in SPLITS:
            raise ValueError(f"Unknown split '{split}'. Supported splits are {', '.join(SPLITS)}.")
        return AnnotationSet(
            events=tuple(e for e in self.events if e.split == split),
            categories=self.categories,
            videos_without_event={v: s for v, s in self.videos_without_event.items() if s == split},
            source=self.source,
            where=self.where,
        )

    @classmethod
    def merged(cls, sets: Iterable[Self], source: str = "") -> "AnnotationSet":
        """Several sets as one, such as the label files of several videos."""
        sets = list(sets)
        events = tuple(e for s in sets for e in s.events)
        with_event = {e.video for e in events}
        return AnnotationSet(
            events=events,
            categories=tuple(dict.fromkeys(c for s in sets for c in s.categories)),
            videos_without_event={
                v: split for s in sets for v, split in s.videos_without_event.items() if v not in with_event
            },
            source=source,
            where={v: place for s in reversed(sets) for v, place in s.where.items()},
        )


@dataclass(frozen=True)
class VideoLabels:
    """Which categories are in each video, without saying when.

    Attributes:
        videos: categories of each video in the order of the file; none for a video without event.
        categories: event categories, as in `AnnotationSet`.
        splits: split (or ``None``) of each video.
        source: the file it was read from.
        where: for messages, the place in the file where each video is first named.
    """

    videos: Mapping[str, tuple[str, ...]]
    categories: tuple[str, ...]
    splits: Mapping[str, Split | None]
    source: str = ""
    where: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def spanning(self, durations: Mapping[str, float]) -> AnnotationSet:
        """As annotations whose events last as long as their videos, which is what a video's label stands for.

        Args:
            durations: seconds of each video, above 0.
        """
        return AnnotationSet(
            events=tuple(
                Annotation(video, 0.0, durations[video], category, self.splits[video])
                for video, found in self.videos.items()
                for category in found
            ),
            categories=self.categories,
            videos_without_event={video: self.splits[video] for video, found in self.videos.items() if not found},
            source=self.source,
            where=self.where,
        )


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


def read_annotations(
    path: str | Path,
    format: Format | None = None,  # noqa: A002 - the word that people look for
    *,
    categories: Sequence[str] | None = None,
    durations: Mapping[str, float] | None = None,
    video: str | None = None,
    frames_per_second: float | None = None,
) -> AnnotationSet:
    """Read a label file, or a folder of them, in any supported format.

    Args:
        path: a file; or a folder whose files (``.csv``, ``.tsv``, ``.eaf``, ``.json``, ``.txt``) are read as one set.
        format: one of `FORMATS`; without it, the file's ending and content decide.
        categories: the event categories that may occur, in the order wanted; without it, all that occur.
        durations: seconds of each video as far as known; an event that ends later is an error.
        video: name of the video, for a file that does not say (Audacity, ELAN without linked media); its own name
            without the ending stands in.
        frames_per_second: pictures a second as set in Label Studio, for timelines that count frames.

    Raises:
        AnnotationsError: if the file cannot be read or is not as its format says.
        ValueError: if ``format`` is unknown.
    """
    if format is not None and format not in FORMATS:
        raise ValueError(f"Unknown format '{format}'. Supported formats are {', '.join(FORMATS)}.")
    path = Path(path)
    if path.is_dir():
        if video is not None:
            raise ValueError("`video` names the video of one file; a folder of label files has several.")
        return _read_folder(path, format, categories, durations, frames_per_second)
    reader = _READERS[format or _detect(path)]
    return reader(_Source(path, categories, durations, video, frames_per_second))


def labels_whole_videos(path: str | Path) -> bool:
    """Whether a file is a CSV file that names videos and categories but no times.

    Raises:
        AnnotationsError: if the file cannot be read.
    """
    path = Path(path)
    if path.is_dir() or path.suffix.lower() in (".eaf", ".json"):
        return False
    first = next((line for line in _read_text(path).splitlines() if line.strip()), "")
    header = _csv_header(first, VIDEO_CSV_REQUIRED)
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
    source = _Source(Path(path), categories)
    videos: dict[str, dict[str, None]] = {}
    for row in _csv_rows(source, VIDEO_CSV_REQUIRED, VIDEO_CSV_COLUMNS):
        source.add_without_event(row["video"], row.get("split") or None)
        found = videos.setdefault(row["video"], {})
        if row["category"] not in ("", BACKGROUND):
            source.check_category(row["category"])
            found[row["category"]] = None
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


def read_ave_table(path: str | Path) -> AveTable:
    """Read a file in the format of AVE's ``Annotations.txt``, ``Category&VideoID&Quality&Start&End``.

    Whether there is a header is found out: one that is taken for a row shifts the index of every row.

    Raises:
        AnnotationsError: if the file cannot be read.
    """
    rows: list[AveRow] = []
    malformed: list[tuple[int, str]] = []
    has_header = False
    for number, line in enumerate(_read_text(Path(path)).splitlines(), start=1):
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


class _Source:
    """A label file that is being read: where we are in it, what may occur, and what was found."""

    def __init__(
        self,
        path: Path,
        categories: Sequence[str] | None = None,
        durations: Mapping[str, float] | None = None,
        video: str | None = None,
        frames_per_second: float | None = None,
    ) -> None:
        if frames_per_second is not None and not (math.isfinite(frames_per_second) and frames_per_second > 0):
            raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
        self.path = path
        self.categories = tuple(categories) if categories is not None else None
        self.durations = dict(durations or {})
        self.video = video
        self.frames_per_second = frames_per_second
        self.where = ""
        self._events: list[Annotation] = []
        self._splits: dict[str, Split | None] = {}
        self._first: dict[str, str] = {}

    def fail(self, message: str) -> NoReturn:
        where = f", {self.where}" if self.where else ""
        raise AnnotationsError(f"{self.path}{where}: {message}")

    def number(self, value: object, name: str) -> float:
        try:
            if isinstance(value, bool):
                raise TypeError
            return float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError, OverflowError):
            self.fail(f"{name} is {value!r}, not a number. Give seconds with a decimal point, such as 12.5.")

    def add(self, video: str, start: float, end: float, category: str, split: str | None = None) -> None:
        try:
            event = Annotation(video, start, end, category, split)  # type: ignore[arg-type]  # checked there
        except ValueError as error:
            self.fail(str(error))
        self.check_category(category)
        duration = self.durations.get(video)
        if duration is not None and end > duration + DURATION_TOLERANCE_SECONDS:
            self.fail(f"the event ends at {end:g} s, but '{video}' is {duration:g} s long. Check the times' unit.")
        self._seen(video, event.split)
        self._events.append(event)

    def add_without_event(self, video: str, split: str | None = None) -> None:
        if not video:
            self.fail("the video has no name.")
        if split is not None and split not in SPLITS:
            self.fail(f"Unknown split '{split}'. Supported splits are {', '.join(SPLITS)}.")
        self._seen(video, split)

    def check_category(self, category: str) -> None:
        if self.categories is not None and category not in self.categories:
            close = difflib.get_close_matches(category, self.categories, n=1)
            hint = f"Did you mean '{close[0]}'?" if close else f"Categories are: {'; '.join(self.categories)}."
            self.fail(f"unknown category '{category}'. {hint}")

    def _seen(self, video: str, split: Split | None) -> None:
        self._first.setdefault(video, f"{self.path}, {self.where}" if self.where else str(self.path))
        before = self._splits.setdefault(video, split)
        if before != split:
            self.fail(f"'{video}' is in split '{split}' here and in '{before}' above. Put all its rows in one split.")

    def result(self) -> AnnotationSet:
        with_event = {e.video for e in self._events}
        return AnnotationSet(
            events=tuple(self._events),
            categories=self.categories or tuple(dict.fromkeys(e.category for e in self._events)),
            videos_without_event={v: s for v, s in self._splits.items() if v not in with_event},
            source=str(self.path),
            where=self._first,
        )


def _read_folder(
    folder: Path,
    format: Format | None,  # noqa: A002
    categories: Sequence[str] | None,
    durations: Mapping[str, float] | None,
    frames_per_second: float | None,
) -> AnnotationSet:
    ave = folder / "Annotations.txt"
    if format in (None, "ave") and ave.exists():
        return _read_ave(_Source(ave, categories, durations))
    suffixes = _SUFFIXES_OF[format] if format else {s for found in _SUFFIXES_OF.values() for s in found}
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix.lower() in suffixes)
    if not files:
        raise AnnotationsError(
            f"{folder}: no label file in this folder. Label files end in {', '.join(sorted(suffixes))}; "
            "AVE's is Annotations.txt."
        )
    sets = [
        read_annotations(file, format, categories=categories, durations=durations, frames_per_second=frames_per_second)
        for file in files
    ]
    return AnnotationSet.merged(sets, source=str(folder))


def _read_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise AnnotationsError(f"{path}: no such file.") from None
    except OSError as error:
        raise AnnotationsError(f"{path}: cannot be read: {error.strerror}.") from error
    if len(content) > MAX_FILE_BYTES:
        raise AnnotationsError(
            f"{path}: larger than {MAX_FILE_BYTES // 2**20} MiB, which no label file is. Split it, or check the path."
        )
    return content


def _read_text(path: Path) -> str:
    content = _read_bytes(path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise AnnotationsError(
            f"{path}: byte {error.start} is not UTF-8 text. Save the file as UTF-8 (in Excel: 'CSV UTF-8')."
        ) from None


def _detect(path: Path) -> Format:
    by_suffix: dict[str, Format] = {".eaf": "elan", ".json": "label-studio", ".csv": "csv", ".tsv": "csv"}
    if path.suffix.lower() in by_suffix:
        return by_suffix[path.suffix.lower()]
    text = _read_text(path).lstrip()
    first = text.splitlines()[0] if text else ""
    if first.startswith("<"):
        return "elan"
    if first.startswith(("[", "{")):
        return "label-studio"
    if first.count("&") >= 4:
        return "ave"
    if _csv_header(first) is not None:
        return "csv"
    if not first or (first.count("\t") >= 1 and _is_number(first.split("\t")[0])):
        return "audacity"  # which writes an empty file for an empty label track
    raise AnnotationsError(
        f"{path}: the format is not recognised from its first line {first[:60]!r}. "
        f"Name it: one of {', '.join(FORMATS)}."
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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


def _read_ave(source: _Source) -> AnnotationSet:
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


def _csv_header(line: str, required: Sequence[str] = CSV_REQUIRED) -> tuple[list[str], str] | None:
    """Column names and delimiter, if the line is a header of ours."""
    for delimiter in CSV_DELIMITERS:
        try:
            names = [name.strip().lower() for name in next(csv.reader([line], delimiter=delimiter), [])]
        except csv.Error:  # a field longer than any name
            continue
        if set(required) <= set(names):
            return names, delimiter
    return None


def _csv_rows(source: _Source, required: Sequence[str], allowed: Sequence[str]) -> Iterator[dict[str, str]]:
    """Rows by column name; an optional column may be missing in all of them."""
    lines = list(io.StringIO(_read_text(source.path), newline=""))
    first = next((i for i, line in enumerate(lines) if line.strip()), None)
    if first is None:
        source.fail(f"the file is empty. Its first line must be {','.join(allowed)} (split may be left out).")
    source.where = f"line {first + 1}"
    header = _csv_header(lines[first], required)
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


def _read_csv(source: _Source) -> AnnotationSet:
    for row in _csv_rows(source, CSV_REQUIRED, CSV_COLUMNS):
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


def _read_audacity(source: _Source) -> AnnotationSet:
    """Read a label track: ``start<TAB>end<TAB>text``; a line that starts with a backslash is a frequency range."""
    video = source.video or source.path.stem
    source.add_without_event(video)
    for number, line in enumerate(_read_text(source.path).splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        source.where = f"line {number}"
        fields = line.split("\t", 2)
        if len(fields) < 2:
            source.fail(f"found {line[:60]!r}; a label is start<TAB>end<TAB>category, as Audacity exports it.")
        start, end = source.number(fields[0], "the start"), source.number(fields[1], "the end")
        category = fields[2].strip() if len(fields) == 3 else ""
        if not category:
            source.fail("the label has no text. Give it the event category.")
        if start == end:
            source.fail(f"'{category}' is a point at {start:g} s. Drag it to a region: an event has a length.")
        source.add(video, start, end, category)
    return source.result()


def _read_elan(source: _Source) -> AnnotationSet:
    """Read the time-aligned annotations of all tiers that have no parent.

    An annotation's text is the category; without text its tier's name is. The first linked medium names the video.
    Tiers that depend on another one hold details of its annotations, so they are not events of their own.
    """
    from pympi.Elan import Eaf

    _check_elan_xml(source)
    try:
        document = Eaf(str(source.path), suppress_version_warning=True)
    except Exception as error:  # pympi raises whatever its lookups raise, and a plain Exception
        source.fail(f"not a complete ELAN document ({error!r}). Open it in ELAN and save it again.")
    media = document.media_descriptors[0] if document.media_descriptors else {}
    named = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL")
    video = source.video or (_file_name(named) if named else source.path.stem)
    # ELAN's timeline starts this much later than the linked medium (its "master offset").
    offset_seconds = source.number(media.get("TIME_ORIGIN") or 0, "TIME_ORIGIN") / 1000
    source.add_without_event(video)
    for tier, (aligned, _, attributes, _) in document.tiers.items():
        if "PARENT_REF" in attributes:
            continue
        for name, (start_slot, end_slot, text, _) in aligned.items():
            source.where = f"tier '{tier}', annotation {name}"
            times = [document.timeslots.get(slot) for slot in (start_slot, end_slot)]
            if None in times:
                source.fail("it has no time of its own. Align it in ELAN.")
            start, end = (offset_seconds + milliseconds / 1000 for milliseconds in times)
            source.add(video, start, end, text.strip() or tier)
    return source.result()


def _check_elan_xml(source: _Source) -> None:
    """Refuse what pympi's parser would let through: entities, which a small file can make huge, and DTDs."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(_read_bytes(source.path), forbid_dtd=True)
    except DefusedXmlException as error:
        source.fail(f"the XML defines entities or a document type, which ELAN never writes ({type(error).__name__}).")
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an encoding that it cannot read
        source.fail(f"not readable as XML: {error}. ELAN documents (.eaf) are XML.")
    if root.tag != "ANNOTATION_DOCUMENT":
        source.fail(f"its root is <{root.tag}>; an ELAN document's is <ANNOTATION_DOCUMENT>.")


def _read_label_studio(source: _Source) -> AnnotationSet:
    """Read an export of annotated tasks, "JSON" or "JSON-MIN".

    Audio regions count in seconds and time series in the unit of their time column, which must be seconds. Timelines
    of a video count frames from 1, the last one inclusive. Boxes and answers without a time are passed over.
    """
    try:
        tasks = json.loads(_read_text(source.path))
    except (json.JSONDecodeError, RecursionError) as error:
        source.fail(f"not readable as JSON: {error}.")
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        source.fail("not a Label Studio export: it must be a list of tasks. Export as 'JSON' or 'JSON-MIN'.")
    finished: set[str] = set()
    for position, task in enumerate(tasks, start=1):
        name = str(task.get("id", position))
        source.where = f"task {name}"
        if "annotations" in task:
            regions = _label_studio_result(source, task["annotations"])
            data = task.get("data")
        else:  # JSON-MIN: data and regions side by side, one entry an annotator
            regions = _minimal_regions(task)
            data = task
            if name in finished:
                source.fail(_SEVERAL_ANNOTATORS)
        finished.add(name)
        if regions is None:
            continue
        video = source.video or _label_studio_video(source, data)
        source.add_without_event(video)
        for region in regions:
            length = region.get("original_length") if isinstance(region, dict) else None
            if isinstance(length, int | float):
                source.durations.setdefault(video, length)
            for start, end, category in _region_events(source, region):
                source.add(video, start, end, category)
    if not finished:
        source.fail("the export has no task.")
    return source.result()


_SEVERAL_ANNOTATORS = (
    "it has several annotations. Mark one as ground truth in Label Studio (and export as 'JSON'), "
    "or export one annotator's."
)

_MEDIA_KEYS = ("video", "audio", "url", "videos")


def _label_studio_result(source: _Source, annotations: object) -> list[Any] | None:
    """The regions of the one annotation that counts, ``None`` when nobody has annotated the task."""
    if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
        source.fail("'annotations' must be a list of annotations.")
    valid = [a for a in annotations if not a.get("was_cancelled")]
    if len(valid) > 1:
        valid = [a for a in valid if a.get("ground_truth")]
        if len(valid) != 1:
            source.fail(_SEVERAL_ANNOTATORS)
    if not valid:
        return None
    result = valid[0].get("result")
    if not isinstance(result, list):
        source.fail("its annotation has no list 'result'.")
    return result


def _minimal_regions(task: Mapping[str, Any]) -> list[Any]:
    return [
        {"value": region}
        for value in task.values()
        if isinstance(value, list)
        for region in value
        if isinstance(region, dict)
    ]


def _label_studio_video(source: _Source, data: object) -> str:
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v} if isinstance(data, dict) else {}
    for key in (*_MEDIA_KEYS, *texts):
        # Any other key counts when its value ends like a file; identifiers and dates of JSON-MIN do not.
        name = _file_name(texts[key]) if key in texts else ""
        if name and (key in _MEDIA_KEYS or re.search(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", name)):
            return name
    source.fail(f"its data name no video; looked for {', '.join(_MEDIA_KEYS)} or a file name in {sorted(texts)}.")


def _file_name(address: str) -> str:
    """Name of the file that a path or URL leads to, as it was before Label Studio stored it."""
    if re.match(r"[A-Za-z]:[\\/]", address):
        return address.replace("\\", "/").rsplit("/", 1)[-1]
    try:
        parts = urlsplit(address)
    except ValueError:  # brackets that are no IPv6 address: a file name, not a URL
        return address.rsplit("/", 1)[-1]
    local = parse_qs(parts.query).get("d")  # Label Studio's local files: /data/local-files/?d=folder/clip.mp4
    path = local[0] if local else unquote(parts.path)
    name = path.rstrip("/").rsplit("/", 1)[-1]
    return re.sub(r"^[0-9a-f]{8}-", "", name) if "/data/upload/" in path else name


def _region_events(source: _Source, region: object) -> Iterator[tuple[float, float, str]]:
    value = region.get("value") if isinstance(region, dict) else None
    if not isinstance(value, dict):
        return
    # Boxes may be repeated as timeline labels without ranges (a known fault of Label Studio): no time, no event.
    ranges = value.get("ranges")
    spans: list[Any] = ranges if isinstance(ranges, list) else [value] if "start" in value and "end" in value else []
    if not spans:
        return
    if not all(isinstance(span, dict) for span in spans):
        source.fail("'ranges' must be a list of objects with start and end.")
    found = [v for k, v in value.items() if k.endswith("labels") and isinstance(v, list)]
    categories = [str(c) for labels in found for c in labels]
    if not categories:
        source.fail(f"the region from {spans[0].get('start')} to {spans[0].get('end')} has no label.")
    for span in spans:
        start, end = source.number(span.get("start"), "start"), source.number(span.get("end"), "end")
        if ranges is not None:
            if source.frames_per_second is None:
                source.fail(
                    "its timeline counts frames. Give frames_per_second as set in Label Studio "
                    "(<Video frameRate=...>, 24 unless set)."
                )
            start, end = max(start - 1, 0) / source.frames_per_second, end / source.frames_per_second
        for category in categories:
            yield start, end, category.strip()


_READERS: Mapping[Format, Callable[[_Source], AnnotationSet]] = {
    "ave": _read_ave,
    "csv": _read_csv,
    "elan": _read_elan,
    "audacity": _read_audacity,
    "label-studio": _read_label_studio,
}

_SUFFIXES_OF: Mapping[Format, tuple[str, ...]] = {
    "ave": (".txt",),
    "csv": (".csv", ".tsv"),
    "elan": (".eaf",),
    "audacity": (".txt",),
    "label-studio": (".json",),
}
