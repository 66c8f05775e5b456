"""The recommended model against loops over segments and regions."""

import math

import plain_layers as plain
import pytest
import torch

from avel.errors import ModelError
from avel.models.recommended import Recommended, RecommendedOptions
from avel.models.registry import build
from avel.training.settings import settings_for


def small(dims, **options):
    sizes = {"attention_dims": 3, "model_dims": 8, "heads": 2, "feedforward_dims": 5}
    return Recommended(dims, RecommendedOptions(**(sizes | options)))


def slow(model, visual, audio, kept=None):
    """Logits (T, C) and weights (T, R) of one video, from the formulas at the head of the module.

    ``kept`` has a factor of each feature of the pictures and of the sound.
    """
    of_visual, of_audio = kept or ([1.0] * len(visual[0][0]), [1.0] * len(audio[0]))
    xs, shown = [], []
    for regions, sound in zip(visual, audio, strict=True):
        a = plain.layer_norm(model.normalize_audio, sound)
        if model.standardize is not None:
            moments = zip(a, model.standardize.mean.tolist(), model.standardize.variance.tolist(), strict=True)
            a = [(x - mean) / math.sqrt(variance + 1e-5) for x, mean, variance in moments]
        a = plain.times(of_audio, a)
        v = [plain.times(of_visual, plain.layer_norm(model.normalize_visual, region)) for region in regions]
        pooled = plain.mean(v)
        if model.attention is not None:
            query = plain.affine(model.attention.query, a)
            keys = [plain.affine(model.attention.key, region) for region in v]
            weights = plain.softmax([plain.dot(query, key) / math.sqrt(len(query)) for key in keys])
            shown.append(weights)
            pooled = plain.weighted(weights, v) + pooled
        seen = plain.relu(plain.affine(model.map_visual, pooled))
        heard = plain.relu(plain.affine(model.map_audio, a))
        xs.append(plain.affine(model.join, seen + heard + plain.times(seen, heard)))
    weight, bias = model.neighbours.weight.tolist(), model.neighbours.bias.tolist()
    nothing = [0.0] * len(bias)
    padded = [nothing, *xs, nothing]
    convolved = [
        [here + bias[d] + sum(weight[d][0][k] * padded[t + k][d] for k in range(3)) for d, here in enumerate(x)]
        for t, x in enumerate(xs)
    ]
    for block in model.blocks:
        convolved = plain.block(block, convolved, convolved, convolved, convolved)
    return [plain.affine(model.head, x) for x in convolved], shown


def with_norms_that_do_something(model):
    with torch.no_grad():
        for layer in (model.normalize_visual, model.normalize_audio):
            if layer.elementwise_affine:
                layer.weight.uniform_(0.5, 2)
                layer.bias.uniform_(-1, 1)
        if model.standardize is not None:
            model.standardize.mean.uniform_(-1, 1)
            model.standardize.variance.uniform_(0.5, 2)
    return model


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"pooling": "mean"}, {"layers": 2}, {"standardize_sound": False}])
@pytest.mark.parametrize("segments", [1, 4])
def test_it_is_its_formulas(options, segments, dims, batch):
    model = with_norms_that_do_something(small(dims, **options)).eval()
    visual, audio, valid = batch(2, segments)
    output = model(visual, audio, valid)
    for b in range(2):
        logits, weights = slow(model, visual[b].tolist(), audio[b].tolist())
        torch.testing.assert_close(output.logits[b], torch.tensor(logits), atol=1e-5, rtol=1e-4)
        if weights:
            torch.testing.assert_close(output.shown["spatial_attention"][b], torch.tensor(weights))


@torch.no_grad()
def test_a_dropped_feature_is_dropped_in_the_whole_video(dims, batch):
    model = with_norms_that_do_something(small(dims, dropout=0.0, input_dropout=0.5)).train()
    visual, audio, valid = batch(2, 4)
    torch.manual_seed(0)
    kept = [model._kept_channels(x)[:, 0].tolist() for x in (visual, audio)]
    torch.manual_seed(0)
    output = model(visual, audio, valid)
    assert {factor for of_video in kept[0] for factor in of_video} == {0.0, 2.0}
    for b in range(2):
        logits, _ = slow(model, visual[b].tolist(), audio[b].tolist(), (kept[0][b], kept[1][b]))
        torch.testing.assert_close(output.logits[b], torch.tensor(logits), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_scale_of_features_does_not_matter(dims, batch):
    model = small(dims).eval()
    visual, audio, valid = batch()
    torch.testing.assert_close(
        model(100 * visual, 10 * audio, valid).logits, model(visual, audio, valid).logits, atol=1e-2, rtol=1e-2
    )


def test_its_training_is_its_recipe():
    training = settings_for("recommended")
    assert (training.label_smoothing, training.average_weights, training.schedule) == (0.1, 0.99, "cosine")
    assert (training.pooling, training.backgrounds) == ("max", "noisy+mismatched")


def test_heads_that_do_not_fit():
    with pytest.raises(ModelError, match="option 'model_dims' must be a multiple of 'heads', 3; got 256"):
        build("recommended", heads=3)
