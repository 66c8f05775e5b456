import json

import numpy as np
import pytest
import yaml
from tiny_ave import write_ave_folder

from avel.errors import FeaturesError, ModelError, SettingsError
from avel.evaluation.train_on import AveFeatures, evaluate_matcher_on, train_matcher_on
from avel.features.recipe import preset
from avel.matching import weights
from avel.training.ave_data import open_data
from avel.training.checkpoint import read_info
from avel.training.matchers import (
    clips_of,
    evaluate_matcher,
    features_of,
    holds_matcher,
    import_keras,
    matcher_path,
    matching_settings,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ave_folder(tmp_path_factory.mktemp("data"), regions=49)


@pytest.mark.parametrize("matcher", ["avdln", "dcca"])
def test_a_run_holds_a_matcher_its_settings_and_its_accuracy(matcher, folder, tmp_path):
    source = AveFeatures(folder, features_of="ave")
    flags = {"epochs": 2, "options": {"hidden_dims": 8, "embedding_dims": 4}}
    run = train_matcher_on(source, tmp_path / "run", matcher, flags)
    assert run.path == tmp_path / "run" / "matcher.safetensors" == matcher_path(tmp_path / "run")
    assert holds_matcher(tmp_path / "run")
    loaded, said = weights.load_with_metadata(run.path)
    assert (said["matcher"], loaded.options.hidden_dims) == (matcher, 8)
    assert features_of(said).visual == preset("ave").visual
    settings = yaml.safe_load((tmp_path / "run" / "settings.yaml").read_text())
    assert (settings["epochs"], settings["misaligned"]) == (2, "both" if matcher == "avdln" else "none")
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["test"]["a2v"] == run.test.a2v
    assert evaluate_matcher_on(tmp_path / "run", source) == run.test == evaluate_matcher(run.path, open_data(folder))
    with pytest.raises(SettingsError, match="run: holds a run"):
        train_matcher_on(source, tmp_path / "run", matcher, flags)
    with pytest.raises(ModelError, match=r"matcher.safetensors: "):
        read_info(run.path)


def test_settings_of_another_kind_of_model_are_refused():
    with pytest.raises(SettingsError, match="task: is no setting of avdln, which learns to match"):
        matching_settings("avdln", {"task": "weak"})
    with pytest.raises(SettingsError, match="avdln: option 'hidden_dims' must be a whole number"):
        matching_settings("avdln", {"options": {"hidden_dims": 0}})
    with pytest.raises(SettingsError, match="dcca: DCCA learns from synchronous pairs alone"):
        matching_settings("dcca", {"misaligned": "both"})


def test_without_rows_of_the_task_clips_come_from_the_labels(folder, tmp_path):
    other = write_ave_folder(tmp_path / "other", regions=49)
    for path in other.glob("*_order_match.h5"):
        path.unlink()
    data = open_data(other)
    clips = clips_of(data, "train")
    examples = data.examples("train")
    assert len(clips.spans) == len(examples)
    for (start, end), is_event in zip(clips.spans, examples.labels.dense()[..., :-1].any(-1), strict=True):
        assert is_event[start:end].all()
        assert is_event.sum() == end - start
    assert clips.visual.shape[:2] == clips.audio.shape[:2] == (len(examples), 10)


def test_a_matcher_needs_both_modalities(tmp_path):
    other = write_ave_folder(tmp_path / "other", regions=49)
    (other / "audio_feature.h5").unlink()
    with pytest.raises(FeaturesError, match="matching needs pictures and sound"):
        clips_of(open_data(other), "train")


def test_published_weights_become_a_matcher_of_the_published_features(tmp_path):
    import h5py

    random = np.random.default_rng(0)
    sizes = {"dense_1": (512, 128), "dense_2": (128, 64), "dense_3": (128, 128), "dense_4": (128, 64)}
    with h5py.File(tmp_path / "cmm_model_weights.h5", "w") as file:
        for layer, size in sizes.items():
            file[f"{layer}/{layer}/kernel:0"] = random.normal(size=size).astype(np.float32)
            file[f"{layer}/{layer}/bias:0"] = random.normal(size=size[1]).astype(np.float32)
    path = import_keras(tmp_path / "cmm_model_weights.h5", tmp_path / "matcher.safetensors")
    loaded, said = weights.load_with_metadata(path)
    same = weights.load_keras(tmp_path / "cmm_model_weights.h5")
    assert all(bool((a == b).all()) for a, b in zip(loaded.parameters(), same.parameters(), strict=True))
    record = features_of(said)
    assert (record.visual, record.audio) == (preset("ave").visual, preset("ave").audio)
    assert (record.regions, record.visual_dims, record.audio_dims) == (49, 512, 128)


def test_videos_shorter_than_a_window_are_told_with_what_to_do(folder, monkeypatch):
    data = open_data(folder)
    valid = np.zeros((len(data.examples("val")), data.num_segments), np.bool_)
    valid[:, :4] = True
    monkeypatch.setattr(data, "valid", lambda examples: valid)
    monkeypatch.setattr(type(data), "is_store", True)
    with pytest.raises(
        FeaturesError, match="split val have up to 4 segments of 1 s; a matcher .* of 10, 10 s. .* 0.4 s"
    ):
        clips_of(data, "val")
