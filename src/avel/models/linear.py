"""A linear head on the features of each segment, which follows no paper: what a few examples can teach.

With LN a LayerNorm without weights, s(x) = sign(x) sqrt(|x|) (the power normalization of Perronnin et al., ECCV 2010),
D_v and D_a the sizes of the features, and [x, y] both joined:

    v        = LN(s(mean_i region i)) / sqrt(D_v)
    a        = LN(s(sound)) / sqrt(D_a)
    logits   = W [v, a] + b                              of each segment by itself

Both modalities weigh alike, whatever the scale of their features. Its training holds the weights small (weight decay)
and lets rare classes count as much as background, so that it is logistic regression with a ridge penalty, which has one
best answer and no luck in it.
"""

import math
from collections.abc import Mapping

from torch import Tensor, cat, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
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
        return self.head(cat([even(mean_over_regions(visual)), even(audio)], dim=-1))


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
}
