"""DIIA against the paper's equations with plain numbers, and its options."""

from functools import partial

import plain_layers as plain
import pytest
import torch

from avel.models.diia import DiiaOptions, InterAttention, IntraAttention
from avel.models.registry import build
from avel.training.settings import settings_for

SMALL = {
    "channel_dims": 8,
    "bottleneck_dims": 5,
    "spatial_dims": 7,
    "model_dims": 8,
    "heads": 2,
    "feedforward_dims": 6,
    "head_dims": 5,
}
small = partial(build, "diia", **SMALL)


def slow_intra(layer, v, a):
    """Eqs. 3-8."""
    v_gated, a_gated = v, a
    if layer.gates != "none":
        from_v, from_a = (v, a) if layer.gates == "crossed" else (a, v)
        gate_v, gate_a = layer.visual_gate, layer.audio_gate
        if layer.gates == "own":
            gate_v, gate_a = gate_a, gate_v
        g_v = [plain.sigmoid(x) for x in plain.affine(gate_v, plain.mean(from_v))]  # Eq. 7
        g_a = [plain.sigmoid(x) for x in plain.affine(gate_a, plain.mean(from_a))]  # Eq. 8
        v_gated = [[(1 + g) * x for g, x in zip(g_a, row, strict=True)] for row in v]  # Eq. 5
        a_gated = [[(1 + g) * x for g, x in zip(g_v, row, strict=True)] for row in a]  # Eq. 6
    return (
        plain.block(layer.visual, v, v_gated, v_gated, v),  # Eq. 3
        plain.block(layer.audio, a, a_gated, a_gated, a),  # Eq. 4
    )


def slow_inter(layer, v, a):
    """Eqs. 9-10."""
    return plain.block(layer.visual, v, v, a, a), plain.block(layer.audio, a, a, v, v)


def slow_diia(model, visual, audio):
    pooled = [plain.spatial_channel(model.pooling, v, a)[0] for v, a in zip(visual, audio, strict=True)]
    v = [plain.affine(model.project_visual, x) for x in pooled]
    a = [plain.affine(model.project_audio, x) for x in audio]
    for layer in model.attentions:
        v, a = (slow_intra if isinstance(layer, IntraAttention) else slow_inter)(layer, v, a)
    first, _, second = model.head
    logits = []
    for x, y in zip(v, a, strict=True):
        fused = plain.mean([plain.affine(model.merge_visual, x), plain.affine(model.merge_audio, y)])  # Eq. 11
        logits.append(plain.affine(second, plain.relu(plain.affine(first, fused))))
    return logits


@pytest.mark.parametrize("gates", ["crossed", "own", "none"])
def test_intra_attention_is_equations_3_to_8(gates):
    layer = IntraAttention(DiiaOptions(**SMALL, gates=gates)).eval()
    v, a = torch.randn(2, 2, 4, 8)
    valid = torch.tensor([[True] * 4, [True, False, True, False]])
    found = layer(v, a, valid, {})
    for b in range(2):
        kept = valid[b]
        expected = slow_intra(layer, v[b, kept].tolist(), a[b, kept].tolist())
        for one, other in zip(found, expected, strict=False):
            torch.testing.assert_close(one[b, kept], torch.tensor(other))


def test_inter_attention_is_equations_9_and_10():
    layer = InterAttention(DiiaOptions(**SMALL)).eval()
    v, a = torch.randn(2, 1, 4, 8)
    found = layer(v, a, torch.ones(1, 4, dtype=torch.bool), {})
    for one, other in zip(found, slow_inter(layer, v[0].tolist(), a[0].tolist()), strict=False):
        torch.testing.assert_close(one[0], torch.tensor(other))


@pytest.mark.parametrize(
    "options", [{}, {"order": "inter-intra"}, {"depth": 2}, {"order": "intra"}, {"order": "inter", "depth": 2}]
)
def test_diia_is_its_equations(options, dims, batch):
    model = small(dims, **options).eval()
    visual, audio, valid = batch(2, 3)
    logits = model(visual, audio, valid).logits
    for b in range(2):
        expected = torch.tensor(slow_diia(model, visual[b].tolist(), audio[b].tolist()))
        torch.testing.assert_close(logits[b], expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "kinds"),
    [
        ({}, [IntraAttention, InterAttention]),
        ({"order": "inter-intra"}, [InterAttention, IntraAttention]),
        ({"order": "intra"}, [IntraAttention]),
        ({"order": "inter"}, [InterAttention]),
        ({"depth": 3}, [IntraAttention, InterAttention] * 3),
    ],
)
def test_order_and_depth(options, kinds, dims):
    model = small(dims, **options)
    assert [type(layer) for layer in model.attentions] == kinds
    weights = [weight.data_ptr() for weight in model.parameters()]
    assert len(set(weights)) == len(weights)


def test_the_visual_gate_comes_from_the_audio_alone():
    layer = IntraAttention(DiiaOptions(**SMALL)).eval()
    valid = torch.ones(1, 4, dtype=torch.bool)
    v, a = torch.randn(2, 1, 4, 8)
    before, after = layer(v, a, valid, {}), layer(v, a + 3.0, valid, {})
    assert not torch.allclose(before[0], after[0])
    layer.gates = "none"
    assert torch.equal(layer(v, a, valid, {})[0], layer(v, a + 3.0, valid, {})[0])
    layer.gates = "own"
    assert torch.equal(layer(v, a, valid, {})[0], layer(v, a + 3.0, valid, {})[0])


def test_segments_have_no_order(dims, batch):
    """There are no positions."""
    model = small(dims).eval()
    visual, audio, valid = batch(1, 5)
    other = torch.randperm(5)
    torch.testing.assert_close(
        model(visual[:, other], audio[:, other], valid).logits, model(visual, audio, valid).logits[:, other]
    )


@pytest.mark.parametrize("pooling", ["spatial-channel", "spatial", "mean"])
def test_pooling_of_regions(pooling, dims, batch):
    visual, audio, valid = batch(2, 3)
    shown = small(dims, pooling=pooling).eval()(visual, audio, valid).shown
    assert ("spatial_attention" in shown) == (pooling != "mean")


def test_recipe():
    training = settings_for("diia")
    assert (training.optimizer, training.learning_rate, training.batch_size) == ("adam", 7e-4, 128)
    assert (training.schedule, training.decay_epochs, training.decay_factor) == ("milestones", [10, 20, 30], 0.5)


def test_features_that_heads_cannot_share():
    with pytest.raises(ValueError, match="'model_dims' must be a multiple of 'heads', 4; got 255"):
        DiiaOptions(model_dims=255)


@pytest.mark.parametrize("gates", ["crossed", "own", "none"])
def test_the_mean_of_each_gate_is_shown(gates):
    torch.manual_seed(0)
    layer = IntraAttention(DiiaOptions(gates=gates, **SMALL))
    v, a = torch.rand(1, 3, 8), torch.rand(1, 3, 8)
    shown = {}
    layer(v, a, torch.tensor([[True, True, False]]), shown)
    if gates == "none":
        assert shown == {}
        return
    heard = [plain.sigmoid(x) for x in plain.affine(layer.audio_gate, plain.mean(a[0, :2].tolist()))]
    seen = [plain.sigmoid(x) for x in plain.affine(layer.visual_gate, plain.mean(v[0, :2].tolist()))]
    on_visual, on_audio = (heard, seen) if gates == "crossed" else (seen, heard)
    for name, gate in (("visual_gates", on_visual), ("audio_gates", on_audio)):
        mean = sum(gate) / len(gate)
        assert shown[name][0].tolist() == pytest.approx([mean, mean, 0], abs=1e-5)
