"""Events to write as labels, and labels that were read."""

import json
from pathlib import Path

from hypothesis import strategies as st

from avel.data.annotations import AnnotationSet
from avel.data.formats import read_annotations
from avel.data.formats.naming import one_line
from avel.events import Event, Localization, by_start

HEADER = "video,start_seconds,end_seconds,category,split\n"

letters = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Zs", "Zl", "Zp"])


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event whose times are whole milliseconds."""
    start = draw(st.integers(0, 4_000_000)) / 1000
    length = draw(st.integers(1, 100_000)) / 1000
    return Event(
        category=draw(st.text(letters, min_size=1).filter(lambda name: name != "background")),
        start_seconds=start,
        end_seconds=start + length,
        score=draw(st.floats(0, 1)),
        modality=draw(st.sampled_from(["audio-visual", "audio", "visual"])),
    )


def with_events(found: list[Event], video: str = "clip.mp4") -> Localization:
    """A result with these events."""
    return Localization(video, 5e3, 1.0, {"name": "agreement", "avel": "1.0"}, by_start(found), ())


def read_back(folder: Path, name: str, text: str, **more: object) -> tuple[Path, AnnotationSet]:
    """Write a label file and read it."""
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path, read_annotations(path, **more)


def rounded_spans(found: AnnotationSet, digits: int) -> list[tuple[str, float, float, str]]:
    """Category, start, end and modality of each event; an event without a modality is both heard and seen."""
    return sorted(
        (e.category, round(e.start_seconds, digits), round(e.end_seconds, digits), e.modality or "audio-visual")
        for e in found.events
    )


def expected(found: list[Event], digits: int) -> list[tuple[str, float, float, str]]:
    """What should be read back."""
    return sorted(
        (one_line(e.category), round(e.start_seconds, digits), round(e.end_seconds, digits), e.modality) for e in found
    )


def as_accepted(text: str) -> str:
    """What Label Studio exports when somebody submits the predictions as they are."""
    tasks = json.loads(text)
    for number, task in enumerate(tasks, start=1):
        task["id"] = number
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    return json.dumps(tasks)


def spans(found: AnnotationSet) -> list[tuple[str, float, float, str]]:
    """Video, start, end and category of each event."""
    return [(e.video, e.start_seconds, e.end_seconds, e.category) for e in found.events]
