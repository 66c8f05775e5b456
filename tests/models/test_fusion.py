"""Every fusion of Table 2 against its formula, element by element with plain numbers."""

import math

import pytest
import torch

from avel.models import fusion
from avel.models.registry import build


def affine(linear, x):
    rows, bias = linear.weight.tolist(), linear.bias.tolist()
    return [sum(w * y for w, y in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def slow(layer, a, v):
    if isinstance(layer, fusion.Concat):
        return [*a, *v]
    if isinstance(layer, fusion.MRN):
        hidden, other = (a, v) if layer.residual == "audio" else (v, a)
        for shortcut, update, (w1, _, w2) in zip(layer.shortcuts, layer.updates, layer.others, strict=True):
            moved, gate = affine(shortcut, hidden), affine(update, hidden)
            inner = affine(w2, [math.tanh(x) for x in affine(w1, other)])
            hidden = [m + math.tanh(g) * math.tanh(i) for m, g, i in zip(moved, gate, inner, strict=True)]
        return hidden
    if isinstance(layer, fusion.DMRN):
        if len(a) != len(v):
            a, v = affine(layer.to_audio, a), affine(layer.to_visual, v)
        for of_a, of_v in zip(layer.transform_audio, layer.transform_visual, strict=True):
            ua = affine(of_a[2], [math.tanh(x) for x in affine(of_a[0], a)])
            uv = affine(of_v[2], [math.tanh(x) for x in affine(of_v[0], v)])
            f = [(x + y) / 2 for x, y in zip(ua, uv, strict=True)]
            a = [math.tanh(x + y) for x, y in zip(a, f, strict=True)]  # Eq. 5
            v = [math.tanh(x + y) for x, y in zip(v, f, strict=True)]  # Eq. 6
        return [(x + y) / 2 for x, y in zip(a, v, strict=True)]
    u, w = affine(layer.project_audio, a), affine(layer.project_visual, v)
    if isinstance(layer, fusion.GMU):
        z = [sigmoid(x) for x in affine(layer.gate, [*v, *a])]
        return [k * math.tanh(y) + (1 - k) * math.tanh(x) for k, x, y in zip(z, u, w, strict=True)]
    if isinstance(layer, fusion.Gated | fusion.Bilinear):
        u = [sigmoid(x) for x in u] if layer.gate == "audio" else u
        w = [sigmoid(x) for x in w] if layer.gate == "visual" else w
    if isinstance(layer, fusion.Bilinear):
        return [x * y for x in u for y in w]
    pairs = zip(u, w, strict=True)
    if isinstance(layer, fusion.Gated):
        return [x * y for x, y in pairs]
    return [x + y if isinstance(layer, fusion.Additive) else max(x, y) for x, y in pairs]


MAKERS = {
    "additive": lambda a, v: fusion.Additive(a, v, 5),
    "maxpooling": lambda a, v: fusion.MaxPooling(a, v, 5),
    "gated by audio": lambda a, v: fusion.Gated(a, v, 5, "audio"),
    "gated by visual": lambda a, v: fusion.Gated(a, v, 5, "visual"),
    "bilinear": lambda a, v: fusion.Bilinear(a, v, 3),
    "bilinear gated by audio": lambda a, v: fusion.Bilinear(a, v, 3, "audio"),
    "bilinear gated by visual": lambda a, v: fusion.Bilinear(a, v, 3, "visual"),
    "gmu": lambda a, v: fusion.GMU(a, v, 5),
    "concat": fusion.Concat,
    "mrn of audio": lambda a, v: fusion.MRN(a, v, 5, "audio", 1),
    "mrn of visual, 3 blocks": lambda a, v: fusion.MRN(a, v, 5, "visual", 3),
    "dmrn": lambda a, v: fusion.DMRN(a, v, 5),
    "dmrn, 3 blocks": lambda a, v: fusion.DMRN(a, v, 5, 3),
}


@pytest.mark.parametrize("sizes", [(4, 4), (4, 6)], ids=["same size", "other size"])
@pytest.mark.parametrize("name", MAKERS)
def test_formula(name, sizes):
    layer = MAKERS[name](*sizes)
    audio, visual = torch.randn(2, 3, sizes[0]), torch.randn(2, 3, sizes[1])
    fused, gates = layer(audio, visual)
    assert fused.shape == (2, 3, layer.out_dims)
    for b in range(2):
        for t in range(3):
            expected = torch.tensor(slow(layer, audio[b, t].tolist(), visual[b, t].tolist()))
            torch.testing.assert_close(fused[b, t], expected)
    assert (gates is not None) == ("gate" in name or name == "gmu")
    if gates is not None:
        assert gates.shape == (2, 3)
        assert ((gates > 0) & (gates < 1)).all()


def test_gate_of_gmu_is_the_share_of_the_visual():
    layer = fusion.GMU(2, 2, 3)
    with torch.no_grad():
        layer.gate.weight.zero_()
        layer.gate.bias.fill_(20.0)
    audio, visual = torch.randn(4, 2), torch.randn(4, 2)
    fused, gates = layer(audio, visual)
    torch.testing.assert_close(gates, torch.ones(4))
    torch.testing.assert_close(fused, torch.tanh(layer.project_visual(visual)))


def test_one_block_of_dmrn_is_the_same_with_the_residuals_swapped():
    """The authors' code adds the audio's residual to the visual and the other way round."""
    layer = fusion.DMRN(4, 4, 4)
    audio, visual = torch.randn(3, 4), torch.randn(3, 4)
    merged = 0.5 * (layer.transform_visual[0](visual) + layer.transform_audio[0](audio))
    swapped_visual, swapped_audio = torch.tanh(audio + merged), torch.tanh(visual + merged)
    torch.testing.assert_close(layer(audio, visual)[0], 0.5 * (swapped_visual + swapped_audio))


def test_concat_in_late_position_is_a_v_att(dims, batch):
    one, other = build("concat", dims).eval(), build("a+v-att", dims).eval()
    other.load_state_dict(one.state_dict())
    inputs = batch()
    torch.testing.assert_close(one(*inputs).logits, other(*inputs).logits)


def test_dmrfe_averages_the_probabilities_of_two_dmrn(dims, batch):
    ensemble = build("dmrfe", dims).eval()
    inputs = batch()
    probabilities = []
    for member in range(2):
        single = build("dmrn", dims).eval()
        state = {
            name.replace(f"fusions.{member}.", "fusions.0.").replace(f"heads.{member}.", "heads.0."): value
            for name, value in ensemble.state_dict().items()
            if not name.startswith((f"fusions.{1 - member}.", f"heads.{1 - member}."))
        }
        single.load_state_dict(state)
        probabilities.append(single(*inputs).logits.softmax(-1))
    torch.testing.assert_close(ensemble(*inputs).logits.softmax(-1), (probabilities[0] + probabilities[1]) / 2)


@pytest.mark.parametrize("position", ["early", "late", "decision"])
def test_position_says_what_is_fused(dims, position):
    model = build("maxpooling", dims, position=position, lstm_dims=8, fusion_dims=11)
    layer = model.fusions[0]
    sizes = {"early": (5, 6, 11), "late": (8, 8, 11), "decision": (4, 4, 4)}[position]
    assert (layer.project_audio.in_features, layer.project_visual.in_features, layer.out_dims) == sizes
    assert [name for name, _ in model.named_children() if "lstm" in name] == (
        ["lstm"] if position == "early" else ["audio_lstm", "visual_lstm"]
    )


@pytest.mark.parametrize("decision_layer", [False, True])
def test_decision_fusion_step_by_step(decision_layer, dims, batch):
    model = build("gmu", dims, position="decision", decision_layer=decision_layer).eval()
    visual, audio, valid = batch()
    attended, weights = model.pooling.attention(visual, audio)
    audio_classes = model.audio_head(model.audio_lstm(audio, valid))
    visual_classes = model.visual_head(model.visual_lstm(attended, valid))
    fused, gates = model.fusions[0](audio_classes, visual_classes)
    output = model(visual, audio, valid)
    assert fused.shape == output.logits.shape
    torch.testing.assert_close(output.logits, model.heads[0](fused) if decision_layer else fused)
    torch.testing.assert_close(output.shown["gates"], gates)
    torch.testing.assert_close(output.shown["spatial_attention"], weights)


def test_early_fusion_step_by_step(dims, batch):
    model = build("dmrn", dims, position="early").eval()
    visual, audio, valid = batch()
    attended, _ = model.pooling.attention(visual, audio)
    fused, _ = model.fusions[0](audio, attended)
    torch.testing.assert_close(model(visual, audio, valid).logits, model.heads[0](model.lstm(fused, valid)))


def test_late_fusion_step_by_step(dims, batch):
    """A+V: the mean of the regions, two LSTMs, and the head of Sec. 4.1, or that of the released code."""
    visual, audio, valid = batch()
    for options in ({}, {"recurrence": "bilstm", "head": "mlp"}):
        model = build("a+v", dims, **options).eval()
        hidden = torch.cat([model.audio_lstm(audio, valid), model.visual_lstm(visual.mean(2), valid)], dim=-1)
        if options:
            _, first, _, second = model.heads[0]
            assert (first.in_features, first.out_features, second.out_features) == (512, 64, 4)
            expected = second(first(hidden.relu()).relu())
        else:
            assert (model.heads[0].in_features, model.heads[0].out_features) == (256, 4)
            expected = model.heads[0](hidden)
        torch.testing.assert_close(model(visual, audio, valid).logits, expected)


@pytest.mark.parametrize("name", ["concat", "bilinear", "gated-bilinear"])
def test_a_fusion_that_gives_no_number_a_class_keeps_its_layer_in_decision_position(name, dims):
    assert build(name, dims, position="decision").heads[0].out_features == dims.num_classes
