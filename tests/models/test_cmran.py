"""CMRAN against its formulas with plain numbers, and what it learns from."""

import math
from functools import partial

import plain_layers as plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from avel.models.base import ModelOutput
from avel.models.cmran import Cmran, CmranOptions
from avel.models.layers import (
    AttentionBlock,
    SpatialChannelAttention,
    SpatialChannelOptions,
    decision_logits,
    max_over_time,
    mean_over_time,
    relevance_loss,
)
from avel.models.registry import build
from avel.training.settings import settings_for
from avel.training.tasks import Supervised, Weak

SMALL = {
    "channel_dims": 8,
    "bottleneck_dims": 5,
    "spatial_dims": 7,
    "model_dims": 8,
    "heads": 2,
    "interaction_heads": 4,
    "feedforward_dims": 6,
}
small = partial(build, "cmran", **SMALL)


@pytest.mark.parametrize("channel_gate", ["residual", "plain"])
def test_spatial_channel_attention_is_its_formula(channel_gate):
    options = SpatialChannelOptions(channel_gate=channel_gate, channel_dims=8, bottleneck_dims=4, spatial_dims=7)
    layer = SpatialChannelAttention(6, 5, options)
    visual, audio = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 5)
    attended, weights = layer(visual, audio)
    for b in range(2):
        for t in range(3):
            expected = plain.spatial_channel(layer, visual[b, t].tolist(), audio[b, t].tolist())
            torch.testing.assert_close(attended[b, t], torch.tensor(expected[0]))
            torch.testing.assert_close(weights[b, t], torch.tensor(expected[1]))


def test_a_residual_gate_that_is_shut_leaves_the_channels():
    layer = SpatialChannelAttention(6, 5, SpatialChannelOptions())
    torch.nn.init.constant_(layer.excite.bias, -100.0)
    visual, audio = torch.rand(4, 6), torch.rand(5)
    attended, weights = layer(visual, audio)
    torch.testing.assert_close(attended, weights @ visual)
    layer.channel_gate = "plain"
    assert layer(visual, audio)[0].abs().max() < 1e-6


@pytest.mark.parametrize("feedforward_dims", [6, 0])
def test_attention_block_is_its_formula_over_what_is_valid(feedforward_dims):
    block = AttentionBlock(8, 2, feedforward_dims, 0.5).eval()
    x, query, keys, values = torch.randn(4, 2, 5, 8)
    valid = torch.tensor([[True] * 5, [True, False, True, False, False]])
    for queries in (query, None):
        out, weights = block(x, keys, values, valid, query=queries, show=True)
        assert block(x, keys, values, valid, query=queries)[1] is None
        for b in range(2):
            kept = valid[b]
            expected = plain.block(
                block,
                x[b].tolist(),
                (x if queries is None else queries)[b].tolist(),
                keys[b, kept].tolist(),
                values[b, kept].tolist(),
            )
            torch.testing.assert_close(out[b], torch.tensor(expected))
            torch.testing.assert_close(weights[b].sum(-1), torch.ones(5))
            assert (weights[b][:, ~kept] == 0).all()


def slow_cmran(model, visual, audio):
    """Relevance of each segment and categories of one video."""

    def memory(layer, xs):
        xs = [plain.affine(layer.project, x) for x in xs]
        for block in layer.blocks:
            xs = plain.block(block, xs, xs, xs, xs)
        return xs

    def relation(layer, xs, others):
        xs = [plain.affine(layer.project, x) for x in xs]
        return plain.block(layer.block, xs, xs, others + xs, others + xs)

    fitted = [[plain.relu(plain.affine(model.fit_visual[0], region)) for region in regions] for regions in visual]
    pooled = [plain.spatial_channel(model.attention, v, a)[0] for v, a in zip(fitted, audio, strict=True)]
    a = relation(model.audio_relation, audio, memory(model.visual_memory, pooled))
    v = relation(model.visual_relation, pooled, memory(model.audio_memory, audio))
    product = [plain.times(x, y) for x, y in zip(v, a, strict=True)]
    xs = plain.block(model.interaction, product, product, a + v, a + v)
    largest = [max(column) for column in zip(*xs, strict=True)]
    return [plain.affine(model.relevance, x)[0] for x in xs], plain.affine(model.category, largest)


@pytest.mark.parametrize("form", ["supervised", "weak"])
def test_cmran_is_its_formulas(form, dims, batch):
    model = small(dims, form=form).eval()
    visual, audio, valid = batch(2, 3)
    output = model(visual, audio, valid)
    for b in range(2):
        relevance, categories = slow_cmran(model, visual[b].tolist(), audio[b].tolist())
        torch.testing.assert_close(output.shown["event_relevance"][b], torch.tensor(relevance), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(output.shown["video_category"][b], torch.tensor(categories), atol=1e-5, rtol=1e-4)


def test_what_a_segment_attends_to_is_shown_once_for_both_modalities(dims, batch):
    visual, audio, valid = batch(2, 5)
    valid[1, 3:] = False
    shown = small(dims).eval()(visual, audio, valid).shown["temporal_attention"]
    torch.testing.assert_close(shown.sum(-1), valid.float())
    assert (shown[1, :, 3:] == 0).all()


@settings(max_examples=200)
@given(
    st.lists(st.floats(-5, 5, width=16), min_size=4, max_size=4),
    st.lists(st.floats(-5, 5, width=16), min_size=1, max_size=6),
    st.booleans(),
)
def test_the_largest_logit_is_the_decision(categories, relevance, has_background):
    logits = decision_logits(
        torch.tensor([categories]), torch.tensor([relevance]), len(categories) - 1 if has_background else 4
    )
    events = categories[:3] if has_background else categories
    best = events.index(max(events))
    for segment, x in zip(logits[0].tolist(), relevance, strict=True):
        if abs(x) < 1e-5 or (has_background and abs(categories[3] - max(events)) < 1e-5):
            continue  # on the boundary, or less beside it than float32 can hold
        is_event = x > 0 and not (has_background and categories[3] > max(events))
        assert segment.index(max(segment)) == (best if is_event else len(segment) - 1)


def test_maximum_and_mean_over_time():
    x = torch.tensor([[[1.0, -5.0], [3.0, -7.0], [9.0, 9.0]], [[1.0, 1.0]] * 3])
    valid = torch.tensor([[True, True, False], [False] * 3])
    assert max_over_time(x, valid).tolist() == [[3, -5], [0, 0]]
    assert mean_over_time(x, valid).tolist() == [[2, -6], [0, 0]]


def entropy(*shares):
    return -sum(share * math.log(p) for share, p in shares)


def test_relevance_loss_by_hand():
    sigmoid, log = plain.sigmoid, math.log
    relevance = torch.tensor([[2.0, -1.0, 5.0], [0.5, 0.5, 0.5], [1.0, -2.0, 0.0]])
    categories = torch.tensor([[1.0, 0.0], [9.0, -9.0], [0.0, 3.0]])
    # Of the first video the last segment is padding, the second has no event, the third has both categories.
    target = functional.one_hot(torch.tensor([[0, 2, 1], [2, 2, 2], [0, 1, 1]]), 3).float()
    valid = torch.ones(3, 3, dtype=torch.bool)
    valid[0, 2] = False
    segments = [
        log(sigmoid(2.0)),
        log(1 - sigmoid(-1.0)),
        *[log(1 - sigmoid(0.5))] * 3,
        log(sigmoid(1.0)),
        log(sigmoid(-2.0)),
        log(0.5),
    ]
    first, third = plain.softmax([1.0, 0.0]), plain.softmax([0.0, 3.0])
    videos = [entropy((1, first[0])), entropy((1 / 3, third[0]), (2 / 3, third[1]))]
    expected = -sum(segments) / 8 + sum(videos) / 2
    found = relevance_loss(relevance, categories, target, valid)
    torch.testing.assert_close(found, torch.tensor(expected))
    only_background = functional.one_hot(torch.full((1, 2), 2), 3).float()
    alone = relevance_loss(relevance[1:2, :2], categories[1:2], only_background, valid[1:2, :2])
    torch.testing.assert_close(alone, torch.tensor(-log(1 - sigmoid(0.5))))


def test_segment_labels_train_relevance_and_category(dims, batch):
    model, inputs = small(dims).eval(), batch(3, 4)
    output = model(*inputs)
    target = functional.one_hot(torch.randint(4, (3, 4)), 4).float()
    found = model.loss(output, target, inputs[2], Supervised().loss)
    shown = output.shown
    torch.testing.assert_close(
        found, relevance_loss(shown["event_relevance"], shown["video_category"], target, inputs[2])
    )


def test_video_labels_train_the_largest_of_the_relevant_logits(dims, batch):
    model = small(dims, form="weak").eval()
    visual, audio, valid = batch(2, 3)
    valid[1, 2] = False
    output = model(visual, audio, valid)
    assert output.shown["video_category"].shape == (2, dims.num_classes)
    losses = []
    for b, label in enumerate((1, 3)):
        count = int(valid[b].sum())
        relevance = output.shown["event_relevance"][b, :count].tolist()
        raw = output.shown["video_category"][b].tolist()
        pooled = [max(plain.sigmoid(x) * y for x in relevance) for y in raw]
        losses.append(-math.log(plain.softmax(pooled)[label]))
    target = functional.one_hot(torch.tensor([1, 3]), 4).float()
    model.spec = Weak().spec("abc")
    found = model.loss(output, target, valid, Weak(pooling="max").loss)
    torch.testing.assert_close(found, torch.tensor(sum(losses) / 2))


def test_video_labels_train_the_decision_where_the_head_scores_no_background(dims, batch):
    model, inputs = small(dims).eval(), batch(2, 3)
    output = model(*inputs)
    target = functional.one_hot(torch.tensor([1, 3]), 4).float()
    task = Weak(pooling="mean")
    model.spec = task.spec("abc")
    torch.testing.assert_close(model.loss(output, target, inputs[2], task.loss), task.loss(output, target, inputs[2]))


@pytest.mark.parametrize(("form", "task"), [("supervised", Supervised()), ("weak", Weak(pooling="max"))])
def test_learns_one_batch_with_its_own_loss(form, task, dims, batch):
    model = small(dims, form=form, dropout=0.0, visual_dropout=0.0)
    model.spec = task.spec("abc")
    visual, audio, valid = batch(4, 5)
    classes = torch.tensor([[0, 0, 3, 3, 0], [1, 1, 1, 3, 3], [3, 3, 2, 2, 2], [3, 3, 3, 3, 3]])
    signal = functional.one_hot(classes, 4).float()
    visual = 0.2 * visual + functional.pad(signal, (0, 2))[..., None, :]
    audio = 0.2 * audio + functional.pad(signal, (0, 1))
    target = task.target(signal, valid)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(80):
        loss = model.loss(model(visual, audio, valid), target, valid, task.loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    if form == "supervised":
        assert (model(visual, audio, valid).logits.argmax(-1) == classes).all()
    assert loss < 0.1
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())


def test_recipe_and_sizes():
    training = settings_for("cmran")
    assert (training.learning_rate, training.clip_gradient_norm, training.batch_size) == (5e-4, 0.1, 32)
    model = build("cmran")
    assert isinstance(model, Cmran)
    assert model.category.out_features == 28
    assert build("cmran", form="weak").category.out_features == 29


@pytest.mark.parametrize("option", ["heads", "interaction_heads"])
def test_features_that_heads_cannot_share(option):
    with pytest.raises(ValueError, match=f"'model_dims' must be a multiple of '{option}', 3; got 256"):
        CmranOptions(**{option: 3})


def test_output_of_another_model_is_refused(dims, batch):
    with pytest.raises(KeyError, match="event_relevance"):
        small(dims).loss(ModelOutput(torch.zeros(1, 1, 4)), torch.zeros(1, 4), torch.ones(1, 1) > 0, Weak().loss)
