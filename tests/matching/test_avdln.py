import math

import pytest
import torch

from avel.matching.avdln import Avdln, contrastive_loss
from avel.matching.base import MatcherOptions
from avel.models.options import Dims


@pytest.fixture
def network():
    torch.manual_seed(8)
    return Avdln(Dims(visual_dims=6, audio_dims=5), MatcherOptions(hidden_dims=4, embedding_dims=3))


def slow_distance(network, visual, audio):
    """Eq. 9 for one pair as plain numbers."""

    def embed(layers, x):
        first, _, second = layers
        for layer in (first, second):
            x = [
                sum(w * y for w, y in zip(row, x, strict=True)) + b
                for row, b in zip(layer.weight.tolist(), layer.bias.tolist(), strict=True)
            ]
            if layer is first:
                x = [y if y > 0 else 0.3 * y for y in x]
        return x

    one, other = embed(network.embed_visual, visual.tolist()), embed(network.embed_audio, audio.tolist())
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(one, other, strict=True)))


def test_distance_is_equation_9(network):
    visual, audio = torch.randn(2, 4, 6), torch.randn(2, 3, 5)
    distances = network.distances(visual, audio)
    assert distances.shape == (2, 4, 3)
    for n in range(2):
        for i in range(4):
            for j in range(3):
                expected = torch.tensor(slow_distance(network, visual[n, i], audio[n, j]))
                torch.testing.assert_close(distances[n, i, j], expected)
                torch.testing.assert_close(network(visual[n, i], audio[n, j]), expected)


def test_default_sizes_are_those_of_the_released_network():
    network = Avdln(Dims(), MatcherOptions())
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items() if key.endswith("weight")}
    assert shapes == {
        "embed_visual.0.weight": (128, 512),
        "embed_visual.2.weight": (64, 128),
        "embed_audio.0.weight": (128, 128),
        "embed_audio.2.weight": (64, 128),
    }


def test_contrastive_loss_is_equation_10_by_hand():
    distances = torch.tensor([0.5, 1.5, 3.0, 0.5])
    together = torch.tensor([1.0, 0.0, 0.0, 0.0])
    # 0.5^2, (2 - 1.5)^2, beyond the margin, (2 - 0.5)^2
    torch.testing.assert_close(contrastive_loss(distances, together), torch.tensor((0.25 + 0.25 + 0 + 2.25) / 4))
    torch.testing.assert_close(contrastive_loss(distances, together, margin=1.0), torch.tensor((0.25 + 0.25) / 4))


def test_loss_pulls_pairs_together_and_pushes_others_apart_up_to_the_margin():
    distances = torch.tensor([1.0, 1.0, 2.5], requires_grad=True)
    contrastive_loss(distances, torch.tensor([1, 0, 0])).backward()
    together, apart, far = distances.grad.tolist()
    assert together > 0 > apart
    assert far == 0


def test_equal_embeddings_give_a_finite_gradient(network):
    for p in network.parameters():
        torch.nn.init.zeros_(p)
    network(torch.randn(4, 6), torch.randn(4, 5)).sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters())


def test_every_parameter_gets_a_gradient(network):
    contrastive_loss(network(torch.randn(8, 6), torch.randn(8, 5)), torch.tensor([0, 1] * 4)).backward()
    assert all(p.grad.abs().sum() > 0 for p in network.parameters())


def test_loss_refuses_other_shapes():
    with pytest.raises(ValueError, match=r"must have the same shape, got \(2,\) and \(3,\)"):
        contrastive_loss(torch.zeros(2), torch.zeros(3))


def test_loss_refuses_a_margin_of_zero():
    with pytest.raises(ValueError, match="margin must be above 0, got 0"):
        contrastive_loss(torch.zeros(2), torch.zeros(2), margin=0)
