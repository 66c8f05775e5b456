"""Label Studio's tasks: "JSON" and "JSON-MIN" exports in, predictions to import out."""

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, read_text
from avel.data.formats.naming import last_moment, name_of
from avel.documents import DocumentError, parse_json
from avel.events import Event, Localization, by_start

_SEVERAL_ANNOTATORS = (
    "it has several annotations. Mark one as ground truth in Label Studio (and export as 'JSON'), "
    "or export one annotator's."
)

_MEDIA_KEYS = ("video", "audio", "url", "videos")


def read(source: LabelFile) -> AnnotationSet:
    """Read an export of annotated tasks, "JSON" or "JSON-MIN".

    Audio regions count in seconds and time series in the unit of their time column, which must be seconds. Timelines
    of a video count frames from 1, the last one inclusive. Boxes and answers without a time are passed over.
    """
    try:
        tasks = parse_json(read_text(source.path))
    except DocumentError as error:
        source.fail(f"{error}.")
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


def text(result: Localization, *, address: str | None = None, frames_per_second: float | None = None) -> str:
    """A task of Label Studio with the events as predictions, to import and correct there.

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


def config(labels: Iterable[str], *, frames_per_second: float | None = None) -> str:
    """The labelling configuration of a Label Studio project for tasks of `text`.

    Args:
        labels: that may be given, such as ``name_of(event)`` of all events.
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


def _label_studio_result(source: LabelFile, annotations: object) -> list[Any] | None:
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


def _label_studio_video(source: LabelFile, data: object) -> str:
    texts = {k: v for k, v in data.items() if isinstance(v, str) and v} if isinstance(data, dict) else {}
    for key in (*_MEDIA_KEYS, *texts):
        # Any other key counts when its value ends like a file; identifiers and dates of JSON-MIN do not.
        name = file_name(texts[key]) if key in texts else ""
        if name and (key in _MEDIA_KEYS or re.search(r"\.[A-Za-z][A-Za-z0-9]{1,4}$", name)):
            return name
    source.fail(f"its data name no video; looked for {', '.join(_MEDIA_KEYS)} or a file name in {sorted(texts)}.")


def _region_events(source: LabelFile, region: object) -> Iterator[tuple[float, float, str]]:
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


def _region(event: Event, frames_per_second: float | None) -> dict[str, Any]:
    if frames_per_second is None:
        times = {"start": round(event.start_seconds, 4), "end": round(last_moment(event, 1e-4), 4), "channel": 0}
        return {"to_name": "audio", "type": "labels", "value": {**times, "labels": [name_of(event)]}}
    first = round(event.start_seconds * frames_per_second) + 1  # frames count from 1, and the last one is inclusive
    last = max(round(event.end_seconds * frames_per_second), first)
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [name_of(event)]}
    return {"to_name": "video", "type": "timelinelabels", "value": value}


def _check_rate(frames_per_second: float | None) -> None:
    if frames_per_second is not None and not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
