"""OV-AVEBench's annotations (Zhou et al., CVPR 2025): a category and a 0 or 1 for each of ten seconds of a video.

The splits are in the table ``ovave_dataset_meta.csv`` that comes with them, and are taken from it where it is in the
same folder. That table alone labels whole videos.
"""

import itertools
import re

from avel.data.annotations import AnnotationSet, Split
from avel.data.formats.label_file import LabelFile, read_text
from avel.data.formats.table import read_video_labels
from avel.documents import DocumentError, parse_json

META_FILE = "ovave_dataset_meta.csv"


def read(source: LabelFile) -> AnnotationSet:
    """Read ``{VIDEO: {"category": ..., "label": "[0, 1, ...]"}}``."""
    try:
        content = parse_json(read_text(source.path))
    except DocumentError as error:
        source.fail(f"{error}.")
    if not isinstance(content, dict):
        source.fail("is no object of videos.")
    meta = source.path.parent / META_FILE
    splits: dict[str, Split | None] = dict(read_video_labels(meta).splits) if meta.is_file() else {}
    for video, entry in content.items():
        source.where = f"video {video}"
        label = entry.get("label") if isinstance(entry, dict) else None
        if isinstance(label, list):
            label = str(label)
        if not isinstance(label, str) or not re.fullmatch(r"\[\s*[01](?:\s*,\s*[01])*\s*\]", label):
            source.fail("it has no 'label' of zeros and ones, one a second.")
        split = splits.get(video)
        source.add_without_event(video, split)
        seconds = [digit == "1" for digit in re.findall("[01]", label)]
        start = 0
        for is_event, group in itertools.groupby(seconds):
            length = len(list(group))
            if is_event:
                source.add(video, float(start), float(start + length), str(entry.get("category", "")), split)
            start += length
    source.where = ""
    return source.result()
