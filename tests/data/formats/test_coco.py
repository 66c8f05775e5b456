import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from avel.data.formats.coco import text
from avel.outputs.boxes import boxes


@pytest.fixture
def attending(make):
    """A bark from 2 s to 5 s, seen in the right half of the upper row."""
    result = make(events=[("Bark", 2.0, 5.0, "audio-visual", 0.9)])
    attention = np.zeros((10, 2, 4), np.float32)
    attention[2:5, 0, 2:] = 0.45
    return replace(result, attention=attention)


def test_coco_known_answer(attending):
    found = json.loads(text(attending, boxes(attending), width=640, height=360))
    assert [image["file_name"] for image in found["images"]] == ["clip.mp4#t=2.5", "clip.mp4#t=3.5", "clip.mp4#t=4.5"]
    assert found["categories"] == [{"id": 1, "name": "Bark"}]
    numbers = {image["id"] for image in found["images"]}
    (video,) = found["videos"]
    assert len(numbers) == 3
    assert max(numbers) < 2**53
    assert {image["video_id"] for image in found["images"]} == {video["id"]}
    assert [image["seconds"] for image in found["images"]] == [2.5, 3.5, 4.5]
    elsewhere = json.loads(text(replace(attending, video="b.mp4"), boxes(attending), 640, 360))
    assert not numbers & {image["id"] for image in elsewhere["images"]}
    assert found["annotations"][0] == {
        "id": found["images"][0]["id"],
        "image_id": found["images"][0]["id"],
        "video_id": video["id"],
        "category_id": 1,
        "segmentation": [[320.0, 0.0, 640.0, 0.0, 640.0, 180.0, 320.0, 180.0]],
        "bbox": [320.0, 0.0, 320.0, 180.0],
        "area": 320 * 180.0,
        "iscrowd": 0,
        "score": 0.9,
    }


def test_coco_is_read_back_and_measured_by_pycocotools(attending, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    from pycocotools.cocoeval import COCOeval

    path = tmp_path / "clip.coco.json"
    path.write_text(text(replace(attending, model={"categories": ["Cat", "Bark"]}), boxes(attending), 640, 360))
    with contextlib.redirect_stdout(io.StringIO()):
        true = coco.COCO(path)
        assert true.getCatIds(["Bark"]) == [2]
        assert len(true.getImgIds(catIds=[2])) == 3
        moved = [{**one, "bbox": [0.0, 0.0, 320.0, 180.0]} for one in true.dataset["annotations"][:1]]
        answers = {"all": true.dataset["annotations"], "one elsewhere": moved + true.dataset["annotations"][1:]}
        precision = {}
        for name, boxes_ in answers.items():
            measured = COCOeval(true, true.loadRes([dict(box) for box in boxes_]), "bbox")  # which it renumbers
            measured.evaluate()
            measured.accumulate()
            measured.summarize()
            precision[name] = measured.stats[0]
    assert precision["all"] == pytest.approx(1.0)
    assert precision["one elsewhere"] < 0.9


def test_the_polygon_is_the_mask_that_pycocotools_makes(attending, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    path = tmp_path / "clip.coco.json"
    path.write_text(text(attending, boxes(attending), 640, 360))
    with contextlib.redirect_stdout(io.StringIO()):
        read = coco.COCO(path)
    mask = read.annToMask(read.dataset["annotations"][0])
    assert mask[:180, 320:].all()
    assert mask.sum() == 320 * 180
