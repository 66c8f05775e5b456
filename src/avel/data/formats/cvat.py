"""CVAT's XML of videos ("CVAT for video"): a track is an event from its first frame in view to its last.

Frames are counted, so that their number a second is needed.
"""

from typing import Any
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, read_bytes


def read(source: LabelFile) -> AnnotationSet:
    """Read the tracks of a task."""
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
    first = int(source.number(root.findtext(".//task/start_frame") or "0", "start_frame"))
    named = root.findtext(".//task/source") or root.findtext(".//job/source") or ""
    video = source.options.video or file_name(named) or source.path.stem
    source.add_without_event(video)
    for track in root.iter("track"):
        source.where = f"track {track.get('id', '?')}"
        shapes = sorted(
            (int(source.number(shape.get("frame"), "its frame")), shape.get("outside") == "1")
            for shape in track
            if shape.get("frame") is not None
        )
        start: int | None = None
        last = shapes[-1][0] + 1 if shapes else 0
        for frame, is_outside in [*shapes, (last, True)]:
            if not is_outside and start is None:
                start = frame
            if is_outside and start is not None:
                source.add(video, (first + start) / rate, (first + frame) / rate, track.get("label", ""))
                start = None
    source.where = ""
    return source.result()
