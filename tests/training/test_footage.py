import json
import shutil

import numpy as np
import pytest
import torch
from tiny_backbones import RECIPE, load

from avel.errors import FeaturesError
from avel.features.run import extract_many
from avel.features.store import FeatureStore
from avel.matching.dual_encoder import DualEncoderOptions
from avel.matching.heads import load_heads
from avel.matching.training import MatchingSettings
from avel.training.footage import CLIP_SEGMENTS, read_footage, split_by_content, train_on_store

SETTINGS = MatchingSettings("dual-encoder", options=DualEncoderOptions(hidden_dims=8, embedding_dims=4), epochs=3)


@pytest.fixture(scope="module")
def store(clips, tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    shutil.copy(clips / "a.mp4", folder / "copy.mp4")
    extract_many([clips, folder / "copy.mp4"], folder / "store", RECIPE, loader=load)
    return FeatureStore(folder / "store")


def test_parts_hold_every_video_once_by_its_content(store):
    parts = split_by_content(store)
    keys = [key for part in parts.values() for key in part]
    assert len(keys) == 6
    assert len({"a", "copy"} & set(keys)) == 1
    assert (len(parts["val"]), len(parts["test"])) == (1, 1)


def test_videos_are_cut_into_clips(store):
    footage = read_footage(store, ["more/e", "a"])
    assert footage.visual.shape == (2, CLIP_SEGMENTS, 3)
    assert footage.audio.shape == (2, CLIP_SEGMENTS, 8)
    assert footage.valid.sum(dim=1).tolist() == [4, 2]
    assert footage.video.tolist() == [0, 1]
    stored = store.open("more/e")
    expected = torch.from_numpy(np.asarray(stored.visual["mean-colours"][2], np.float32).mean(axis=0))
    assert torch.allclose(footage.visual[0, 2], expected)


def test_a_run(store, tmp_path):
    run = train_on_store(SETTINGS, store, tmp_path)
    assert run.videos == {"train": 4, "val": 1, "test": 1}
    heads = load_heads(run.path)
    assert heads.said["features"]["visual"] == ["mean-colours"]
    assert heads.said["settings"]["loss"] == "infonce"
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["epoch"] == run.epoch
    assert result["test"]["clip"]["a2v"]["queries"] == run.test["a2v"].queries > 0
    # All segments of one video: any of them is of the same clip.
    assert run.test["a2v"].recall[1] == 1
    assert run.exact["v2a"].chance == pytest.approx(1 / run.exact["v2a"].candidates)


def test_too_little_footage(store, tmp_path):
    few = tmp_path / "few"
    shutil.copytree(store.folder, few)
    for key in ("b", "c", "d", "more/e"):
        FeatureStore(few).remove(key)
    with pytest.raises(FeaturesError, match="2 of its videos have segments that can be both seen and heard; 6 are"):
        train_on_store(SETTINGS, FeatureStore(few), tmp_path / "run")


def test_a_modality_is_missing(clips, tmp_path):
    from dataclasses import replace

    extract_many(clips / "a.mp4", tmp_path / "s", replace(RECIPE, audio=()), loader=_pictures_alone)
    with pytest.raises(FeaturesError, match="needs pictures and sound. Extract both"):
        train_on_store(SETTINGS, FeatureStore(tmp_path / "s"), tmp_path / "run")


def test_matchers_that_need_labels(store, tmp_path):
    with pytest.raises(ValueError, match="avdln learns from labelled clips; without labels train dual-encoder"):
        train_on_store(MatchingSettings(), store, tmp_path)


def _pictures_alone(recipe, device, threads):
    from dataclasses import replace

    return replace(load(recipe, device, threads), audio=[])
