#!/usr/bin/env bash
# Question:     A batch of features holds one video that is padding all over (its key_padding_mask is True everywhere). What
#               does torch.nn.MultiheadAttention give for it, in training and in evaluation?
# Common guess: The same in both modes, whichever it is: NaN, since a softmax over nothing has no value, or 0.
# Seen:         In training NaN-free, the bias of the output projection; in evaluation, under torch.no_grad(), NaN. The two
#               modes take different kernels (`torch._native_multi_head_attention` in evaluation), which disagree on a row
#               without any key. A model that trains and validates its loss well then answers NaN once it is deployed.
# Version:      torch 2.13.0, CPU. Source: torch/nn/functional.py, multi_head_attention_forward, and
#               torch/nn/modules/activation.py, MultiheadAttention.forward ("fast path").
set -euo pipefail
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.1
"$work/venv/bin/python" - <<'PY'
import torch

torch.manual_seed(0)
attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
features = torch.randn(2, 3, 8)
padding = torch.tensor([[True] * 3, [False] * 3])


def answer():
    with torch.no_grad():
        return attention(features, features, features, key_padding_mask=padding, need_weights=False)[0]


trained, evaluated = answer(), attention.eval() and answer()
print("training  ", trained[0, 0])
print("evaluation", evaluated[0, 0])
assert torch.isfinite(trained).all(), "training now gives something else than finite numbers"
assert evaluated[0].isnan().all(), "evaluation no longer gives NaN for a sequence of padding alone"
assert torch.allclose(trained[1], evaluated[1], atol=1e-6), "the modes differ where there is a key"
PY
