"""Libraries of a trained cross-modal model."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_library import clip_of, make_library, opened
from tiny_taggers import RECIPE

from avel.errors import LibraryError, ModelError
from avel.library.spaces import EncoderSpace
from avel.library.taggers import library_recipe, taggers_of
from avel.matching import weights
from avel.matching.calibration import PlattScaling
from avel.matching.dual_encoder import DualEncoder, DualEncoderOptions
from avel.matching.training import build
from avel.models.options import Dims

FEATURES = {"visual": ["efficientnet-lite0"], "audio": ["embedded"], "networks": {}, "recipe": RECIPE.to_dict()}


def write_matcher(path, seed=0, features=FEATURES, **said):
    torch.manual_seed(seed)
    dims = Dims(visual_dims=1000, audio_dims=521)
    encoder = DualEncoder(dims, DualEncoderOptions(hidden_dims=8, embedding_dims=4))
    weights.save(encoder, path, {"features": features, **said})
    return path


@pytest.fixture(scope="module")
def trained(animals, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_matcher(folder / "matcher.safetensors", calibration={"cross": {"slope": 5.0, "offset": 0.0}})
    make_library([animals], folder / "lib", model=folder)  # a run's folder
    return folder


def test_the_library_has_its_model(trained, tmp_path):
    library = opened(trained / "lib")
    assert library.space.dims == 4
    assert json.loads((trained / "lib" / "library.json").read_text())["model"] == "dual-encoder"
    query = f"{clip_of(tmp_path / 'q.mp4', 'tabby', 'Bark', 2.5)}#t=0,2"
    found = library.search(audio=query, modality="visual", top=3)
    assert len(found.hits) == 3
    heads = library.space
    read = library._queries(query, "audio")
    first = next(video for video in library.generation.videos if video.paths[0] == found.hits[0].video)
    start = first.first + round(found.hits[0].start_seconds)
    cosines = [
        read.vectors["audio"][n] @ library.generation.vectors["visual"][[start + n]][0] for n in range(read.segments)
    ]
    assert found.hits[0].score == pytest.approx(float(PlattScaling(5.0, 0.0)(np.mean(cosines))), abs=1e-4)
    assert heads.scores("audio", "audio", np.array([0.3])) == PlattScaling()(np.array([0.3]))  # none was fitted


def test_it_can_be_added_to_without_naming_the_model_again(trained, tmp_path):
    shutil.copytree(trained / "lib", tmp_path / "lib")
    clip_of(tmp_path / "new.mp4", "beagle", "Bark", 2)
    assert make_library([tmp_path / "new.mp4"], tmp_path / "lib").videos == 6


def test_another_model_is_refused(trained, library, tmp_path):
    other = write_matcher(tmp_path / "other.safetensors", seed=1)
    with pytest.raises(LibraryError, match="made with the cross-modal model dual-encoder .*, and this is another one"):
        make_library([tmp_path], trained / "lib", model=other)
    with pytest.raises(LibraryError, match=r"model agreement \(no training\), and this is a dual-encoder"):
        make_library([tmp_path], library, model=other)
    shutil.copytree(trained / "lib", tmp_path / "lib")
    shutil.copy(other, tmp_path / "lib" / "matcher.safetensors")
    with pytest.raises(LibraryError, match="this is another one"):
        opened(tmp_path / "lib")


def test_matchers_that_cannot_be_searched_by(tmp_path):
    weights.save(build("avdln"), tmp_path / "avdln.safetensors")
    with pytest.raises(ModelError, match="holds the matcher avdln, whose distances cannot be searched for"):
        EncoderSpace(tmp_path / "avdln.safetensors")
    with pytest.raises(ModelError, match="does not say which networks made the features"):
        EncoderSpace(write_matcher(tmp_path / "m.safetensors", features={"visual": [], "audio": []}))


def test_the_recipe_has_what_the_model_looks_at_and_taggers(tmp_path):
    recipe = replace(RECIPE, visual=("vgg19",), audio=("yamnet-embedding",), frames_per_segment=4)
    features = {"visual": ["vgg19"], "audio": ["yamnet-embedding"], "networks": {}, "recipe": recipe.to_dict()}
    made = library_recipe(EncoderSpace(write_matcher(tmp_path / "m.safetensors", features=features)))
    assert made == replace(recipe, visual=("vgg19", "efficientnet-lite0"), audio=("yamnet-embedding", "yamnet"))
    assert (taggers_of(made).visual, taggers_of(made).audio) == ("efficientnet-lite0", "yamnet")
    with pytest.raises(LibraryError, match="A library needs one of efficientnet-lite0"):
        taggers_of(recipe)
