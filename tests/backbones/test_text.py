from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from avel.backbones.embedded import audioset_classes
from avel.backbones.text import DIMS, TOKENIZER, WEIGHTS, TextEmbedder


@pytest.fixture(scope="module")
def embed(weight_file: Callable[[str], Any]) -> TextEmbedder:
    weight_file(WEIGHTS)
    weight_file(TOKENIZER)
    return TextEmbedder()


@pytest.mark.slow
def test_phrases_mean_classes_of_audioset(embed: TextEmbedder) -> None:
    meant = {
        "helicopter": "Helicopter",
        "puppy barking": "Bark",
        "baby crying": "Baby cry, infant cry",
        "cat meowing": "Meow",
        "church bell ringing": "Church bell",
        "car honking": "Vehicle horn, car horn, honking",
        "someone playing the violin": "Violin, fiddle",
    }
    classes = [name for name in audioset_classes() if name in meant.values()] + list(audioset_classes()[:60])
    cosines = embed(list(meant)) @ embed(classes).T
    assert [classes[index] for index in cosines.argmax(axis=1)] == list(meant.values())
    assert cosines.max() == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
def test_embeddings_have_length_one_and_do_not_depend_on_the_others(embed: TextEmbedder) -> None:
    texts = ["rain", "A MUCH longer text, " * 20, ""]
    together = embed(texts)
    assert together.shape == (3, DIMS)
    assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    assert_allclose(embed(texts[:1])[0], together[0], atol=1e-6)
    assert_allclose(embed(["Rain"])[0], together[0], atol=1e-6)  # upper and lower case are one
    assert embed([]).shape == (0, DIMS)
