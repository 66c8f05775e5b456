"""Cross-modal relation-aware network, CMRAN (Xu et al., ACM MM 2020).

    visual (B, T, R, D_v) -> audio-guided spatial-channel attention -> (B, T, D_v)
    each modality         -> self-attention over the segments       -> its memory
    audio                 -> CMRA over the visual's memory and the audio;    the visual likewise
    their product         -> attention over both                    -> each segment: is it relevant to the event?
                                                                    -> maximum over time: the video's category

A segment whose relevance is above a half has the video's category, any other is background. In logits: each category
has the video's logit, background the largest of them less the relevance's logit, so that the largest is that decision.

Sizes, order of layers and recipe are those of the authors' released code, which gives what the paper does not. What it
leaves open: a video without event has no category, so it does not count in the categories' loss (there it counted as
category 0); a video with segments of several has each of them by its share (there it was the one of largest index).

Weakly supervised, ``form="weak"``, the head of categories scores background too, the video's logits are multiplied by
each segment's relevance, and their maximum over time is trained. A video whose best class is background has no event.
Their loss there is a multi-label soft margin of the softmax, which is a setting of the training; ours is cross entropy.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from avel.models.base import ModelOutput, TaskLoss, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AttentionBlock,
    Form,
    SpatialChannelAttention,
    SpatialChannelOptions,
    check_heads,
    decision_logits,
    max_over_time,
    relevance_loss,
    without_padding,
)
from avel.models.options import Dims, Heads, Layers, Share, Size
from avel.models.region_linear import RegionLinear

XU = "Xu et al., ACM MM 2020"


class CmranOptions(SpatialChannelOptions):
    """Options of CMRAN.

    Attributes:
        form: of the head, see the head of this module.
        model_dims: features of a segment in all attention over time; a multiple of ``heads`` and ``interaction_heads``.
        heads: of self-attention and CMRA, at most 64.
        interaction_heads: of the attention of the product over both modalities, at most 64; their weak code has 2.
        feedforward_dims: hidden units after each attention.
        layers: of self-attention, at most 16.
        dropout: share dropped in and after attention while training.
        visual_dropout: share dropped after the Linear and ReLU that fit the visual features.

    Raises:
        ValueError: if ``model_dims`` is no such multiple, or as `Options`.
    """

    form: Form = "supervised"
    model_dims: Size = 256
    heads: Heads = 4
    interaction_heads: Heads = 4
    feedforward_dims: Size = 2048
    layers: Layers = 2
    dropout: Share = 0.1
    visual_dropout: Share = 0.2

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        check_heads(self.model_dims, heads=self.heads, interaction_heads=self.interaction_heads)
        return self


class Memory(nn.Module):
    """Linear, then self-attention over the segments of one modality."""

    def __init__(self, input_dims: int, options: CmranOptions) -> None:
        super().__init__()
        self.project: nn.Linear = nn.Linear(input_dims, options.model_dims)
        self.blocks: nn.ModuleList = nn.ModuleList(_block(options) for _ in range(options.layers))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, input_dims) to (B, T, D)."""
        x = self.project(x)
        for block in self.blocks:
            x, _ = block(x, x, x, valid)
        return x


class CrossModalRelation(nn.Module):
    """Cross-modality relation attention, CMRA: one modality attends to the other's memory and to itself together."""

    def __init__(self, input_dims: int, options: CmranOptions) -> None:
        super().__init__()
        self.project: nn.Linear = nn.Linear(input_dims, options.model_dims)
        self.block: AttentionBlock = _block(options)

    def forward(self, x: Tensor, memory: Tensor, valid: Tensor) -> Tensor:
        """(B, T, input_dims) and the other's (B, T, D) to (B, T, D)."""
        x = self.project(x)
        both = torch.cat([memory, x], dim=1)  # (B, 2 T, D)
        return self.block(x, both, both, valid.repeat(1, 2))[0]


def _block(options: CmranOptions) -> AttentionBlock:
    return AttentionBlock(options.model_dims, options.heads, options.feedforward_dims, options.dropout)


class Cmran(TwoModalityInput):
    """CMRAN, see the head of this module.

    Shows ``spatial_attention``, ``temporal_attention`` (of the last attention, over both modalities of a segment
    together), ``event_relevance`` and ``video_category``.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: CmranOptions) -> None:
        super().__init__(dims)
        self.form = options.form
        size = options.model_dims
        self.fit_visual: nn.Sequential = nn.Sequential(
            RegionLinear(dims.visual_dims, dims.visual_dims, relu=True), nn.Dropout(options.visual_dropout)
        )
        self.attention: SpatialChannelAttention = SpatialChannelAttention(dims.visual_dims, dims.audio_dims, options)
        self.visual_memory: Memory = Memory(dims.visual_dims, options)
        self.audio_memory: Memory = Memory(dims.audio_dims, options)
        self.visual_relation: CrossModalRelation = CrossModalRelation(dims.visual_dims, options)
        self.audio_relation: CrossModalRelation = CrossModalRelation(dims.audio_dims, options)
        self.interaction: AttentionBlock = AttentionBlock(size, options.interaction_heads, 0, options.dropout)
        self.relevance: nn.Linear = nn.Linear(size, 1)
        self.category: nn.Linear = nn.Linear(size, dims.num_classes if options.form == "weak" else dims.num_categories)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        pooled, weights = self.attention(self.fit_visual(visual), audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        v = self.visual_relation(pooled, self.audio_memory(audio, valid), valid)
        a = self.audio_relation(audio, self.visual_memory(pooled, valid), valid)
        both = torch.cat([a, v], dim=1)  # (B, 2 T, D)
        x, attended = self.interaction(v * a, both, both, valid.repeat(1, 2), show=True)
        shown["temporal_attention"] = without_padding(attended.float().unflatten(-1, (2, -1)).sum(dim=-2), valid)
        relevance = without_padding(self.relevance(x)[..., 0].float(), valid)
        categories = self.category(max_over_time(x, valid)).float()
        shown["event_relevance"], shown["video_category"] = relevance, categories
        return decision_logits(categories, relevance, self.dims.num_categories)

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor, task_loss: TaskLoss) -> Tensor:
        """Of relevance and category where segments have labels; of videos, the task's loss of relevant logits."""
        relevance, categories = output.shown["event_relevance"], output.shown["video_category"]
        if self.spec.target == "segments":
            return relevance_loss(relevance, categories, target, valid)
        if self.form == "weak":
            scaled = torch.sigmoid(relevance)[..., None] * categories[:, None]  # (B, T, C)
            return task_loss(replace(output, logits=without_padding(scaled, valid)), target, valid)
        return task_loss(output, target, valid)


ENTRIES: Mapping[str, Entry] = {
    "cmran": Entry(
        "attention to regions, channels and both modalities' segments; event relevance and the video's category",
        XU,
        CmranOptions,
        Cmran,
        training={
            "learning_rate": 5e-4,
            "schedule": "milestones",
            "decay_factor": 0.5,
            "decay_epochs": (10, 20, 30),
            "batch_size": 32,
            "epochs": 200,
            "clip_gradient_norm": 0.1,
            "pooling": "max",
        },
    ),
}
