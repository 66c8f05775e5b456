"""avel's recommended model, which follows no paper; what it is built from was chosen on validation clips.

With LN a LayerNorm, and [x, y] both joined:

    v_i, a   = LN(region i), Standardized(LN(sound))         a feature of sound: mean 0, variance 1 over all segments
    w        = softmax_i((W_q a) . (W_k v_i) / sqrt(d))      audio-guided attention to the R regions, in one head
    v        = relu(W_v [sum_i w_i v_i, mean_i v_i])
    a        = relu(W_a a)
    x        = W [v, a, v * a]                               v * a: what is both seen and heard
    x        = x + DepthwiseConv(x)                          over three segments: which ones are neighbours
    logits   = W_c Transformer(x)                            of the segments of a video

Against the systems of the papers it has fewer weights per region, since pictures are few and soon learned by heart;
normalized inputs, so that it learns from features of any scale; and whole channels of both inputs are dropped in
training. Of networks that end in a ReLU all sounds point nearly the same way, and what tells them apart is small beside
what they share: standardized, it is learned as fast as pictures, which otherwise are known by heart before the sound is
listened to. Its training averages weights and smooths labels. Where only a video's label is known, a category counts by
its best segment, and besides clips without event it sees the sound of one category with pictures of another; see
`avel.training.settings.TrainingSettings`.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AttentionBlock,
    Standardization,
    attended_regions,
    check_heads,
    mean_over_regions,
    scored_regions,
    without_padding,
)
from avel.models.options import Dims, Heads, Layers, Options, Share, Size


class RecommendedOptions(Options):
    """Options of the recommended model.

    Attributes:
        pooling: of the regions: ``attention`` and their mean, or the ``mean`` alone.
        attention_dims: d, to which both are mapped for the attention.
        model_dims: features of a segment; a multiple of ``heads``.
        heads: of the transformer, at most 64.
        feedforward_dims: hidden units of each of its layers.
        layers: of the transformer, at most 16.
        dropout: share dropped after every map while training.
        input_dropout: share of the features of pictures and of sound dropped in a whole video while training.
        standardize_sound: bring each feature of the normalized sound to mean 0 and variance 1 over the segments of the
            training; off, each has a learned scale and shift (LayerNorm's), as up to avel 0.2.0.

    Raises:
        ValueError: if ``model_dims`` is no such multiple, or as `Options`.
    """

    pooling: Literal["attention", "mean"] = "attention"
    attention_dims: Size = 128
    model_dims: Size = 256
    heads: Heads = 4
    feedforward_dims: Size = 512
    layers: Layers = 1
    dropout: Share = 0.2
    input_dropout: Share = 0.4
    standardize_sound: bool = True

    early: ClassVar[Mapping[str, Any]] = {"standardize_sound": False}

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        check_heads(self.model_dims, heads=self.heads)
        return self


class ProductAttention(nn.Module):
    """Pools the regions by how their inner product with the sound, both mapped linearly, compares.

    Args:
        visual_dims: D_v.
        audio_dims: D_a.
        common_dims: d.
    """

    def __init__(self, visual_dims: int, audio_dims: int, common_dims: int) -> None:
        super().__init__()
        self.query: nn.Linear = nn.Linear(audio_dims, common_dims)
        self.key: nn.Linear = nn.Linear(visual_dims, common_dims, bias=False)

    def forward(self, visual: Tensor, audio: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the regions v_i by weights that are those of s * v_i + t, whatever t is.

        Args:
            visual: (..., R, D_v), v_i.
            audio: (..., D_a).
            scale: broadcast to (..., D_v), s.

        Returns:
            (..., D_v), sum over i of w_i v_i, and the weights (..., R), 0 or more, whose sum is 1.
        """
        query = self.query(audio) / math.sqrt(self.query.out_features)
        # The key's weights go to the few queries, not to the many regions: q . (W v) = (W^T q) . v, and so does s.
        # What t adds is the same for all regions, so that no weight depends on it.
        wanted = query @ self.key.weight.to(query.dtype) * scale  # (..., D_v)
        weights = torch.softmax(scored_regions(wanted, visual).float(), dim=-1)
        return attended_regions(weights, visual), weights


class Recommended(TwoModalityInput):
    """The recommended model, see the head of this module.

    Shows ``spatial_attention`` unless it pools regions by their mean.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: RecommendedOptions) -> None:
        super().__init__(dims)
        size = options.model_dims
        self.input_dropout: nn.Dropout = nn.Dropout(options.input_dropout)
        self.normalize_visual: nn.LayerNorm = nn.LayerNorm(dims.visual_dims)
        self.standardize: Standardization | None = None
        if options.standardize_sound:
            self.standardize = Standardization(dims.audio_dims)
        self.normalize_audio: nn.LayerNorm = nn.LayerNorm(dims.audio_dims, elementwise_affine=self.standardize is None)
        self.attention: ProductAttention | None = None
        if options.pooling == "attention":
            self.attention = ProductAttention(dims.visual_dims, dims.audio_dims, options.attention_dims)
        self.map_visual: nn.Linear = nn.Linear(dims.visual_dims * (1 if self.attention is None else 2), size)
        self.map_audio: nn.Linear = nn.Linear(dims.audio_dims, size)
        self.join: nn.Linear = nn.Linear(3 * size, size)
        self.neighbours: nn.Conv1d = nn.Conv1d(size, size, 3, padding=1, groups=size)
        self.blocks: nn.ModuleList = nn.ModuleList(
            AttentionBlock(size, options.heads, options.feedforward_dims, options.dropout)
            for _ in range(options.layers)
        )
        self.dropout: nn.Dropout = nn.Dropout(options.dropout)
        self.head: nn.Linear = nn.Linear(size, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C); ``spatial_attention`` (B, T, R) is shown."""
        # Regions are many and have nothing to learn before LN's weights, which are linear and so are put behind the
        # sums over regions, as is what is dropped: no gradient and no copy of all regions is needed.
        kept = self._kept_channels(visual)[:, :, None]  # (B, 1, 1, D_v)
        scale, shift = self.normalize_visual.weight * kept, self.normalize_visual.bias * kept
        audio = self.normalize_audio(audio)
        if self.standardize is not None:
            audio = self.standardize(audio, valid)
        audio = audio * self._kept_channels(audio)
        regions = functional.layer_norm(visual, visual.shape[-1:], eps=self.normalize_visual.eps)
        pooled = self._pool(regions, scale[:, :, 0], audio, valid, shown) * scale + shift
        v = self._map(self.map_visual, pooled.flatten(2))
        a = self._map(self.map_audio, audio)
        x = without_padding(self.join(torch.cat([v, a, v * a], dim=-1)), valid)
        x = x + self.neighbours(x.transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            x, _ = block(x, x, x, valid)
        return self.head(self.dropout(x))

    def _pool(self, regions: Tensor, scale: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """(B, T, R, D_v) to (B, T, 1, D_v), or to (B, T, 2, D_v) with what is attended to first."""
        mean = mean_over_regions(regions)
        if self.attention is None:
            return mean[:, :, None]
        attended, weights = self.attention(regions, audio, scale)
        shown["spatial_attention"] = without_padding(weights, valid)
        return torch.stack([attended, mean], dim=2)

    def _map(self, linear: nn.Linear, x: Tensor) -> Tensor:
        return self.dropout(functional.relu(linear(x)))

    def _kept_channels(self, x: Tensor) -> Tensor:
        """(B, 1, D), 0 where a feature of a video is dropped while training, the same in its segments and regions."""
        return self.input_dropout(x.new_ones(x.shape[0], 1, x.shape[-1]))


ENTRIES: Mapping[str, Entry] = {
    "recommended": Entry(
        "avel's own: what is both seen and heard, regularized; the one to begin with",
        "avel",
        RecommendedOptions,
        Recommended,
        training={
            "optimizer": "adamw",
            "schedule": "cosine",
            "batch_size": 16,
            "epochs": 20,
            "label_smoothing": 0.1,
            "average_weights": 0.99,
            "pooling": "max",
            "backgrounds": "noisy+mismatched",
        },
    ),
}
