"""Events as JSON for other programs: a line for each event, and the shape of Azure Video Indexer's audio effects."""

import json
from collections import defaultdict
from typing import Any

from avel.data.formats.subtitles import timestamp
from avel.events import Localization, by_start


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
