"""Label Studio's tasks: "JSON", "JSON-MIN", "CSV" and "TSV" exports in, predictions to import out.

A region of an export stands in several entries of one id, one for each control that says something of it: the entry
with labels is the event, texts, choices and ratings are details of it.
"""

import csv
import io
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, lines_of, read_text
from avel.data.formats.naming import MODALITY_WORDS, category_and_modality, last_moment, one_line
from avel.documents import DocumentError, parse_json
from avel.events import Event, Localization, Modality, by_start
from avel.wording import counted

_SEVERAL_ANNOTATORS = (
    "it has several annotations. Mark one as ground truth in Label Studio (and export as 'JSON'), export one "
    "annotator's, or choose with --annotator"
)
_MEDIA_KEYS = ("video", "audio", "url", "videos")
_RATE_KEYS = ("fps", "frame_rate", "frameRate", "framerate", "frames_per_second")
_AVEL_REGION = re.compile(r"event-\d+")


def read(source: LabelFile) -> AnnotationSet:
    """Read an export of annotated tasks, "JSON" or "JSON-MIN".

    Audio regions count in seconds and time series in the unit of their time column, which must be seconds. Timelines
    of a video count frames from 1, the last one inclusive. Labels of text, boxes and answers without a time are passed
    over.
    """
    text = read_text(source.path)
    first = next((line for line in lines_of(text) if line.strip()), "")
    try:
        tasks = _tasks_of_table(text, first) if is_table(first) else parse_json(text)
    except (DocumentError, csv.Error) as error:
        source.fail(f"{error}.")
    if isinstance(tasks, dict) and "annotations" in tasks:
        tasks = [tasks]
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        source.fail("not a Label Studio export: it must be a list of tasks. Export as 'JSON' or 'JSON-MIN'.")
    reader = _Reader(source)
    for position, task in enumerate(tasks, start=1):
        reader.read(task, position)
    if not tasks:
        source.fail("the export has no task.")
    source.where = ""
    return reader.result()


def is_table(first: str) -> bool:
    """Whether the first line of a file names the columns of a CSV or TSV export."""
    names = {name.strip().strip('"') for name in re.split("[,\t]", first)}
    return names >= {"id", "annotator"} and bool(names & {"annotation_id", "lead_time", "created_at"})


def _tasks_of_table(text: str, first: str) -> list[dict[str, Any]]:
    """The rows of a CSV or TSV export as the tasks of a JSON-MIN one: lists of regions stand in it as JSON."""
    rows = csv.DictReader(io.StringIO(text), delimiter="\t" if "\t" in first else ",", strict=True)
    return [
        {
            name: parse_json(value) if isinstance(value, str) and value.startswith("[{") else value
            for name, value in row.items()
            if isinstance(name, str)
        }
        for row in rows
    ]


class _Reader:
    """Reads the tasks of a file one after the other."""

    def __init__(self, source: LabelFile) -> None:
        self._source = source
        self._finished: set[str] = set()
        self._annotated = self._predicted = self._texts = self._untimed = 0

    def read(self, task: dict[str, Any], position: int) -> None:
        source = self._source
        name = str(task.get("id", position))
        source.where = f"task {name}"
        annotations = task.get("annotations", task.get("completions"))  # the second in exports before version 1.0
        if annotations is not None or "predictions" in task:
            self._predicted += bool(task.get("predictions"))
            regions = self._chosen(annotations if annotations is not None else [])
            data = task.get("data")
        else:  # JSON-MIN: data and regions side by side, one entry an annotator
            if not self._is_asked_for(task.get("annotator")):
                return
            regions = _minimal_regions(task)
            data = task
            if name in self._finished:
                source.fail(_SEVERAL_ANNOTATORS + ".")
            self._finished.add(name)
        if regions is None:
            return
        self._annotated += 1
        video = source.options.video or _video_of(source, data)
        source.add_without_event(video)
        rate = source.options.frames_per_second or _rate_of(data)
        labelled = {str(r["id"]) for r in regions if isinstance(r, dict) and r.get("id") is not None and _labels(r)}
        timed = {str(r["id"]) for r in regions if isinstance(r, dict) and r.get("id") is not None and _spans(r)}
        seen: set[tuple[Any, ...]] = set()
        for region in regions:
            if not isinstance(region, dict) or not isinstance(region.get("value"), dict):
                continue
            if _is_of_text(region["value"]):
                self._texts += 1
                continue
            if not _labels(region) and str(region.get("id")) in labelled:
                continue  # a detail of a region that is read from another entry
            length = region.get("original_length")
            if isinstance(length, int | float) and not isinstance(length, bool):
                source.durations.setdefault(video, length)
            found = list(_events_of(source, region, rate))
            self._untimed += not found and str(region.get("id")) not in timed
            for event in found:
                if (region.get("id"), *event) not in seen or region.get("id") is None:
                    seen.add((region.get("id"), *event))
                    start, end, category, modality = event
                    source.add(video, start, end, category, modality=modality)

    def result(self) -> AnnotationSet:
        source = self._source
        if not self._annotated and self._predicted:
            tasks = counted(self._predicted, "task holds", "tasks hold")
            source.fail(
                f"{tasks} predictions, and none an annotation. Accept or correct them in Label Studio, "
                "submit, and export again."
            )
        if not self._annotated and source.options.annotator is not None:
            source.fail(f"no task has an annotation of the annotator '{source.options.annotator}'.")
        if self._texts:
            source.warn(f"left out: {counted(self._texts, 'label')} of text, which has no time")
        if self._untimed:
            untimed = counted(self._untimed, "label or answer", "labels and answers")
            source.warn(f"left out: {untimed} without start and end")
        return source.result()

    def _chosen(self, annotations: object) -> list[Any] | None:
        """The regions of the one annotation that counts, ``None`` when nobody has annotated the task."""
        source = self._source
        if not isinstance(annotations, list) or not all(isinstance(a, dict) for a in annotations):
            source.fail("'annotations' must be a list of annotations.")
        valid = [a for a in annotations if not a.get("was_cancelled") and not a.get("skipped")]
        valid = [a for a in valid if self._is_asked_for(a.get("completed_by"))]
        if len(valid) > 1:
            valid = [a for a in valid if a.get("ground_truth") or a.get("honeypot")] or valid
        if len(valid) > 1:
            people = ", ".join(dict.fromkeys(_annotator(a.get("completed_by")) for a in valid))
            source.fail(f"{_SEVERAL_ANNOTATORS} ({people}).")
        if not valid:
            return None
        result = valid[0].get("result")
        if not isinstance(result, list):
            source.fail("its annotation has no list 'result'.")
        return result

    def _is_asked_for(self, person: object) -> bool:
        wanted = self._source.options.annotator
        return wanted is None or wanted in _names_of(person)


def _names_of(person: object) -> set[str]:
    if isinstance(person, dict):
        names = {str(person[key]) for key in ("id", "email", "username", "first_name") if person.get(key)}
        full = " ".join(str(person[key]) for key in ("first_name", "last_name") if person.get(key))
        return names | {full} if full else names
    return {str(person)}


def _annotator(person: object) -> str:
    if isinstance(person, dict):
        return str(person.get("email") or person.get("username") or person.get("id") or "?")
    return "?" if person is None else str(person)


def _is_of_text(value: Mapping[str, Any]) -> bool:
    """Whether start and end count letters or paragraphs."""
    return "startOffset" in value or (isinstance(value.get("text"), str) and "start" in value)


def _labels(region: Mapping[str, Any]) -> list[str]:
    value = region.get("value")
    if not isinstance(value, dict):
        return []
    found = [v for k, v in value.items() if k.endswith("labels") and isinstance(v, list)]
    return [str(label) for labels in found for label in labels]


def _modality_of(region: Mapping[str, Any]) -> Modality | None:
    """What `text` wrote into a region's remarks."""
    meta = region.get("meta")
    remarks = meta.get("text") if isinstance(meta, dict) else None
    if isinstance(remarks, str):
        remarks = [remarks]
    known = {words: modality for modality, words in MODALITY_WORDS.items()}
    return next((known[one] for one in remarks if one in known), None) if isinstance(remarks, list) else None


def _rate_of(data: object) -> float | None:
    """Frames a second, where a task's data say it."""
    found = [data[key] for key in _RATE_KEYS if key in data] if isinstance(data, dict) else []
    return next((rate for rate in found if type(rate) in (int, float) and 0 < rate < 1e6), None)


def _minimal_regions(task: Mapping[str, Any]) -> list[Any]:
    return [
        {"value": region}
        for value in task.values()
        if isinstance(value, list)
        for region in value
        if isinstance(region, dict)
    ]


def _video_of(source: LabelFile, data: object) -> str:
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v} if isinstance(data, dict) else {}
    for key in (*_MEDIA_KEYS, *texts):
        # Any other key counts when its value ends like a file; identifiers and dates of JSON-MIN do not.
        name = file_name(texts[key]) if key in texts else ""
        if name and (key in _MEDIA_KEYS or re.search(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", name)):
            return name
    source.fail(f"its data name no video; looked for {', '.join(_MEDIA_KEYS)} or a file name in {sorted(texts)}.")


def _events_of(
    source: LabelFile, region: Mapping[str, Any], rate: float | None
) -> Iterator[tuple[float, float, str, Modality | None]]:
    value = region["value"]
    ranges = value.get("ranges")
    spans = _spans(region)
    if not spans:
        return
    if not all(isinstance(span, dict) for span in spans):
        source.fail("'ranges' must be a list of objects with start and end.")
    categories = _labels(region)
    if not categories:
        source.fail(f"the region from {spans[0].get('start')} to {spans[0].get('end')} has no label.")
    for span in spans:
        start, end = source.number(span.get("start"), "start"), source.number(span.get("end"), "end")
        if ranges is not None:
            rate = rate or _rate_of_frames(value)
            if rate is None:
                source.fail(
                    "its timeline counts frames. Give frames_per_second (--frames-per-second) as set in Label Studio "
                    "(<Video frameRate=...>, 24 unless set)."
                )
            start, end = max(start - 1, 0) / rate, end / rate
        for category in categories:
            # What was written before modality had a place of its own.
            old = bool(_AVEL_REGION.fullmatch(str(region.get("id", ""))))
            name, modality = category_and_modality(category) if old else (category, None)
            yield start, end, name, _modality_of(region) or modality


def _spans(region: Mapping[str, Any]) -> list[Any]:
    """What says when a region is; nothing for boxes, answers to a whole task, and the like.

    Boxes may be repeated as timeline labels without ranges (a known fault of Label Studio): no time, no event.
    """
    value = region.get("value")
    if not isinstance(value, dict):
        return []
    ranges = value.get("ranges")
    return ranges if isinstance(ranges, list) else [value] if "start" in value and "end" in value else []


def _rate_of_frames(value: Mapping[str, Any]) -> float | None:
    """Frames a second of a timeline that says how many frames it has in how many seconds."""
    frames, seconds = value.get("framesCount"), value.get("duration")
    if all(isinstance(n, int | float) and not isinstance(n, bool) and 0 < n < 1e9 for n in (frames, seconds)):
        return float(frames) / float(seconds)  # type: ignore[arg-type]  # just checked
    return None


def text(result: Localization, *, address: str | None = None, frames_per_second: float | None = None) -> str:
    """A task of Label Studio with the events as predictions, to import and correct there.

    Of an event that is only heard or only seen, a remark of its region says so.

    `config` is the labelling configuration that goes with it.

    Args:
        result: what was found.
        address: where Label Studio finds the video; by default its local file storage, at the path that the result
            names.
        frames_per_second: label the video's timeline, which counts frames at this rate; when ``None`` label its sound,
            which counts seconds and so is exact.

    Raises:
        ValueError: if ``frames_per_second`` is not above 0.
    """
    _check_rate(frames_per_second)
    if address is None:
        address = f"/data/local-files/?d={quote(os.fsencode(Path(result.video).as_posix().lstrip('/')))}"
    events = by_start(result.events)
    regions = [
        {"id": f"event-{number}", "from_name": "label", "score": round(e.score, 4), **_region(e, frames_per_second)}
        for number, e in enumerate(events, start=1)
    ]
    if frames_per_second is None:
        regions = [{**region, "original_length": round(result.duration_seconds, 4)} for region in regions]
    prediction = {
        "model_version": " ".join(str(result.model.get(name, "")) for name in ("name", "avel")).strip() or "avel",
        "score": round(max((e.score for e in events), default=0.0), 4),
        "result": regions,
    }
    return json.dumps([{"data": {"video": address}, "predictions": [prediction]}], indent=2, ensure_ascii=False) + "\n"


def labels_in(path: Path) -> list[str]:
    """The labels of the predictions in a file that `text` made, each once."""
    tasks = parse_json(read_text(path))
    regions = [region for task in tasks for one in task["predictions"] for region in one["result"]]
    return list(dict.fromkeys(label for region in regions for label in _labels(region)))


def config(labels: Iterable[str], *, frames_per_second: float | None = None) -> str:
    """The labelling configuration of a Label Studio project for tasks of `text`.

    Args:
        labels: that may be given, such as the categories of all events.
        frames_per_second: as for `text`.

    Raises:
        ValueError: if ``frames_per_second`` is not above 0.
    """
    _check_rate(frames_per_second)
    view = ElementTree.Element("View")
    video = ElementTree.SubElement(view, "Video", name="video", value="$video")
    if frames_per_second is None:
        video.set("sync", "audio")
        choices = ElementTree.SubElement(view, "Labels", name="label", toName="audio")
        ElementTree.SubElement(view, "Audio", name="audio", value="$video", sync="video")
    else:
        video.set("frameRate", f"{frames_per_second:g}")
        choices = ElementTree.SubElement(view, "TimelineLabels", name="label", toName="video")
    for name in dict.fromkeys(labels):
        ElementTree.SubElement(choices, "Label", value=name)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def _region(event: Event, frames_per_second: float | None) -> dict[str, Any]:
    meta = {} if event.modality == "audio-visual" else {"meta": {"text": [MODALITY_WORDS[event.modality]]}}
    if frames_per_second is None:
        times = {"start": round(event.start_seconds, 4), "end": round(last_moment(event, 1e-4), 4), "channel": 0}
        return {"to_name": "audio", "type": "labels", "value": {**times, "labels": [one_line(event.category)]}, **meta}
    first = round(event.start_seconds * frames_per_second) + 1  # frames count from 1, and the last one is inclusive
    last = max(round(event.end_seconds * frames_per_second), first)
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [one_line(event.category)]}
    return {"to_name": "video", "type": "timelinelabels", "value": value, **meta}


def _check_rate(frames_per_second: float | None) -> None:
    if frames_per_second is not None and not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
