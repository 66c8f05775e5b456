"""Checkpoints that avel wrote before its models and options were put in order (47f2ee7): tiny models, random weights.

``answers.json`` holds what that avel answered to `inputs`, rounded to 1e-6: logits, and distances of the matcher.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from avel.matching import weights
from avel.training import checkpoint

FOLDER = Path(__file__).parent / "before"
ANSWERS = json.loads((FOLDER / "answers.json").read_text())


def inputs():
    """Two videos of five segments, the second with two of padding; of formulas, not drawn."""
    visual = np.sin(np.arange(2 * 5 * 4 * 6) * 0.7).reshape(2, 5, 4, 6).astype(np.float32)
    audio = np.cos(np.arange(2 * 5 * 5) * 1.3).reshape(2, 5, 5).astype(np.float32)
    valid = np.ones((2, 5), bool)
    valid[1, 3:] = False
    return tuple(map(torch.from_numpy, (visual, audio, valid)))


@pytest.mark.parametrize("name", ["a+v-att", "dmrn", "psp", "recommended"])
def test_a_model_answers_as_before(name):
    model, info = checkpoint.load(FOLDER / f"{name}.safetensors")
    with torch.inference_mode():
        logits = model(*inputs()).logits
    np.testing.assert_allclose(logits.numpy(), ANSWERS[name], atol=1e-5)
    assert info.model == name
    assert info.categories == ("Bark", "Goat")
    assert info.num_segments == 5
    assert info.written_by == ""
    assert info.multi_label == (name == "recommended")


def test_a_matcher_answers_as_before():
    visual, audio, _ = inputs()
    matcher = weights.load(FOLDER / "matcher-avdln.safetensors")
    with torch.inference_mode():
        distances = matcher.distances(visual.mean(dim=2), audio)
    np.testing.assert_allclose(distances.numpy(), ANSWERS["matcher-avdln"], atol=1e-5)
