import json
import os
import re
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_files import HEADER, as_accepted, read_back

from avel.data.annotations import AnnotationSet
from avel.data.formats import LABEL_FORMATS, audacity, elan, label_file, label_studio, read_annotations
from avel.data.formats.table import read_video_labels
from avel.errors import AnnotationsError


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


def test_an_unknown_format_is_refused(write):
    path = write("labels.txt", "just words\n")
    with pytest.raises(
        AnnotationsError,
        match=r"not recognised from its first line 'just words'. Name it \(--labels-format\): one of ave, csv, elan",
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
    monkeypatch.setattr(label_file, "MAX_FILE_BYTES", 2**20)
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


@given(st.binary(max_size=200), st.sampled_from(LABEL_FORMATS))
def test_any_bytes_are_read_or_refused_with_our_error(tmp_path_factory, content, format_name):
    path = tmp_path_factory.mktemp("any") / "labels"
    path.write_bytes(content)
    try:
        assert isinstance(read_annotations(path, format_name), AnnotationSet)
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


@pytest.mark.parametrize(
    ("name", "content", "place"),
    [
        ("a.csv", HEADER + "a,0,1,Ba\x1b[31mrk,\n", ", line 2: "),
        ("a.csv", "video,category\na,Ba\0rk\n", ", line 2: "),
        ("a.txt", "0\t1\tBark\n2\t3\tBa\x07rk\n", ", line 2: "),
        ("Annotations.txt", "Ba\0rk&aaa&good&0&10\n", ", row of aaa: "),
        (
            "a.json",
            json.dumps([{"id": 7, "audio": "a.wav", "l": [{"start": 0, "end": 1, "labels": ["a\0"]}]}]),
            ", task 7: ",
        ),
    ],
)
def test_control_characters_in_categories_are_refused(write, name, content, place):
    path = write(name, content)
    read = read_video_labels if content.startswith("video,category") else read_annotations
    with pytest.raises(
        AnnotationsError, match=re.escape(f"{path}{place}") + "the category .* holds the control character"
    ):
        read(path)


def test_a_category_is_on_one_line(write):
    path = write("a.csv", HEADER + 'a,0,1,"Baby  cry,\n infant\tcry\u2028now",\n')
    assert read_annotations(path).categories == ("Baby cry, infant cry now",)


def test_a_number_of_thousands_of_digits_is_refused(write):
    with pytest.raises(AnnotationsError, match=r"a.json: it holds a number with thousands of digits\."):
        read_annotations(write("a.json", f'[{{"id": {"9" * 5000}}}]'))


def test_a_first_line_longer_than_any_header_is_refused(write):
    with pytest.raises(AnnotationsError, match="not recognised from its first line 'xxx"):
        read_annotations(write("labels.txt", "x" * 200_000))


def test_results_without_events(make, tmp_path):
    empty = make(events=[])
    assert audacity.text(empty) == ""
    for name, text in (("a.eaf", elan.text(empty)), ("a.json", as_accepted(label_studio.text(empty)))):
        _, back = read_back(tmp_path, name, text)
        assert back.events == ()
        assert back.videos == ("clip.mp4",)


def test_names_that_would_break_a_file(make, tmp_path):
    odd = make(
        os.fsdecode(b"caf\xe9 & <b>.mp4"),
        events=[('a\tb\x00 "c"\n9\t10\td &<i>', 0, 1, "audio-visual", 0.5), ("Bark", 1, 1.0000001, "audio", 0.5)],
    )
    wanted = ['a b� "c" 9 10 d &<i>', "Bark"]
    for name, text in (
        ("a.txt", audacity.text(odd)),
        ("a.eaf", elan.text(odd)),
        ("a.json", as_accepted(label_studio.text(odd))),
    ):
        more = {"format": "audacity"} if name == "a.txt" else {}
        _, back = read_back(tmp_path, name, text, **more)
        assert [e.category for e in sorted(back.events, key=lambda e: e.start_seconds)] == wanted
    config = label_studio.config(wanted)
    assert [tag.get("value") for tag in ElementTree.fromstring(config).iter("Label")] == wanted


def test_files_of_a_folder_that_are_no_labels_are_passed_over_with_a_word(write, tmp_path):
    write("a.csv", HEADER + "a,0,1,Bark,\n")
    write("README.txt", "Labels of the dog park, made in May.\n")
    write("package.json", '{"name": "dogs"}')
    found = read_annotations(tmp_path)
    assert found.categories == ("Bark",)
    assert [warning.split(":")[0] for warning in found.warnings] == [
        f"{tmp_path}/README.txt",
        f"{tmp_path}/package.json",
    ]
    assert all(warning.endswith("It was passed over.") for warning in found.warnings)
    (tmp_path / "a.csv").unlink()
    with pytest.raises(AnnotationsError, match="no label file in this folder"):
        read_annotations(tmp_path)
