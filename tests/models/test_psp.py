"""PSP against its formulas with plain numbers, and its loss by hand."""

import math
from functools import partial

import plain_layers as plain
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from avel.errors import ModelError
from avel.models.psp import (
    PositiveSamplePropagation,
    PspOptions,
    pair_similarity_loss,
    similarity_target,
)
from avel.models.registry import build
from avel.training.settings import settings_for
from avel.training.tasks import Supervised, Weak

small = partial(
    build, "psp", attention_dims=8, attention_hidden_dims=4, lstm_dims=4, head_dims=6, embedding_dims=5, dropout=0.0
)


def slow_propagation(layer, v, a):
    """One video, all segments valid."""

    def projected(linear, xs):
        return [plain.relu(plain.affine(linear, x)) for x in xs]

    def normalized(row):
        return [x / (sum(row) + 1e-8) for x in row]

    def weights(rows):
        pruned = [[w if w > layer.threshold * 10 / len(rows) else 0.0 for w in normalized(row)] for row in rows]
        return pruned if layer.form == "weak" else [normalized(row) for row in pruned]

    seen, heard = projected(layer.visual_pair, v), projected(layer.audio_pair, a)
    pairs = [[plain.dot(x, y) / math.sqrt(len(x)) for y in heard] for x in seen]
    of_visual, of_audio = weights(pairs), weights([list(column) for column in zip(*pairs, strict=True)])
    a_values, v_values = projected(layer.audio_value, a), projected(layer.visual_value, v)
    v = [plain.add(x, plain.weighted(row, a_values)) for x, row in zip(v, of_visual, strict=True)]
    a = [plain.add(x, plain.weighted(row, v_values)) for x, row in zip(a, of_audio, strict=True)]
    if layer.form == "supervised":
        v, a = projected(layer.visual_out, v), projected(layer.audio_out, a)
    return [plain.layer_norm(layer.norm, x) for x in v], [plain.layer_norm(layer.norm, x) for x in a], of_visual


@pytest.mark.parametrize("form", ["supervised", "weak"])
@pytest.mark.parametrize("segments", [1, 4, 10])
def test_propagation_is_its_formula(form, segments):
    layer = PositiveSamplePropagation(6, PspOptions(form=form)).eval()
    v, a = torch.randn(2, 2, segments, 6)
    found = layer(v, a, torch.ones(2, segments, dtype=torch.bool))
    for b in range(2):
        for one, other in zip(found, slow_propagation(layer, v[b].tolist(), a[b].tolist()), strict=True):
            torch.testing.assert_close(one[b], torch.tensor(other))
    if segments > 1:
        assert (found[2] == 0).any()  # something was pruned


@settings(max_examples=30)
@given(st.lists(st.booleans(), min_size=6, max_size=6).filter(any), st.sampled_from(["supervised", "weak"]))
def test_propagation_leaves_padding_out(valid, form):
    valid = torch.tensor([valid])
    layer = PositiveSamplePropagation(6, PspOptions(form=form)).eval()
    v, a = torch.randn(2, 1, 6, 6)
    one = layer(v, a, valid)
    alone = layer(v[:, valid[0]], a[:, valid[0]], valid[:, valid[0]])
    for x, y in zip(one[:2], alone[:2], strict=True):
        torch.testing.assert_close(x[:, valid[0]], y)
    torch.testing.assert_close(one[2][0, valid[0]][:, valid[0]], alone[2][0])


def test_equal_pairs_stay_whatever_the_number_of_segments():
    """0.099 of ten is just below the weight of equal pairs; a fixed one would prune all of a longer video."""
    for segments in (2, 10, 40):
        layer = PositiveSamplePropagation(6, PspOptions()).eval()
        v, a = torch.rand(2, 1, 1, 6).expand(2, 1, segments, 6)
        layer.visual_pair.weight.data.abs_()
        layer.audio_pair.weight.data.abs_()
        weights = layer(v, a, torch.ones(1, segments, dtype=torch.bool))[2]
        torch.testing.assert_close(weights, torch.full_like(weights, 1 / segments))


def test_pruned_pairs_take_no_part():
    layer = PositiveSamplePropagation(2, PspOptions()).eval()
    for linear in (layer.visual_pair, layer.audio_pair):
        linear.weight.data = torch.eye(2)
    v = torch.tensor([[[4.0, 0.0], [4.0, 3.0]]])
    a = torch.tensor([[[5.0, 0.0], [0.0, 1.0]]])
    # Products 20, 0 and 20, 3: shares 1, 0 and 20/23, 3/23. Of two segments the threshold is 0.495.
    assert layer(v, a, torch.ones(1, 2, dtype=torch.bool))[2].tolist() == [[[1, 0], [1, 0]]]
    weak = PositiveSamplePropagation(2, PspOptions(form="weak")).eval()
    weak.load_state_dict(layer.state_dict(), strict=False)
    found = weak(v, a, torch.ones(1, 2, dtype=torch.bool))[2]
    torch.testing.assert_close(found, torch.tensor([[[1, 0], [20 / 23, 0]]]))


def test_similarity_target_by_hand():
    target = functional.one_hot(torch.tensor([[0, 0, 2, 2], [2, 2, 2, 2], [1, 0, 0, 0]]), 3).float()
    valid = torch.ones(3, 4, dtype=torch.bool)
    valid[2, 3] = False
    expected = torch.tensor([[0.5, 0.5, 0, 0], [0, 0, 0, 0], [1 / 3, 1 / 3, 1 / 3, 0]])
    torch.testing.assert_close(similarity_target(target, valid), expected)


def test_similarity_target_of_a_batch_does_not_hold_the_one_before():
    """The authors' loader gave a target with sum 2 here."""
    first, second = (functional.one_hot(torch.tensor([x]), 3).float() for x in ([0, 0, 2, 2], [2, 2, 1, 1]))
    valid = torch.ones(1, 4, dtype=torch.bool)
    similarity_target(first, valid)
    assert similarity_target(second, valid).tolist() == [[0, 0, 0.5, 0.5]]


def test_pair_similarity_loss_by_hand():
    similarity = torch.tensor([[0.6, -0.5, 0.2, 0.9], [-0.1, -0.2, -0.3, -0.4]])
    target = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    valid = torch.ones(2, 4, dtype=torch.bool)
    valid[0, 3] = False
    # The first video's shares are 0.75, 0, 0.25; the second has none.
    expected = (0.25**2 + 0.5**2 + 0.25**2 + 1) / 7
    torch.testing.assert_close(pair_similarity_loss(similarity, target, valid), torch.tensor(expected))


def test_loss_adds_similarity_where_segments_have_labels(dims, batch):
    visual, audio, valid = batch(3, 5)
    segments = functional.one_hot(torch.randint(4, (3, 5)), 4).float()
    videos = Weak().target(segments, valid)
    for form, weight in (("supervised", 100.0), ("supervised", 7.0), ("weak", 100.0)):
        model = small(dims, form=form, similarity_weight=weight).eval()
        output = model(visual, audio, valid)
        plain_loss = Supervised().loss(output, segments, valid)
        pairs = pair_similarity_loss(output.shown["similarity"], similarity_target(segments, valid), valid)
        expected = plain_loss + weight * pairs if form == "supervised" else plain_loss
        torch.testing.assert_close(model.loss(output, segments, valid, Supervised().loss), expected)
        model.spec = Weak().spec("abc")
        torch.testing.assert_close(model.loss(output, videos, valid, Weak().loss), Weak().loss(output, videos, valid))


def test_similarity_is_the_cosine(dims, batch):
    model = small(dims).eval()
    kept = []
    model.propagation.register_forward_hook(lambda module, inputs, outputs: kept.append(outputs))
    found = model(*batch(1, 3)).shown["similarity"]
    v, a, _ = kept[0]
    for t in range(3):
        x, y = v[0, t].tolist(), a[0, t].tolist()
        cosine = plain.dot(x, y) / math.sqrt(plain.dot(x, x) * plain.dot(y, y))
        assert found[0, t].item() == pytest.approx(cosine, abs=1e-6)


def test_weak_form_weights_segments(dims, batch):
    model, inputs = small(dims, form="weak").eval(), batch(2, 4)
    found = model(*inputs).logits
    weighting, model.weighting = model.weighting, None
    for one, logits in zip(found.flatten(0, 1), model(*inputs).logits.flatten(0, 1).tolist(), strict=True):
        weight = plain.sigmoid(max(0.0, plain.affine(weighting, logits)[0]))
        torch.testing.assert_close(one, torch.tensor([weight * x for x in logits]))


def test_learns_one_batch_with_its_own_loss(dims, batch):
    model = small(dims, similarity_weight=1.0)
    visual, audio, valid = batch(4, 5)
    classes = torch.tensor([[0, 0, 3, 3, 0], [1, 1, 1, 3, 3], [3, 3, 2, 2, 2], [0, 3, 3, 3, 3]])
    target = functional.one_hot(classes, 4).float()
    visual = 0.2 * visual + functional.pad(target, (0, 2))[..., None, :]
    audio = 0.2 * audio + functional.pad(target, (0, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(120):
        output = model(visual, audio, valid)
        loss = model.loss(output, target, valid, Supervised().loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (output.logits.argmax(-1) == classes).all()
    assert pair_similarity_loss(output.shown["similarity"], similarity_target(target, valid), valid) < 0.01


def test_recipe():
    training = settings_for("psp")
    assert (training.learning_rate, training.batch_size, training.epochs) == (1e-3, 128, 300)
    assert (training.schedule, training.decay_epochs, training.decay_factor) == ("milestones", [60, 120], 0.8)
    assert training.weak_labels == "proportion"
    assert (PspOptions().threshold, PspOptions().similarity_weight) == (0.099, 100.0)


def test_wrong_weight():
    with pytest.raises(ModelError, match="'similarity_weight' must be a number from 0 to 10000, got -1.0"):
        build("psp", similarity_weight=-1.0)
