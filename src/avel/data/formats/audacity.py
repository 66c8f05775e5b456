"""Audacity's label tracks, as it exports and imports them: ``start<TAB>end<TAB>text``."""

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, read_text
from avel.data.formats.naming import last_moment, name_of
from avel.events import Localization, by_start


def read(source: LabelFile) -> AnnotationSet:
    """Read a label track: ``start<TAB>end<TAB>text``; a line that starts with a backslash is a frequency range."""
    video = source.video or source.path.stem
    source.add_without_event(video)
    for number, line in enumerate(read_text(source.path).splitlines(), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        source.where = f"line {number}"
        fields = line.split("\t", 2)
        if len(fields) < 2:
            source.fail(f"found {line[:60]!r}; a label is start<TAB>end<TAB>category, as Audacity exports it.")
        start, end = source.number(fields[0], "the start"), source.number(fields[1], "the end")
        category = fields[2].strip() if len(fields) == 3 else ""
        if not category:
            source.fail("the label has no text. Give it the event category.")
        if start == end:
            source.fail(f"'{category}' is a point at {start:g} s. Drag it to a region: an event has a length.")
        source.add(video, start, end, category)
    return source.result()


def text(result: Localization) -> str:
    """A label track of Audacity (File > Import > Labels): start, end and label, with tabs between."""
    return "".join(
        f"{e.start_seconds:.6f}\t{last_moment(e, 1e-6):.6f}\t{name_of(e)}\n" for e in by_start(result.events)
    )
