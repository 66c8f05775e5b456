"""CVAT's XML of videos ("CVAT for video"): a track is an event from its first frame in view to its last.

Frames are counted as in the video, from 0, also where a task begins in its middle or takes only every fifth, so that
their number a second is needed.
"""

import re
from typing import Any
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, read_bytes


def read(source: LabelFile) -> AnnotationSet:
    """Read the tracks of a task, or of all tasks of a project."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Any = fromstring(read_bytes(source.path), forbid_dtd=True)
    except (DefusedXmlException, ElementTree.ParseError, ValueError, LookupError) as error:
        source.fail(f"not readable as XML ({error}).")
    if root.tag != "annotations" or root.find("track") is None:
        source.fail("holds no tracks. Export 'CVAT for video 1.1' from CVAT.")
    rate = source.options.frames_per_second
    if rate is None:
        source.fail("its tracks count frames. Give frames_per_second (--frames-per-second) of the video.")
    tasks = _tasks(source, root)
    for video, _ in tasks.values():
        source.add_without_event(video)
    for track in root.iter("track"):
        source.where = f"track {track.get('id', '?')}"
        number = track.get("task_id", "")
        if number not in tasks and len(tasks) > 1:
            source.fail(f"it is of task '{number}', which is none of the project's: {', '.join(tasks)}.")
        video, step = tasks[number] if number in tasks else next(iter(tasks.values()))
        shapes = sorted(
            (int(source.number(shape.get("frame"), "its frame")), shape.get("outside") == "1")
            for shape in track
            if shape.get("frame") is not None
        )
        start: int | None = None
        last = shapes[-1][0] + step if shapes else 0
        for frame, is_outside in [*shapes, (last, True)]:
            if not is_outside and start is None:
                start = frame
            if is_outside and start is not None:
                source.add(video, start / rate, frame / rate, track.get("label", ""))
                start = None
    source.where = ""
    return source.result()


def _tasks(source: LabelFile, root: Any) -> dict[str, tuple[str, int]]:
    """The video of each task by the task's number, and how many frames of the video lie between two of its own."""
    found: dict[str, tuple[str, int]] = {}
    for task in root.findall(".//meta//task") or root.findall(".//meta//job"):
        step = re.search(r"step\s*=\s*(\d+)", task.findtext("frame_filter") or "")
        video = file_name(task.findtext("source") or "")
        found[task.findtext("id") or ""] = (video or source.path.stem, int(step[1]) if step else 1)
    if source.options.video:
        found = {number: (source.options.video, step) for number, (_, step) in found.items()}
    return found or {"": (source.options.video or source.path.stem, 1)}
