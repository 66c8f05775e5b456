"""Events as JSON for other programs: a line for each event, and the shape of Azure Video Indexer's audio effects."""

import json
from collections import defaultdict
from typing import Any

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, read_text
from avel.data.formats.subtitles import timestamp
from avel.documents import DocumentError, parse_json
from avel.events import MODALITIES, Localization, by_start

FIELDS = ("category", "start_seconds", "end_seconds")


def is_line(text: str) -> bool:
    """Whether a line is an event of `lines_text`."""
    try:
        found = parse_json(text)
    except DocumentError:
        return False
    return isinstance(found, dict) and found.keys() >= set(FIELDS)


def read_lines(source: LabelFile) -> AnnotationSet:
    """Read JSON lines, an object for each event with `FIELDS`, and ``video`` and ``modality`` if it has them."""
    for number, line in enumerate(lines_of(read_text(source.path)), start=1):
        if not line.strip():
            continue
        source.where = f"line {number}"
        try:
            event = parse_json(line)
        except DocumentError as error:
            source.fail(f"{error}.")
        missing = [name for name in FIELDS if not isinstance(event, dict) or name not in event]
        if missing:
            source.fail(f"it is no object with {', '.join(missing)}.")
        modality = event.get("modality")
        if modality is not None and modality not in MODALITIES:
            source.fail(f"unknown modality '{modality}'. Supported modalities are {', '.join(MODALITIES)}.")
        start, end = (source.number(event[name], name) for name in FIELDS[1:])
        video = str(event.get("video") or source.options.video or source.path.stem)
        source.add(video, start, end, str(event["category"]), modality=modality)
    source.where = ""
    return source.result()


def lines_text(result: Localization) -> str:
    """JSON lines: an object for each event, with the video, times in seconds, the score and the modality."""
    return "".join(
        json.dumps(
            {
                "video": result.video,
                "category": event.category,
                "start_seconds": round(event.start_seconds, 4),
                "end_seconds": round(event.end_seconds, 4),
                "score": round(event.score, 4),
                "modality": event.modality,
            },
            ensure_ascii=False,
        )
        + "\n"
        for event in by_start(result.events)
    )


def azure_text(result: Localization) -> str:
    """The insights of Azure Video Indexer with the events as ``audioEffects``, but for those that are only seen."""
    instances: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in by_start(result.events):
        if event.modality != "visual":
            start, end = (timestamp(round(1000 * time), ".") for time in (event.start_seconds, event.end_seconds))
            times = {"adjustedStart": start, "adjustedEnd": end, "start": start, "end": end}
            instances[event.category].append({"confidence": round(event.score, 4), **times})
    effects = [
        {"id": number, "type": category, "instances": found}
        for number, (category, found) in enumerate(instances.items(), start=1)
    ]
    duration = timestamp(round(1000 * result.duration_seconds), ".")
    videos = [{"insights": {"version": "1.0.0.0", "duration": duration, "audioEffects": effects}}]
    return json.dumps({"name": result.video, "videos": videos}, indent=2, ensure_ascii=False) + "\n"
