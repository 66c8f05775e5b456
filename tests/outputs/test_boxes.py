import json
import wave
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from avel.data.formats.coco import RegionBox
from avel.errors import OutputError
from avel.media.reader import probe
from avel.outputs import write
from avel.outputs.boxes import attended_box, boxes


def test_box_is_around_the_strong_part():
    attention = np.zeros((4, 8))
    attention[1:3, 2:5] = [[0.3, 0.6, 0.5], [0.1, 0.9, 0.2]]  # half of the largest is 0.45
    assert attended_box(attention) == RegionBox(left=3 / 8, top=1 / 4, width=2 / 8, height=2 / 4)
    assert attended_box(attention, strong=0.2) == RegionBox(2 / 8, 1 / 4, 3 / 8, 2 / 4)
    assert attended_box(attention, strong=1) == RegionBox(3 / 8, 2 / 4, 1 / 8, 1 / 4)


def test_the_group_with_most_attention_counts():
    attention = np.zeros((6, 6))
    attention[0, 0] = 1.0  # the largest value, alone
    attention[4, 3] = attention[5, 4] = 0.8  # two that touch at a corner
    assert attended_box(attention) == RegionBox(3 / 6, 4 / 6, 2 / 6, 2 / 6)


def test_even_attention_is_the_whole_picture_and_none_is_no_box():
    assert attended_box(np.full((7, 7), 1 / 49)) == RegionBox(0, 0, 1, 1)
    assert attended_box(np.zeros((7, 7))) is None


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.floats(0.01, 1)),
    st.floats(0.01, 1),
    st.integers(-20, 20),
)
def test_box_is_in_the_picture_and_does_not_depend_on_the_scale(attention, strong, power):
    box = attended_box(attention, strong)
    assert 0 <= box.left < box.left + box.width <= 1 + 1e-12
    assert 0 <= box.top < box.top + box.height <= 1 + 1e-12
    rows, columns = attention.shape
    top, left = round(box.top * rows), round(box.left * columns)
    inside = attention[top : top + round(box.height * rows), left : left + round(box.width * columns)]
    assert (inside >= strong * attention.max()).any()
    assert attended_box(attention * 2.0**power, strong) == box


@pytest.mark.parametrize("attention", [np.zeros(4), np.zeros((0, 3)), -np.ones((2, 2)), np.full((2, 2), np.nan)])
def test_wrong_attention(attention):
    with pytest.raises(ValueError, match=r"attention must be \(rows, columns\), finite and 0 or more, got shape"):
        attended_box(attention)


@pytest.mark.parametrize("strong", [0, 1.1])
def test_wrong_share(strong):
    with pytest.raises(ValueError, match="strong must be above 0 and at most 1, got"):
        attended_box(np.ones((2, 2)), strong)


def test_boxes_of_a_real_clip_are_in_its_pixels(dog, tmp_path):
    attention = np.zeros((len(dog.segments), 7, 7), np.float32)
    attention[0, 3, 5] = 0.9
    attention[-1, 0, 0] = 0.9  # where no event is
    path = write(replace(dog, attention=attention), tmp_path / "dog.coco.json")
    found = json.loads(path.read_text())
    (image,), (annotation,) = found["images"], found["annotations"]
    info = probe(dog.video)
    assert (image["width"], image["height"]) == (info.width, info.height)
    cell = info.width / 7, info.height / 7
    assert annotation["bbox"] == pytest.approx([5 * cell[0], 3 * cell[1], *cell], abs=0.02)
    with Image.open(tmp_path / image["file_name"]) as frame:
        assert frame.size == (info.width, info.height)
    assert image["file_name"] == "dog.coco/00000.500.jpg"


def test_a_model_that_does_not_say_where(result, dog, tmp_path):
    with pytest.raises(OutputError, match=r"clip.mp4: the model 'agreement' does not say where .*spatial attention"):
        boxes(result)
    with pytest.raises(OutputError, match="does not say where in the picture"):
        write(dog, tmp_path / "dog.coco.json")


def test_sound_alone_has_no_boxes(make, tmp_path):
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(2 * 16000))
    result = replace(make(tmp_path / "tone.wav"), attention=np.ones((10, 2, 2), np.float32))
    with pytest.raises(OutputError, match="tone.wav: has no picture, so there are no boxes in it"):
        write(result, tmp_path / "a.coco.json")
