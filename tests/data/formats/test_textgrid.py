import pytest
from label_files import spans
from praatio import textgrid
from praatio.utilities.constants import Interval, Point

from avel.data.formats import read_annotations
from avel.errors import AnnotationsError


@pytest.fixture
def grid(tmp_path):
    def write(name="clip.TextGrid", layout="long_textgrid", encoding="utf-8"):
        made = textgrid.Textgrid()
        made.addTier(textgrid.IntervalTier("dog", [Interval(1, 2.5, "Bark"), Interval(3, 4, "Häulen")], 0, 6))
        made.addTier(textgrid.IntervalTier("cat", [Interval(1.5, 2, "Meow")], 0, 6))
        made.addTier(textgrid.PointTier("beeps", [Point(5, "beep")], 0, 6))
        made.save(str(tmp_path / name), layout, includeBlankSpaces=True)
        content = (tmp_path / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(content, encoding=encoding)
        return tmp_path / name

    return write


@pytest.mark.parametrize("layout", ["long_textgrid", "short_textgrid"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("name", ["clip.TextGrid", "clip.txt"])
def test_intervals_are_events(grid, layout, encoding, name):
    found = read_annotations(grid(name, layout, encoding))
    assert spans(found) == [("clip", 1, 2.5, "Bark"), ("clip", 3, 4, "Häulen"), ("clip", 1.5, 2, "Meow")]
    assert "left out: 1 label at points in time, without a length" in found.warnings[0]


def test_tiers_may_be_chosen_and_name_the_category(grid):
    assert [s[1:] for s in spans(read_annotations(grid(), tiers=["c*"]))] == [(1.5, 2, "Meow")]
    assert read_annotations(grid(), tiers=["dog"], category_from="tier").categories == ("dog",)
    with pytest.raises(AnnotationsError, match="no tier is called bird. Its tiers are: dog, cat, beeps"):
        read_annotations(grid(), tiers=["bird"])


def test_what_is_no_textgrid_is_refused(write):
    with pytest.raises(AnnotationsError, match="not readable as a TextGrid of Praat"):
        read_annotations(write("a.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n'))
