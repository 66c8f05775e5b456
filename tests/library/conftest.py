import pytest
from tiny_library import clip_of, make_library


@pytest.fixture(scope="session")
def animals(tmp_path_factory):
    """Clips of a dog, a cat and a train, each seen and heard; of a dog that is only heard, and of a silent cat."""
    folder = tmp_path_factory.mktemp("animals")
    clip_of(folder / "dog.mp4", "beagle", "Bark")
    clip_of(folder / "cat.mp4", "tabby", "Meow")
    clip_of(folder / "train.mp4", "steam locomotive", "Train horn")
    clip_of(folder / "hidden_dog.mp4", None, "Bark")
    clip_of(folder / "silent_cat.mp4", "tabby", None)
    return folder


@pytest.fixture(scope="session")
def library(animals, tmp_path_factory):
    """A library of them; do not change it."""
    folder = tmp_path_factory.mktemp("library") / "lib"
    make_library([animals], folder)
    return folder
