"""CAM against loops, and what its maps are of."""

import pytest
import torch

from avel.errors import ModelError
from avel.models.cam import Cam, CamOptions
from avel.models.registry import build


def slow(model, visual, audio):
    """Logits (T, C) and the maps of every class (T, R, C) of one video, region by region."""
    merge = torch.cat([model.merge_visual.weight, model.merge_audio.weight], dim=1)
    num_segments, num_regions = visual.shape[:2]
    side = round(num_regions**0.5)
    merged = torch.zeros(num_segments, num_regions, len(merge))
    for t in range(num_segments):
        for r in range(num_regions):
            joined = torch.cat([visual[t, r], audio[t]])  # the sound is joined to every region
            merged[t, r] = torch.relu(merge @ joined + model.merge_visual.bias)
    kernel, bias = model.convolution.convolution.weight, model.convolution.convolution.bias
    features = torch.zeros_like(merged)
    for t in range(num_segments):
        for r in range(num_regions):
            total = bias.clone()
            for other_t in range(max(t - 1, 0), min(t + 2, num_segments)):
                for other in range(num_regions):
                    down, right = other // side - r // side, other % side - r % side
                    if abs(down) <= 1 and abs(right) <= 1:
                        total = total + kernel[:, :, other_t - t + 1, down + 1, right + 1] @ merged[other_t, other]
            features[t, r] = torch.relu(merged[t, r] + total)
    maps = torch.stack([features @ weights for weights in model.head.weight], dim=-1)  # (T, R, C)
    return maps.mean(dim=1) + model.head.bias, maps


@pytest.mark.parametrize("regions", [4, 9])
@pytest.mark.parametrize("segments", [1, 4])
@torch.no_grad()
def test_against_loops(regions, segments, dims):
    dims = dims.model_copy(update={"regions": regions})
    model = Cam(dims, CamOptions(merged_dims=6))
    visual, audio = torch.rand(2, segments, regions, dims.visual_dims), torch.rand(2, segments, dims.audio_dims)
    output = model(visual, audio, torch.ones(2, segments, dtype=torch.bool))
    for video in range(2):
        logits, maps = slow(model, visual[video], audio[video])
        torch.testing.assert_close(output.logits[video], logits)
        for t in range(segments):
            strongest = maps[t, :, logits[t, :-1].argmax()]
            above = strongest - strongest.min()
            torch.testing.assert_close(output.shown["spatial_attention"][video, t], above / above.sum())


@torch.no_grad()
def test_the_map_points_at_what_speaks_for_the_event_even_where_background_is_larger(dims):
    model = Cam(dims, CamOptions(merged_dims=2))
    for parameter in model.parameters():
        parameter.zero_()
    model.merge_visual.weight[0, 0] = 1.0
    model.merge_audio.weight[0, 0] = 1.0
    model.head.weight[1, 0] = 1.0
    model.head.bias[-1] = 100.0
    visual, audio = torch.zeros(1, 1, dims.regions, dims.visual_dims), torch.zeros(1, 1, dims.audio_dims)
    visual[0, 0, 2, 0] = 3.0
    audio[0, 0, 0] = 1.0
    output = model(visual, audio, torch.ones(1, 1, dtype=torch.bool))
    # Responses are 1, 1, 4, 1 and their mean 7 / 4.
    assert output.logits[0, 0].tolist() == [0, 1.75, 0, 100]
    assert output.shown["spatial_attention"][0, 0].tolist() == [0, 0, 1, 0]
    audio[0, 0, 0] = -3.0
    silent = model(visual, audio, torch.ones(1, 1, dtype=torch.bool))
    assert silent.shown["spatial_attention"][0, 0].tolist() == [0.25] * 4


def test_regions_have_to_be_a_square():
    with pytest.raises(ModelError, match="Model 'cam' with .*needs regions on a square grid, such as 49; got 8"):
        build("cam", build("a").dims.model_copy(update={"regions": 8}))
