import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avel.models.layers import (
    AudioGuidedAttention,
    RegionConv3d,
    SegmentLSTM,
    Standardization,
    check_inputs,
    mean_over_regions,
    without_padding,
)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def slow_lstm(x, cell, start=None):
    """Eq. 1, unit by unit; gates in torch's order: input, forget, cell, output. Also the last hidden and cell state."""
    w, r, b, c = (p.tolist() for p in cell)
    size = len(w) // 4
    hidden, memory = [0.0] * size, [0.0] * size
    if start is not None:
        hidden, memory = (state.tolist() for state in start)
    out = []
    for row in x.tolist():
        z = [
            sum(w[k][i] * row[i] for i in range(len(row))) + sum(r[k][i] * hidden[i] for i in range(size)) + b[k] + c[k]
            for k in range(4 * size)
        ]
        for k in range(size):
            memory[k] = sigmoid(z[size + k]) * memory[k] + sigmoid(z[k]) * math.tanh(z[2 * size + k])
        hidden = [sigmoid(z[3 * size + k]) * math.tanh(memory[k]) for k in range(size)]
        out.append(hidden)
    return torch.tensor(out), torch.tensor([hidden, memory])


def slow_directions(layer, x, start=(None, None)):
    lstm = layer.lstm
    forward = slow_lstm(x, (lstm.weight_ih_l0, lstm.weight_hh_l0, lstm.bias_ih_l0, lstm.bias_hh_l0), start[0])
    backward = slow_lstm(
        x.flip(0),
        (lstm.weight_ih_l0_reverse, lstm.weight_hh_l0_reverse, lstm.bias_ih_l0_reverse, lstm.bias_hh_l0_reverse),
        start[1],
    )
    return torch.cat([forward[0], backward[0].flip(0)], dim=1), torch.stack([forward[1], backward[1]], dim=1)


def slow_bilstm(layer, x):
    return slow_directions(layer, x)[0]


def test_bilstm_is_equation_1_in_both_directions():
    layer, x = SegmentLSTM(3, 2), torch.randn(2, 5, 3)
    expected = torch.stack([slow_bilstm(layer, one) for one in x])
    torch.testing.assert_close(layer(x, torch.ones(2, 5, dtype=torch.bool)), expected)


def test_lstm_is_equation_1():
    layer, x = SegmentLSTM(3, 2, bidirectional=False), torch.randn(3, 4, 3)
    both = SegmentLSTM(3, 2)
    both.load_state_dict(layer.state_dict(), strict=False)
    valid = torch.tensor([[True] * 4, [False, True, False, True], [True, False, False, False]])
    assert (layer.out_dims, both.out_dims) == (2, 4)
    torch.testing.assert_close(layer(x, valid), both(x, valid)[..., :2])


@settings(max_examples=30)
@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=4))
def test_bilstm_leaves_padding_out_wherever_it_is(valid):
    valid = torch.tensor(valid)
    layer, x = SegmentLSTM(3, 2), torch.randn(*valid.shape, 3)
    out = layer(x.masked_fill(~valid[..., None], torch.nan), valid)
    for one, mask, result in zip(x, valid, out, strict=True):
        assert (result[~mask] == 0).all()
        if mask.any():
            torch.testing.assert_close(result[mask], slow_bilstm(layer, one[mask]))


def test_bilstm_starts_from_states_and_gives_the_last_ones():
    layer, x = SegmentLSTM(3, 2), torch.randn(3, 4, 3)
    valid = torch.tensor([[True] * 4, [False, True, False, True], [True, False, False, False]])
    hidden, cell = torch.rand(2, 3, 2), torch.randn(2, 3, 2)
    out, last = layer.run(x, valid, (hidden, cell))
    whole = layer.run(x, torch.ones_like(valid), (hidden, cell))
    for video, mask in enumerate(valid):
        start = [(hidden[direction, video], cell[direction, video]) for direction in range(2)]
        for found, part in (((out, last), mask), (whole, torch.ones_like(mask))):
            expected, states = slow_directions(layer, x[video][part], start)
            torch.testing.assert_close(found[0][video][part], expected)
            torch.testing.assert_close(torch.stack(found[1])[:, :, video], states)


@pytest.mark.slow
@pytest.mark.parametrize("directions", [1, 2])
def test_an_exported_lstm_is_the_same(directions, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs avel[export]")
    pytest.importorskip("onnxscript", reason="needs avel[export]")

    class FromStates(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = SegmentLSTM(3, 2, bidirectional=directions == 2)

        def forward(self, x, valid, hidden, cell):
            out, (last_hidden, last_cell) = self.layer.run(x, valid, (hidden, cell))
            return self.layer(x, valid), out, last_hidden, last_cell

    model, x = FromStates().eval(), torch.randn(3, 4, 3)
    valid = torch.tensor([[True] * 4, [False, True, False, True], [True, False, False, False]])
    inputs = x, valid, torch.rand(directions, 3, 2), torch.randn(directions, 3, 2)
    names = ["x", "valid", "hidden", "cell"]
    torch.onnx.export(model, inputs, tmp_path / "bilstm.onnx", input_names=names, dynamo=True, verbose=False)
    session = runtime.InferenceSession(tmp_path / "bilstm.onnx", providers=["CPUExecutionProvider"])
    for mask in (valid, valid.flip(1), torch.ones_like(valid)):
        inputs = torch.randn(3, 4, 3), mask, torch.rand(directions, 3, 2), torch.randn(directions, 3, 2)
        found = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})
        for one, expected in zip(found, model(*inputs), strict=True):
            torch.testing.assert_close(torch.from_numpy(one), expected)


def test_3d_convolution_term_by_term():
    layer = RegionConv3d(2, 3, regions=9)
    x, valid = torch.randn(1, 4, 9, 2), torch.tensor([[True, True, False, True]])
    out = layer(x.masked_fill(~valid[..., None, None], torch.nan), valid)
    assert out.shape == (1, 4, 9, 3)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    for t in range(4):
        for row in range(3):
            for column in range(3):
                expected = bias.clone()
                for dt in (-1, 0, 1):
                    for dr in (-1, 0, 1):
                        for dc in (-1, 0, 1):
                            at = t + dt, row + dr, column + dc
                            if 0 <= at[0] < 4 and valid[0, at[0]] and 0 <= at[1] < 3 and 0 <= at[2] < 3:
                                expected = (
                                    expected + weight[:, :, dt + 1, dr + 1, dc + 1] @ x[0, at[0], 3 * at[1] + at[2]]
                                )
                torch.testing.assert_close(out[0, t, 3 * row + column], expected)


def test_3d_convolution_needs_a_square_grid():
    with pytest.raises(ValueError, match="needs regions on a square grid, such as 49; got 8"):
        RegionConv3d(2, 3, regions=8)


def slow_attention(layer, visual, audio):
    """Eqs. 2-4 for one segment, term by term, as plain numbers."""

    def affine(linear, x):
        bias = [0.0] * linear.out_features if linear.bias is None else linear.bias.tolist()
        return [
            sum(w * y for w, y in zip(row, x, strict=True)) + b
            for row, b in zip(linear.weight.tolist(), bias, strict=True)
        ]

    def relu(x):
        return [max(0.0, y) for y in x]

    from_audio = affine(layer.hidden_audio, relu(affine(layer.project_audio, audio.tolist())))
    scores = []
    for i, region in enumerate(visual.tolist()):
        from_visual = affine(layer.hidden_visual, relu(affine(layer.project_visual, region)))
        added = [
            math.tanh(from_visual[k] + (from_audio[k] if layer.form == "paper" else from_audio[i]))
            for k in range(len(from_visual))
        ]
        scores.append(sum(w * x for w, x in zip(layer.score.weight[0].tolist(), added, strict=True)))
    total = sum(math.exp(x) for x in scores)
    weights = [math.exp(x) / total for x in scores]
    pooled = [
        sum(w * region[d] for w, region in zip(weights, visual.tolist(), strict=True)) for d in range(visual.shape[1])
    ]
    return torch.tensor(pooled), torch.tensor(weights)


@pytest.mark.parametrize(("form", "hidden"), [("paper", 4), ("paper", 7), ("released", 4)])
def test_attention_is_equations_2_to_4(form, hidden):
    layer = AudioGuidedAttention(6, 5, common_dims=8, hidden_dims=hidden, form=form, regions=4)
    visual, audio = torch.randn(2, 3, 4, 6), torch.randn(2, 3, 5)
    pooled, weights = layer(visual, audio)
    for b in range(2):
        for t in range(3):
            expected = slow_attention(layer, visual[b, t], audio[b, t])
            torch.testing.assert_close(pooled[b, t], expected[0])
            torch.testing.assert_close(weights[b, t], expected[1])


def test_the_two_forms_of_the_attention_differ():
    paper, released = (AudioGuidedAttention(6, 5, 8, 4, form, regions=4) for form in ("paper", "released"))
    released.load_state_dict(paper.state_dict())
    visual, audio = torch.randn(4, 6), torch.randn(5)
    assert not torch.allclose(paper(visual, audio)[1], released(visual, audio)[1])


def test_released_attention_needs_as_many_hidden_units_as_regions():
    with pytest.raises(ValueError, match="as many hidden units as regions, 49; got attention_hidden_dims=32"):
        AudioGuidedAttention(6, 5, hidden_dims=32, form="released")


def test_attention_has_no_bias_in_w():
    layer = AudioGuidedAttention(6, 5)
    assert layer.hidden_visual.bias is None
    assert layer.hidden_audio.bias is None
    assert layer.score.bias is None


def test_without_padding_clears_nan():
    x = torch.full((1, 2, 3), torch.nan)
    x[0, 0] = 1
    assert without_padding(x, torch.tensor([[True, False]])).tolist() == [[[1, 1, 1], [0, 0, 0]]]


@pytest.mark.parametrize(
    ("visual", "audio", "valid", "message"),
    [
        ((2, 3, 5, 6), (2, 3, 5), torch.ones(2, 3) > 0, r"visual must have shape \(B, T, 4, 6\), got \(2, 3, 5, 6\)"),
        ((2, 3, 6), (2, 3, 5), torch.ones(2, 3) > 0, "visual must have shape"),
        ((2, 0, 4, 6), (2, 0, 5), torch.ones(2, 0) > 0, "visual must have shape"),
        ((2, 3, 4, 6), (2, 4, 5), torch.ones(2, 3) > 0, r"audio must have shape \(2, 3, 5\) .*got \(2, 4, 5\)"),
        ((2, 3, 4, 6), (2, 3, 5), torch.ones(2, 4) > 0, r"valid must be bool of shape \(2, 3\), got torch.bool of"),
        ((2, 3, 4, 6), (2, 3, 5), torch.ones(2, 3), "valid must be bool .* got torch.float32"),
    ],
)
def test_wrong_input(visual, audio, valid, message):
    with pytest.raises(ValueError, match=message):
        check_inputs(torch.zeros(visual), torch.zeros(audio), valid, (4, 6, 5))


def test_the_mean_over_regions_in_both_precisions() -> None:
    x = torch.rand(2, 3, 49, 8)
    assert torch.allclose(mean_over_regions(x), x.mean(dim=2), atol=1e-6)
    half = mean_over_regions(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert torch.allclose(half.float(), x.mean(dim=2), atol=4e-3)


def test_features_are_standardized_over_all_segments_seen_but_padding() -> None:
    layer = Standardization(2).train()
    valid = torch.tensor([[True, True, False], [True, False, True]])
    batches = [torch.randn(2, 3, 2) * torch.tensor([0.1, 30]) + torch.tensor([5, -2]) for _ in range(3)]
    for batch in batches:
        batch[~valid] = torch.nan
        found = layer(batch, valid)
    seen = torch.cat([batch[valid] for batch in batches])
    torch.testing.assert_close(layer.mean, seen.mean(0))
    torch.testing.assert_close(layer.variance, seen.var(0, correction=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(
        found[valid],
        (batches[-1][valid] - seen.mean(0)) / torch.sqrt(seen.var(0, correction=0) + 1e-5),
        rtol=1e-4,
        atol=1e-4,
    )
    before = layer.mean.clone()
    torch.testing.assert_close(layer.eval()(batches[-1], valid)[valid], found[valid])
    assert torch.equal(layer.mean, before)


def test_a_feature_that_never_varied_does_not_drown_the_others() -> None:
    layer = Standardization(2).train()
    valid = torch.ones(1, 4, dtype=torch.bool)
    layer(torch.tensor([[[0.0, 1], [0, 2], [0, 3], [0, 4]]]), valid)
    assert layer.eval()(torch.tensor([[[0.5, 2.5]]]), valid[:, :1])[0, 0].tolist() == [10, 0]


def test_no_valid_segment_changes_no_moments() -> None:
    layer = Standardization(1).train()
    layer(torch.full((1, 2, 1), torch.nan), torch.zeros(1, 2, dtype=torch.bool))
    assert (layer.mean.tolist(), layer.variance.tolist(), layer.count.item()) == ([0], [1], 0)
