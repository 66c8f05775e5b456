"""Linear heads on the features of each segment, which follow no paper: what a few examples can teach.

With LN a LayerNorm without weights, s(x) = sign(x) sqrt(|x|) (the power normalization of Perronnin et al., ECCV 2010),
D_v and D_a the sizes of the features, and [x, y] both joined:

    v        = LN(s(mean_i region i)) / sqrt(D_v)
    a        = LN(s(sound)) / sqrt(D_a)
    logits   = W [v, a] + b                              of each segment by itself

Both modalities weigh alike, whatever the scale of their features. Its training holds the weights small (weight decay)
and lets rare classes count as much as background, so that it is logistic regression with a ridge penalty, which has one
best answer and no luck in it.

``nearest-mean`` is not trained by steps. With x = [v, a], m_c the mean of the training segments of class c, and s^2 the
mean over the classes of the mean squared distance of a class's segments to their m_c, it is the nearest class mean
(Mensink et al., TPAMI 2013):

    logit_c  = -|x - m_c|^2 / s^2

In multi-label, a category has a mean of the segments that hold it, p_c, and one of those that do not, n_c, and
logit_c = (|x - n_c|^2 - |x - p_c|^2) / s^2, while background's is 0. Taught by whole videos, x is the mean over a
video's segments. All logits have |x|^2 alike, so that it is left out, and what stays is linear in x.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor, cat, nn
from torch.nn import functional

from avel.models.base import LearnedAtOnce, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import mean_over_regions
from avel.models.options import Dims, Options


class LinearOptions(Options):
    """A linear head has no options."""


class LinearHead(TwoModalityInput):
    """A linear head on both modalities, see the head of this module.

    Args:
        dims: sizes of the input.
        options: none.
    """

    def __init__(self, dims: Dims, options: LinearOptions) -> None:
        super().__init__(dims)
        self.head: nn.Linear = nn.Linear(dims.visual_dims + dims.audio_dims, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        return self.head(joined(visual, audio))


SMALLEST_SPREAD = 0.1
"""Of s^2: a class of one segment has no spread, and |x|^2 is 2."""

NEVER = -100.0
"""Logit of a class without an example."""


class NearestMean(LinearHead, LearnedAtOnce):
    """The nearest class mean, see the head of this module.

    Args:
        dims: sizes of the input.
        options: none.
    """

    def __init__(self, dims: Dims, options: LinearOptions) -> None:
        super().__init__(dims, options)
        self._sums: Tensor | None = None

    def see(self, visual: Tensor, audio: Tensor, valid: Tensor, target: Tensor) -> None:
        """Add a batch to the sums over each class's rows."""
        x = joined(visual, audio) * valid[..., None]
        if self.spec.target == "videos":
            rows = x.sum(1) / valid.sum(1, keepdim=True)
        else:
            rows, target = x[valid], target[valid]
        if self.spec.multi_label:
            there = target[:, :-1]
            target = cat([there, 1 - there], dim=1)
        # In double precision, and of each row 1, x and |x|^2: what means and their spread are made of.
        told = cat([rows.new_ones(len(rows), 1), rows, rows.square().sum(-1, keepdim=True)], dim=1).double()
        sums = target.double().T @ told
        self._sums = sums if self._sums is None else self._sums + sums

    def settle(self) -> None:
        """Make the means the weights."""
        assert self._sums is not None, "see clips first"
        counts, sums, squares = self._sums[:, :1], self._sums[:, 1:-1], self._sums[:, -1:]
        there = (counts > 0)[:, 0]
        means, sizes = sums / counts.clamp(min=1e-9), squares / counts.clamp(min=1e-9)
        lengths = means.square().sum(1, keepdim=True)
        spread = (sizes - lengths)[there].mean().clamp(min=SMALLEST_SPREAD)
        weight, bias = 2 * means / spread, (-lengths / spread)[:, 0]
        if self.spec.multi_label:
            count = self.dims.num_categories
            weight, bias = weight[:count] - weight[count:], bias[:count] - bias[count:]
            there = there[:count]
            weight, bias = cat([weight, weight.new_zeros(1, weight.shape[1])]), cat([bias, bias.new_zeros(1)])
            there = cat([there, there.new_ones(1)])
        with torch.no_grad():
            self.head.weight.copy_(torch.where(there[:, None], weight, 0.0))
            self.head.bias.copy_(torch.where(there, bias, NEVER))
        self._sums = None


def joined(visual: Tensor, audio: Tensor) -> Tensor:
    """(B, T, D_v + D_a): what is seen, its mean over the regions, and what is heard, of equal weight."""
    return cat([even(mean_over_regions(visual)), even(audio)], dim=-1)


def even(x: Tensor) -> Tensor:
    """(..., D) with mean 0 and length 1."""
    x = x.float()
    dims = x.shape[-1]
    return functional.layer_norm(x.sign() * x.abs().sqrt(), (dims,)) / math.sqrt(dims)


ENTRIES: Mapping[str, Entry] = {
    "linear": Entry(
        "avel's own: a linear head on the features; for few examples",
        "avel",
        LinearOptions,
        LinearHead,
        training={
            "optimizer": "sgd",
            "learning_rate": 1.0,
            "weight_decay": 3e-3,
            "schedule": "cosine",
            "batch_size": 64,
            "epochs": 100,
            "class_weights": "balanced",
            "precision": "float32",
        },
    ),
    "nearest-mean": Entry(
        "avel's own: the nearest class mean of the features; for very few examples",
        "avel",
        LinearOptions,
        NearestMean,
        training={"batch_size": 64, "epochs": 1, "schedule": "constant", "precision": "float32"},
    ),
}
