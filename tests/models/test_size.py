import pytest

from avel.models.options import Dims
from avel.models.registry import available_models, build
from avel.models.size import size_of

DIMS = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=3)


@pytest.mark.parametrize("recurrence", ["lstm", "bilstm"])
def test_by_hand(recurrence):
    """A: one LSTM of H = 8 over D = 5 features of 10 segments, and a Linear to four classes."""
    directions = 1 if recurrence == "lstm" else 2
    size = size_of("a", DIMS, lstm_dims=8, recurrence=recurrence)
    assert size.flops_per_clip == 2 * 10 * (directions * 4 * 8 * (5 + 8) + directions * 8 * 4)
    assert size.parameters == directions * 4 * 8 * (5 + 8 + 2) + directions * 8 * 4 + 4


def test_the_attentions_products_by_hand():
    """V-att has besides U_v and W_v over all regions, U_a and W_a, W_f, and the weighted sum."""
    without, attended = (size_of(name, DIMS, lstm_dims=8) for name in ("v", "v-att"))
    regions = 10 * 4
    products = regions * (6 * 512 + 512 * 49 + 49 * 1 + 6) + 10 * (5 * 512 + 512 * 49)
    assert attended.flops_per_clip - without.flops_per_clip == 2 * products


@pytest.mark.parametrize("name", available_models())
def test_every_model_has_a_size(name):
    size = size_of(name, DIMS)
    assert size.parameters == sum(parameter.numel() for parameter in build(name, DIMS).parameters())
    assert size.flops_per_clip > size.parameters
