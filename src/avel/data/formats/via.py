"""VGG Image Annotator, version 3 (``via3``): temporal segments of videos and sounds, from projects and CSV exports.

A segment may have several attributes, such as what it is and how loud: one of them is the category, by default the one
that VIA itself makes for segments. The options ``tiers`` choose others by their names.
"""

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, lines_of, read_text
from avel.documents import DocumentError, parse_json
from avel.wording import counted

USUAL_ATTRIBUTE = "TEMPORAL-SEGMENTS"

_CSV_HEADER = "CSV_HEADER"


@dataclass(frozen=True)
class _Labelled:
    """A segment of a video: where it is in the file, its times, and the value of each attribute by its number."""

    where: str
    video: str
    times: list[Any]
    values: Mapping[str, Any]


@dataclass
class _Project:
    """What is read: segments, names and options of the attributes by their numbers, and regions without two times."""

    segments: list[_Labelled] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    options: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    left: int = 0

    def define(self, attributes: Any) -> None:
        for number, one in attributes.items() if isinstance(attributes, dict) else ():
            if isinstance(one, dict):
                self.names[number] = str(one.get("aname", number))
                options = one.get("options")
                self.options[number] = options if isinstance(options, dict) else {}

    def add(self, where: str, video: str, times: Any, values: Any) -> None:
        if isinstance(times, list) and len(times) == 2 and isinstance(values, dict):
            self.segments.append(_Labelled(where, video, times, values))
        else:
            self.left += 1


def is_export(text: str) -> bool:
    """Whether a text is a CSV export."""
    return text.startswith("#") and f"# {_CSV_HEADER} = metadata_id" in text[:100_000]


def read(source: LabelFile) -> AnnotationSet:
    """Read the segments of a project; regions in the picture, which have one time or none, are left out."""
    text = read_text(source.path)
    project = _of_csv(source, text) if is_export(text) else _of_project(source, text)
    for segment in project.segments:
        source.where = segment.where
        start, end = (source.number(time, name) for time, name in zip(segment.times, ("start", "end"), strict=True))
        for category in _categories(source, project, segment):
            source.add(segment.video, start, end, category)
    source.where = ""
    if project.left:
        source.warn(f"left out: {counted(project.left, 'region')} without start and end")
    return source.result()


def _categories(source: LabelFile, project: _Project, segment: _Labelled) -> Iterator[str]:
    chosen = _chosen(source, project)
    for number, value in segment.values.items():
        if project.names.get(number, number) in chosen:
            options = project.options.get(number, {})
            for one in str(value).split(",") if options else [str(value)]:
                if one.strip():
                    yield str(options.get(one, one))


def _chosen(source: LabelFile, project: _Project) -> list[str]:
    """The names of the attributes that are categories."""
    values = ((number, value) for segment in project.segments for number, value in segment.values.items())
    used = list(dict.fromkeys(project.names.get(number, number) for number, value in values if str(value).strip()))
    if source.options.tiers:
        chosen = [name for name in used if source.options.asks_for(name)]
        if not chosen:
            source.where = ""
            source.fail(f"no attribute is called {' or '.join(source.options.tiers)}. There are: {', '.join(used)}.")
        return chosen
    if len(used) < 2:
        return used
    if USUAL_ATTRIBUTE in used:
        return [USUAL_ATTRIBUTE]
    source.where = ""
    source.fail(
        f"its segments have several attributes ({', '.join(used)}). Say which one is the category: --tier NAME."
    )


def _of_project(source: LabelFile, text: str) -> _Project:
    try:
        content = parse_json(text)
    except DocumentError as error:
        source.fail(f"{error}.")
    content = content if isinstance(content, dict) else {}
    parts: dict[str, Any] = {name: content.get(name) for name in ("attribute", "file", "view", "metadata")}
    if not all(isinstance(part, dict) for part in parts.values()):
        source.fail("is no project of VIA 3, which has attribute, file, view and metadata.")
    names: dict[str, str] = {}
    for view, entry in parts["view"].items():
        files = entry.get("fid_list") if isinstance(entry, dict) else None
        file = parts["file"].get(str(files[0])) if isinstance(files, list) and files else None
        if isinstance(file, dict):
            names[view] = file_name(str(file.get("fname") or file.get("src") or "")) or view
    for video in names.values():
        source.add_without_event(video)
    project = _Project()
    project.define(parts["attribute"])
    for key, entry in parts["metadata"].items():
        source.where = f"metadata {key}"
        if not isinstance(entry, dict) or str(entry.get("vid")) not in names:
            source.fail("it is of no file of the project.")
        project.add(source.where, names[str(entry["vid"])], entry.get("z"), entry.get("av"))
    return project


def _of_csv(source: LabelFile, text: str) -> _Project:
    """A CSV export, whose comments say what the columns and the attributes are."""
    lines = lines_of(text)
    said = (re.match(r"# *(ATTRIBUTES?|CSV_HEADER) *= *(.*)", line) for line in lines)
    comments = {found[1]: found[2] for found in said if found is not None}
    names = [name.strip() for name in comments[_CSV_HEADER].rstrip(", ").split(",")]
    project = _Project()
    project.define(_cell(source, comments.get("ATTRIBUTE") or comments.get("ATTRIBUTES") or "{}"))
    count = next(n for n, line in enumerate(lines) if line.startswith(f"# {_CSV_HEADER}")) + 1
    reader = csv.reader(io.StringIO("\n".join(lines[count:])))
    for values in reader:
        if not any(value.strip() for value in values):
            continue
        source.where = f"line {count + reader.line_num}"
        row = dict(zip(names, values, strict=False))
        files = _cell(source, row.get("file_list", "[]"))
        if not isinstance(files, list) or not files:
            source.fail("its 'file_list' names no file.")
        times = (
            _cell(source, row["temporal_coordinates"])
            if "temporal_coordinates" in row
            else [row.get("temporal_segment_start", ""), row.get("temporal_segment_end", "")]
        )
        video = file_name(str(files[0]))
        source.add_without_event(video)
        project.add(source.where, video, times, _cell(source, row.get("metadata", "{}")))
    return project


def _cell(source: LabelFile, text: str) -> Any:
    try:
        return parse_json(text)
    except DocumentError as error:
        source.fail(f"{text[:60]!r}: {error}.")
