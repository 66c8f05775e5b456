"""ActivityNet's JSON, in which UnAV-100 and other data sets of untrimmed videos come: videos under ``database``.

Some segments of these data sets end later than the length that is given for their video, by parts of a second. They are
cut at that length, which a warning says.
"""

import math

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, read_text
from avel.data.formats.table import SPLIT_NAMES
from avel.documents import DocumentError, parse_json

CUT_SECONDS = 1.0
"""How far a segment may reach past the length of its video."""


def read(source: LabelFile) -> AnnotationSet:
    """Read the videos under ``database``, each with ``annotations`` of ``segment`` and ``label``."""
    try:
        content = parse_json(read_text(source.path))
    except DocumentError as error:
        source.fail(f"{error}.")
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        source.fail("has no object 'database', which ActivityNet's JSON holds its videos in.")
    cut = 0
    for video, entry in database.items():
        source.where = f"video {video}"
        if not isinstance(entry, dict) or not isinstance(entry.get("annotations", []), list):
            source.fail("it is no object with a list 'annotations'.")
        subset = str(entry.get("subset", "")).lower()
        split = SPLIT_NAMES.get(subset)
        if subset and split is None:
            source.fail(f"unknown subset '{subset}'. Known are {', '.join(SPLIT_NAMES)}.")
        duration = entry.get("duration")
        if isinstance(duration, int | float) and not isinstance(duration, bool):
            source.durations.setdefault(video, duration)
        source.add_without_event(video, split)
        for one in entry.get("annotations", []):
            segment = one.get("segment") if isinstance(one, dict) else None
            if not isinstance(segment, list) or len(segment) != 2:
                source.fail("an annotation has no 'segment' of start and end.")
            start, end = (source.number(time, name) for time, name in zip(segment, ("start", "end"), strict=True))
            length = source.durations.get(video, math.inf)
            if start < length < end <= length + CUT_SECONDS:
                end, cut = length, cut + 1
            source.add(video, start, end, str(one.get("label", "")), split)
    source.where = ""
    if cut:
        source.warn(f"{cut} segments end up to {CUT_SECONDS:g} s after their video, and were cut there")
    return source.result()
