import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import HEADER, spans

from avel.backbones.embedded import audioset_classes
from avel.data.audioset import is_identifier, names_by_identifier
from avel.data.formats import labels_whole_videos, read_annotations
from avel.data.formats.table import RESULT_COLUMNS, read_video_labels, text
from avel.errors import AnnotationsError
from avel.events import Event, Localization, by_start


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
        ("", "the file is empty. Its first line names the columns: video,start,end,category"),
        (
            "video,begin\n",
            "line 1: found 'video,begin', which neither names the columns nor is a row of video,start,end",
        ),
        (HEADER.replace("split", "video"), "line 1: the column 'video' occurs twice in video, start_seconds"),
        (HEADER + "a,0,1,Bark,train\na,x,1,Bark,train\n", "line 3: the start is 'x', not a number. Give seconds"),
        (HEADER + 'a,"1,5",2,Bark,train\n', "line 2: the start is '1,5', not a number. Give seconds with a decimal"),
        (HEADER + "a,1_0,12,Bark,train\n", "line 2: the start is '1_0', not a number"),
        (HEADER + "a,00:61,90,Bark,train\n", "line 2: the start is '00:61', not a number"),
        (HEADER + "a,1:75:00,9000,Bark,train\n", "line 2: the start is '1:75:00', not a number"),
        (HEADER + "a,,1,Bark,train\n", "line 2: the start is '', not a number"),
        (HEADER + "a,nan,1,Bark,train\n", "line 2: the start is 'nan', not a number"),
        (HEADER + "a,0,1e999,Bark,train\n", "line 2: Times must be finite"),
        (HEADER + "a,-1,1,Bark,train\n", "line 2: The event starts at -1 s"),
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
            st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), min_size=1, max_size=12).map(
                lambda name: " ".join(name.split())
            ),
        ).filter(lambda row: row[0] and row[3] and row[3] != "background" and row[1] + row[2] > row[1]),
        min_size=1,
        max_size=8,
    )
)
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "labels.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("video", "start_seconds", "end_seconds", "category"))
        writer.writerows([video, start, start + length, category] for video, start, length, category in rows)
    expected = [(video, start, start + length, category) for video, start, length, category in rows]
    assert spans(read_annotations(path)) == expected


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
    ("name", "content", "is_so"),
    [
        ("a.csv", "video,category\n", True),
        ("a.csv", "video,start_seconds,end_seconds,category\n", False),
        ("a.csv", "video,start_seconds,category\n", False),
        ("a.txt", "0.0\t1.0\tbark\n", False),
        ("a.json", "[]", False),
    ],
)
def test_whether_a_file_labels_whole_videos(tmp_path, name, content, is_so):
    (tmp_path / name).write_text(content)
    assert labels_whole_videos(tmp_path / name) is is_so
    assert not labels_whole_videos(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("video,category\n", "no video is labelled in it"),
        ("video,category\n,bark\n", "line 2: the video has no name"),
        ("video,category\na,purr\n", "line 2: unknown category 'purr'"),
        ("video,category,split\na,bark,dev\n", "line 2: Unknown split 'dev'"),
        ("video,category,split\na,bark,train\na,bark,test\n", "line 3: 'a' is in split 'test' here and in 'train'"),
    ],
)
def test_labels_of_whole_videos_that_are_wrong(tmp_path, content, message):
    path = tmp_path / "labels.csv"
    path.write_text(content)
    with pytest.raises(AnnotationsError, match=message):
        read_video_labels(path, categories=["bark", "meow"])


# Results


@st.composite
def events(draw: st.DrawFn) -> Event:
    start = draw(st.floats(0, 4e5))
    length = draw(st.one_of(st.floats(1e-4, 1e-3), st.floats(1e-3, 1e4)))
    return Event(
        category=draw(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)),
        start_seconds=start,
        end_seconds=start + length,
        score=draw(st.floats(0, 1)),
        modality=draw(st.sampled_from(["audio-visual", "audio", "visual"])),
    )


def with_events(found: list[Event], video: str = "clip.mp4") -> Localization:
    return Localization(video, 5e5, 1.0, {}, by_start(found), ())


def test_csv_has_a_line_for_each_event(result):
    rows = list(csv.DictReader(io.StringIO(text(result))))
    assert [tuple(row.values()) for row in rows] == [
        ("clip.mp4", "Bark", "2", "5", "0.9", "audio-visual"),
        ("clip.mp4", "Goat", "6", "7", "0.6", "audio"),
    ]
    assert tuple(rows[0]) == RESULT_COLUMNS


def test_csv_of_no_events_is_its_header(make):
    assert text(make(events=[])) == "video,category,start_seconds,end_seconds,score,modality\n"


@given(st.lists(events(), max_size=5), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_csv_is_read_back(found, video):
    rows = list(csv.DictReader(io.StringIO(text(with_events(found, video)), newline="")))
    assert len(rows) == len(found)
    for row, event in zip(rows, by_start(found), strict=True):
        assert row["video"].removeprefix("'") == video.replace("\r", " ").removeprefix("'")
        assert row["category"].removeprefix("'") == event.category.removeprefix("'")
        assert float(row["start_seconds"]) == pytest.approx(event.start_seconds, abs=1e-4)
        assert float(row["end_seconds"]) == pytest.approx(event.end_seconds, abs=1e-4)
        assert float(row["score"]) == pytest.approx(event.score, abs=1e-4)


@pytest.mark.parametrize("name", ["=cmd()", "+1", "-clip.mp4", "@x", "\t=x", " =x"])
def test_csv_starts_no_formula(make, name):
    written = text(make(name, events=[(name, 0, 1, "audio", 0.5)]))
    _, row = csv.reader(io.StringIO(written, newline=""))
    assert row[:2] == [f"'{name}", f"'{name}"]


# As people and data sets write them


@pytest.mark.parametrize(
    "content",
    [
        "video,start,end,category\na.mp4,1,2.5,Bark\n",
        "filename\tonset\toffset\tevent_label\na.mp4\t1\t2.5\tBark\n",
        "file;begin;end;label\na.mp4;1;2,5;Bark\n",
        "Start (s),Stop (s),Behavior,Media file name\n1,2.5,Bark,a.mp4\n",
        "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\na.mp4\t1\t2.5\tBark\n",
        "video,start,end,category\na.mp4,00:00:01,0:02.500,Bark\n",
        "a.mp4,1,2.5,Bark\n",
        "a.mp4\t1\t2.5\tBark\n",
        "a.mp4;1,0;2,5;Bark\n",
    ],
)
def test_tables_as_people_name_their_columns(write, content):
    assert spans(read_annotations(write("labels.csv", content))) == [("a.mp4", 1, 2.5, "Bark")]
    assert spans(read_annotations(write("labels.txt", content))) == [("a.mp4", 1, 2.5, "Bark")]


def test_a_table_without_a_video_is_of_the_video_of_its_name(write):
    assert spans(read_annotations(write("dog.csv", "onset,offset,label\n1,2,Bark\n"))) == [("dog", 1, 2, "Bark")]
    assert spans(read_annotations(write("dog.csv", "1,2,Bark\n"), video="d.mp4")) == [("d.mp4", 1, 2, "Bark")]


def test_what_was_understood_is_said_once(write):
    path = write("labels.csv", "filename,onset,offset,event_label,who\na,0,1,Bark,me\nb,0,1,Bark,me\n")
    assert read_annotations(path).warnings == (
        f"{path}: was read as a table with video from 'filename', start from 'onset', end from 'offset', "
        "category from 'event_label'",
        f"{path}: the columns who were not used",
    )
    assert read_annotations(write("b.csv", "video,start,end,category\na,0,1,Bark\n")).warnings == ()
    path = write("c.csv", "a.mp4,0,1,Bark\n")
    assert read_annotations(path).warnings == (
        f"{path}: its first line names no columns, so they were taken to be video, start, end, category",
    )


def test_splits_may_be_called_as_elsewhere(write):
    path = write(
        "l.csv", "video,start,end,category,subset\na,0,1,Bark,training\nb,0,1,Bark,validation\nc,0,1,Bark,test\n"
    )
    assert [event.split for event in read_annotations(path).events] == ["train", "val", "test"]


def test_times_alone_do_not_make_whole_video_labels(write):
    with pytest.raises(AnnotationsError, match="has the columns video, start, category, but none that says when"):
        read_annotations(write("labels.csv", "video,start,category\na,1,Bark\n"))


def test_a_result_is_read_as_it_is(result, make, write):
    found = read_annotations(write("x.csv", text(result)))
    assert spans(found) == [("clip.mp4", 2, 5, "Bark"), ("clip.mp4", 6, 7, "Goat")]
    assert [event.modality for event in found.events] == ["audio-visual", "audio"]
    assert not found.warnings
    odd = make("-clip.mp4", events=[("=1+1", 0, 1, "audio", 0.5)])
    assert spans(read_annotations(write("y.csv", text(odd)))) == [("-clip.mp4", 0, 1, "=1+1")]
    with pytest.raises(
        AnnotationsError, match="unknown modality 'smell'. Supported modalities are audio-visual, audio"
    ):
        read_annotations(write("z.csv", text(result).replace("audio-visual", "smell")))


def test_a_table_without_rows_is_told_of(write):
    path = write("labels.csv", HEADER)
    found = read_annotations(path)
    assert found.videos == ()
    assert found.warnings == (
        f"{path}: has no row below the names of its columns, so that it says nothing of any video",
    )


def test_lengths_of_0_are_left_out(write):
    path = write("labels.csv", HEADER + "a,2,2,Bark,\nb,1,2,Bark,\n")
    found = read_annotations(path)
    assert spans(found) == [("b", 1, 2, "Bark")]
    assert found.videos_without_event == {"a": None}
    assert "left out: 1 label at points in time, without a length (the first: line 2)" in found.warnings[0]


def test_the_table_of_ov_avebench_labels_whole_videos(write):
    path = write(
        "meta.csv", "split,cls_name,cls_type,vid_name\ntrain,people burping,close,EpxQKLhAP0s\nval,dog,open,b\n"
    )
    assert labels_whole_videos(path)
    found = read_video_labels(path)
    assert found.videos == {"EpxQKLhAP0s": ("people burping",), "b": ("dog",)}
    assert found.splits == {"EpxQKLhAP0s": "train", "b": "val"}


STRONG = "segment_id\tstart_time_seconds\tend_time_seconds\tlabel\n"


def test_audioset_identifiers_become_names(write):
    rows = "b0RF_30000\t0.0\t4.5\t/m/05tny_\nb0RF_30000\t1\t2\t/m/05zppz\nx_0\t1\t2\t/m/05tny_\n"
    found = read_annotations(write("strong.tsv", STRONG + rows))
    assert spans(found) == [
        ("b0RF_30000", 0, 4.5, "Bark"),
        ("b0RF_30000", 1, 2, "Male speech, man speaking"),
        ("x_0", 1, 2, "Bark"),
    ]
    assert found.categories == ("Bark", "Male speech, man speaking")
    assert [w for w in found.warnings if " identifiers " in w] == [
        f"{found.source}: AudioSet's identifiers were read as the names that they stand for, /m/05tny_ as Bark"
    ]


def test_audioset_identifiers_that_are_not_known_are_kept_and_counted(write):
    rows = "".join(f"a\t{n}\t{n + 1}\t/m/0zz{n}\n" for n in range(6))
    found = read_annotations(write("strong.tsv", STRONG + rows + "a\t7\t8\t/home/dog\n"))
    assert found.categories == (*(f"/m/0zz{n}" for n in range(6)), "/home/dog")
    (warning,) = [w for w in found.warnings if " identifiers " in w]
    assert "kept: 6 identifiers of no name that is known here, /m/0zz0, /m/0zz1," in warning
    assert "/m/0zz4 and others. AudioSet's mid_to_display_name.tsv has their names" in warning


def test_audioset_identifiers_that_a_user_asked_for_stay(write):
    found = read_annotations(write("strong.tsv", STRONG + "a\t0\t1\t/m/05tny_\n"), categories=["/m/05tny_"])
    assert found.categories == ("/m/05tny_",)
    assert not any(" identifiers " in w for w in found.warnings)


def test_identifiers_are_those_of_the_classes_that_taggers_hear():
    names = list(names_by_identifier().values())
    assert names[:521] == list(audioset_classes())
    assert all(map(is_identifier, names_by_identifier()))
    assert names_by_identifier()["/t/dd00002"] == "Baby cry, infant cry"
