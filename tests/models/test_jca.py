"""Duan et al. against their formulas, element by element with plain numbers, and what their options switch."""

import math

import pytest
import torch
from plain_layers import add, affine, dot, relu, softmax, weighted
from torch import nn
from torch.nn import functional

from avel.errors import ModelError
from avel.models.jca import CodeAttention, GruLayer, JcaOptions, LstmLayer, PaperAttention, Representation
from avel.models.registry import build
from avel.training.settings import settings_for

SIZES = {"map_dims": 3, "lstm_dims": 2, "head_dims": 5, "attention_dims": 4, "attention_hidden_dims": 4}
WITHOUT_DROPOUT = {"dropout": 0.0, "recurrent_dropout": 0.0}

# Matrices are lists of rows; A and J are N x d_a and N x d, a row a segment.


def product(a, b):
    return [[dot(row, column) for column in zip(*b, strict=True)] for row in a]


def turned(a):
    return [list(column) for column in zip(*a, strict=True)]


def each(function, a):
    return [[function(x) for x in row] for row in a]


def plus(a, b):
    return [add(x, y) for x, y in zip(a, b, strict=True)]


def slow_paper(layer, a, j):
    """W_h^T H of Sec. 2; the number of segments is N."""
    w_j, w_a = turned(layer.affinity.weight.tolist()), layer.own.weight.tolist()
    w_c, w_h = layer.from_affinity.weight.tolist(), turned(layer.spread.weight.tolist())
    root = math.sqrt(len(j[0]))
    c = each(lambda x: math.tanh(x / root), product(product(turned(a), w_j), j))  # d_a x d
    h = each(lambda x: max(x, 0.0), plus(product(w_a, a), product(w_c, turned(c))))  # k x d_a
    return product(turned(w_h), h)


def slow_code(layer, a, j):
    """The authors' code, with the guide mapped already."""
    key = [affine(layer.key, column) for column in turned(a)]  # d_a x N
    c = each(lambda x: math.tanh(x / math.sqrt(len(j[0]))), product(key, j))  # d_a x d
    seen = each(lambda x: max(math.tanh(x), 0.0), product([affine(layer.value, row) for row in a], c))
    return [relu(affine(layer.out, row)) for row in seen]


SLOW = {"paper": (PaperAttention, slow_paper), "code": (CodeAttention, slow_code)}


@pytest.mark.parametrize("variant", SLOW)
def test_attention_is_its_formula(variant):
    make, slow = SLOW[variant]
    layer = make(4, 6, JcaOptions(**SIZES, **WITHOUT_DROPOUT, variant=variant, window_segments=5))
    a, j = torch.randn(2, 5, 4), torch.randn(2, 5, 6)
    for b in range(2):
        expected = torch.tensor(slow(layer, a[b].tolist(), j[b].tolist()))
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(layer(a, j)[b], expected)


@pytest.mark.parametrize("variant", SLOW)
def test_a_shorter_video_is_one_with_zeros_at_its_end(variant):
    make, _ = SLOW[variant]
    layer = make(4, 6, JcaOptions(**SIZES, **WITHOUT_DROPOUT, variant=variant, window_segments=5))
    a, j = torch.randn(2, 3, 4), torch.randn(2, 3, 6)
    padded = layer(functional.pad(a, (0, 0, 0, 2)), functional.pad(j, (0, 0, 0, 2)))
    torch.testing.assert_close(layer(a, j), padded[:, :3])


def test_paper_attention_by_hand():
    """One segment, one feature, one map: A = 2, J = (1, 3), W_j = 0.5, W_a = 1, W_c = (1, -1), W_h = 3."""
    layer = PaperAttention(1, 2, JcaOptions(window_segments=1, map_dims=1, dropout=0.0))
    with torch.no_grad():
        layer.affinity.weight.fill_(0.5)
        layer.own.weight.fill_(1.0)
        layer.from_affinity.weight.copy_(torch.tensor([[1.0, -1.0]]))
        layer.spread.weight.fill_(3.0)
    found = layer(torch.tensor([[[2.0]]]), torch.tensor([[[1.0, 3.0]]]))
    expected = 3 * (2 + math.tanh(1 / math.sqrt(2)) - math.tanh(3 / math.sqrt(2)))
    torch.testing.assert_close(found, torch.tensor([[[expected]]]))


def unit(x):
    return [y / math.sqrt(dot(x, x)) for y in x]


def slow_representation(layer, xs):
    """Torch's own layers are trusted (see `test_layers_are_torchs`), what is around them is not."""
    out, valid = torch.tensor([xs]), torch.ones(1, len(xs), dtype=torch.bool)
    for recurrent in layer.layers:
        out = recurrent(out, valid)
    joined = [[*x, *y] if layer.joins_input else y for x, y in zip(xs, out[0].tolist(), strict=True)]
    mapped = [affine(layer.map, x) for x in joined]
    return [unit(x) for x in mapped] if layer.normalize else mapped


def slow_region_attention(layer, regions, heard):
    a = affine(layer.hidden_audio, relu(affine(layer.project_audio, heard)))
    scores = []
    for i, region in enumerate(regions):
        v = affine(layer.hidden_visual, relu(affine(layer.project_visual, region)))
        scores.append(
            affine(layer.score, [math.tanh(y + (a[k] if layer.form == "paper" else a[i])) for k, y in enumerate(v)])[0]
        )
    weights = softmax(scores)
    return weighted(weights, regions), weights


def slow_recursion(layer, a, v, options, present):
    _, attend = SLOW[options.variant]
    fusions = {
        "concatenation": lambda x, y: [*x, *y],
        "average": lambda x, y: [(p + q) / 2 for p, q in zip(x, y, strict=True)],
        "max": lambda x, y: [max(p, q) for p, q in zip(x, y, strict=True)],
    }
    if options.guide == "joint":
        j = [fusions[options.fusion](x, y) for x, y in zip(a, v, strict=True)]
        guides = [j] if options.variant == "code" else [j, j]
    else:
        guides = [v, a]
    if options.variant == "code":
        guides = [[affine(m, row) for row in g[:present]] for m, g in zip(layer.map_guides, guides, strict=True)]
        guides = [g + [[0.0] * len(g[0])] * (len(a) - present) for g in guides]
    return plus(a, attend(layer.audio, a, guides[0])), plus(v, attend(layer.visual, v, guides[-1]))


def slow(model, regions, sound, options):
    if options.normalize:
        regions, sound = [[unit(x) for x in segment] for segment in regions], [unit(x) for x in sound]
    a = slow_representation(model.audio_representation, sound)
    attended, weights = zip(
        *(slow_region_attention(model.attention, r, h) for r, h in zip(regions, a, strict=True)), strict=True
    )
    v = slow_representation(model.visual_representation, [affine(model.map_attended, x) for x in attended])
    n = options.window_segments
    found_a, found_v = [], []
    for start in range(0, len(a), n):
        in_window = [(x[start : start + n] + [[0.0] * len(x[0])] * n)[:n] for x in (a, v)]
        present = len(a[start : start + n])
        for recursion in model.recursions:
            in_window = slow_recursion(recursion, *in_window, options, present)
            in_window = [x[:present] + [[0.0] * len(x[0])] * (n - present) for x in in_window]
        found_a += in_window[0][:present]
        found_v += in_window[1][:present]
    joint = slow_representation(model.joint_representation, [[*x, *y] for x, y in zip(found_a, found_v, strict=True)])
    return [affine(model.head[3], relu(affine(model.head[0], x))) for x in joint], weights


TABLE_2 = {
    "full": {},
    "no uni-modal": {"unimodal_recurrence": False},
    "no joint": {"joint_recurrence": False},
    "no residual": {"residual_embedding": False},
    "gru": {"recurrence": "gru"},
    "average": {"fusion": "average"},
    "max": {"fusion": "max"},
    "ordinary": {"guide": "other"},
}
CODE = {"variant": "code", "attention": "released"}
CASES = TABLE_2 | {"not normalized": {"normalize": False}, "once": {"recursions": 1}, "code": CODE}
CASES |= {"code, ordinary": CODE | {"guide": "other"}, "code, max": CODE | {"fusion": "max"}}


@pytest.mark.parametrize("segments", [1, 3, 10])
@pytest.mark.parametrize("case", CASES)
def test_every_row_of_table_2_and_every_option_is_its_formula(case, segments, dims, batch):
    """With windows of 4 segments, so that videos are shorter, and longer by a part of one."""
    given = {"window_segments": 4, "recursions": 2} | SIZES | CASES[case]
    model = build("jca", dims, **given).eval()
    visual, audio, valid = batch(2, segments)
    with torch.no_grad():
        for layer in model.modules():  # biases start at zero
            if isinstance(layer, nn.Linear) and layer.bias is not None:
                layer.bias.uniform_(-0.3, 0.3)
        output = model(visual, audio, valid)
        for b in range(2):
            logits, weights = slow(model, visual[b].tolist(), audio[b].tolist(), JcaOptions(**given))
            torch.testing.assert_close(output.logits[b], torch.tensor(logits))
            torch.testing.assert_close(output.shown["spatial_attention"][b], torch.tensor(weights))


def test_every_option_changes_what_it_says(dims, batch):
    """With the same weights, as far as the option leaves them."""
    given = {"window_segments": 4} | SIZES
    full, inputs = build("jca", dims, **given).eval(), batch()
    before = full(*inputs).logits
    for name, options in CASES.items():
        if name == "full":
            continue
        model = build("jca", dims, **given | options).eval()
        state = {key: x for key, x in full.state_dict().items() if key in (own := model.state_dict())}
        model.load_state_dict({key: x for key, x in state.items() if x.shape == own[key].shape}, strict=False)
        assert not torch.allclose(model(*inputs).logits, before), name


def test_a_recursion_goes_on_from_the_one_before(dims, batch):
    twice, once = (build("jca", dims, **SIZES, recursions=count).eval() for count in (2, 1))
    once.load_state_dict(twice.state_dict(), strict=False)
    audio, visual, valid = torch.randn(2, 7, 4), torch.randn(2, 7, 4), torch.ones(2, 7, dtype=torch.bool)
    first = once.recursions[0](audio, visual, valid)
    expected = twice.recursions[1](*first, valid)
    torch.testing.assert_close(twice._recurse(audio, visual, valid), expected)


def test_windows_do_not_see_each_other(dims):
    model = build("jca", dims, **SIZES, window_segments=4).eval()
    audio, visual, valid = torch.randn(1, 9, 4), torch.randn(1, 9, 4), torch.ones(1, 9, dtype=torch.bool)
    changed = audio.clone()
    changed[:, 5] += 1
    difference = (model._recurse(audio, visual, valid)[1] - model._recurse(changed, visual, valid)[1]).abs().sum(-1)[0]
    assert (difference > 0).tolist() == [False] * 4 + [True] * 4 + [False]


@pytest.mark.parametrize("learns_start", [False, True])
@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_layers_are_torchs(kind, learns_start):
    layer = {"lstm": LstmLayer, "gru": GruLayer}[kind](3, 2, learns_start)
    x, valid = torch.randn(2, 4, 3), torch.ones(2, 4, dtype=torch.bool)
    if kind == "lstm":
        torchs = layer.lstm.lstm
        start = (
            (layer.start[0, :, None].expand(2, 2, 2), layer.start[1, :, None].expand(2, 2, 2)) if learns_start else None
        )
        start = tuple(state.contiguous() for state in start) if start else None
    else:
        torchs = nn.GRU(3, 2, batch_first=True, bidirectional=True)
        for cell, ending in zip(layer.cells, ("_l0", "_l0_reverse"), strict=True):
            torchs.load_state_dict({k + ending: v for k, v in cell.state_dict().items()}, strict=False)
        start = layer.start[:, None].expand(2, 2, 2).contiguous() if learns_start else None
    torch.testing.assert_close(layer(x, valid), torchs(x, start)[0])
    assert (sum("start" in name for name, _ in layer.named_parameters()) == 1) == learns_start


def test_dropout_of_the_parts():
    options = JcaOptions(dropout=0.5, recurrent_dropout=0.25)
    model = build("jca", dropout=0.5, recurrent_dropout=0.25)
    rates = {name: layer.p for name, layer in model.named_modules() if isinstance(layer, nn.Dropout)}
    assert options.recursions == 4
    assert {name.split(".")[0]: rate for name, rate in rates.items()} == {
        "audio_representation": 0.25,
        "visual_representation": 0.25,
        "recursions": 0.5,
        "joint_representation": 0.0,
        "head": 0.5,
    }


def test_without_a_recurrent_layer_only_its_map_is_left():
    layer = Representation(6, JcaOptions(), None, 0.1)
    assert not layer.layers
    assert (layer.map.in_features, layer.map.out_features) == (6, 512)
    assert Representation(6, JcaOptions(), "lstm", 0.1).map.in_features == 6 + 512
    assert Representation(6, JcaOptions(residual_embedding=False), "lstm", 0.1).map.in_features == 512


def test_sizes_and_training_of_the_authors():
    model = build("jca", variant="code")
    recurrent = [layer.lstm.lstm for layer in model.modules() if isinstance(layer, LstmLayer)]
    assert [(lstm.input_size, lstm.hidden_size) for lstm in recurrent] == [
        *((128, 256), (512, 256)),
        *((512, 256), (512, 256)),
        *((1024, 256), (512, 256)),
    ]
    assert [tuple(layer.weight.shape) for layer in model.head if isinstance(layer, nn.Linear)] == [
        (128, 512),
        (29, 128),
    ]
    training = settings_for("jca")
    assert (training.learning_rate, training.schedule, training.decay_factor) == (1e-4, "plateau", 0.5)
    assert (training.decay_patience, training.batch_size, training.epochs) == (10, 64, 300)


def test_released_attention_needs_as_many_hidden_units_as_regions(dims):
    with pytest.raises(ModelError, match="Model 'jca' with .* as many hidden units as regions, 4; got"):
        build("jca", dims, attention="released", attention_hidden_dims=5)


def test_too_many_recursions():
    with pytest.raises(ValueError, match="option 'recursions' must be a whole number from 1 to 16, got 17"):
        JcaOptions(recursions=17)
