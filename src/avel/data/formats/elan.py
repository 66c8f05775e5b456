"""ELAN documents (``.eaf``), through pympi.

XML from elsewhere may define nothing: entities make a small file huge.
"""

import mimetypes
import os
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote
from xml.etree import ElementTree

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, file_name, read_bytes
from avel.data.formats.naming import name_of
from avel.events import Localization, by_start

_WITHOUT_EVENT = "events"


def read(source: LabelFile) -> AnnotationSet:
    """Read the time-aligned annotations of all tiers that have no parent.

    An annotation's text is the category; without text its tier's name is. The first linked medium names the video.
    Tiers that depend on another one hold details of its annotations, so they are not events of their own.
    """
    from pympi.Elan import Eaf

    _check_elan_xml(source)
    try:
        document = Eaf(str(source.path), suppress_version_warning=True)
    except Exception as error:  # pympi raises whatever its lookups raise, and a plain Exception
        source.fail(f"not a complete ELAN document ({error!r}). Open it in ELAN and save it again.")
    media = document.media_descriptors[0] if document.media_descriptors else {}
    named = media.get("MEDIA_URL") or media.get("RELATIVE_MEDIA_URL")
    video = source.video or (file_name(named) if named else source.path.stem)
    # ELAN's timeline starts this much later than the linked medium (its "master offset").
    offset_seconds = source.number(media.get("TIME_ORIGIN") or 0, "TIME_ORIGIN") / 1000
    source.add_without_event(video)
    for tier, (aligned, _, attributes, _) in document.tiers.items():
        if "PARENT_REF" in attributes:
            continue
        for name, (start_slot, end_slot, text, _) in aligned.items():
            source.where = f"tier '{tier}', annotation {name}"
            times = [document.timeslots.get(slot) for slot in (start_slot, end_slot)]
            if None in times:
                source.fail("it has no time of its own. Align it in ELAN.")
            start, end = (offset_seconds + milliseconds / 1000 for milliseconds in times)
            source.add(video, start, end, text.strip() or tier)
    return source.result()


def text(result: Localization) -> str:
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
        tier = next(name for name in _numbered(name_of(event)) if ends.get(name, 0) <= start)
        if tier not in ends:
            document.add_tier(tier)
        document.add_annotation(tier, start, end, name_of(event))
        ends[tier] = end
    if not ends:
        document.add_tier(_WITHOUT_EVENT)
    text: bytes = ElementTree.tostring(to_adocument(document, True), encoding="UTF-8", xml_declaration=True)
    return text.decode() + "\n"


def _check_elan_xml(source: LabelFile) -> None:
    """Refuse what pympi's parser would let through: entities, which a small file can make huge, and DTDs."""
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    try:
        root = fromstring(read_bytes(source.path), forbid_dtd=True)
    except DefusedXmlException as error:
        source.fail(f"the XML defines entities or a document type, which ELAN never writes ({type(error).__name__}).")
    except (ParseError, ValueError, LookupError) as error:  # the latter two: an encoding that it cannot read
        source.fail(f"not readable as XML: {error}. ELAN documents (.eaf) are XML.")
    if root.tag != "ANNOTATION_DOCUMENT":
        source.fail(f"its root is <{root.tag}>; an ELAN document's is <ANNOTATION_DOCUMENT>.")


def _numbered(name: str) -> Iterable[str]:
    yield name
    number = 2
    while True:
        yield f"{name} #{number}"
        number += 1
