import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avel.errors import ModelError
from avel.matching import weights
from avel.matching.contrast import Footage, contrast_losses
from avel.matching.dual_encoder import DualEncoder, DualEncoderOptions, infonce_loss, margin_loss
from avel.matching.heads import load_heads
from avel.matching.training import build
from avel.models.options import Dims

DIMS = Dims(visual_dims=6, audio_dims=5)
SMALL = DualEncoderOptions(hidden_dims=8, embedding_dims=4)


def random_features(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape)).float()


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    made = DualEncoder(DIMS, SMALL)
    rng = np.random.default_rng(0)
    made.fit_scales(random_features(rng, 50, 6), random_features(rng, 50, 5))
    return made.eval()


def test_infonce_by_hand():
    cosines, scale = torch.tensor([[0.5, 0.1], [0.2, 0.4]]), torch.tensor(2.0)
    own, misaligned = torch.tensor([[0.5, -0.5], [0.4, 0.3]]), torch.tensor([[False, True], [False, False]])
    others = torch.tensor([[False, True], [True, False]])
    first = -math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(0.2) + math.exp(-1.0)))
    second = -math.log(math.exp(0.8) / (math.exp(0.8) + math.exp(0.4)))
    assert float(infonce_loss(cosines, own, misaligned, others, scale)) == pytest.approx((first + second) / 2)
    # A segment of the same video is neither a partner nor another.
    alone = infonce_loss(cosines, own, misaligned, torch.zeros(2, 2, dtype=torch.bool), scale)
    assert float(alone) == pytest.approx(-math.log(math.exp(1.0) / (math.exp(1.0) + math.exp(-1.0))) / 2)


def test_margin_loss_by_hand():
    # cosine 1 -> distance 0; cosine 0.5 -> 1; cosine 0.875 -> 0.5
    cosines, own = torch.tensor([[1.0, 0.875], [0.5, 1.0]]), torch.tensor([[1.0, 0.875], [1.0, 0.5]])
    others = torch.tensor([[False, True], [True, False]])
    none = torch.zeros(2, 2, dtype=torch.bool)
    assert float(margin_loss(cosines, own, none, others, 1.0)) == pytest.approx((0.25 + 0) / 2, abs=1e-5)
    misaligned = torch.tensor([[False, True], [False, False]])
    assert float(margin_loss(cosines, own, misaligned, none, 1.0)) == pytest.approx(0.25, abs=1e-5)


def test_embeddings_have_length_one_and_distances_are_of_cosines(encoder):
    rng = np.random.default_rng(1)
    visual, audio = random_features(rng, 3, 7, 6), random_features(rng, 3, 4, 5)
    one, other = encoder.visual(visual), encoder.audio(audio)
    assert torch.allclose(one.norm(dim=-1), torch.ones(3, 7))
    assert torch.allclose(encoder.distances(visual, audio), 1 - torch.einsum("nte,nse->nts", one, other), atol=1e-6)


def test_scales_are_those_of_the_roots_and_none_is_tiny():
    encoder = DualEncoder(Dims(visual_dims=2, audio_dims=1), SMALL)
    visual = torch.tensor([[4.0, 0.0], [0.0, 0.0], [-4.0, 0.0], [0.0, 0.0]])
    encoder.fit_scales(visual, torch.tensor([[1.0], [9.0], [1.0], [9.0]]))
    assert encoder.visual_mean.tolist() == [0, 0]
    deviation = math.sqrt(2)  # of 2, 0, -2, 0
    assert encoder.visual_scale.tolist() == pytest.approx([deviation, 0.1 * deviation / 2], rel=1e-4)
    assert (float(encoder.audio_mean), float(encoder.audio_scale)) == (2, 1)


def test_heads_are_the_same_without_pytorch(encoder, tmp_path):
    weights.save(encoder, tmp_path / "m.safetensors", {"features": {"visual": ["v"]}})
    heads = load_heads(tmp_path / "m.safetensors")
    rng = np.random.default_rng(2)
    visual, audio = random_features(rng, 9, 6), random_features(rng, 9, 5)
    with torch.no_grad():
        np.testing.assert_allclose(heads.visual(visual.numpy()), encoder.visual(visual), atol=1e-5)
        np.testing.assert_allclose(heads.audio(audio.numpy()), encoder.audio(audio), atol=1e-5)
    assert heads.dims == 4
    assert heads.said["features"] == {"visual": ["v"]}
    again = weights.load(tmp_path / "m.safetensors")
    assert again.options == SMALL
    assert torch.equal(again.visual(visual), encoder.visual(visual))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state, said: state.pop("embed_audio.2.bias"), "is damaged"),
        (lambda state, said: state.update({"visual_scale": torch.zeros(6)}), "layers of visual do not fit"),
        (lambda state, said: state.update({"audio_mean": torch.full((5,), math.nan)}), "not finite"),
        (lambda state, said: state.update({"embed_audio.0.bias": torch.zeros(7)}), "layers of audio do not fit"),
        (lambda state, said: said.update({"matcher": "avdln"}), "holds the matcher avdln, whose distances cannot"),
    ],
)
def test_bad_files_of_heads(encoder, tmp_path, change, message):
    path = tmp_path / "m.safetensors"
    state = dict(encoder.state_dict())
    said = {"matcher": "dual-encoder", "dims": DIMS.model_dump(), "options": SMALL.model_dump()}
    change(state, said)
    save_file(state, path, {"format": "avel matcher 1", "avel": json.dumps(said)})
    with pytest.raises(ModelError, match=message):
        load_heads(path)


def test_no_file_of_heads(tmp_path):
    with pytest.raises(ModelError, match="no such file. `avel train-matching` makes one"):
        load_heads(tmp_path / "m.safetensors")


def make_footage(in_event=None):
    rng = np.random.default_rng(3)
    valid = torch.ones(3, 5, dtype=torch.bool)
    valid[2, 3:] = False
    return Footage(random_features(rng, 3, 5, 6), random_features(rng, 3, 5, 5), valid, torch.arange(3), in_event)


def test_what_does_not_go_together():
    apart = make_footage().misaligned(torch.tensor([0, 2]), torch.tensor([2, 0]))  # of the clip alone
    assert apart.tolist() == [
        [True, False, False, False, True, *[False] * 5],
        [*[False] * 5, False, False, True, False, False],
    ]
    in_event = torch.tensor([[0, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]).bool()
    labelled = make_footage(in_event)
    outside = [True, False, False, True, True, False, True, True, False, False]  # of both clips
    assert labelled.misaligned(torch.tensor([0, 2]), torch.tensor([1, 0])).tolist() == [outside, outside]
    assert labelled.anchors().sum(dim=1).tolist() == [2, 5, 1]


@pytest.mark.parametrize("loss", ["infonce", "contrastive"])
def test_every_clip_gives_an_anchor_in_an_epoch(encoder, loss):
    arguments = {"loss": loss, "batch_size": 3, "margin": 1.0}
    losses = list(contrast_losses(encoder, make_footage(), torch.Generator().manual_seed(0), **arguments))
    assert len(losses) == 1
    losses[0].backward()
    assert all(p.grad is not None for name, p in encoder.named_parameters() if name != "log_scale" or loss == "infonce")


def test_contrast_needs_two_clips(encoder):
    footage = make_footage(torch.zeros(3, 5, dtype=torch.bool))
    with pytest.raises(ValueError, match="two clips in which picture and sound can be read, got 0"):
        next(contrast_losses(encoder, footage, torch.Generator(), loss="infonce", batch_size=8, margin=1.0))


def test_footage_is_of_the_same_clips():
    with pytest.raises(ValueError, match="of the same clips and segments"):
        Footage(torch.zeros(2, 5, 6), torch.zeros(2, 4, 5), torch.ones(2, 5).bool(), torch.arange(2))


def test_it_is_built_by_name():
    assert isinstance(build("dual-encoder").options, DualEncoderOptions)
