"""ED-TCN and SSN against slow versions with plain loops."""

import math

import pytest
import torch

from avel.models.registry import build


def slow_ed_tcn(model, x):
    """(T, D) to (T, C), convolution by convolution."""

    def filtered(convolution, rows):
        weight, bias = convolution.weight, convolution.bias
        reach = weight.shape[2] // 2
        out = []
        for t in range(len(rows)):
            total = bias.clone()
            for k in range(weight.shape[2]):
                if 0 <= t + k - reach < len(rows):
                    total = total + weight[:, :, k] @ rows[t + k - reach]
            out.append(total.clamp(min=0))
        return [row / (row.max() + 1e-5) for row in out]

    rows, lengths = list(x), []
    for convolution in model.encoder:
        rows = filtered(convolution, rows)
        lengths.append(len(rows))
        rows = [torch.stack(rows[t : t + 2]).amax(0) for t in range(0, len(rows), 2)]
    for convolution in model.decoder:
        rows = [rows[t // 2] for t in range(lengths.pop())]
        rows = filtered(convolution, rows)
    return torch.stack([model.head(row) for row in rows])


@pytest.mark.parametrize("segments", [1, 5, 8, 10])
def test_ed_tcn(dims, batch, segments):
    model = build("ed-tcn", dims, first_dims=4, more_dims=2).eval()
    visual, audio, valid = batch(2, segments)
    logits = model(visual, audio, valid).logits
    for b in range(2):
        torch.testing.assert_close(logits[b], slow_ed_tcn(model, visual[b].mean(1)))


def test_ed_tcn_has_the_filters_of_its_code(dims):
    model = build("ed-tcn", dims)
    assert [c.out_channels for c in [*model.encoder, *model.decoder]] == [64, 96, 96, 64]


def slow_ssn(model, x):
    """(T, D) to (T, C), proposal by proposal."""
    segments = len(x)
    best = torch.full((segments, model.completeness.out_features), -math.inf)

    def mean(low, high):
        low, high = max(low, 0), min(high, segments)
        return x[low:high].mean(0) if high > low else torch.zeros_like(x[0])

    for start in range(segments):
        for end in range(start + 1, min(segments, start + model.max_segments) + 1):
            length = end - start
            half = math.ceil(length / 2)
            course = [mean(start, end), mean(start, start + half), mean(end - half, end)]
            pyramid = [mean(start - half, start), *course, mean(end, end + half)]
            activity = model.activity(torch.cat(course)).softmax(0)[:-1]
            complete = model.completeness(torch.cat(pyramid)).sigmoid()
            best[start:end] = torch.maximum(best[start:end], (activity * complete).log())
    return torch.cat([best, model.background.expand(segments, 1)], dim=1)


@pytest.mark.parametrize(("segments", "longest"), [(1, 10), (6, 10), (9, 4), (5, 1)])
@pytest.mark.parametrize("features", ["visual", "both"])
def test_ssn(dims, batch, segments, longest, features):
    model = build("ssn", dims, max_segments=longest, features=features).eval()
    with torch.no_grad():
        for layer in (model.activity, model.completeness):
            layer.weight.normal_()
            layer.bias.normal_()
    visual, audio, valid = batch(2, segments)
    logits = model(visual, audio, valid).logits
    for b in range(2):
        x = visual[b].mean(1) if features == "visual" else torch.cat([visual[b].mean(1), audio[b]], dim=1)
        torch.testing.assert_close(logits[b], slow_ssn(model, x), atol=1e-5, rtol=1e-4)


def test_ssn_of_a_long_video_takes_little_memory(dims, batch):
    model = build("ssn", dims).eval()
    assert model(*batch(1, 3600)).logits.isfinite().all()
