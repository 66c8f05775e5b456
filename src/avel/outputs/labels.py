"""Results as labels for annotation tools: ELAN, Audacity and Label Studio.

Each is read back by `avel.data.annotations`, so that what a person has corrected there can be trained on. A label is
the event's category; of an event that is only heard or only seen it is ``category (audio)`` or ``category (visual)``,
which is not the same thing.
"""

import json
import mimetypes
import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from avel.events import Event, Localization, by_start

_WITHOUT_EVENT = "events"


def label(event: Event) -> str:
    """What an event is called in an annotation tool, on one line and without what controls terminals or ends files."""
    category = " ".join(event.category.split())
    category = "".join("�" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in category)
    return category if event.modality == "audio-visual" else f"{category} ({event.modality})"


def audacity_text(result: Localization) -> str:
    """A label track of Audacity (File > Import > Labels): start, end and label, with tabs between."""
    return "".join(f"{e.start_seconds:.6f}\t{_end(e, 1e-6):.6f}\t{label(e)}\n" for e in by_start(result.events))


def elan_text(result: Localization) -> str:
    """An ELAN document (.eaf) with a tier for each label; labels of one tier never overlap, as ELAN wants it.

    The video is linked by its full path. Where ELAN does not find it there it asks for it.
    """
    from pympi.Elan import Eaf, to_adocument

    document = Eaf(author="avel")
    document.remove_tier("default")
    path = Path(result.video)
    kind = mimetypes.guess_type(path.name)[0] or "unknown"
    document.add_linked_file(path.absolute().as_uri(), relpath=f"./{quote(os.fsencode(path.name))}", mimetype=kind)
    ends: dict[str, int] = {}
    for event in by_start(result.events):
        start = round(1000 * event.start_seconds)
        end = max(round(1000 * event.end_seconds), start + 1)
        tier = next(name for name in _numbered(label(event)) if ends.get(name, 0) <= start)
        if tier not in ends:
            document.add_tier(tier)
        document.add_annotation(tier, start, end, label(event))
        ends[tier] = end
    if not ends:
        document.add_tier(_WITHOUT_EVENT)
    text: bytes = ElementTree.tostring(to_adocument(document, True), encoding="UTF-8", xml_declaration=True)
    return text.decode() + "\n"


def label_studio_text(
    result: Localization, *, address: str | None = None, frames_per_second: float | None = None
) -> str:
    """A task of Label Studio with the events as predictions, to import and correct there.

    `label_studio_config` is the labelling configuration that goes with it.

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


def label_studio_config(labels: Iterable[str], *, frames_per_second: float | None = None) -> str:
    """The labelling configuration of a Label Studio project for tasks of `label_studio_text`.

    Args:
        labels: that may be given, such as ``label(event)`` of all events.
        frames_per_second: as for `label_studio_text`.

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
    if frames_per_second is None:
        times = {"start": round(event.start_seconds, 4), "end": round(_end(event, 1e-4), 4), "channel": 0}
        return {"to_name": "audio", "type": "labels", "value": {**times, "labels": [label(event)]}}
    first = round(event.start_seconds * frames_per_second) + 1  # frames count from 1, and the last one is inclusive
    last = max(round(event.end_seconds * frames_per_second), first)
    value = {"ranges": [{"start": first, "end": last}], "timelinelabels": [label(event)]}
    return {"to_name": "video", "type": "timelinelabels", "value": value}


def _end(event: Event, step: float) -> float:
    """The end, so that an event shorter than what is written has a length."""
    return max(event.end_seconds, event.start_seconds + step)


def _numbered(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name} #{number}"
        number += 1


def _check_rate(frames_per_second: float | None) -> None:
    if frames_per_second is not None and not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second must be above 0, got {frames_per_second}.")
