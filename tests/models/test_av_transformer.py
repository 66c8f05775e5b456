"""AV-transformer and instance attention against the paper's equations in loops, and its ablations."""

import math

import pytest
import torch

from avel.errors import ModelError
from avel.models.av_transformer import AvTransformer, RegionLstm
from avel.models.fusion import AudioVisual, Concat
from avel.models.registry import build
from avel.models.tian2018 import AttentionOptions
from avel.training.settings import settings_for

SMALL = {"lstm_dims": 3, "head_dims": 6, "region_dims": 6, "attention_dims": 5, "attention_hidden_dims": 3}


def sharp(model):
    """With larger weights, so that its attention is far from even."""
    for parameter in model.parameters():
        parameter.mul_(3)
    return model


def perceptron(layers, x):
    return layers[2](torch.relu(layers[0](x)))


def softmax(scores):
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def slow_transformer(layer, regions, audio, frames, with_audio, scaled=False):
    """Eq. 2 of one video (T, R, K), pair by pair; segments that do not exist are the one that asks."""
    num_segments, num_regions, size = regions.shape
    result = torch.zeros_like(regions)
    for t in range(num_segments):
        for r in range(num_regions):
            query = perceptron(layer.theta, regions[t, r]) + (audio[t] if with_audio else 0)
            scores = []
            for i in range(num_regions):
                key = torch.zeros(size)
                for k in {"intra": (t,), "inter": (t - 1, t + 1), "intra+inter": (t - 1, t, t + 1)}[frames]:
                    key = key + perceptron(layer.phi, regions[k if 0 <= k < num_segments else t, i])
                scores.append(float(query @ key) / (math.sqrt(size) if scaled else 1))
            for weight, i in zip(softmax(scores), range(num_regions), strict=True):
                result[t, r] += weight * regions[t, i]
    return result


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("with_audio", [False, True])
@pytest.mark.parametrize("frames", ["intra", "inter", "intra+inter"])
@torch.no_grad()
def test_transformer_is_equation_2(frames, with_audio, scaled):
    layer = sharp(AvTransformer(5, frames, with_audio, scaled))
    regions, audio = torch.randn(2, 4, 3, 5), torch.randn(2, 4, 5)
    found = layer(regions, audio, torch.ones(2, 4, dtype=torch.bool))
    for video in range(2):
        expected = slow_transformer(layer, regions[video], audio[video], frames, with_audio, scaled)
        torch.testing.assert_close(found[video], expected)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_scores_without_bound_have_gradients(precision):
    """As late in a training with `scaled`; the gradient of PyTorch's fused attention is NaN there."""
    torch.manual_seed(0)
    layer = AvTransformer(128, "intra", with_audio=False, scaled=True)
    regions = (1e5 * torch.randn(4, 5, 49, 128)).requires_grad_()
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        found = layer(regions, torch.zeros(4, 5, 128), torch.ones(4, 5, dtype=torch.bool))
    found.sum().backward()
    for tensor in (regions, *layer.parameters()):
        assert tensor.grad.isfinite().all()


@torch.no_grad()
def test_neighbours_that_are_padding_are_as_if_the_video_ended():
    layer = sharp(AvTransformer(5, "intra+inter", with_audio=True, scaled=False))
    regions, audio = torch.randn(1, 5, 3, 5), torch.randn(1, 5, 5)
    valid = torch.tensor([[True, True, False, True, False]])
    found = layer(regions, audio, valid)
    for part in (slice(0, 2), slice(3, 4)):
        expected = slow_transformer(layer, regions[0, part], audio[0, part], "intra+inter", True)
        torch.testing.assert_close(found[0, part], expected)


def test_the_letter_of_equation_2_would_change_nothing():
    """Weights of sum 1 times the region's own features: why the values are those of the regions attended to."""
    regions = torch.randn(3, 4)
    weights = torch.softmax(torch.randn(3, 3), dim=1)
    torch.testing.assert_close((weights[..., None] * regions[:, None]).sum(1), regions)


@torch.no_grad()
def test_lstm_runs_along_each_region_by_itself():
    layer, regions = RegionLstm(4), torch.randn(2, 5, 3, 4)
    valid = torch.tensor([[True] * 5, [True, True, False, True, False]])
    found = layer(regions, valid)
    for video, mask in enumerate(valid):
        for region in range(3):
            expected = layer.lstm.lstm(regions[video, mask, region][None])[0][0]
            torch.testing.assert_close(found[video, mask, region], expected)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("visual", ["av-transformer", "mlp", "conv3d", "lstm"])
@pytest.mark.parametrize("co_attention", ["instance", "avol", "ag"])
@torch.no_grad()
def test_weights_are_equation_3_and_pool_raw_features(visual, co_attention, scaled, dims, batch):
    model = sharp(build("av-transformer", dims, visual=visual, co_attention=co_attention, scaled=scaled, **SMALL))
    features, audio, valid = batch(2, 3)
    pooled = []
    model.classifier.register_forward_pre_hook(lambda module, given: pooled.append(given[0]))
    weights = model(features, audio, valid).shown["spatial_attention"]
    mapped = model.map_audio(audio)
    regions = perceptron(model.represent.embed, features)
    if visual == "av-transformer":
        regions = torch.stack(
            [
                slow_transformer(model.represent.transformer, one, sound, "intra+inter", True, scaled)
                for one, sound in zip(regions, mapped, strict=True)
            ]
        )
    elif visual != "mlp":
        regions = model.represent.over_time(regions, valid)
    for video in range(2):
        for t in range(3):
            sound, scores = mapped[video, t], []
            for region in regions[video, t]:
                if co_attention == "ag":
                    guide = model.weigh.guide
                    hidden = guide.hidden_visual(torch.relu(guide.project_visual(region)))
                    hidden = hidden + guide.hidden_audio(torch.relu(guide.project_audio(audio[video, t])))
                    scores.append(float(guide.score(torch.tanh(hidden))))
                elif co_attention == "avol":
                    scores.append(float(region @ sound / (region.norm() * sound.norm())))
                else:
                    scores.append(float(region @ sound) / (math.sqrt(6) if scaled else 1))
            expected = torch.tensor(softmax(scores))
            torch.testing.assert_close(weights[video, t], expected)
            attended = sum(weight * raw for weight, raw in zip(expected, features[video, t], strict=True))  # Eq. 4
            torch.testing.assert_close(pooled[0][video, t], attended)


@torch.no_grad()
def test_classifier_avel_is_a_v_att_behind_its_attention(dims, batch):
    model = build("av-transformer", dims, **SMALL)
    other = AudioVisual(dims, AttentionOptions(lstm_dims=3, head_dims=6), Concat)
    other.audio_lstm, other.visual_lstm = model.classifier.audio_lstm, model.classifier.visual_lstm
    other.heads[0] = model.classifier.head
    visual, audio, valid = batch()
    weights = model(visual, audio, valid).shown["spatial_attention"]
    attended = (weights[..., None] * visual).sum(2)
    other.pooling.forward = lambda *given: attended
    torch.testing.assert_close(model(visual, audio, valid).logits, other(visual, audio, valid).logits)


@torch.no_grad()
def test_classifier_avsdn_is_avsdn_behind_its_pooling(dims, batch):
    model = build("av-transformer", dims, classifier="avsdn", **SMALL)
    avsdn = build("avsdn", dims, lstm_dims=3, head_dims=6)
    avsdn.network.load_state_dict(model.classifier.state_dict())
    visual, audio, valid = batch()
    alike = visual[:, :, :1].expand_as(visual)  # any weights of sum 1 pool it to the same
    torch.testing.assert_close(model(alike, audio, valid).logits, avsdn(alike, audio, valid).logits)


@torch.no_grad()
@pytest.mark.parametrize(
    ("classifier", "looks_around"), [("mlp", False), ("lstm", True), ("avsdn", True), ("avel", True)]
)
def test_which_classifiers_look_at_other_segments(classifier, looks_around, dims, batch):
    model = build("av-transformer", dims, classifier=classifier, visual="mlp", co_attention="avol", **SMALL)
    visual, audio, valid = batch(1, 3)
    before = model(visual, audio, valid).logits
    audio[:, 2] += 1
    after = model(visual, audio, valid).logits
    assert torch.equal(before[:, 0], after[:, 0]) != looks_around
    assert not torch.equal(before[:, 2], after[:, 2])


@torch.no_grad()
@pytest.mark.parametrize(
    ("changed", "same_as_full"),
    [
        ({"scaled": True}, False),
        ({"with_audio": False}, False),
        ({"frames": "intra"}, False),
        ({"frames": "inter"}, False),
        ({"co_attention": "avol"}, False),
        ({"attention_dims": 7}, True),
    ],
)
def test_options_change_the_weights_and_only_their_own_part(changed, same_as_full, dims, batch):
    inputs = batch()
    model = sharp(build("av-transformer", dims, **SMALL))
    other = build("av-transformer", dims, **{**SMALL, **changed})
    other.load_state_dict(model.state_dict())
    one, two = (m(*inputs).shown["spatial_attention"] for m in (model, other))
    assert torch.allclose(one, two) == same_as_full


@torch.no_grad()
def test_intra_sees_its_own_frame_only(dims, batch):
    visual, audio, valid = batch(1, 3)
    moved = visual.clone()
    moved[:, 0] += torch.rand_like(moved[:, 0])
    for frames, is_same in (("intra", True), ("inter", False), ("intra+inter", False)):
        model = sharp(build("av-transformer", dims, frames=frames, **SMALL))
        one, two = (model(x, audio, valid).shown["spatial_attention"][:, 1] for x in (visual, moved))
        assert torch.equal(one, two) == is_same


def test_sound_as_large_as_the_regions_is_not_mapped(dims):
    assert list(build("av-transformer").map_audio.parameters()) == []
    assert isinstance(build("av-transformer", dims, **SMALL).map_audio, torch.nn.Linear)
    only_ag = build("av-transformer", dims, visual="mlp", co_attention="ag", **SMALL)
    assert list(only_ag.map_audio.parameters()) == []


def test_an_lstm_needs_an_even_size():
    with pytest.raises(ModelError, match="'region_dims' must be even with visual lstm, .* got 5"):
        build("av-transformer", region_dims=5, visual="lstm")
    assert build("av-transformer", region_dims=5)


def test_a_3d_convolution_needs_a_square_grid(dims):
    with pytest.raises(ModelError, match="'conv3d'.*needs regions on a square grid, such as 49; got 8"):
        build("av-transformer", dims.model_copy(update={"regions": 8}), visual="conv3d")
    assert build("av-transformer", dims.model_copy(update={"regions": 8}))


def test_training():
    training = settings_for("av-transformer")
    assert (training.pooling, training.backgrounds, training.weak_labels) == ("max", "mismatched", "one-hot")
