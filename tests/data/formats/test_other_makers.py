"""Files as other tools write them, by their documentation and source, each with what a person reads in it.

BORIS: export_events.py and export_observation.py of its versions 7 and 8. CVAT: its page on the XML format, and
`abs_frame_id` of its exporter. VIA: `_via_import_export.js` of version 3. Label Studio: its pages on exports.
"""

import json

import pytest
from label_files import spans

from avel.data.formats import labels_whole_videos, read_annotations
from avel.data.formats.table import read_video_labels
from avel.errors import AnnotationsError


def read(write, name, content, **options):
    found = read_annotations(write(name, content), **options)
    return spans(found), found


# Tables


@pytest.mark.parametrize(
    ("content", "wanted", "without"),
    [
        (
            "filename\tonset\toffset\tevent_label\na.wav\t0.0\t1.2\tDog\nb.wav\t\t\t\n",
            ("a.wav", 0, 1.2, "Dog"),
            "b.wav",
        ),
        ("filename\tonset\toffset\tevent_label\na.wav\t0.0\t1.2\tDog\nb.wav\n", ("a.wav", 0, 1.2, "Dog"), "b.wav"),
        (
            "audio/a.wav\tstreet\t0.5\t1.0\tbird singing\naudio/b.wav\n",
            ("audio/a.wav", 0.5, 1, "bird singing"),
            "audio/b.wav",
        ),
        ("a.wav\tstreet\t0.5\t1.0\tbird\ta.wav\n", ("a.wav", 0.5, 1, "bird"), None),
        ("0.5\t1.0\tbird\n", ("labels", 0.5, 1, "bird"), None),
        ("-5QrB_60_70.wav\t60\t70\tTrain horn\n", ("-5QrB_60_70.wav", 60, 70, "Train horn"), None),
        (
            "sound_event_recording,start_time,end_time,ele,azi,dist\ncough,0.5,1.2,10,20,1\n",
            ("labels", 0.5, 1.2, "cough"),
            None,
        ),
    ],
)
def test_tables_of_dcase(write, content, wanted, without):
    for name in ("labels.tsv", "labels.txt"):
        found, read_ = read(write, name, content)
        assert found == [wanted]
        assert list(read_.videos_without_event) == ([without] if without else [])


def test_the_table_of_epic_sounds(write):
    columns = (
        "annotation_id,participant_id,video_id,start_timestamp,stop_timestamp,start_sample,stop_sample,description,"
    )
    row = "P01_01_0,P01,P01_01,00:00:02.466,00:00:05.315,59184,127560,paper rustling,rustle,4\n"
    assert read(write, "e.csv", f"{columns}class,class_id\n{row}")[0] == [("P01_01", 2.466, 5.315, "rustle")]


def test_weak_labels_of_dcase(write):
    path = write("weak.tsv", "filename\tevent_labels\na.wav\tDog,Speech\nb.wav\tDog\n")
    assert labels_whole_videos(path)
    assert read_video_labels(path).videos == {"a.wav": ("Dog", "Speech"), "b.wav": ("Dog",)}


def test_a_column_that_is_not_used_may_occur_twice(write):
    found, _ = read(write, "a.csv", "video,start,end,category,Duration,Duration (s)\na,0,1,Bark,,1\n")
    assert found == [("a", 0, 1, "Bark")]


# BORIS

AGGREGATED = (
    "Observation id,Observation date,Description,Observation type,Source,Time offset (s),Coding duration,"
    "Media duration (s),FPS (frame/s),weather,Subject,Observation duration by subject by observation,Behavior,"
    "Behavioral category,Modifier #1,Behavior type,Start (s),Stop (s),Duration (s),Media file name,Image index start,"
    "Image index stop,Image file path start,Image file path stop,Comment start,Comment stop\n"
)


def aggregated(
    kind, start, stop, video, *, source="player #1:v/a.mp4;v/b.mp4", lengths="180.000;360.000", offset="0.0"
):
    return (
        f"o1,2023-01-01 10:00:00,,Media file,{source},{offset},540.000,{lengths},25.000,dry,rex,12,bark,Not defined,,"
        f'{kind},{start},{stop},1,{video},0,0,,,"a, b",\n'
    )


def test_boris_times_count_from_the_first_file_of_an_observation(write):
    rows = (
        aggregated("STATE", "1.800", "8.125", "v/a.mp4")
        + aggregated("STATE", "227.765", "253.490", "v/b.mp4")
        + aggregated("POINT", "3.000", "NA", "v/a.mp4")
    )
    found, read_ = read(write, "boris.csv", AGGREGATED + rows)
    assert found == [("a.mp4", 1.8, 8.125, "bark"), ("b.mp4", pytest.approx(47.765), pytest.approx(73.49), "bark")]
    assert "left out: 1 label at points in time" in read_.warnings[0]
    two_cameras = aggregated("STATE", 1, 2, "v/a.mp4", source="player #1:v/a.mp4|player #2:v/c.mp4", lengths="9|9")
    assert read(write, "boris.csv", AGGREGATED + two_cameras)[0] == [("a.mp4", 1, 2, "bark")]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            aggregated("STATE", 227, 253, "v/b.mp4", lengths="NA"),
            "plays several files (a.mp4, b.mp4), whose times count",
        ),
        (aggregated("STATE", 170, 190, "v/a.mp4"), "the event ends at 190 s, but 'a.mp4' is 180 s long"),
        (aggregated("STATE", 1, 2, "v/a.mp4", offset="5.0"), "has a time offset of 5.0 s, so that its times are not"),
    ],
)
def test_boris_times_that_cannot_be_placed_are_refused(write, rows, message):
    with pytest.raises(AnnotationsError) as error:
        read(write, "boris.csv", AGGREGATED + rows)
    assert message in str(error.value)


def test_boris_of_older_versions(write):
    columns = (
        "Observation id\tObservation date\tDescription\tMedia file\tTotal length\tFPS\tStart time\tDuration\tSubject\t"
    )
    columns += (
        "Behavior\tBehavioral category\tModifiers\tBehavior type\tStart (s)\tStop (s)\tDuration (s)\tComment start\n"
    )
    row = "{0}\t2016-12-01\t\tT:/v/{1}\t539.920\t25.0\t2000-01-01\t\trex\tbark\t\t\tSTATE\t{2}\t{3}\t6\t\n"
    found, _ = read(
        write, "b.tsv", columns + row.format("o1", "a.mp4", "1.8", "8.125") + row.format("o2", "b.mp4", 2, 3)
    )
    assert found == [("a.mp4", 1.8, 8.125, "bark"), ("b.mp4", 2, 3, "bark")]
    with pytest.raises(AnnotationsError, match=r"line 3: the observation 'o1' plays several files \(a.mp4, b.mp4\)"):
        read(write, "b.tsv", columns + row.format("o1", "a.mp4", "1.8", "8.125") + row.format("o1", "b.mp4", 227, 230))
    blank = "\t" * 8 + "\n"
    head = f"Observation id\tobservation #1{blank}{blank}Media file(s)\t{blank}Player #1\ta.mp4{blank}"
    names = "Time\tMedia file path\tTotal length\tFPS\tSubject\tBehavior\tBehavioral category\tComment\tStatus\n"
    rows = "3.300\ta.mp4\t359.960\t25.0\ts1\tsniff\t\t\tSTART\n7.750\ta.mp4\t359.960\t25.0\ts1\tsniff\t\t\tSTOP\n"
    assert read(write, "t.tsv", head + names + rows)[0] == [("a.mp4", 3.3, 7.75, "sniff")]


def test_boris_tabular_events_of_today(write):
    columns = (
        "Observation id,Observation date,Description,Observation duration,Observation type,Source,Time offset (s),"
    )
    columns += (
        "Media duration (s),FPS,Subject,Behavior,Behavioral category,Behavior type,Time,Media file name,Comment\n"
    )
    row = "o1,2023,,360,Media file(s),player #1:/x/a.mp4;/x/b.mp4,0,10.000;9.000,25.000,,bark,,{},{},{},\n"
    rows = row.format("START", "12.5", "/x/b.mp4") + row.format("STOP", "14.0", "/x/b.mp4")
    assert read(write, "t.csv", columns + rows)[0] == [("b.mp4", 2.5, 4, "bark")]
    assert not labels_whole_videos(write("t.csv", columns + rows))  # though its columns name videos and behaviours


# CVAT


def cvat(meta, *tracks):
    return f"<annotations><version>1.1</version><meta>{meta}</meta>{''.join(tracks)}</annotations>"


def track(label, *shapes, more=""):
    boxes = "".join(f'<box frame="{frame}" keyframe="1" outside="{outside}"/>' for frame, outside in shapes)
    return f'<track id="0" label="{label}"{more}>{boxes}</track>'


def test_frames_of_cvat_are_those_of_the_video(write):
    frames = "<start_frame>50</start_frame><frame_filter>step=5</frame_filter>"
    meta = f"<task><id>1</id>{frames}<source>dog.mp4</source></task>"
    content = cvat(meta, track("Bark", (75, 0), (100, 1)), track("Cat", (125, 0), (145, 0)))
    found, _ = read(write, "a.xml", content, frames_per_second=25)
    assert found == [("dog.mp4", 3, 4, "Bark"), ("dog.mp4", 5, 6, "Cat")]


def test_tracks_of_a_project_of_cvat_are_of_its_tasks(write):
    tasks = "".join(f"<task><id>{n}</id><source>{n}.mp4</source></task>" for n in (5, 6))
    content = cvat(
        f"<project><tasks>{tasks}</tasks></project>",
        track("Bark", (0, 0), (25, 1), more=' task_id="5"'),
        track("Cat", (25, 0), (50, 1), more=' task_id="6"'),
    )
    assert read(write, "a.xml", content, frames_per_second=25)[0] == [("5.mp4", 0, 1, "Bark"), ("6.mp4", 1, 2, "Cat")]
    with pytest.raises(AnnotationsError, match="track 0: it is of task '7', which is none of the project's: 5, 6."):
        read(write, "a.xml", content.replace('task_id="6"', 'task_id="7"'), frames_per_second=25)


# VIA


def via(*attributes):
    return {
        "project": {"pid": "__VIA_PROJECT_ID__", "vid_list": ["1", "2"]},
        "config": {},
        "attribute": {
            str(n): {"aname": name, "anchor_id": "FILE1_Z2_XY0", "type": 4, "options": options}
            for n, (name, options) in enumerate(attributes, start=1)
        },
        "file": {
            "1": {"fid": "1", "fname": "dog park.mp4", "type": 4, "loc": 1, "src": ""},
            "2": {"fid": "2", "fname": "https://x.org/v/cat%20a.mp4", "type": 4, "loc": 2, "src": ""},
        },
        "view": {"1": {"fid_list": ["1"]}, "2": {"fid_list": ["2"]}},
        "metadata": {
            "1_a": {"vid": "1", "flg": 0, "z": [1.5, 2.5], "xy": [], "av": {"1": "bark"}},
            "2_c": {"vid": "2", "flg": 0, "z": [0.5, 4.25], "xy": [], "av": {"1": "meow", "2": "very far", "3": "0"}},
        },
    }


OPTIONS = {"bark": "Dog barking", "meow": "Cat"}
MORE = (("note", {}), ("loud", {"0": "yes", "1": "no"}))


def test_details_of_a_segment_of_via_are_no_categories(write):
    found, _ = read(write, "via.json", json.dumps(via(("TEMPORAL-SEGMENTS", OPTIONS), *MORE)))
    assert found == [("dog park.mp4", 1.5, 2.5, "Dog barking"), ("cat a.mp4", 0.5, 4.25, "Cat")]
    other = json.dumps(via(("event", OPTIONS), *MORE))
    with pytest.raises(AnnotationsError, match=r"several attributes \(event, note, loud\). Say which .*: --tier NAME"):
        read(write, "via.json", other)
    assert read(write, "via.json", other, tiers=["ev*"])[0] == found
    assert [span[3] for span in read(write, "via.json", other, tiers=["note"])[0]] == ["very far"]
    with pytest.raises(AnnotationsError, match="no attribute is called colour. There are: event, note, loud."):
        read(write, "via.json", other, tiers=["colour"])


def test_csv_exports_of_via(write):
    head = "# Exported using VGG Image Annotator (http://www.robots.ox.ac.uk/~vgg/software/via)\n# Notes:\n"
    attribute = f"# ATTRIBUTE = {json.dumps({'1': {'aname': 'TEMPORAL-SEGMENTS', 'options': OPTIONS}})}\n"
    names = "# CSV_HEADER = metadata_id,file_list,flags,temporal_coordinates,spatial_coordinates,metadata\n"
    rows = '"1_a","[""dog.mp4""]",0,"[1.5,2.5]","[]","{""1"":""bark""}"\n'
    rows += '"1_b","[""dog.mp4""]",0,"[3]","[2,1,1,5,5]","{}"\n'
    path = write("via.csv", head + attribute + names + rows)
    found = read_annotations(path)
    assert spans(found) == [("dog.mp4", 1.5, 2.5, "Dog barking")]
    assert found.warnings == (f"{path}: left out: 1 region without start and end",)
    names = "# CSV_HEADER = metadata_id,file_list,temporal_segment_start,temporal_segment_end,metadata\n"
    rows = '"1_a","[""dog.mp4""]",1.5,2.5,"{""TEMPORAL-SEGMENTS"":""bark""}"\n'
    assert read(write, "via.csv", head + names + rows)[0] == [("dog.mp4", 1.5, 2.5, "bark")]
    with pytest.raises(AnnotationsError, match=r"line 4: '\[x': it is not valid JSON"):
        read(write, "via.csv", head + names + rows.replace('"[""dog.mp4""]"', "[x"))
    with pytest.raises(AnnotationsError, match="line 4: its 'file_list' names no file."):
        read(write, "via.csv", head + names + rows.replace('"[""dog.mp4""]"', "[]"))


# Label Studio

REGIONS = [{"start": 0.5, "end": 2, "channel": 0, "labels": ["Bark"]}]
AUDIO = "/data/upload/3/1a2b3c4d-dog_park.wav"


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_csv_exports_of_label_studio(write, delimiter):
    cell = json.dumps(REGIONS).replace('"', '""')
    names = ("audio", "id", "label", "sentiment", "annotator", "annotation_id", "created_at", "updated_at", "lead_time")
    values = (AUDIO, "12", f'"{cell}"', "good", "1", "3", "x", "y", "1.1")
    content = delimiter.join(names) + "\r\n" + delimiter.join(values) + "\r\n"
    for name in ("x.csv", "x.tsv", "x.txt"):
        assert read(write, name, content)[0] == [("dog_park.wav", 0.5, 2, "Bark")]
    assert read(write, "x.csv", content, annotator="1")[0]
    assert not labels_whole_videos(write("x.csv", content.replace("audio", "video")))
    with pytest.raises(AnnotationsError, match="no task has an annotation of the annotator '2'"):
        read(write, "x.csv", content, annotator="2")


def test_a_task_of_label_studio_alone_and_what_has_no_time(write):
    box = {"id": "b", "type": "videorectangle", "value": {"framesCount": 250, "labels": ["Dog"], "sequence": []}}
    choice = {"id": "c", "type": "choices", "value": {"choices": ["good"]}}
    event = {"id": "e", "type": "labels", "value": REGIONS[0]}
    task = {"id": 1, "data": {"video": "a.mp4"}, "annotations": [{"id": 1, "result": [box, choice, event]}]}
    path = write("x.json", json.dumps(task))
    found = read_annotations(path)
    assert spans(found) == [("a.mp4", 0.5, 2, "Bark")]
    assert found.warnings == (f"{path}: left out: 2 labels and answers without start and end",)


# ELAN


def eaf(version, header="", tiers="", more="", units="milliseconds", medium=""):
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="me" DATE="2013-09-25T10:00:00+01:00" FORMAT="{version}" VERSION="{version}"
  xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"
  xsi:noNamespaceSchemaLocation="http://www.mpi.nl/tools/elan/EAFv{version}.xsd">
<HEADER MEDIA_FILE="{medium}" TIME_UNITS="{units}">{header}<PROPERTY NAME="lastUsedAnnotationId">1</PROPERTY></HEADER>
<TIME_ORDER><TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="1000"/>
<TIME_SLOT TIME_SLOT_ID="ts2" TIME_VALUE="2500"/></TIME_ORDER>
<TIER DEFAULT_LOCALE="en" LINGUISTIC_TYPE_REF="default-lt" PARTICIPANT="P" ANNOTATOR="A" TIER_ID="ev">{tiers}</TIER>
<LINGUISTIC_TYPE GRAPHIC_REFERENCES="false" LINGUISTIC_TYPE_ID="default-lt" TIME_ALIGNABLE="true"/>{more}
</ANNOTATION_DOCUMENT>"""


def annotation(value, more=""):
    return (
        f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1" TIME_SLOT_REF2="ts2"{more}>'
        f"<ANNOTATION_VALUE>{value}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION></ANNOTATION>"
    )


VOCABULARY = (
    '<LANGUAGE LANG_ID="und" LANG_DEF="x" LANG_LABEL="y"/><CONTROLLED_VOCABULARY CV_ID="CV">'
    '<DESCRIPTION LANG_REF="und"/><CV_ENTRY_ML CVE_ID="cveid1">'
    '<CVE_VALUE LANG_REF="und">Bark</CVE_VALUE></CV_ENTRY_ML></CONTROLLED_VOCABULARY>'
)
MEDIUM = '<MEDIA_DESCRIPTOR MEDIA_URL="file:///C:/Users/Me/My Videos/dog &amp; cat.mp4" MIME_TYPE="video/mp4"/>'


@pytest.mark.parametrize("version", ["2.7", "2.8", "3.0"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_documents_of_elans_versions(write, version, encoding):
    content = eaf(version, MEDIUM, annotation("Bark", ' CVE_REF="cveid1" EXT_REF="er1"'), VOCABULARY)
    content = content.replace("UTF-8", encoding.removesuffix("-sig").upper())
    assert read(write, "a.eaf", content.encode(encoding))[0] == [("dog & cat.mp4", 1, 2.5, "Bark")]


def test_a_vocabulary_says_what_an_annotation_without_text_is(write):
    content = eaf("3.0", MEDIUM, annotation("", ' CVE_REF="cveid1"'), VOCABULARY)
    assert read(write, "a.eaf", content)[0] == [("dog & cat.mp4", 1, 2.5, "Bark")]


def test_the_first_documents_of_elan_name_their_medium_elsewhere(write):
    content = eaf("2.1", tiers=annotation("Bark"), medium="file:///D:/x/v.mpg")
    assert read(write, "a.eaf", content)[0] == [("v.mpg", 1, 2.5, "Bark")]


def test_times_of_elan_that_count_frames_are_refused(write):
    with pytest.raises(AnnotationsError, match="its times are in PAL-frames, not in milliseconds"):
        read(write, "a.eaf", eaf("2.7", tiers=annotation("Bark"), units="PAL-frames"))


# Audacity, subtitles, Praat, Raven, ActivityNet


@pytest.mark.parametrize(
    "content",
    [
        "0.500000\t1.250000\tBark\n\\\t100.0\t2000.0\n",
        "0.500000\t1.250000\tBark\n\\\t-1.0\t-1.0\n",
        "\ufeff0,500000\t1,250000\tBark\r\n",
    ],
)
def test_audacity_labels_of_other_settings(write, content):
    assert read(write, "a.txt", content)[0] == [("a", 0.5, 1.25, "Bark")]


SRT = "1\n00:00:01,000 --> 00:00:02,500\nBark\n\n"


@pytest.mark.parametrize(
    "content",
    [
        SRT,
        "\ufeff" + SRT.replace("\n", "\r\n"),
        SRT.replace("\n", "\r"),
        SRT.replace(",", "."),
        SRT.replace(" --> ", "-->"),
        SRT.replace("2,500", "2,500 X1:0 X2:100"),
        SRT.replace("Bark", '{\\an8}<i><font color="#fff">Bark</font></i>'),
        SRT.rstrip("\n"),
        SRT + "3\n00:00:05,000 --> 00:00:06,000\n\n",
    ],
)
def test_subrip_of_other_tools(write, content):
    found, read_ = read(write, "a.srt", content)
    assert found == [("a", 1, 2.5, "Bark")]
    assert [w.partition(": ")[2] for w in read_.warnings] == ["1 cues have no text, and are left out"] * (
        "06" in content
    )


RICH_VTT = (
    "WEBVTT - title\nKind: captions\nLanguage: en\n\nSTYLE\n::cue { color: red }\n\nREGION\nid:fred\nwidth:40%\n\n"
    "NOTE 00:00 --> 00:01 was cut\nmulti\nline\n\ncue-1\n00:01.000 --> 00:02.500 region:fred align:left line:0\n"
    "<v Dog><c.loud>Bark</c></v>\n"
)


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (RICH_VTT, "Bark"),
        ("\ufeff" + RICH_VTT.replace("\n", "\r\n"), "Bark"),
        (
            "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000\n\n00:01.000 --> 00:02.500\nR&amp;B <00:01.5>now\n",
            "R&B now",
        ),
        ("WEBVTT\n\n00:01.000 --> 00:02.500\n&lt;dog&gt; barks\n", "<dog> barks"),
    ],
)
def test_webvtt_of_other_tools(write, content, name):
    assert read(write, "a.vtt", content)[0] == [("a", 1, 2.5, name)]


SHORT_GRID = """File type = "ooTextFile"
Object class = "TextGrid"

0
6
<exists>
3
"IntervalTier"
"dog"
0
6
3
0
1.5
""
1.5
2.25
"Bark ""loud""\"
2.25
6
""
"IntervalTier"
"dog"
0
6
1
0
6
"two
lines"
"TextTier"
"beeps"
0
6
1
5
"b"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("head", ['"ooTextFile"\nObject class = "TextGrid"', '"ooTextFile short"\n"TextGrid"'])
def test_short_textgrids(write, encoding, head):
    content = SHORT_GRID.replace('"ooTextFile"\nObject class = "TextGrid"', head)
    if encoding in ("utf-16-le", "utf-16-be"):
        content = "\ufeff" + content
    found, _ = read(write, "a.TextGrid", content.encode(encoding))
    assert found == [("a", 1.5, 2.25, 'Bark "loud"'), ("a", 0, 6, "two lines")]


def test_tiers_of_one_name_keep_it(write):
    found, _ = read(write, "a.TextGrid", SHORT_GRID, tiers=["dog"], category_from="tier")
    assert [span[3] for span in found] == ["dog", "dog"]
    with pytest.raises(AnnotationsError, match="neither UTF-8 nor UTF-16 text"):
        read(write, "a.TextGrid", SHORT_GRID.replace("loud", "lÜt").encode("latin-1"))


RAVEN = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)"
ROW = "1\tSpectrogram 1\t1\t{}\t{}\t200\t4000"


@pytest.mark.parametrize(
    ("columns", "values", "times", "video"),
    [
        ("Delta Time (s)\tAvg Power Density (dB FS/Hz)\tAnnotation", "1\t-30.5\tBark", (0.5, 1.5), "a"),
        ("Begin Path\tFile Offset (s)\tBegin File\tSpecies", "D:\\r\\b.wav\t0.5\tb.wav\tBark", (60.5, 61.5), "b.wav"),
        ("Begin Path\tTag", "D:\\r\\b.wav\tBark", (0.5, 1.5), "b.wav"),
        (
            "Common Name\tSpecies Code\tConfidence\tBegin Path\tFile Offset (s)",
            "Bark\tbk\t0.9\t/x/b.wav\t0.5",
            (0.5, 1.5),
            "b.wav",
        ),
    ],
)
def test_raven_tables_with_more_columns(write, columns, values, times, video):
    content = f"{RAVEN}\t{columns}\n{ROW.format(*times)}\t{values}\n"
    assert read(write, "a.Table.1.selections.txt", content)[0] == [(video, 0.5, 1.5, "Bark")]
    commas = "\ufeff" + content.replace("\t", ",").replace("\n", "\r\n")
    assert read(write, "a.csv", commas)[0] == [(video, 0.5, 1.5, "Bark")]


def test_a_raven_table_of_several_files_says_where_in_them_it_is(write):
    rows = "".join(f"{ROW.format(n, n + 1)}\t{n}.wav\tBark\n" for n in (1, 70))
    with pytest.raises(AnnotationsError, match="line 3: it is of 70.wav, and others of 1.wav; times count from"):
        read(write, "a.txt", f"{RAVEN}\tBegin File\tAnnotation\n{rows}")


def test_two_columns_of_one_name_in_a_raven_table_are_refused(write):
    with pytest.raises(AnnotationsError, match="the column 'annotation' occurs twice"):
        read(write, "a.txt", f"{RAVEN}\tAnnotation\tAnnotation\n{ROW.format(0, 1)}\tBark\tloud\n")


def test_segments_that_end_a_little_after_their_video_are_cut(write):
    database = {
        "a": {"subset": "training", "duration": 20.5, "annotations": [{"segment": ["0.0", 20.8], "label": "x"}]}
    }
    path = write("unav.json", json.dumps({"version": "1.3", "taxonomy": [], "database": database}))
    found = read_annotations(path)
    assert spans(found) == [("a", 0, 20.5, "x")]
    assert found.warnings == (f"{path}: 1 segments end up to 1 s after their video, and were cut there",)


# Names


def test_a_video_whose_name_holds_nul_is_refused(write):
    with pytest.raises(AnnotationsError, match=r"line 2: the video 'a\\x00.mp4' holds the control character U\+0000"):
        read(write, "a.csv", "video,start,end,category\na\0.mp4,0,1,Bark\n")
    assert read(write, "a.csv", "video,start,end,category\na\x1b.mp4,0,1,Bark\n")[0] == [("a\x1b.mp4", 0, 1, "Bark")]
