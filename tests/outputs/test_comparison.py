"""A comparison worked by hand: of four segments one model has three right, the other one."""

import json

import numpy as np
import pytest
from hand_made_results import make_result
from matplotlib.patches import Rectangle

from avel.data.annotations import Annotation
from avel.data.truth import Truth
from avel.errors import AnnotationsError
from avel.outputs import WriteOptions, Writing
from avel.outputs.comparison import compare, names_of_models
from avel.outputs.destination import Destination
from avel.outputs.evidence import Evidence, Frame
from avel.outputs.side_by_side import RIGHT_COLOR, WRONG_COLOR, page_of_comparison, plot_comparison, write_comparison

TRUTH = (Annotation("clip", 1, 3, "Bark"),)


@pytest.fixture
def grey():
    pixels = np.full((72, 128, 3), 128, np.uint8)
    tone = np.full(100, 0.5, np.float32)
    return Evidence(tuple(Frame(float(i), pixels) for i in range(4)), 16 / 9, -tone, tone)


@pytest.fixture
def results():
    good = make_result("clip.mp4", 4.0, [("Bark", 1, 2.4, "audio-visual", 0.9)])
    bad = make_result(
        "clip.mp4", 4.0, [("Goat", 0, 3, "audio-visual", 0.8), ("Bark", 1, 3, "audio", 0.9)]
    )  # what is only heard is no audio-visual event
    return [good, bad]


def test_right_and_wrong_by_hand(results):
    found = compare(results, ["good", "bad"], TRUTH)
    assert [[s.is_right for s in model.segments] for model in found.models] == [
        [True, True, False, True],
        [False, False, False, True],
    ]
    assert found.lines() == ["good  3 of 4 segments right (75.0 %)", "bad   1 of 4 segments right (25.0 %)"]
    assert [(run.start_seconds, run.end_seconds, run.name) for run in found.models[1].runs()] == [(0, 3, "Goat")]
    assert found.categories == ("Bark", "Goat")


def test_without_truth_nothing_is_marked(results, grey):
    found = compare(results, ["good", "bad"])
    assert found.lines()[0] == "good  1 audio-visual event"
    assert found.to_dict()["models"][0]["segments"][1]["right"] is None
    assert 'class="wrong"' not in page_of_comparison(found, grey)


def test_the_picture_and_the_page_mark_what_is_wrong(results, grey):
    found = compare(results, ["good", "bad"], TRUTH)
    figure = plot_comparison(found, grey)
    from matplotlib.colors import to_hex

    patches = [p for axes in figure.axes for p in axes.patches if isinstance(p, Rectangle)]
    colors = [to_hex(patch.get_facecolor()) for patch in patches]
    assert (colors.count(RIGHT_COLOR), colors.count(WRONG_COLOR)) == (4, 4)
    text = page_of_comparison(found, grey)
    assert (text.count('class="right"'), text.count('class="wrong"')) == (4, 4)
    assert "labelled Bark" in text
    assert "<script" not in text


def test_names_are_text_in_the_page(grey):
    name = "<b>$x"
    result = make_result("a&b.mp4", 4.0, [(name, 0, 2, "audio-visual", 0.9)])
    found = compare([result], ["<i>"], [Annotation("a", 0, 2, name)])
    text = page_of_comparison(found, grey)
    assert "<b>" not in text
    assert "<i>" not in text
    plot_comparison(found, grey).canvas.draw()


def test_json_has_every_segment(results, tmp_path):
    path = write_comparison(compare(results, ["good", "bad"], TRUTH), tmp_path / "x.json")
    said = json.loads(path.read_text())
    assert said["truth"] == [{"category": "Bark", "start_seconds": 1, "end_seconds": 3}]
    assert said["models"][0]["right"] == 3
    assert said["models"][1]["segments"][0] == {
        "start_seconds": 0,
        "end_seconds": 1,
        "found": ["Goat"],
        "true": [],
        "right": False,
    }


def test_what_cannot_be_compared(results, tmp_path):
    with pytest.raises(AnnotationsError, match=r"the labels have 'Bark' from 8 s on, but the video ends at 4 s"):
        compare(results, ["a", "b"], [Annotation("clip", 8, 9, "Bark")])
    with pytest.raises(ValueError, match="Give results of one video"):
        compare([results[0], make_result("other.mp4")], ["a", "b"])
    with pytest.raises(ValueError, match=r"x.txt: a comparison is written as .png, .html or .json"):
        write_comparison(compare(results, ["a", "b"]), tmp_path / "x.txt")


def test_names_of_rows():
    assert names_of_models(["agreement", "runs/a", "runs/b/checkpoint.safetensors", "other/a"]) == [
        "agreement",
        "a",
        "b",
        "a-2",
    ]


def test_truth_is_for_pictures_and_pages_and_a_video_that_it_does_not_name_is_said():
    options = WriteOptions(truth=Truth("labels.csv", {"clip": TRUTH}))
    with pytest.raises(ValueError, match="--truth is of pictures and pages. Add --format png or --format html"):
        Destination(["clip"], None, ["json"], options)
    writing = Writing(options, lambda: pytest.fail("the video is not read"))
    assert writing.truth_of(make_result("a/clip.mkv")) == TRUTH
    assert writing.truth_of(make_result("other.mkv")) is None
    assert writing.warnings == ["labels.csv has no label of this video, so what is true of it is not shown."]
