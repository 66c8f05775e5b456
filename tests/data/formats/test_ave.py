import re

import pytest
from label_files import spans

from avel.data.formats import read_annotations
from avel.data.formats.ave import read_ave_table
from avel.errors import AnnotationsError


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
