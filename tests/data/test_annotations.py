import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.data import annotations
from avel.data.annotations import (
    FORMATS,
    Annotation,
    AnnotationSet,
    labels_whole_videos,
    read_annotations,
    read_ave_table,
    read_video_labels,
)
from avel.errors import AnnotationsError

HEADER = "video,start_seconds,end_seconds,category,split\n"


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


def spans(found: AnnotationSet) -> list[tuple[str, float, float, str]]:
    return [(e.video, e.start_seconds, e.end_seconds, e.category) for e in found.events]


# Annotation, AnnotationSet


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (("", 0, 1, "Bark"), "The video has no name."),
        (("a", float("nan"), 1, "Bark"), r"Times must be finite, got \[nan, 1\)"),
        (("a", -1, 1, "Bark"), "The event starts at -1 s. Times must be 0 or more."),
        (("a", 5, 3, "Bark"), "The event ends at 3 s but starts at 5 s. An event must end after it starts."),
        (("a", 0, 1, ""), "The event has no category."),
        (("a", 0, 1, "background"), "'background' is where no event is"),
        (("a", 0, 1, "Bark", "dev"), "Unknown split 'dev'. Supported splits are train, val, test."),
    ],
)
def test_an_impossible_annotation_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Annotation(*values)


def test_set_of_videos_with_several_none_and_overlapping_events():
    found = AnnotationSet(
        events=(
            Annotation("b", 0, 5, "Bark", "test"),
            Annotation("a", 1, 2, "Cat"),
            Annotation("b", 4, 6, "Cat", "test"),
        ),
        categories=("Bark", "Cat"),
        videos_without_event={"c": "train", "d": "test"},
    )
    assert found.videos == ("b", "a", "c", "d")
    assert (found.num_categories, found.num_classes) == (2, 3)
    assert {video: len(events) for video, events in found.by_video().items()} == {"b": 2, "a": 1, "c": 0, "d": 0}
    assert found.in_split("test").videos == ("b", "d")
    assert found.in_split("train").videos == ("c",)
    assert found.in_split("val").categories == ("Bark", "Cat")
    with pytest.raises(ValueError, match="Unknown split 'dev'"):
        found.in_split("dev")


# CSV


def test_csv_with_several_overlapping_events_and_quoted_commas(write):
    path = write(
        "labels.csv",
        HEADER + 'a.mp4,0,2.5,"Baby cry, infant cry",train\na.mp4,1.5,4,Bark,train\n\n'
        "b.mp4,,,background,test\nc.mp4,0.25,1,Bark,\n",
    )
    found = read_annotations(path)
    assert spans(found) == [
        ("a.mp4", 0, 2.5, "Baby cry, infant cry"),
        ("a.mp4", 1.5, 4, "Bark"),
        ("c.mp4", 0.25, 1, "Bark"),
    ]
    assert [e.split for e in found.events] == ["train", "train", None]
    assert found.categories == ("Baby cry, infant cry", "Bark")
    assert found.videos_without_event == {"b.mp4": "test"}
    assert found.source == str(path)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_as_spreadsheets_write_it(write, delimiter, ending):
    rows = [["Category", "Video", "Start_seconds", "End_seconds"], ["Bark", "Hündin.mp4", "1", "2"]]
    text = ending.join(delimiter.join(row) for row in rows)
    assert spans(read_annotations(write("labels.csv", "\ufeff" + text))) == [("Hündin.mp4", 1, 2, "Bark")]
    assert spans(read_annotations(write("labels.txt", text))) == [("Hündin.mp4", 1, 2, "Bark")]


def test_csv_categories_given_keep_their_order_and_bound_what_may_occur(write):
    path = write("labels.csv", HEADER + "a,0,1,Bark,\n")
    assert read_annotations(path, categories=["Cat", "Bark"]).categories == ("Cat", "Bark")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty. Its first line must be video,start_seconds,end_seconds,category,split"),
        ("video,start,end\n", "line 1: found 'video,start,end', but the first line must name the columns"),
        (HEADER.replace("split", "who"), "line 1: unknown column 'who'. Columns are video, start_seconds"),
        (HEADER.replace("split", "video"), "line 1: a column occurs twice. Columns are"),
        (HEADER + "a,0,1,Bark,train\na,x,1,Bark,train\n", "line 3: start_seconds is 'x', not a number. Give seconds"),
        (
            HEADER + 'a,"1,5",2,Bark,train\n',
            "line 2: start_seconds is '1,5', not a number. Give seconds with a decimal",
        ),
        (HEADER + "a,,1,Bark,train\n", "line 2: start_seconds is '', not a number"),
        (HEADER + "a,nan,1,Bark,train\n", "line 2: Times must be finite"),
        (HEADER + "a,0,inf,Bark,train\n", "line 2: Times must be finite"),
        (HEADER + "a,-1,1,Bark,train\n", "line 2: The event starts at -1 s"),
        (HEADER + "\n\na,2,2,Bark,train\n", "line 4: The event ends at 2 s but starts at 2 s"),
        (HEADER + "a,0,1,,train\n", "line 2: The event has no category"),
        (HEADER + ",0,1,Bark,train\n", "line 2: The video has no name"),
        (HEADER + ",,,,train\n", "line 2: the video has no name"),
        (HEADER + "a,0,1,Bark,dev\n", "line 2: Unknown split 'dev'. Supported splits are train, val, test."),
        (HEADER + "a,,,,dev\n", "line 2: Unknown split 'dev'. Supported splits are train, val, test."),
        (HEADER + "a,0,1,Brak,train\n", "line 2: unknown category 'Brak'. Did you mean 'Bark'?"),
        (HEADER + "a,0,1,Xylophone,train\n", "line 2: unknown category 'Xylophone'. Categories are: Bark; Cat."),
        (
            HEADER + "a,0,12,Bark,train\n",
            r"line 2: the event ends at 12 s, but 'a' is 10 s long. Check the times' unit",
        ),
        (HEADER + "a,0,1,Bark,train\na,2,3,Bark,val\n", "line 3: 'a' is in split 'val' here and in 'train' above"),
        (HEADER + "a,0,1,Baby cry, infant cry,train\n", "line 2: 6 values for 5 columns .* double quotes"),
        (HEADER + 'a,0,1,"Bark"x,train\n', "line 2: not readable as CSV: .* in double quotes"),
        (HEADER + 'a,0,1,"Bark,train\n', "line 2: not readable as CSV: "),
    ],
)
def test_csv_error_names_file_line_and_fix(write, text, message):
    path = write("labels.csv", text)
    with pytest.raises(AnnotationsError, match=message) as error:
        read_annotations(path, categories=["Bark", "Cat"], durations={"a": 10.0})
    assert str(error.value).startswith(f"{path}")


def test_an_event_may_end_a_few_frames_after_its_video(write):
    path = write("labels.csv", HEADER + "a,0,10.08,Bark,\n")
    assert len(read_annotations(path, durations={"a": 10.0}).events) == 1


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).map(str.strip),
            st.floats(0, 1e6),
            st.floats(1e-3, 1e6),
            st.text(st.characters(codec="utf-8", exclude_characters="\x00"), min_size=1, max_size=12).map(str.strip),
        ).filter(lambda row: row[0] and row[3] and row[3] != "background" and row[1] + row[2] > row[1]),
        min_size=1,
        max_size=8,
    )
)
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, rows):
    import csv

    path = tmp_path_factory.mktemp("csv") / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(annotations.CSV_REQUIRED)
        writer.writerows([video, start, start + length, category] for video, start, length, category in rows)
    expected = [(video, start, start + length, category) for video, start, length, category in rows]
    assert spans(read_annotations(path)) == expected


# AVE


@pytest.mark.parametrize("header", ["", "Category&VideoID&Quality&StartTime&EndTime\n"])
def test_ave_rows_are_the_same_with_and_without_a_header(write, header):
    rows = "Church bell&aaa&good&0&10\nBark&bbb&good&0&0\nBark&aaa&good&6&8\n"
    path = write("Annotations.txt", header + rows)
    table = read_ave_table(path)
    assert table.has_header == bool(header)
    assert [row.video for row in table.rows] == ["aaa", "bbb", "aaa"]
    found = read_annotations(path)
    assert spans(found) == [("aaa", 0, 10, "Church bell"), ("aaa", 6, 8, "Bark")]
    assert found.videos_without_event == {"bbb": None}


def test_the_published_annotations(shared):
    found = read_annotations(shared / "data" / "ave")
    assert len(found.events) == 4142
    assert len(found.videos) == 4097
    assert found.num_categories == 28
    assert found.videos_without_event == {"VWi2ENBuTbw": None}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("Bark&aaa&good&0", "line 2: 4 fields; a row is Category&VideoID&Quality&Start&End."),
        ("&aaa&good&0&10", "line 2: the category or the video identifier is empty."),
        ("Bark&aaa&good&0.5&10", "line 2: start '0.5' and end '10' must be whole seconds."),
        ("Bark&aaa&good&5&3", "line 2: the span 5-3 must be in order and within 0-10."),
        ("Bark&aaa&good&5&11", "line 2: the span 5-11 must be in order and within 0-10."),
    ],
)
def test_a_malformed_ave_row_is_refused(write, row, message):
    path = write("Annotations.txt", f"Church bell&aaa&good&0&10\n{row}\n")
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}, {message}")):
        read_annotations(path)


# Audacity: the layout is that of the manual, "Importing and Exporting Labels"


def test_audacity_labels_with_frequency_ranges(write):
    path = write(
        "dog park.txt",
        "0.500000\t1.250000\tBark\n\\\t200.0\t4000.0\n1.000000\t3.000000\tFemale speech, woman speaking\n",
    )
    assert spans(read_annotations(path)) == [
        ("dog park", 0.5, 1.25, "Bark"),
        ("dog park", 1, 3, "Female speech, woman speaking"),
    ]
    assert spans(read_annotations(path, video="dog.mp4"))[0][0] == "dog.mp4"


def test_an_empty_label_track_is_a_video_without_event(write):
    found = read_annotations(write("quiet.txt", ""))
    assert found.videos == ("quiet",)
    assert found.events == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("2.0\t2.0\tBark", "line 2: 'Bark' is a point at 2 s. Drag it to a region: an event has a length."),
        ("2.0\t3.0", "line 2: the label has no text. Give it the event category."),
        ("2.0\t3.0\t ", "line 2: the label has no text. Give it the event category."),
        ("2.0 3.0 Bark", "line 2: found '2.0 3.0 Bark'; a label is start<TAB>end<TAB>category"),
        ("2,0\t3,0\tBark", "line 2: the start is '2,0', not a number."),
        ("3.0\t2.0\tBark", "line 2: The event ends at 2 s but starts at 3 s."),
    ],
)
def test_audacity_error_names_the_line(write, line, message):
    path = write("clip.txt", f"0.0\t1.0\tBark\n{line}\n")
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}, {message}")):
        read_annotations(path)


# ELAN: the layout is that of the EAF 3.0 schema


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


# Label Studio: the layout is that of its task format page and of its tags' sample results


def audio_region(start, end, *labels, **more):
    return {"type": "labels", "value": {"start": start, "end": end, "channel": 0, "labels": list(labels)}, **more}


def timeline(start, end, *labels):
    return {"type": "timelinelabels", "value": {"ranges": [{"start": start, "end": end}], "timelinelabels": [*labels]}}


def task(*result, data=None, number=1, **annotation):
    return {
        "id": number,
        "data": data or {"audio": "/data/upload/3/1a2b3c4d-dog%20park.wav"},
        "annotations": [{"id": 7, "result": list(result), "was_cancelled": False, **annotation}],
    }


@pytest.fixture
def export(write):
    return lambda tasks: write("export.json", json.dumps(tasks))


def test_label_studio_audio_regions(export):
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    path = export(
        [
            task(audio_region(0.5, 2, "Bark", "Cat", original_length=10.0), choice),
            task(number=2, data={"video": "b.mp4"}),
        ]
    )
    found = read_annotations(path)
    assert spans(found) == [("dog park.wav", 0.5, 2, "Bark"), ("dog park.wav", 0.5, 2, "Cat")]
    assert found.videos_without_event == {"b.mp4": None}


def test_label_studio_time_series_in_seconds(export):
    region = {"type": "timeserieslabels", "value": {"start": 1, "end": 3.5, "timeserieslabels": ["Bark"]}}
    path = export([task(region, data={"csv": "http://x.org/files/sensor.csv?version=2"})])
    assert spans(read_annotations(path)) == [("sensor.csv", 1, 3.5, "Bark")]


def test_label_studio_video_timeline_counts_frames_from_one_to_the_last(export):
    box = {"value": {"sequence": [], "framesCount": 250, "timelinelabels": ["Bark"]}, "type": "timelinelabels"}
    path = export([task(timeline(1, 25, "Bark"), box, data={"video": "/data/local-files/?d=clips/dog.mp4"})])
    assert spans(read_annotations(path, frames_per_second=25)) == [("dog.mp4", 0, 1, "Bark")]


def test_label_studio_minimal_export(export):
    path = export(
        [
            {
                "id": 1,
                "audio": "s3://bucket/dog.wav",
                "label": [{"start": 0, "end": 1.5, "channel": 0, "labels": ["Bark"]}],
                "annotator": 1,
                "created_at": "2026-01-01T00:00:00.000000Z",
            },
            {
                "id": 2,
                "file": "cat.mp4",
                "videoLabels": [{"ranges": [{"start": 25, "end": 50}], "timelinelabels": ["Cat"]}],
            },
        ]
    )
    found = read_annotations(path, frames_per_second=24)
    assert spans(found) == [("dog.wav", 0, 1.5, "Bark"), ("cat.mp4", 1, 50 / 24, "Cat")]


def test_label_studio_takes_the_ground_truth_and_leaves_out_what_nobody_annotated(export):
    several = task(audio_region(0, 1, "Bark"))
    several["annotations"].append({"result": [audio_region(0, 2, "Cat")], "ground_truth": True})
    cancelled = task(audio_region(0, 1, "Bark"), number=2, was_cancelled=True)
    found = read_annotations(export([several, cancelled, {"id": 3, "data": {"video": "c.mp4"}, "annotations": []}]))
    assert spans(found) == [("dog park.wav", 0, 2, "Cat")]
    assert found.videos == ("dog park.wav",)


def two_annotators():
    several = task(audio_region(0, 1, "Bark"))
    several["annotations"] *= 2
    return [several]


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ("[", ": not readable as JSON: "),
        ("[" * 100_000, ": not readable as JSON: "),
        ({"a": 1}, ": not a Label Studio export: it must be a list of tasks. Export as 'JSON' or 'JSON-MIN'."),
        ([1], ": not a Label Studio export"),
        ([], ": the export has no task."),
        ([{"id": 4, "annotations": 1}], ", task 4: 'annotations' must be a list of annotations."),
        ([{"id": 4, "annotations": [{"id": 1}]}], ", task 4: its annotation has no list 'result'."),
        (two_annotators(), ", task 1: it has several annotations. Mark one as ground truth"),
        ([{"id": 1, "audio": "a.wav"}, {"id": 1, "audio": "a.wav"}], ", task 1: it has several annotations."),
        ([task(data={"text": "hello"})], ", task 1: its data name no video; looked for video, audio, url"),
        ([task(timeline(1, 2, "Bark"))], ", task 1: its timeline counts frames. Give frames_per_second"),
        ([task({"value": {"ranges": [1], "timelinelabels": ["a"]}})], ", task 1: 'ranges' must be a list of objects"),
        ([task(audio_region(1, 2))], ", task 1: the region from 1 to 2 has no label."),
        ([task(audio_region("12:30", 2, "Bark"))], ", task 1: start is '12:30', not a number."),
        ([task(audio_region(True, 2, "Bark"))], ", task 1: start is True, not a number."),
        (
            [task(audio_region(1, 12, "Bark", original_length=10))],
            ", task 1: the event ends at 12 s, but 'dog park.wav' is 10",
        ),
        ([task(audio_region(2, 1, "Bark"))], ", task 1: The event ends at 1 s but starts at 2 s."),
    ],
)
def test_label_studio_error_names_the_task(write, tasks, message):
    path = write("export.json", tasks if isinstance(tasks, str) else json.dumps(tasks))
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}{message}")):
        read_annotations(path)


# Which format, and what is no label file


def test_a_folder_of_label_files_is_one_set(write, tmp_path):
    write("a.txt", "0\t1\tBark\n")
    write("b.txt", "")
    write("c.csv", HEADER + "c,0,1,Cat,test\n")
    write("notes.md", "not a label file")
    found = read_annotations(tmp_path)
    assert found.videos == ("a", "c", "b")
    assert found.categories == ("Bark", "Cat")
    assert read_annotations(tmp_path, "audacity").videos == ("a", "b")
    with pytest.raises(AnnotationsError, match=r"no label file in this folder. Label files end in .eaf; AVE's is"):
        read_annotations(tmp_path, "elan")
    with pytest.raises(ValueError, match="`video` names the video of one file"):
        read_annotations(tmp_path, video="a")


def test_a_json_export_is_known_without_its_ending(write):
    assert read_annotations(write("export", json.dumps([task(audio_region(0, 1, "Bark"))]))).categories == ("Bark",)


def test_an_unknown_format_is_refused(write):
    path = write("labels.txt", "just words\n")
    with pytest.raises(
        AnnotationsError, match=rf"not recognised from its first line 'just words'. Name it: one of {FORMATS[0]}"
    ):
        read_annotations(path)
    with pytest.raises(ValueError, match="Unknown format 'xls'. Supported formats are ave, csv, elan"):
        read_annotations(path, "xls")
    with pytest.raises(ValueError, match="frames_per_second must be above 0, got 0."):
        read_annotations(path, "label-studio", frames_per_second=0)


def test_a_file_that_cannot_be_read_is_refused(write, tmp_path, monkeypatch):
    with pytest.raises(AnnotationsError, match=r"nothing.csv: no such file."):
        read_annotations(tmp_path / "nothing.csv")
    with pytest.raises(AnnotationsError, match=r"labels.csv: byte 3 is not UTF-8 text. Save the file as UTF-8"):
        read_annotations(write("labels.csv", "Hün".encode("latin-1").join([b"ab", b"\n"])))
    monkeypatch.setattr(annotations, "MAX_FILE_BYTES", 2**20)
    with pytest.raises(AnnotationsError, match="larger than 1 MiB, which no label file is"):
        read_annotations(write("large.csv", b"a" * (2**20 + 1)))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights_is_refused(write):
    path = write("labels.csv", HEADER)
    path.chmod(0)
    with pytest.raises(AnnotationsError, match="cannot be read: Permission denied"):
        read_annotations(path)


def test_a_device_that_fails_is_refused(tmp_path):
    (tmp_path / "labels.csv").symlink_to("/proc/self/mem")
    with pytest.raises(AnnotationsError, match=r"labels.csv: cannot be read: Input/output error"):
        read_annotations(tmp_path / "labels.csv")


@given(st.binary(max_size=200), st.sampled_from(FORMATS))
def test_any_bytes_are_read_or_refused_with_our_error(tmp_path_factory, content, format_name):
    path = tmp_path_factory.mktemp("any") / "labels"
    path.write_bytes(content)
    try:
        assert isinstance(read_annotations(path, format_name), AnnotationSet)
    except AnnotationsError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


WORDS = ("id", "data", "annotations", "result", "value", "start", "end", "labels", "ranges", "timelinelabels", "video")


@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(WORDS),
            st.recursive(
                st.none() | st.booleans() | st.floats() | st.text(max_size=5) | st.just("http://[a.mp4"),
                lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=5),
                max_leaves=15,
            ),
        ),
        max_size=2,
    )
)
def test_any_json_is_read_or_refused_with_our_error(tmp_path_factory, tasks):
    path = tmp_path_factory.mktemp("any") / "export.json"
    path.write_text(json.dumps(tasks))
    try:
        assert isinstance(read_annotations(path), AnnotationSet)
    except AnnotationsError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


@given(st.text(max_size=300))
def test_any_text_is_read_or_refused_with_our_error(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "labels.txt"
    path.write_text(text)
    try:
        assert isinstance(read_annotations(path), AnnotationSet)
    except AnnotationsError as error:
        assert str(path) in str(error)  # noqa: PT017 - either outcome is right


def test_a_first_line_longer_than_any_header_is_refused(write):
    with pytest.raises(AnnotationsError, match="not recognised from its first line 'xxx"):
        read_annotations(write("labels.txt", "x" * 200_000))


def test_a_set_says_where_each_video_is_first_named(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("video,start_seconds,end_seconds,category\na.mp4,0,1,bark\nb.mp4,,,\na.mp4,2,3,bark\n")
    found = read_annotations(path)
    assert found.where == {"a.mp4": f"{path}, line 2", "b.mp4": f"{path}, line 3"}
    assert found.split_of() == {"a.mp4": None, "b.mp4": None}


def test_labels_of_whole_videos(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("video;category;split\na;bark;train\nb;background;val\na;meow;train\nc;bark;test\n")
    assert labels_whole_videos(path)
    found = read_video_labels(path)
    assert found.videos == {"a": ("bark", "meow"), "b": (), "c": ("bark",)}
    assert found.categories == ("bark", "meow")
    assert found.splits == {"a": "train", "b": "val", "c": "test"}
    spanning = found.spanning({"a": 2.5, "b": 1.0, "c": 4.0})
    assert [(e.video, e.start_seconds, e.end_seconds, e.category, e.split) for e in spanning.events] == [
        ("a", 0.0, 2.5, "bark", "train"),
        ("a", 0.0, 2.5, "meow", "train"),
        ("c", 0.0, 4.0, "bark", "test"),
    ]
    assert spanning.split_of() == {"a": "train", "c": "test", "b": "val"}


@pytest.mark.parametrize(
    ("name", "text", "is_so"),
    [
        ("a.csv", "video,category\n", True),
        ("a.csv", "video,start_seconds,end_seconds,category\n", False),
        ("a.csv", "video,start_seconds,category\n", False),
        ("a.txt", "0.0\t1.0\tbark\n", False),
        ("a.json", "[]", False),
    ],
)
def test_whether_a_file_labels_whole_videos(tmp_path, name, text, is_so):
    (tmp_path / name).write_text(text)
    assert labels_whole_videos(tmp_path / name) is is_so
    assert not labels_whole_videos(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,category\n", "no video is labelled in it"),
        ("video,category\n,bark\n", "line 2: the video has no name"),
        ("video,category\na,purr\n", "line 2: unknown category 'purr'"),
        ("video,category,note\na,bark,x\n", "unknown column 'note'. Columns are video, category, split"),
        ("video,category,split\na,bark,dev\n", "line 2: Unknown split 'dev'"),
        ("video,category,split\na,bark,train\na,bark,test\n", "line 3: 'a' is in split 'test' here and in 'train'"),
    ],
)
def test_labels_of_whole_videos_that_are_wrong(tmp_path, text, message):
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(AnnotationsError, match=message):
        read_video_labels(path, categories=["bark", "meow"])
