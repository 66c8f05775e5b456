"""Real clips through the default localizer: where their events are in the picture."""

import json

import numpy as np
import pytest

import avel
from avel.outputs import write


@pytest.mark.slow
@pytest.mark.usefixtures("localizer_weights")
def test_a_barking_dog_is_where_the_picture_moves_with_the_sound(event_clips, tmp_path):
    result = avel.localize(event_clips / "dog_bark_02677.mp4")
    assert result.attention is not None
    assert result.attention.shape == (len(result.segments), 8, 8)
    lit = result.attention.any(axis=(1, 2))
    assert lit.any()
    assert {result.segments[t].category for t in np.flatnonzero(lit)} == {"Bark"}
    boxes = json.loads(write(result, tmp_path / "dog.coco.json").read_text())
    assert 0 < len(boxes["annotations"]) <= lit.sum()
    assert result.model["attention"] == "synchrony"
    page = write(result, tmp_path / "dog.html").read_text()
    assert "Where the picture moves with the sound" in page
