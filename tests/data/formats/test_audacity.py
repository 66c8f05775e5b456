import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import events, expected, read_back, rounded_spans, spans, with_events

from avel.data.formats import read_annotations
from avel.data.formats.audacity import text
from avel.errors import AnnotationsError

# The layout is that of the manual, "Importing and Exporting Labels".


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
        ("2.0\t3.0", "line 2: the label has no text. Give it the event category."),
        ("2.0\t3.0\t ", "line 2: the label has no text. Give it the event category."),
        ("2.0 3.0 Bark", "line 2: found '2.0 3.0 Bark'; a label is start<TAB>end<TAB>category"),
        ("2x\t3.0\tBark", "line 2: the start is '2x', not a number."),
        ("1_0\t12\tBark", "line 2: the start is '1_0', not a number."),
        ("3.0\t2.0\tBark", "line 2: The event ends at 2 s but starts at 3 s."),
    ],
)
def test_audacity_error_names_the_line(write, line, message):
    path = write("clip.txt", f"0.0\t1.0\tBark\n{line}\n")
    with pytest.raises(AnnotationsError, match=re.escape(f"{path}, {message}")):
        read_annotations(path)


def test_audacity_known_answer(result):
    assert text(result) == "2.000000\t5.000000\tBark\n6.000000\t7.000000\tGoat (audio)\n"


@given(st.lists(events(), max_size=5))
def test_audacity_is_read_back(tmp_path_factory, found):
    _, back = read_back(tmp_path_factory.mktemp("a"), "clip.txt", text(with_events(found)), format="audacity")
    assert rounded_spans(back, 5) == expected(found, 5)
    assert back.videos == ("clip",)


def test_line_ends_of_unicode_are_part_of_a_label(write):
    found = read_annotations(write("a.txt", "0\t1\tBark\x85loud\n2\t3\tMeow\u2028low\n"))
    assert found.categories == ("Bark loud", "Meow low")


def test_points_are_left_out_with_one_warning(write):
    path = write("a.txt", "0\t1\tBark\n2\t2\tBark\n3.0\t3.0\t\n4,5\t6,25\tMeow\n")
    found = read_annotations(path)
    assert spans(found) == [("a", 0, 1, "Bark"), ("a", 4.5, 6.25, "Meow")]
    assert found.warnings == (f"{path}: left out: 2 labels at points in time, without a length (the first: line 2)",)
