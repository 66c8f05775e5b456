"""Audacity's label tracks, as it exports and imports them: ``start<TAB>end<TAB>text``.

A label has no room for anything but its text, so the modality of an event that is only heard or only seen is in it:
``Bark (audio)``, ``Bark (visual)``.
"""

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, read_text
from avel.data.formats.naming import category_and_modality, last_moment, name_of
from avel.events import Localization, by_start


def read(source: LabelFile) -> AnnotationSet:
    """Read a label track; a line that starts with a backslash is a frequency range."""
    video = source.options.video or source.path.stem
    source.add_without_event(video)
    for number, line in enumerate(lines_of(read_text(source.path)), start=1):
        if not line.strip() or line.startswith("\\"):
            continue
        source.where = f"line {number}"
        fields = line.split("\t", 2)
        if len(fields) < 2:
            source.fail(f"found {line[:60]!r}; a label is start<TAB>end<TAB>category, as Audacity exports it.")
        start, end = (
            source.number(text, f"the {name}", comma=True) for text, name in zip(fields, ("start", "end"), strict=False)
        )
        name = fields[2].strip() if len(fields) == 3 else ""
        if not name and start != end:
            source.fail("the label has no text. Give it the event category.")
        category, modality = category_and_modality(name)
        source.add(video, start, end, category, modality=modality)
    source.where = ""
    return source.result()


def text(result: Localization) -> str:
    """A label track of Audacity (File > Import > Labels): start, end and label, with tabs between."""
    return "".join(
        f"{e.start_seconds:.6f}\t{last_moment(e, 1e-6):.6f}\t{name_of(e)}\n" for e in by_start(result.events)
    )
