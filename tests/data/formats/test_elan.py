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
        ("dog%20park.mp4", 0.5, 2.25, "Baby cry, infant cry"),
        ("dog%20park.mp4", 1, 4, "Bark"),
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
        ((' TIME_VALUE="2250"', ""), ", tier 'events', annotation a1: it has no time of its own. Align it in ELAN."),
        (('"ts2" TIME_VALUE="2250"', '"ts2" TIME_VALUE="x"'), ", time slot ts2: its time is 'x', not a number."),
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
        "seen and heard": [(2000, 5000, "Bark")],
        "heard only": [(6000, 7000, "Goat")],
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
    assert tiers_of(text(both)) == {"seen and heard", "seen and heard #2"}


def tiers_of(document):
    return {tier.get("TIER_ID") for tier in ElementTree.fromstring(document.encode()).iter("TIER")}


# As converters and people write them


def eaf(tiers, slots, media=""):
    order = "".join(
        f'<TIME_SLOT TIME_SLOT_ID="{name}"' + ("/>" if value is None else f' TIME_VALUE="{value}"/>')
        for name, value in slots.items()
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><ANNOTATION_DOCUMENT AUTHOR="" FORMAT="3.0">'
        f"<HEADER>{media}</HEADER><TIME_ORDER>{order}</TIME_ORDER>{tiers}</ANNOTATION_DOCUMENT>"
    )


def tier(name, *annotations, parent=""):
    reference = f' PARENT_REF="{parent}"' if parent else ""
    inside = "".join(f"<ANNOTATION>{annotation}</ANNOTATION>" for annotation in annotations)
    return f'<TIER TIER_ID="{name}"{reference}>{inside}</TIER>'


def aligned(name, start, end, value):
    return (
        f'<ALIGNABLE_ANNOTATION ANNOTATION_ID="{name}" TIME_SLOT_REF1="{start}" TIME_SLOT_REF2="{end}">'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>"
    )


def referring(name, of, value, after=None):
    previous = f' PREVIOUS_ANNOTATION="{after}"' if after else ""
    return (
        f'<REF_ANNOTATION ANNOTATION_ID="{name}" ANNOTATION_REF="{of}"{previous}>'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></REF_ANNOTATION>"
    )


SLOTS = {"t1": 1000, "t2": 2000, "t3": 3000, "t4": 4000}


def test_annotations_of_one_identifier_are_all_read(write):
    one = tier("e", aligned("a1", "t1", "t2", "bark"), aligned("a1", "t3", "t4", "meow"))
    assert [s[1:] for s in spans(read_annotations(write("a.eaf", eaf(one, SLOTS))))] == [(1, 2, "bark"), (3, 4, "meow")]
    two = tier("e", aligned("a1", "t1", "t2", "bark")) + tier("e", aligned("a2", "t3", "t4", "meow"))
    assert [s[1:] for s in spans(read_annotations(write("b.eaf", eaf(two, SLOTS))))] == [(1, 2, "bark"), (3, 4, "meow")]


def test_the_linked_video_counts_and_its_offset(write):
    media = (
        '<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/walk.wav" MIME_TYPE="audio/x-wav" TIME_ORIGIN="700"/>'
        '<MEDIA_DESCRIPTOR MEDIA_URL="file:///D:/walk.mp4" MIME_TYPE="video/mp4" TIME_ORIGIN="5000"/>'
    )
    path = write("a.eaf", eaf(tier("e", aligned("a1", "t1", "t2", "bark")), SLOTS, media))
    assert spans(read_annotations(path)) == [("walk.mp4", 6, 7, "bark")]


@pytest.mark.parametrize(
    ("url", "relative", "video"),
    [
        ("file:///D:/takes/walk #2.mp4", "./walk #2.mp4", "walk #2.mp4"),
        ("file:///D:/takes/why?.mp4", "", "why?.mp4"),
        ("file:///D:/takes/50%20.mp4", "", "50%20.mp4"),
        ("file://D:\\takes\\walk.mp4", "", "walk.mp4"),
        ("", "./walk.mp4", "walk.mp4"),
        ("", "./", "session"),
    ],
)
def test_media_are_named_as_elan_writes_them(write, url, relative, video):
    media = f'<MEDIA_DESCRIPTOR MEDIA_URL="{url}" RELATIVE_MEDIA_URL="{relative}" MIME_TYPE="video/mp4"/>'
    path = write("session.eaf", eaf(tier("e", aligned("a1", "t1", "t2", "bark")), SLOTS, media))
    assert read_annotations(path).videos == (video,)


def dependent():
    return (
        tier("scene", aligned("a1", "t1", "t4", "park"))
        + tier("event-dog", aligned("a2", "t2", "t3", "bark"), parent="scene")
        + tier("words", aligned("a3", "t1", "u", "go"), aligned("a4", "u", "t4", "on"), parent="scene")
        + tier("parts", referring("a5", "a1", "x"), referring("a6", "a1", "y", "a5"), parent="scene")
        + tier("notes", referring("a7", "a1", "loud"), parent="scene")
    )


def test_which_tiers_were_read_is_said(write):
    path = write("a.eaf", eaf(dependent(), {**SLOTS, "u": None}))
    found = read_annotations(path)
    assert [s[1:] for s in spans(found)] == [(1, 4, "park")]
    assert found.warnings == (
        f"{path}: the tiers scene were read, but not event-dog, words, parts, notes, which depend on other tiers; "
        "--tier NAME reads them",
    )


@pytest.mark.parametrize(
    ("tiers", "wanted"),
    [
        (["event*"], [(2, 3, "bark")]),
        (["words"], [(1, 2.5, "go"), (2.5, 4, "on")]),
        (["parts"], [(1, 2.5, "x"), (2.5, 4, "y")]),
        (["notes", "scene"], [(1, 4, "park"), (1, 4, "loud")]),
    ],
)
def test_tiers_that_are_asked_for_are_read(write, tiers, wanted):
    path = write("a.eaf", eaf(dependent(), {**SLOTS, "u": None}))
    assert [s[1:] for s in spans(read_annotations(path, tiers=tiers))] == wanted


def test_a_tier_may_name_the_category(write):
    path = write("a.eaf", eaf(dependent(), {**SLOTS, "u": None}))
    assert read_annotations(path, tiers=["event-*"], category_from="tier").categories == ("event-dog",)
    with pytest.raises(AnnotationsError, match="no tier is called dogs. Its tiers are: scene, event-dog, words"):
        read_annotations(path, tiers=["dogs"])
    with pytest.raises(ValueError, match="category_from must be one of text, tier; got 'colour'"):
        read_annotations(path, category_from="colour")


def test_what_does_not_say_when_it_is_is_refused(write):
    lost = tier("e", referring("a1", "gone", "x"))
    with pytest.raises(AnnotationsError, match="the annotation gone that it belongs to is not there"):
        read_annotations(write("a.eaf", eaf(lost, SLOTS)))
    twice = tier("p", aligned("a1", "t1", "t2", "x"), aligned("a1", "t3", "t4", "y")) + tier(
        "e", referring("b", "a1", "z")
    )
    with pytest.raises(AnnotationsError, match="that it belongs to occurs 2 times"):
        read_annotations(write("b.eaf", eaf(twice, SLOTS)))
    slots = '<TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="1"/><TIME_SLOT TIME_SLOT_ID="t1" TIME_VALUE="2"/>'
    with pytest.raises(AnnotationsError, match="time slot t1: it occurs with two times"):
        read_annotations(write("c.eaf", eaf("", {}).replace("<TIME_ORDER>", f"<TIME_ORDER>{slots}")))


@pytest.mark.parametrize("name", ["Häuser im Park #2.mp4", "50%20.mp4", "a&b.ts", "clip.MOV"])
def test_the_video_is_linked_as_elan_reads_it(make, tmp_path, name):
    folder = tmp_path / "results"
    document = ElementTree.fromstring(text(make(tmp_path / name), folder=folder).encode())
    (media,) = document.iter("MEDIA_DESCRIPTOR")
    assert media.get("MEDIA_URL") == f"file://{tmp_path / name}"
    assert media.get("RELATIVE_MEDIA_URL") == f"../{name}"
    kinds = {".mp4": "video/mp4", ".ts": "video/*", ".mov": "video/quicktime"}
    assert media.get("MIME_TYPE") == kinds[(tmp_path / name).suffix.lower()]
