import torch

from avel.models.linear import even
from avel.models.options import Dims
from avel.models.registry import build
from avel.training.settings import FOR_FEW, settings_for


def test_features_of_any_scale_weigh_alike():
    x = torch.tensor([[4.0, 0.0, -4.0, 0.0], [400.0, 0.0, -400.0, 0.0]])
    # Square roots 2, 0, -2, 0 have mean 0 and variance 2; divided by its root and by 2 they have length 1.
    wanted = torch.tensor([[0.7071, 0.0, -0.7071, 0.0]]).expand(2, 4)
    torch.testing.assert_close(even(x), wanted, atol=1e-4, rtol=0)


def test_a_segment_is_scored_by_itself():
    torch.manual_seed(0)
    model = build("linear", Dims(num_categories=2, visual_dims=6, audio_dims=4, regions=3)).eval()
    visual, audio, valid = torch.rand(2, 5, 3, 6), torch.rand(2, 5, 4), torch.ones(2, 5, dtype=torch.bool)
    whole = model(visual, audio, valid).logits
    alone = model(visual[:, 2:3], audio[:, 2:3], valid[:, 2:3]).logits
    torch.testing.assert_close(whole[:, 2:3], alone)


def test_its_training_lets_rare_classes_count():
    assert settings_for(FOR_FEW).class_weights == "balanced"
