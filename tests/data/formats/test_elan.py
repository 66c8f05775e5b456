import itertools
import re
import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import events, expected, read_back, rounded_spans, spans, with_events
from pympi.Elan import Eaf

from avel.data.formats import read_annotations
from avel.data.formats.elan import text
from avel.errors import AnnotationsError

# The layout is that of the EAF 3.0 schema.


EAF = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-01T00:00:00+00:00" FORMAT="3.0" VERSION="3.0"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
    xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv3.0.xsd">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">MEDIA</HEADER>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="500"/><TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2250"/>
    <TIME_SLOT TIME_SLOT_ID="ts3" TIME_VALUE="1000"/><TIME_SLOT TIME_SLOT_ID="ts4" TIME_VALUE="4000"/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="events">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2">
      <ANNOTATION_VALUE>Baby cry, infant cry</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="Bark">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a2" TIME_SLOT_REF1="ts3" TIME_SLOT_REF2="ts4">
      <ANNOTATION_VALUE></ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="events" TIER_ID="remarks">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a3" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>loud</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
  <LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>
</ANNOTATION_DOCUMENT>
"""
MEDIA = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/clips/dog%20park.mp4" MIME_TYPE="video/mp4"{}/>'


def test_elan_tiers_without_parent_are_events(write):
    path = write("session.eaf", EAF.replace("MEDIA<", MEDIA.format("") + "<"))
    assert spans(read_annotations(path)) == [
        ("dog park.mp4", 0.5, 2.25, "Baby cry, infant cry"),
        ("dog park.mp4", 1, 4, "Bark"),
    ]


def test_elan_offset_of_the_medium_is_added(write):
    path = write("session.eaf", EAF.replace("MEDIA<", MEDIA.format(' TIME_ORIGIN="1500"') + "<"))
    assert spans(read_annotations(path))[0][1:3] == (2.0, 3.75)


def test_elan_without_linked_medium_is_named_by_its_file(write):
    path = write("session.eaf", EAF.replace("MEDIA<", "<"))
    assert read_annotations(path).videos == ("session",)
    assert read_annotations(write("session.xml", EAF.replace("MEDIA<", "<"))).videos == ("session",)


BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;">]>'


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("UTF-8", "UTF-99"), "not readable as XML: "),
        (("?>", f"?>{BOMB}"), "the XML defines entities or a document type, which ELAN never writes (DTDForbidden)."),
        (("</TIER>", "</TIRE>"), "not readable as XML: mismatched tag"),
        (("ANNOTATION_DOCUMENT", "html"), "its root is <html>; an ELAN document's is <ANNOTATION_DOCUMENT>."),
        (("xsi:noNamespaceSchemaLocation", "x"), "not a complete ELAN document (KeyError"),
        ((' TIME_VALUE="2250"', ""), ", tier 'events', annotation a1: it has no time of its own. Align it in ELAN."),
        (('"ts2" TIME_VALUE="2250"', '"ts2" TIME_VALUE="x"'), "not a complete ELAN document (ValueError"),
        (('"2250"', '"250"'), ", tier 'events', annotation a1: The event ends at 0.25 s but starts at 0.5 s."),
        (("MEDIA<", MEDIA.format(' TIME_ORIGIN="x"') + "<"), "TIME_ORIGIN is 'x', not a number."),
    ],
)
def test_elan_error_says_what_is_wrong(write, change, message):
    path = write("session.eaf", EAF.replace(*change))
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}") + ".*" + re.escape(message)):
        read_annotations(path)


def test_elan_is_read_back_by_pympi(result, tmp_path):
    path, _ = read_back(tmp_path, "clip.eaf", text(result))
    document = Eaf(path)
    assert {tier: document.get_annotation_data_for_tier(tier) for tier in document.get_tier_names()} == {
        "Bark": [(2000, 5000, "Bark")],
        "Goat (audio)": [(6000, 7000, "Goat (audio)")],
    }
    (media,) = document.get_linked_files()
    assert media["MEDIA_URL"].startswith("file:///")
    assert media["RELATIVE_MEDIA_URL"] == "./clip.mp4"
    assert media["MIME_TYPE"] == "video/mp4"


@given(st.lists(events(), max_size=5))
def test_elan_is_read_back(tmp_path_factory, found):
    path, back = read_back(tmp_path_factory.mktemp("a"), "labels.eaf", text(with_events(found)))
    assert rounded_spans(back, 3) == expected(found, 3)
    assert back.videos == ("clip.mp4",)
    document = Eaf(path)
    for tier in document.get_tier_names():
        times = sorted(annotation[:2] for annotation in document.get_annotation_data_for_tier(tier))
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))


def test_labels_of_one_tier_do_not_overlap(make):
    both = make(events=[("Bark", 0, 4, "audio-visual", 0.9), ("Bark", 2, 6, "audio-visual", 0.8)])
    assert tiers_of(text(both)) == {"Bark", "Bark #2"}


def tiers_of(document):
    return {tier.get("TIER_ID") for tier in ElementTree.fromstring(document.encode()).iter("TIER")}
