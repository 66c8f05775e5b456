from dataclasses import replace

import numpy as np
import pytest

from avel.data.categories import Category
from avel.errors import LibraryError
from avel.library.postings import LEAST, TaggedWriter, category_odds, read_tagged
from avel.library.spaces import Taggers

TAGGERS = Taggers("eyes", "ears", ("pug", "beagle", "cat"), ("Bark", "Dog", "Rain"))
BARK = Category("Bark", ("Bark",), ("pug", "beagle"), 0.3, 0.25, audio_like=("Dog",), visual_like=("cat",))
HEARD = np.array([[0.9, 0.5, 0.0], [0.0, 0.8, 0.01], [0.0, 0.0, 0.6], [0.3, 0.0, 0.0]], np.float32)
SEEN = np.array([[0.5, 0.25, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.4, 0.0, 0.2]], np.float32)


@pytest.fixture
def heard(tmp_path):
    writer = TaggedWriter(3)
    writer.add(HEARD[:1])
    writer.add(HEARD[1:])
    writer.write(tmp_path, "audio")
    return read_tagged(tmp_path, "audio", 4, 3)


def test_classes_and_segments(heard):
    rows, scores = heard.of_class(1)
    assert rows.tolist() == [0, 1]
    assert scores == pytest.approx([0.5, 0.8], abs=1e-3)
    assert heard.of_segments(1, 4) == {
        1: pytest.approx(0.8, abs=1e-3),
        2: pytest.approx(0.6, abs=1e-3),
        0: pytest.approx(0.3, abs=1e-3),
    }
    assert LEAST > 0.01  # what is next to nothing is not kept
    assert heard.rarity(2) > heard.rarity(1)


def test_segments_can_be_copied(heard, tmp_path):
    writer = TaggedWriter(3)
    writer.copy(heard, 2, 4)
    writer.add(np.zeros((1, 3), np.float32))
    writer.copy(heard, 0, 1)
    (tmp_path / "new").mkdir()
    writer.write(tmp_path / "new", "audio")
    copied = read_tagged(tmp_path / "new", "audio", 4, 3)
    assert copied.of_class(0)[0].tolist() == [1, 3]
    assert copied.of_class(2)[0].tolist() == [0]


def test_odds_of_a_category_that_is_heard(heard):
    odds = category_odds(BARK, "audio", heard, TAGGERS, 4)
    # Bark itself, or half of what is alike, over the threshold of 0.3.
    assert odds == pytest.approx(np.array([0.9, 0.4, 0.0, 0.3]) / 0.3, rel=2e-3)


def test_odds_of_a_category_that_is_seen(tmp_path):
    writer = TaggedWriter(3)
    writer.add(SEEN)
    writer.write(tmp_path, "visual")
    odds = category_odds(BARK, "visual", read_tagged(tmp_path, "visual", 4, 3), TAGGERS, 4)
    chance = 2.5 / 3
    expected = np.clip((np.array([0.75, 0.5, 0.0, 0.5]) - chance) / (1 - chance), 0, 1)
    assert odds == pytest.approx(expected / 0.25, abs=5e-3)


def test_a_modality_in_which_nothing_says_it(heard):
    assert not category_odds(replace(BARK, audio=(), audio_like=()), "audio", heard, TAGGERS, 4).any()


def test_silence_and_darkness_can_be_written(tmp_path):
    writer = TaggedWriter(3)
    writer.add(np.zeros((2, 3), np.float32))
    writer.write(tmp_path, "audio")
    assert read_tagged(tmp_path, "audio", 2, 3).of_segments(0, 2) == {}


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("segment", np.full(5, 9, np.uint32), "names what is not there"),
        ("number", np.full(5, 3, np.uint16), "names what is not there"),
        ("class_start", np.array([0, 3, 1, 5]), "its parts do not follow each other"),
        ("segment_start", np.array([0, 1, 2, 3, 4]), "it is of other scores"),
        ("score", np.zeros(4, np.float16), "it holds float16 of shape"),
    ],
)
def test_damaged_files(heard, tmp_path, name, array, message):
    assert len(heard.number) == 5
    np.save(tmp_path / f"audio_{name}.npy", array)
    with pytest.raises(LibraryError, match=message):
        read_tagged(tmp_path, "audio", 4, 3)
