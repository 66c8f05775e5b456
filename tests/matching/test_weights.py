import json

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avel.errors import ModelError
from avel.matching import weights
from avel.matching.base import MatcherOptions
from avel.matching.training import build
from avel.models.options import Dims

DIMS = Dims(visual_dims=6, audio_dims=5)
SMALL = MatcherOptions(hidden_dims=4, embedding_dims=3)
SHAPES = {"dense_1": (6, 4), "dense_2": (4, 3), "dense_3": (5, 4), "dense_4": (4, 3)}


@pytest.fixture
def keras_file(tmp_path):
    """A small file as Keras 2 writes it."""
    path = tmp_path / "weights.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for layer, shape in SHAPES.items():
            file[f"{layer}/{layer}/kernel:0"] = rng.normal(size=shape).astype(np.float32)
            file[f"{layer}/{layer}/bias:0"] = rng.normal(size=shape[1:]).astype(np.float32)
    return path


def slow_distances(path, visual, audio):
    """Keras's forward in NumPy from the arrays of the file: dense is x @ kernel + bias."""
    with h5py.File(path) as file:

        def dense(layer, x):
            return x @ file[f"{layer}/{layer}/kernel:0"][:].astype(float) + file[f"{layer}/{layer}/bias:0"][:]

        def embed(x, first, second):
            hidden = dense(first, x)
            return dense(second, np.where(hidden > 0, hidden, 0.3 * hidden))

        one, other = embed(visual, "dense_1", "dense_2"), embed(audio, "dense_3", "dense_4")
    return np.sqrt(((one[:, None] - other[None]) ** 2).sum(-1))


def test_keras_file(keras_file):
    network = weights.load_keras(keras_file)
    rng = np.random.default_rng(1)
    visual, audio = rng.normal(size=(7, 6)), rng.normal(size=(4, 5))
    found = network.distances(torch.from_numpy(visual).float(), torch.from_numpy(audio).float()).detach().numpy()
    np.testing.assert_allclose(found, slow_distances(keras_file, visual, audio), rtol=1e-5)
    assert not network.training


def test_published_weights(shared):
    path = shared / "data" / "ave" / "cmm_model_weights.h5"
    network = weights.load_keras(path)
    assert network.options == MatcherOptions(hidden_dims=128, embedding_dims=64)
    assert (network.dims.visual_dims, network.dims.audio_dims) == (512, 128)
    rng = np.random.default_rng(1)
    visual, audio = rng.random((20, 512)), 4 * rng.random((30, 128))
    found = network.distances(torch.from_numpy(visual).float(), torch.from_numpy(audio).float()).detach().numpy()
    expected = slow_distances(path, visual, audio)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert expected.std() > 0.01


@pytest.mark.parametrize("name", ["avdln", "dcca"])
def test_saved_and_loaded_is_the_same(name, tmp_path):
    torch.manual_seed(0)
    matcher = build(name, DIMS, SMALL)
    visual, audio = torch.randn(50, 6), torch.randn(50, 5)
    if name == "dcca":
        matcher.fit(visual, audio)
    weights.save(matcher, tmp_path / "matcher.safetensors")
    loaded = weights.load(tmp_path / "matcher.safetensors")
    assert type(loaded) is type(matcher)
    assert (loaded.dims, loaded.options) == (DIMS, SMALL)
    assert torch.equal(loaded.distances(visual, audio), matcher.distances(visual, audio))


def test_missing_files(tmp_path):
    with pytest.raises(ModelError, match="gone: no such file. A matcher comes of `avel train-matching`, or of `avel"):
        weights.load(tmp_path / "gone")
    with pytest.raises(ModelError, match="gone: no such file"):
        weights.load_keras(tmp_path / "gone")


def test_damaged_files(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"not weights")
    with pytest.raises(ModelError, match="file: is damaged"):
        weights.load(path)
    with pytest.raises(ModelError, match="file: is not readable as Keras weights in HDF5"):
        weights.load_keras(path)


def test_other_safetensors(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "x", {"format": "pt"})
    with pytest.raises(ModelError, match="is not a matcher of avel, its format is 'pt'"):
        weights.load(tmp_path / "x")


@pytest.mark.parametrize(
    "made",
    [
        "[]",
        "{",
        json.dumps({"matcher": "cca", "dims": {}, "options": {}}),
        json.dumps({"matcher": "avdln", "dims": {"visual_dims": 10**12}, "options": {}}),
        json.dumps({"matcher": "avdln", "dims": {}, "options": {"depth": 1}}),
    ],
)
def test_damaged_metadata(tmp_path, made):
    save_file({"x": torch.zeros(1)}, tmp_path / "x", {"format": "avel matcher 1", "avel": made})
    with pytest.raises(ModelError, match="x: is damaged"):
        weights.load(tmp_path / "x")


def test_weights_of_other_sizes(tmp_path, keras_file):
    made = {"matcher": "avdln", "dims": {}, "options": {}}
    save_file({"x": torch.zeros(1)}, tmp_path / "x", {"format": "avel matcher 1", "avel": json.dumps(made)})
    with pytest.raises(ModelError, match=r"'embed_audio.0.bias' has shape none, but the others make it \(128,\)"):
        weights.load(tmp_path / "x")
    with h5py.File(keras_file, "a") as file:
        del file["dense_4/dense_4/bias:0"]
        file["dense_4/dense_4/bias:0"] = np.zeros(9, np.float32)
    with pytest.raises(ModelError, match=r"'embed_audio.2.bias' has shape \(9,\), but the others make it \(3,\)"):
        weights.load_keras(keras_file)


def test_weights_that_are_no_numbers(keras_file):
    with h5py.File(keras_file, "a") as file:
        file["dense_1/dense_1/bias:0"][0] = np.nan
    with pytest.raises(ModelError, match="weights that are not finite float32 numbers"):
        weights.load_keras(keras_file)


def test_keras_file_without_a_layer(keras_file):
    with h5py.File(keras_file, "a") as file:
        del file["dense_3"]
    with pytest.raises(ModelError, match="no 'dense_3/dense_3/kernel:0' in it"):
        weights.load_keras(keras_file)


def test_keras_file_with_a_link(keras_file, tmp_path):
    with h5py.File(keras_file, "a") as file:
        del file["dense_3"]
        file["dense_3"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/x")
    with pytest.raises(ModelError, match="'dense_3' is a link to another place"):
        weights.load_keras(keras_file)


@pytest.mark.parametrize("array", [np.zeros((5, 4)), np.zeros(5, np.float32), np.array(["x"], "S1")])
def test_keras_file_with_another_array(keras_file, array):
    with h5py.File(keras_file, "a") as file:
        del file["dense_3/dense_3/kernel:0"]
        file["dense_3/dense_3/kernel:0"] = array
    with pytest.raises(ModelError, match="is not a plain float32 array of 2 dimensions"):
        weights.load_keras(keras_file)
