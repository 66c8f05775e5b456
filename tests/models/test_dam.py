"""DAM against its formulas with plain numbers, and what it learns from."""

import math
from functools import partial

import plain_layers as plain
import pytest
import torch
from torch.nn import functional

from avel.models.dam import EventFeature
from avel.models.layers import relevance_loss
from avel.models.registry import build
from avel.training.tasks import Supervised, Weak

small = partial(build, "dam", attention_dims=8, attention_hidden_dims=4, event_dims=6)


def slow_event(layer, xs):
    """Self-attention over the segments of an event, then their mean."""
    q, k, v = ([plain.affine(linear, x) for x in xs] for linear in (layer.query, layer.key, layer.value))
    found = []
    for query in q:
        found.append(plain.weighted(plain.softmax([plain.dot(query, key) / math.sqrt(len(key)) for key in k]), v))
    return plain.mean(found)


def test_event_feature_is_that_of_the_events_segments_alone():
    layer = EventFeature(6)
    x = torch.randn(2, 5, 6)
    weights = torch.tensor([[1.0, 0, 1, 1, 0], [0, 0, 0, 0, 1]])
    event, attention = layer(x, weights.log())
    for b in range(2):
        expected = slow_event(layer, x[b, weights[b] > 0].tolist())
        torch.testing.assert_close(event[b], torch.tensor(expected))
        assert (attention[b][:, weights[b] == 0] == 0).all()
    torch.testing.assert_close(attention.sum(-1), torch.ones(2, 5))


def test_weights_of_an_event_are_counts_of_its_segments():
    """Half of the weight of all others is as if all others were there twice."""
    layer, x = EventFeature(6), torch.randn(1, 3, 6)
    event, _ = layer(x, torch.tensor([[1.0, 1.0, 0.5]]).log())
    twice, _ = layer(x[:, [0, 0, 1, 1, 2]], torch.zeros(1, 5))
    torch.testing.assert_close(event, twice)


def test_weights_next_to_nothing_leave_gradients_finite():
    layer, x = EventFeature(6), torch.randn(1, 3, 6)
    log_weights = torch.tensor([[0.0, -torch.inf, -1e3]], requires_grad=True)
    layer(x, log_weights)[0].sum().backward()
    assert log_weights.grad.isfinite().all()


def test_a_look_is_its_formula(dims):
    model = small(dims)
    v, a = torch.randn(2, 1, 4, 6)
    event = torch.tensor([[0.0, 1, 1, 0]])
    relevance, categories, _ = model.look(v, a, event.log())
    seen = slow_event(model.visual_event, v[0, 1:3].tolist())
    heard = slow_event(model.audio_event, a[0, 1:3].tolist())
    for t in range(4):
        both = plain.sigmoid(plain.dot(seen, a[0, t].tolist())), plain.sigmoid(plain.dot(heard, v[0, t].tolist()))
        assert plain.sigmoid(relevance[0, t].item()) == pytest.approx(sum(both) / 2, abs=1e-6)
    torch.testing.assert_close(categories[0], torch.tensor(plain.affine(model.category, [*seen, *heard])))


def test_relevance_does_not_round_to_certainty(dims):
    model = small(dims)
    v, a = torch.full((2, 1, 2, 6), 1e3)
    relevance, _, _ = model.look(v, a, torch.zeros(1, 2))
    assert relevance.isfinite().all()


def test_the_second_look_weighs_segments_by_the_first(dims, batch):
    visual, audio, valid = batch(2, 4)
    valid[1, 2:] = False
    whole, model = small(dims, event_region="whole").eval(), small(dims).eval()
    model.load_state_dict(whole.state_dict())
    first, second = whole(visual, audio, valid).shown, model(visual, audio, valid).shown
    v, a = first["visual_features"], first["audio_features"]
    relevance, categories, _ = model.look(v, a, (torch.sigmoid(first["event_relevance"]) * valid).log())
    torch.testing.assert_close(second["event_relevance"], relevance * valid)
    torch.testing.assert_close(second["video_category"], categories)
    assert not torch.allclose(first["video_category"], second["video_category"])


@pytest.mark.parametrize("event_region", ["relevant", "whole"])
def test_loss_takes_the_event_from_the_labels(event_region, dims, batch):
    model = small(dims, event_region=event_region).eval()
    visual, audio, valid = batch(2, 4)
    valid[1, 3] = False
    target = functional.one_hot(torch.tensor([[0, 3, 1, 3], [3, 3, 3, 3]]), 4).float()
    output = model(visual, audio, valid)
    v, a = output.shown["visual_features"], output.shown["audio_features"]
    expected = relevance_loss(*model.look(v, a, valid.log())[:2], target, valid)
    if event_region == "relevant":
        # The second video has no event, so that its region is all of it.
        region = torch.tensor([[1.0, 0, 1, 0], [1, 1, 1, 0]])
        expected = expected + relevance_loss(*model.look(v, a, region.log())[:2], target, valid)
    torch.testing.assert_close(model.loss(output, target, valid, Supervised().loss), expected)
    videos = Weak().target(target, valid)
    model.spec = Weak().spec("abc")
    torch.testing.assert_close(model.loss(output, videos, valid, Weak().loss), Weak().loss(output, videos, valid))


def test_learns_one_batch_with_its_own_loss(dims, batch):
    model = small(dims, event_dims=16)
    visual, audio, valid = batch(4, 5)
    classes = torch.tensor([[0, 0, 3, 3, 0], [1, 1, 1, 3, 3], [3, 3, 2, 2, 2], [0, 3, 3, 3, 3]])
    target = functional.one_hot(classes, 4).float()
    visual = 0.2 * visual + functional.pad(target, (0, 2))[..., None, :]
    audio = 0.2 * audio + functional.pad(target, (0, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        output = model(visual, audio, valid)
        loss = model.loss(output, target, valid, Supervised().loss)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model(visual, audio, valid).logits.argmax(-1) == classes).all()
    assert all(p.grad.abs().sum() > 0 for p in model.parameters())
