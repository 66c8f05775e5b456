import pytest
import torch

from avel.models.options import Dims


@pytest.fixture
def dims():
    return Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=3)


@pytest.fixture
def batch(dims):
    """Features of 3 videos of 7 segments, all valid."""

    def make(videos=3, segments=7):
        visual = torch.rand(videos, segments, dims.regions, dims.visual_dims)
        audio = torch.rand(videos, segments, dims.audio_dims)
        return visual, audio, torch.ones(videos, segments, dtype=torch.bool)

    return make
