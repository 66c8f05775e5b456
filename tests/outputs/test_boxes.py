import contextlib
import io
import json
import wave
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from avel.errors import OutputError
from avel.media.reader import probe
from avel.outputs import write
from avel.outputs.boxes import Box, attended_box, boxes, coco_text


def test_box_is_around_the_strong_part():
    attention = np.zeros((4, 8))
    attention[1:3, 2:5] = [[0.3, 0.6, 0.5], [0.1, 0.9, 0.2]]  # half of the largest is 0.45
    assert attended_box(attention) == Box(left=3 / 8, top=1 / 4, width=2 / 8, height=2 / 4)
    assert attended_box(attention, strong=0.2) == Box(2 / 8, 1 / 4, 3 / 8, 2 / 4)
    assert attended_box(attention, strong=1) == Box(3 / 8, 2 / 4, 1 / 8, 1 / 4)


def test_the_group_with_most_attention_counts():
    attention = np.zeros((6, 6))
    attention[0, 0] = 1.0  # the largest value, alone
    attention[4, 3] = attention[5, 4] = 0.8  # two that touch at a corner
    assert attended_box(attention) == Box(3 / 6, 4 / 6, 2 / 6, 2 / 6)


def test_even_attention_is_the_whole_picture_and_none_is_no_box():
    assert attended_box(np.full((7, 7), 1 / 49)) == Box(0, 0, 1, 1)
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


@pytest.fixture
def attending(make):
    """A bark from 2 s to 5 s, seen in the right half of the upper row."""
    result = make(events=[("Bark", 2.0, 5.0, "audio-visual", 0.9)])
    attention = np.zeros((10, 2, 4), np.float32)
    attention[2:5, 0, 2:] = 0.45
    return replace(result, attention=attention)


def test_coco_known_answer(attending):
    found = json.loads(coco_text(attending, width=640, height=360))
    assert [image["file_name"] for image in found["images"]] == ["clip.mp4#t=2.5", "clip.mp4#t=3.5", "clip.mp4#t=4.5"]
    assert found["categories"] == [{"id": 1, "name": "Bark"}]
    assert found["annotations"][0] == {
        "id": 1,
        "image_id": 1,
        "category_id": 1,
        "bbox": [320.0, 0.0, 320.0, 180.0],
        "area": 320 * 180.0,
        "iscrowd": 0,
        "score": 0.9,
    }


def test_coco_is_read_back_and_measured_by_pycocotools(attending, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    path = tmp_path / "clip.coco.json"
    path.write_text(coco_text(replace(attending, model={"categories": ["Cat", "Bark"]}), 640, 360))
    with contextlib.redirect_stdout(io.StringIO()):
        true = coco.COCO(path)
        assert true.getCatIds(["Bark"]) == [2]
        assert len(true.getImgIds(catIds=[2])) == 3
        moved = [{**one, "bbox": [0.0, 0.0, 320.0, 180.0]} for one in true.dataset["annotations"][:1]]
        answers = {"all": true.dataset["annotations"], "one elsewhere": moved + true.dataset["annotations"][1:]}
        precision = {}
        for name, boxes_ in answers.items():
            measured = COCOeval(true, true.loadRes(boxes_), "bbox")
            measured.evaluate()
            measured.accumulate()
            measured.summarize()
            precision[name] = measured.stats[0]
    assert precision["all"] == pytest.approx(1.0)
    assert precision["one elsewhere"] < 0.9


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
    assert annotation["bbox"] == pytest.approx([5 * cell[0], 3 * cell[1], *cell], abs=0.01)


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
