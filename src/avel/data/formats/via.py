"""VGG Image Annotator's projects, version 3 (``via3``): temporal segments of videos and sounds."""

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, read_text
from avel.documents import DocumentError, parse_json


def read(source: LabelFile) -> AnnotationSet:
    """Read the segments of a project; regions in the picture, which have one time or none, are left out."""
    try:
        content = parse_json(read_text(source.path))
    except DocumentError as error:
        source.fail(f"{error}.")
    content = content if isinstance(content, dict) else {}
    parts = {name: content.get(name) for name in ("attribute", "file", "view", "metadata")}
    if not all(isinstance(part, dict) for part in parts.values()):
        source.fail("is no project of VIA 3, which has attribute, file, view and metadata.")
    names: dict[str, str] = {}
    for view, entry in parts["view"].items():  # type: ignore[union-attr]  # just checked
        files = entry.get("fid_list") if isinstance(entry, dict) else None
        file = parts["file"].get(str(files[0])) if isinstance(files, list) and files else None  # type: ignore[union-attr]
        if isinstance(file, dict):
            names[view] = file_name(str(file.get("fname") or file.get("src") or "")) or view
    for video in names.values():
        source.add_without_event(video)
    left = 0
    for key, entry in parts["metadata"].items():  # type: ignore[union-attr]
        source.where = f"metadata {key}"
        if not isinstance(entry, dict) or str(entry.get("vid")) not in names:
            source.fail("it is of no file of the project.")
        times, values = entry.get("z"), entry.get("av")
        if not isinstance(times, list) or len(times) != 2 or not isinstance(values, dict):
            left += 1
            continue
        start, end = (source.number(time, name) for time, name in zip(times, ("start", "end"), strict=True))
        for attribute, value in values.items():
            options = parts["attribute"].get(attribute, {})  # type: ignore[union-attr]
            options = options.get("options") if isinstance(options, dict) else None
            for one in str(value).split(",") if isinstance(options, dict) and options else [str(value)]:
                category = str(options.get(one, one)) if isinstance(options, dict) else one
                if category.strip():
                    source.add(names[str(entry["vid"])], start, end, category)
    source.where = ""
    if left:
        source.warn(f"{left} regions have no start and end, and are left out")
    return source.result()
