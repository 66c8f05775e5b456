"""Xuan et al. against their formulas, element by element with plain numbers, and what their options switch."""

import math

import pytest
import torch
from plain_layers import add, affine, dot, mean, relu, sigmoid, softmax, weighted

from avel.models.cman import CmanOptions, CoAttention, CosineAttention, SelfAttention, SentinelLSTM
from avel.models.options import Dims
from avel.models.registry import build, entry
from avel.models.size import size_of

SIZES = {"attention_dims": 4, "lstm_dims": 3, "co_attention_dims": 5, "head_dims": 7}


def slow_spatial(layer, regions, sound):
    """Where: cosine of both, projected by Linear and ReLU; softmax over the regions."""
    a = relu(affine(layer.project_audio, sound))
    cosines = []
    for region in regions:
        v = relu(affine(layer.project_visual, region))
        norms = math.sqrt(dot(v, v) * dot(a, a))
        cosines.append(dot(v, a) / norms if norms else 0.0)
    weights = softmax([cosine / layer.temperature for cosine in cosines])
    return weighted(weights, regions), weights


def slow_self_attention(layer, xs):
    """When: Yang et al., AAAI 2019; xs are the segments."""
    queries, keys = [affine(layer.query, x) for x in xs], [affine(layer.key, x) for x in xs]
    if layer.query_context is not None:
        queries = slow_context(layer.query_context, queries, mean(xs))
        keys = slow_context(layer.key_context, keys, mean(xs))
    values = [affine(layer.value, x) for x in xs]
    weights = [softmax([dot(query, key) / math.sqrt(len(query)) for key in keys]) for query in queries]
    return [weighted(row, values) for row in weights], weights


def slow_context(layer, own, mean_of_segments):
    context = affine(layer.context, mean_of_segments)
    mixed = []
    for x in own:
        gate = sigmoid(affine(layer.gate_own, x)[0] + affine(layer.gate_context, context)[0])
        mixed.append([(1 - gate) * a + gate * c for a, c in zip(x, context, strict=True)])
    return mixed


def slow_lstm(layer, xs):
    """Which, first part: hidden states and sentinels (Lu et al., CVPR 2017); torch's order of the gates."""
    hidden, sentinels = [[] for _ in xs], [[] for _ in xs]
    for direction, cell in enumerate(layer.cells):
        steps = list(range(len(xs)))[:: -1 if direction else 1]
        h, memory = [0.0] * cell.hidden_size, [0.0] * cell.hidden_size
        for t in steps:
            z = add(
                *(
                    [dot(row, y) + b for row, b in zip(w.tolist(), bias.tolist(), strict=True)]
                    for w, bias, y in ((cell.weight_ih, cell.bias_ih, xs[t]), (cell.weight_hh, cell.bias_hh, h))
                )
            )
            enter, forget, candidate, leave = (z[i * len(h) : (i + 1) * len(h)] for i in range(4))
            memory = [
                sigmoid(f) * m + sigmoid(e) * math.tanh(c)
                for f, m, e, c in zip(forget, memory, enter, candidate, strict=True)
            ]
            if layer.sentinels:
                sentinel = layer.sentinels[direction]
                gate = add(affine(sentinel.from_input, xs[t]), affine(sentinel.from_hidden, h))
                sentinels[t] += [sigmoid(g) * math.tanh(m) for g, m in zip(gate, memory, strict=True)]
            h = [sigmoid(o) * math.tanh(m) for o, m in zip(leave, memory, strict=True)]
            hidden[t] += h
    return hidden, sentinels


def slow_co_attention(layer, hidden, sentinels, others):
    """Which, second part: contexts (Eqs. 6-7) and gates (Eq. 8)."""
    contexts, gates = [], []
    for h, s in zip(hidden, sentinels, strict=True):
        from_hidden = affine(layer.from_hidden, h)

        def score(linear, x, from_hidden=from_hidden):
            return affine(layer.score, [math.tanh(y) for y in add(affine(linear, x), from_hidden)])[0]

        z = [score(layer.from_other, other) for other in others]
        contexts.append(weighted(softmax(z), [affine(layer.project, other) for other in others]))
        if layer.from_sentinel is not None:
            gates.append(softmax([*z, score(layer.from_sentinel, s)])[-1])
    return contexts, gates


def slow(model, visual, audio, options):
    """Logits of one video, as lists, with what it shows."""
    xs, shown = {}, {}
    if options.visual:
        if options.spatial_attention:
            pooled = [slow_spatial(model.spatial_attention, v, a) for v, a in zip(visual, audio, strict=True)]
            xs["visual"], shown["spatial_attention"] = zip(*pooled, strict=True)
        else:
            xs["visual"] = [mean(regions) for regions in visual]
    if options.audio:
        xs["audio"] = audio
    if options.self_attention:
        weights = []
        for name in xs:
            attended, of_modality = slow_self_attention(model.self_attention[name], xs[name])
            weights.append(of_modality)
            xs[name] = (
                [add(*pair) for pair in zip(xs[name], attended, strict=True)] if options.skip_connection else attended
            )
        shown["temporal_attention"] = [mean(rows) for rows in zip(*weights, strict=True)]
    hidden, sentinels = {}, {}
    for name in xs:
        hidden[name], sentinels[name] = slow_lstm(model.lstm[name], xs[name])
    if options.co_attention:
        found = {
            name: slow_co_attention(model.co_attention[name], hidden[name], sentinels[name], xs[other])
            for name, other in (("visual", "audio"), ("audio", "visual"))
        }
        for t in range(len(audio)):
            gates = [found[name][1][t] for name in ("visual", "audio")] if options.sentinel else []
            if gates:
                for key, value in zip(
                    ("visual_gates", "audio_gates", "gates"), [*gates, softmax(gates)[0]], strict=True
                ):
                    shown.setdefault(key, []).append(value)
            gates = softmax(gates) if options.normalize_gates and gates else gates
            for i, name in enumerate(("visual", "audio")):
                context = found[name][0][t]
                if gates:
                    beta = gates[i]
                    context = [beta * s + (1 - beta) * c for s, c in zip(sentinels[name][t], context, strict=True)]
                hidden[name][t] = add(hidden[name][t], context)
    logits = []
    for t in range(len(audio)):
        joined = [x for name in ("visual", "audio") if name in hidden for x in hidden[name][t]]
        logits.append(affine(model.head[3], relu(affine(model.head[1], relu(joined)))))
    return logits, shown


NOTHING = dict.fromkeys(("spatial_attention", "self_attention", "co_attention"), False)
ROWS = {
    "1": NOTHING | {"visual": False},
    "2": NOTHING | {"audio": False},
    "3": NOTHING,
    "4": NOTHING | {"spatial_attention": True},
    "5": NOTHING | {"self_attention": True},
    "6": NOTHING | {"co_attention": True},
    "7": {"co_attention": False},
    "8": {"spatial_attention": False},
    "9": {"self_attention": False},
    "10": {},
    "without global context": {"global_context": False},
    "without sentinel": {"sentinel": False},
    "gates as they are": {"normalize_gates": False},
    "no skip connection": {"skip_connection": False},
    "forwards only": {"bidirectional": False},
    "pointed": {"temperature": 0.1},
}


@pytest.mark.parametrize("segments", [1, 4])
@pytest.mark.parametrize("row", ROWS)
def test_every_row_of_table_1_and_every_option_is_its_formula(row, segments, dims, batch):
    options = CmanOptions(**SIZES, **ROWS[row])
    model = build("cman", dims, **SIZES, **ROWS[row]).eval()
    visual, audio, valid = batch(2, segments)
    with torch.no_grad():
        output = model(visual - 0.5, audio - 0.5, valid)
    for b in range(2):
        logits, shown = slow(model, (visual[b] - 0.5).tolist(), (audio[b] - 0.5).tolist(), options)
        torch.testing.assert_close(output.logits[b], torch.tensor(logits))
        assert set(output.shown) == set(shown)
        for key, value in shown.items():
            torch.testing.assert_close(output.shown[key][b], torch.tensor(value))


def test_every_option_changes_what_it_says(dims, batch):
    """With the same weights, as far as the option leaves them."""
    full, inputs = build("cman", dims, **SIZES).eval(), batch()
    before = full(*inputs).logits
    for name, options in ROWS.items():
        if name in ("1", "2", "10", "forwards only"):
            continue  # weights of other sizes
        model = build("cman", dims, **SIZES, **options).eval()
        kept = model.load_state_dict(full.state_dict(), strict=False)
        assert not kept.missing_keys
        assert not torch.allclose(model(*inputs).logits, before), name


def test_cosine_by_hand():
    layer = CosineAttention(2, 2, 2, temperature=0.5)
    with torch.no_grad():
        for linear in (layer.project_visual, layer.project_audio):
            linear.weight.copy_(torch.eye(2))
            linear.bias.zero_()
    # Cosines with (0, 2): 0, 1, sqrt(1/2), and 0 for the region whose projection is cut to nothing.
    regions = torch.tensor([[3.0, 0.0], [0.0, 9.0], [1.0, 1.0], [-1.0, -1.0]])
    attended, weights = layer(regions, torch.tensor([0.0, 2.0]))
    parts = [1.0, math.exp(2.0), math.exp(2 * math.sqrt(0.5)), 1.0]
    expected = torch.tensor([part / sum(parts) for part in parts])
    torch.testing.assert_close(weights, expected)
    torch.testing.assert_close(attended, expected @ regions)


def test_cosine_does_not_depend_on_how_loud_it_is():
    layer, regions, sound = CosineAttention(6, 5, 8, 1.0), torch.randn(4, 6), torch.randn(5)
    for linear in (layer.project_visual, layer.project_audio):
        torch.nn.init.zeros_(linear.bias)
    torch.testing.assert_close(layer(regions, sound)[1], layer(100 * regions, 0.01 * sound)[1])


def test_silence_leaves_the_regions_even():
    layer = CosineAttention(6, 5, 8, 1.0)
    torch.nn.init.zeros_(layer.project_audio.bias)
    sound = torch.zeros(5, requires_grad=True)
    weights = layer(torch.randn(4, 6), sound)[1]
    torch.testing.assert_close(weights, torch.full((4,), 0.25))
    weights.square().sum().backward()
    assert sound.grad.isfinite().all()


def test_context_that_is_let_in_wholly_makes_all_segments_attend_alike():
    layer = SelfAttention(4, global_context=True)
    with torch.no_grad():
        for gate in (layer.query_context, layer.key_context):
            gate.gate_own.weight.zero_()
            gate.gate_context.weight.copy_(1e4 * (gate.context.weight @ torch.ones(4))[None])
    # The mean of the segments is 1 in every feature, so that both gates are 1 and queries and keys all the same.
    x = torch.rand(1, 3, 4)
    x += 1 - x.mean(dim=1, keepdim=True)
    weights = layer(x, torch.ones(1, 3, dtype=torch.bool))[1]
    torch.testing.assert_close(weights, torch.full((1, 3, 3), 1 / 3))


def test_sentinel_by_hand():
    """With nothing but biases: memory 1/2 tanh(1) after the first segment; the sentinel's gate is 1/2."""
    layer = SentinelLSTM(1, 1, bidirectional=False, sentinel=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.cells[0].bias_ih[2] = 1.0  # of the candidate
    hidden, sentinel = layer(torch.ones(1, 2, 1), torch.ones(1, 2, dtype=torch.bool))
    first = 0.5 * math.tanh(1)
    memory = torch.tensor([first, 0.5 * first + first])
    torch.testing.assert_close(sentinel[0, :, 0], 0.5 * memory.tanh())
    torch.testing.assert_close(hidden[0, :, 0], 0.5 * memory.tanh())


def test_gate_is_1_where_only_the_sentinel_counts():
    layer = CoAttention(3, 4, 5, sentinel=True)
    with torch.no_grad():
        layer.from_hidden.weight.zero_()
        layer.from_other.weight.fill_(-100.0)
        layer.from_sentinel.weight.fill_(100.0)
        layer.score.weight.fill_(10.0)
    other, valid = torch.rand(1, 6, 4) + 0.1, torch.ones(1, 6, dtype=torch.bool)
    context, gates = layer(torch.rand(1, 6, 3), torch.rand(1, 6, 3) + 0.1, other, valid)
    torch.testing.assert_close(gates, torch.ones(1, 6))
    torch.testing.assert_close(context, layer.project(other).mean(dim=1, keepdim=True).expand(-1, 6, -1))


def test_gates_say_which_modality(dims, batch):
    shown = build("cman", dims, **SIZES).eval()(*batch()).shown
    of_visual, of_audio = shown["visual_gates"], shown["audio_gates"]
    assert ((of_visual > 0) & (of_visual < 1) & (of_audio > 0) & (of_audio < 1)).all()
    torch.testing.assert_close(shown["gates"], torch.sigmoid(of_visual - of_audio))
    assert ((shown["gates"] > 0.5) == (of_visual > of_audio)).all()


def test_rows_1_to_3_are_of_the_size_of_those_that_they_are_taken_from():
    """The paper's numbers there are Tian et al.'s A, V and A+V, as their authors' code has them."""
    for name, row in (("a", "1"), ("v", "2"), ("a+v", "3")):
        released = {"recurrence": "bilstm", "head": "mlp"}
        sizes = [sum(p.numel() for p in build(n, **o).parameters()) for n, o in ((name, released), ("cman", ROWS[row]))]
        assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"audio": False, "visual": False}, "option 'audio' or 'visual' must be true"),
        ({"visual": False, "co_attention": False}, "option 'spatial_attention' is of the pictures"),
        ({"audio": False}, "option 'co_attention' is between two modalities"),
        ({"temperature": 0.0}, "option 'temperature' must be a number from 0.001 to 1000, got 0.0"),
    ],
)
def test_options_that_contradict_each_other(options, message):
    with pytest.raises(ValueError, match=message):
        CmanOptions(**options)


def test_sound_that_is_not_classified_still_guides_the_attention(batch, dims):
    model = build("cman", dims, **SIZES, audio=False, co_attention=False).eval()
    visual, audio, valid = batch()
    assert not torch.allclose(model(visual, audio, valid).logits, model(visual, audio.flip(1), valid).logits)


def test_weak_labels_are_shares_as_in_the_paper():
    assert entry("cman").training == {**entry("a+v").training, "weak_labels": "proportion"}


def test_temperature_of_a_cosine(batch):
    """Without it no region can have more than e times the weight of another."""
    dims = Dims(visual_dims=6, regions=4, audio_dims=5, num_categories=3)
    for temperature, most in ((1.0, math.e), (0.1, math.exp(10))):
        weights = build("cman", dims, **SIZES, temperature=temperature)(*batch()).shown["spatial_attention"]
        ratio = (weights.amax(-1) / weights.amin(-1)).max().item()
        assert most**0.1 < ratio <= most * 1.0001


def test_its_attentions_have_most_of_its_parameters():
    """The paper calls them negligible, see the head of the module."""
    whole = size_of("cman").parameters
    row_a_v = size_of("cman", spatial_attention=False, self_attention=False, co_attention=False).parameters
    assert (round(whole / 1e6, 1), round(row_a_v / 1e6, 2)) == (3.5, 0.96)
