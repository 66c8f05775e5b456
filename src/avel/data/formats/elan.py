"""ELAN documents (``.eaf``), read as their schema says (EAF 3.0) and written through pympi.

An annotation has times of its own (aligned), shares out those of its parent (a subdivision), or has its parent's (an
association). Tiers without a parent are read, or those that are asked for; which were not read is said.

The document is read here and not by pympi, which keeps the annotations of a tier by their ANNOTATION_ID and the tiers
by their TIER_ID: where a converter gave two the same, all but the last would vanish. XML from elsewhere may define
nothing: entities make a small file huge.
"""

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, plain_name, read_bytes
from avel.data.formats.naming import MODALITY_WORDS, as_text, category_and_modality, one_line, tier_names
from avel.events import Localization, Modality, by_start

_WITHOUT_EVENT = "events"
_MIME_TYPES = {
    **dict.fromkeys((".mpg", ".mpeg"), "video/mpeg"),
    **dict.fromkeys((".mov", ".qt"), "video/quicktime"),
    ".mp4": "video/mp4",
    ".wav": "audio/x-wav",
    **dict.fromkeys((".mp3", ".flac", ".ogg", ".oga", ".m4a", ".aac", ".aif", ".aiff"), "audio/*"),
}
"""Of ELAN's own table; it has only general types for other videos and sounds."""
_SHOWN = 8


def read(source: LabelFile) -> AnnotationSet:
    """Read the annotations of a document.

    An annotation's text is the category, without text its tier's name, or always its tier's name if that was asked for.
    The first linked video names the video, and *its* offset is the one that counts.
    """
    root = _parse(source)
    header = root.find("HEADER")
    units = "" if header is None else header.get("TIME_UNITS", "")
    if units not in ("", "milliseconds"):
        source.fail(f"its times are in {units}, not in milliseconds. Save the document again with a present ELAN.")
    media = _medium(root)
    named = plain_name(media.get("MEDIA_URL", "")) or plain_name(media.get("RELATIVE_MEDIA_URL", ""))
    video = source.options.video or named or source.path.stem
    # ELAN's timeline starts this much later than the linked medium (its "master offset").
    offset_ms = source.number(media.get("TIME_ORIGIN") or "0", "TIME_ORIGIN")
    source.add_without_event(video)
    document = _Document(source, root)
    by_avel = root.get("AUTHOR") == "avel"
    for tier in document.tiers:
        if not _is_read(source, tier):
            continue
        for annotation in tier.annotations:
            source.where = f"tier '{tier.name}', annotation {annotation.name}"
            start, end = document.times_of(annotation)
            category, modality = _meaning(source, tier, annotation, by_avel)
            source.add(video, (start + offset_ms) / 1000, (end + offset_ms) / 1000, category, modality=modality)
    source.where = ""
    _tell(source, document)
    return source.result()


def text(result: Localization, *, folder: str | Path | None = None) -> str:
    """An ELAN document (.eaf) with a tier for each modality; annotations of one tier never overlap, as ELAN wants it.

    The video is linked by its full path, and by its path from the document's folder, both as ELAN reads them: as they
    are, with nothing encoded. Where ELAN does not find it there it asks for it.

    Args:
        result: what was found.
        folder: where the document will be; beside the video when ``None``.
    """
    from pympi.Elan import Eaf, to_adocument

    document = Eaf(author="avel")
    document.remove_tier("default")
    path = Path(result.video).absolute()
    document.add_linked_file(_address(path), relpath=_relative(path, folder), mimetype=_mime_type(path))
    ends: dict[str, int] = {}
    for event in by_start(result.events):
        start = round(1000 * event.start_seconds)
        end = max(round(1000 * event.end_seconds), start + 1)
        tier = next(name for name in tier_names(event.modality) if ends.get(name, 0) <= start)
        if tier not in ends:
            document.add_tier(tier)
        document.add_annotation(tier, start, end, one_line(event.category))
        ends[tier] = end
    if not ends:
        document.add_tier(_WITHOUT_EVENT)
    xml: bytes = ElementTree.tostring(to_adocument(document, True), encoding="UTF-8", xml_declaration=True)
    return xml.decode() + "\n"


def _address(path: Path) -> str:
    name = path.as_posix()
    return as_text(f"file://{name}" if name.startswith("/") else f"file:///{name}")


def _relative(path: Path, folder: str | Path | None) -> str | None:
    try:
        relative = os.path.relpath(path, path.parent if folder is None else Path(folder).absolute())
    except ValueError:  # on another drive of Windows
        return None
    relative = Path(relative).as_posix()
    return as_text(relative if relative.startswith("../") else f"./{relative}")


def _mime_type(path: Path) -> str:
    """What ELAN itself calls the type of such a file."""
    return _MIME_TYPES.get(path.suffix.lower(), "video/*")


@dataclass(frozen=True)
class _Annotation:
    """An annotation; a vocabulary's entry stands for its text where that is empty."""

    name: str
    text: str
    element: "ElementTree.Element"


@dataclass(frozen=True)
class _Tier:
    name: str
    has_parent: bool
    annotations: tuple[_Annotation, ...]


class _Document:
    """The tiers of a document, and when their annotations are."""

    def __init__(self, source: LabelFile, root: "ElementTree.Element") -> None:
        self._source = source
        entries = ((entry.get("CVE_ID", ""), entry.findtext("CVE_VALUE") or "") for entry in root.iter("CV_ENTRY_ML"))
        self._vocabulary = {name: " ".join(value.split()) for name, value in entries}
        self.tiers = tuple(self._tier(element) for element in root.iter("TIER"))
        self._slots = self._times(root)
        self._by_name: dict[str, list[_Annotation]] = defaultdict(list)
        self._children: dict[tuple[str, str], list[_Annotation]] = defaultdict(list)
        for tier in self.tiers:
            for annotation in tier.annotations:
                self._by_name[annotation.name].append(annotation)
                if annotation.element.tag == "REF_ANNOTATION":
                    self._children[(tier.name, annotation.element.get("ANNOTATION_REF", ""))].append(annotation)
        self._tier_of = {id(a.element): tier.name for tier in self.tiers for a in tier.annotations}

    def times_of(self, annotation: _Annotation, depth: int = 0) -> tuple[float, float]:
        """Start and end in milliseconds, without the offset of the medium."""
        element = annotation.element
        if element.tag == "ALIGNABLE_ANNOTATION":
            return self._time(element.get("TIME_SLOT_REF1", "")), self._time(element.get("TIME_SLOT_REF2", ""))
        name = element.get("ANNOTATION_REF", "")
        parents = self._by_name.get(name, [])
        if len(parents) != 1 or depth > len(self.tiers):
            found = "is not there" if not parents else f"occurs {len(parents)} times"
            self._source.fail(f"the annotation {name} that it belongs to {found}. Save the document again in ELAN.")
        start, end = self.times_of(parents[0], depth + 1)
        siblings = self._children[(self._tier_of[id(element)], name)]
        if not any(sibling.element.get("PREVIOUS_ANNOTATION") for sibling in siblings):
            return start, end  # an association: as long as its parent
        number = next(n for n, sibling in enumerate(_in_order(siblings)) if sibling is annotation)
        length = (end - start) / len(siblings)
        return start + number * length, start + (number + 1) * length

    def _tier(self, element: "ElementTree.Element") -> _Tier:
        annotations = tuple(
            _Annotation(one.get("ANNOTATION_ID", "?"), self._text(one), one)
            for holder in element.iter("ANNOTATION")
            for one in holder
            if one.tag in ("ALIGNABLE_ANNOTATION", "REF_ANNOTATION")
        )
        return _Tier(element.get("TIER_ID", ""), "PARENT_REF" in element.attrib, annotations)

    def _text(self, element: "ElementTree.Element") -> str:
        text = " ".join((element.findtext("ANNOTATION_VALUE") or "").split())
        return text or self._vocabulary.get(element.get("CVE_REF", ""), "")

    def _times(self, root: "ElementTree.Element") -> dict[str, float]:
        """Milliseconds of each time slot; those without a time are shared out between their neighbours, as by ELAN."""
        slots = [(slot.get("TIME_SLOT_ID", ""), slot.get("TIME_VALUE")) for slot in root.iter("TIME_SLOT")]
        times: dict[str, float] = {}
        for name, value in slots:
            if value is not None:
                self._source.where = f"time slot {name}"
                number = self._source.number(value, "its time")
                if times.setdefault(name, number) != number:
                    self._source.fail("it occurs with two times. Save the document again in ELAN.")
        self._source.where = ""
        unaligned = {name for name, value in slots if value is None} - times.keys()
        for chain in self._chains(unaligned):
            start, end = times.get(chain[0]), times.get(chain[-1])
            if start is not None and end is not None:
                for number, name in enumerate(chain[1:-1], start=1):
                    times[name] = start + (end - start) * number / (len(chain) - 1)
        return times

    def _chains(self, unaligned: set[str]) -> Iterator[list[str]]:
        """Slots from one with a time over those without one to the next with a time, along a tier's annotations."""
        for tier in self.tiers:
            chain: list[str] = []
            for annotation in tier.annotations:
                start, end = annotation.element.get("TIME_SLOT_REF1"), annotation.element.get("TIME_SLOT_REF2")
                if start is None or end is None:
                    continue
                if not chain or chain[-1] != start:
                    chain = [start]
                chain.append(end)
                if end not in unaligned:
                    yield chain
                    chain = []

    def _time(self, slot: str) -> float:
        if slot not in self._slots:
            self._source.fail("it has no time of its own. Align it in ELAN.")
        return self._slots[slot]


def _in_order(siblings: list[_Annotation]) -> list[_Annotation]:
    """Annotations that divide their parent, each after the one that it names; as in the document if that is broken."""
    after = {sibling.element.get("PREVIOUS_ANNOTATION"): sibling for sibling in siblings}
    ordered: list[_Annotation] = []
    current = after.get(None)
    while current is not None and len(ordered) < len(siblings):
        ordered.append(current)
        current = after.get(current.name)
    return ordered if len(ordered) == len(siblings) else siblings


def _medium(root: "ElementTree.Element") -> Mapping[str, str]:
    """The attributes of the linked video, or else of the first linked file."""
    media = [element.attrib for element in root.iter("MEDIA_DESCRIPTOR")]
    videos = [one for one in media if one.get("MIME_TYPE", "").startswith("video/")]
    header = root.find("HEADER")  # where the first versions of the format name the medium
    old = {} if header is None else {"MEDIA_URL": header.get("MEDIA_FILE", "")}
    return next(iter([*videos, *media, old]))


def _is_read(source: LabelFile, tier: _Tier) -> bool:
    return source.options.asks_for(tier.name) if source.options.tiers else not tier.has_parent


def _meaning(source: LabelFile, tier: _Tier, annotation: _Annotation, by_avel: bool) -> tuple[str, Modality | None]:
    """Category and modality: the modality is the name of the tier in documents of avel's, or was once in the text."""
    base = tier.name.partition(" #")[0]
    modality = next((m for m, words in MODALITY_WORDS.items() if words == base), None)
    category = tier.name if source.options.category_from == "tier" or not annotation.text else annotation.text
    if modality is None and by_avel:
        return category_and_modality(category)
    return category, modality


def _tell(source: LabelFile, document: _Document) -> None:
    """Say which tiers with annotations were read and which were not."""
    full = [tier for tier in document.tiers if tier.annotations]
    read_, left = ([t.name for t in full if _is_read(source, t) is wanted] for wanted in (True, False))
    if source.options.tiers and not any(source.options.asks_for(tier.name) for tier in document.tiers):
        source.fail(
            f"no tier is called {' or '.join(source.options.tiers)}. Its tiers are: "
            f"{', '.join(tier.name for tier in document.tiers) or 'none'}."
        )
    if left:
        why = "which depend on other tiers; --tier NAME reads them" if not source.options.tiers else "as asked for"
        source.warn(f"the tiers {_some(read_)} were read, but not {_some(left)}, {why}")


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}" if names else "none"


def _parse(source: LabelFile) -> "ElementTree.Element":
    """The document's root; refuses entities, which a small file can make huge, and document types."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root: Any = fromstring(read_bytes(source.path), forbid_dtd=True)
    except DefusedXmlException as error:
        source.fail(f"the XML defines entities or a document type, which ELAN never writes ({type(error).__name__}).")
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two: an unreadable encoding
        source.fail(f"not readable as XML: {error}. ELAN documents (.eaf) are XML.")
    if root.tag != "ANNOTATION_DOCUMENT":
        source.fail(f"its root is <{root.tag}>; an ELAN document's is <ANNOTATION_DOCUMENT>.")
    return root
