"""AVSDN against a version of it in loops over plain numbers."""

import math

import pytest
import torch

from avel.models.registry import build
from avel.training.settings import settings_for


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def affine(linear, x):
    rows, bias = linear.weight.tolist(), linear.bias.tolist()
    return [sum(w * y for w, y in zip(row, x, strict=True)) + b for row, b in zip(rows, bias, strict=True)]


def lstm(rows, layer, ending, hidden, cell):
    """Outputs, and the last hidden and cell state, of one direction."""
    parameters = (getattr(layer.lstm, f"{name}_l0{ending}").tolist() for name in ("weight_ih", "weight_hh"))
    w, r = parameters
    b = (getattr(layer.lstm, f"bias_ih_l0{ending}") + getattr(layer.lstm, f"bias_hh_l0{ending}")).tolist()
    size, out = len(hidden), []
    for row in rows if not ending else rows[::-1]:
        z = [
            sum(w[k][i] * row[i] for i in range(len(row))) + sum(r[k][i] * hidden[i] for i in range(size)) + b[k]
            for k in range(4 * size)
        ]
        cell = [sigmoid(z[size + k]) * cell[k] + sigmoid(z[k]) * math.tanh(z[2 * size + k]) for k in range(size)]
        hidden = [sigmoid(z[3 * size + k]) * math.tanh(cell[k]) for k in range(size)]
        out.append(hidden)
    return out if not ending else out[::-1], hidden, cell


def both_directions(rows, layer, hidden, cell):
    """Outputs of both directions joined, and their last hidden and cell states, forward's first."""
    size = len(hidden) // 2
    there, h, c = lstm(rows, layer, "", hidden[:size], cell[:size])
    back, other_h, other_c = lstm(rows, layer, "_reverse", hidden[size:], cell[size:])
    return [a + b for a, b in zip(there, back, strict=True)], h + other_h, c + other_c


def dmrn(layer, a, v):
    """Eqs. 5 and 6 of Tian et al., ECCV 2018."""
    of_a, of_v = layer.transform_audio[0], layer.transform_visual[0]
    ua = affine(of_a[2], [math.tanh(x) for x in affine(of_a[0], a)])
    uv = affine(of_v[2], [math.tanh(x) for x in affine(of_v[0], v)])
    f = [(x + y) / 2 for x, y in zip(ua, uv, strict=True)]
    return [(math.tanh(x + z) + math.tanh(y + z)) / 2 for x, y, z in zip(a, v, f, strict=True)]


def slow(network, visual, audio, size):
    zeros = [0.0] * 2 * size
    visual, audio = visual.mean(1).tolist(), audio.tolist()
    _, hidden_a, cell_a = both_directions(audio, network.audio_encoder, zeros, zeros)
    _, hidden_v, cell_v = both_directions(visual, network.visual_encoder, zeros, zeros)
    hidden, cell = dmrn(network.fuse_hidden, hidden_a, hidden_v), dmrn(network.fuse_cell, cell_a, cell_v)
    joined = [a + v for a, v in zip(audio, visual, strict=True)]
    decoded, _, _ = both_directions(joined, network.decoder, hidden, cell)
    _, first, _, second = network.head
    return torch.tensor(
        [affine(second, [max(x, 0) for x in affine(first, [max(x, 0) for x in row])]) for row in decoded]
    )


@pytest.mark.parametrize("segments", [1, 5])
def test_against_plain_numbers(segments, dims, batch):
    model = build("avsdn", dims, lstm_dims=2, head_dims=5)
    visual, audio, valid = batch(2, segments)
    logits = model(visual, audio, valid).logits
    for video in range(2):
        torch.testing.assert_close(logits[video], slow(model.network, visual[video], audio[video], 2))


def test_the_decoder_knows_of_the_whole_video_from_its_start(dims, batch):
    """Without its weights from one segment to the next, a segment still depends on the others, through the encoders."""
    model = build("avsdn", dims, lstm_dims=4, head_dims=8)
    with torch.no_grad():
        for weights in (
            model.network.decoder.lstm.weight_hh_l0_reverse,
            model.network.decoder.lstm.weight_ih_l0_reverse,
        ):
            weights.zero_()
    visual, audio, valid = batch(1, 4)
    before = model(visual, audio, valid).logits
    audio[:, 3] += 1
    # The way back says nothing of the segments here, the way there comes to the last one last.
    assert not torch.allclose(before[:, 0], model(visual, audio, valid).logits[:, 0])


def test_training():
    training = settings_for("avsdn")
    assert (training.pooling, training.backgrounds, training.weak_labels) == ("max", "mismatched", "one-hot")
    assert (training.learning_rate, training.batch_size) == (1e-3, 64)
