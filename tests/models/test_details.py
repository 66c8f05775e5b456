import numpy as np
import pytest
import torch

from avel.models import registry
from avel.models.details import DETAILS, between_segments, by_distance
from avel.models.options import Dims

DIMS = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=3)
OF_TRAINING = {"audio_features", "visual_features"}


@pytest.mark.parametrize("model", sorted(registry.MODELS))
def test_what_a_model_shows_has_a_name_and_is_in_its_range(model):
    torch.manual_seed(0)
    built = registry.build(model, DIMS).eval()
    with torch.inference_mode():
        shown = built(torch.rand(1, 3, 4, 6), torch.rand(1, 3, 5), torch.tensor([[True, True, False]])).shown
    assert set(shown) <= set(DETAILS) | OF_TRAINING
    shapes = {"curve": (1, 3), "map": (1, 3, 4), "between": (1, 3, 3), "categories": (1, 3)}
    for name in set(shown) & set(DETAILS):
        detail = DETAILS[name]
        assert shown[name].shape == shapes[detail.kind], name
        values = torch.sigmoid(shown[name]) if detail.is_logit else shown[name]
        assert detail.low - 1e-6 <= values.min(), name
        assert values.max() <= detail.high + 1e-6, name


def test_weights_by_distance_and_back():
    weights = np.array([[0.7, 0.2, 0.1], [0, 1, 0], [0.5, 0.25, 0.25]], np.float32)
    rows = by_distance(weights)
    np.testing.assert_array_equal(
        rows, np.array([[0, 0, 0.7, 0.2, 0.1], [0, 0, 1, 0, 0], [0.5, 0.25, 0.25, 0, 0]], np.float32)
    )
    np.testing.assert_array_equal(between_segments(rows), weights)
    longer = between_segments(np.tile(np.float32([0.25, 0.5, 0.25]), (4, 1)))
    np.testing.assert_array_equal(longer[1], np.float32([0.25, 0.5, 0.25, 0]))
    np.testing.assert_array_equal(longer[3], np.float32([0, 0, 0.25, 0.5]))
