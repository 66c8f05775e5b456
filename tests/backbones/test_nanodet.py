from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from avel.backbones.engine import EngineOptions
from avel.backbones.nanodet import CLASSES, SIDE, WEIGHTS, NanoDet, _boxed, _boxes, _kept, _network
from avel.backbones.nanodet_network import NanoDetNetwork
from avel.media.reader import MediaReader


@pytest.fixture(scope="module")
def nanodet(weight_file) -> NanoDet:
    weight_file(WEIGHTS)
    return NanoDet(EngineOptions(device="cpu", precision="float32"))


def pictures_of(clip: Path, nanodet: NanoDet, segments: int) -> np.ndarray:
    with MediaReader(clip, pictures={"nanodet": nanodet.pictures}) as reader:
        return np.stack([segment.pictures["nanodet"] for segment in reader if segment.visual_valid][:segments])


def test_there_are_80_classes_and_34_convolutions() -> None:
    network = NanoDetNetwork()
    assert len(set(CLASSES)) == 80
    assert len(network.convolutions()) == 34
    with torch.no_grad():
        scores, distances = network.eval()(torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8))
    assert scores.shape == (2, 52 * 52 + 26 * 26 + 13 * 13, 80)
    assert distances.shape == (2, 3549, 4)


def test_pictures_are_as_large_as_fits_and_black_below_or_beside() -> None:
    wide = _boxed(np.full((1, 20, 40, 3), 200, np.uint8))[0]
    assert (wide[:208] == 200).all()
    assert not wide[208:].any()
    tall = _boxed(np.full((1, 832, 416, 3), 200, np.uint8))[0]
    assert (tall[:, :208] == 200).all()
    assert not tall[:, 208:].any()


def test_boxes_reach_from_the_middles_of_their_cells() -> None:
    distances = np.tile(np.array([1, 2, 3, 4], np.float32), (3549, 1))
    boxes = _boxes(distances)
    assert_allclose(boxes[0], [4 - 1, 4 - 2, 4 + 3, 4 + 4])
    assert_allclose(boxes[53], [12 - 1, 12 - 2, 12 + 3, 12 + 4])  # second row and column
    assert_allclose(boxes[-1], [416 - 16 - 1, 400 - 2, 400 + 3, 400 + 4])


def test_of_boxes_on_one_thing_the_surest_is_kept() -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 5], [50, 50, 60, 60]], np.float32)
    assert _kept(boxes, np.array([0.6, 0.9, 0.5, 0.3], np.float32), 0.4) == [1, 2]
    assert list(_kept(boxes, np.zeros(4, np.float32), 0.4)) == []


@pytest.mark.slow
def test_what_is_in_view_is_found_where_it_is(nanodet: NanoDet, event_clips: Path) -> None:
    expected = {"race_car": "car", "bird_0nib7": "bird", "cough_00331": "person", "dog_bark_02677": "dog"}
    for clip, label in expected.items():
        pictures = pictures_of(event_clips / f"{clip}.mp4", nanodet, 3)
        scores = nanodet(pictures)
        assert scores.shape == (3, 1, 80)
        surest = np.argsort(-scores.mean(axis=(0, 1)))[:2]  # the race car has a person beside it
        assert label in [CLASSES[index] for index in surest]
    things = nanodet.detect(pictures[0])
    assert [len(thing.box) for thing in things[0]]
    (dog, *_) = [thing for thing in things[0] if thing.label == "dog"]
    height, width = pictures.shape[2:4]
    left, top, right, bottom = dog.box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert nanodet.detect(pictures[0, :0]) == []
    with torch.no_grad():
        truth, _ = _network().eval()(torch.from_numpy(_boxed(pictures[0])))
    assert_allclose(scores[0, 0], truth.numpy().max(axis=1).mean(axis=0), atol=1e-3)
