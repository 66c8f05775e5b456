"""Cross-modal relation-aware network, CMRAN (Xu et al., ACM MM 2020), and the blocks that later papers take from it.

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
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import ModelOutput, TaskLoss, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import attended_regions, max_over_time, mean_over_regions, scored_regions, without_padding
from avel.models.options import Dims, Options, Training

XU = "Xu et al., ACM MM 2020"

ChannelGate = Literal["residual", "plain"]
Form = Literal["supervised", "weak"]


@dataclass(frozen=True)
class SpatialChannelOptions(Options):
    """Options of models with `SpatialChannelAttention`, see there.

    Attributes:
        channel_gate: ``residual`` multiplies channels by 1 + gate, as the released code does, ``plain`` by the gate.
        channel_dims: to which both modalities are projected for the channels' gate.
        bottleneck_dims: of the channels' gate.
        spatial_dims: to which both are projected for the regions' weights.
    """

    channel_gate: ChannelGate = "residual"
    channel_dims: int = 512
    bottleneck_dims: int = 256
    spatial_dims: int = 256


@dataclass(frozen=True)
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

    limits: ClassVar[Mapping[str, int]] = {"heads": 64, "interaction_heads": 64, "layers": 16}

    form: Form = "supervised"
    model_dims: int = 256
    heads: int = 4
    interaction_heads: int = 4
    feedforward_dims: int = 2048
    layers: int = 2
    dropout: float = 0.1
    visual_dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_heads(self.model_dims, heads=self.heads, interaction_heads=self.interaction_heads)


def check_heads(model_dims: int, **heads: int) -> None:
    """Check that features can be shared out to heads.

    Raises:
        ValueError: if ``model_dims`` is not a multiple of one of them.
    """
    for name, count in heads.items():
        if model_dims % count:
            raise ValueError(f"option 'model_dims' must be a multiple of '{name}', {count}; got {model_dims}.")


class SpatialChannelAttention(nn.Module):
    """Audio-guided spatial-channel attention (Xu et al., ACM MM 2020): a gate of channels, then weights of regions.

    With U a Linear and ReLU, * element by element, and i over the R regions:

        g   = sigmoid(W_2 relu(W_1 mean_i(U_a a * U_v v_i)))      gate of the D_v channels
        v'_i = (1 + g) * v_i
        w   = softmax_i(tanh(w_s . (U'_a a * U'_v v'_i)))         weights of the regions
        out = sum_i w_i v'_i

    Args:
        visual_dims: D_v.
        audio_dims: D_a.
        options: see there.
    """

    def __init__(self, visual_dims: int, audio_dims: int, options: SpatialChannelOptions) -> None:
        super().__init__()
        self.channel_gate = options.channel_gate
        self.channel_visual = nn.Linear(visual_dims, options.channel_dims)  # U_v
        self.channel_audio = nn.Linear(audio_dims, options.channel_dims)  # U_a
        self.squeeze = nn.Linear(options.channel_dims, options.bottleneck_dims)  # W_1
        self.excite = nn.Linear(options.bottleneck_dims, visual_dims)  # W_2
        self.spatial_visual = nn.Linear(visual_dims, options.spatial_dims)  # U'_v
        self.spatial_audio = nn.Linear(audio_dims, options.spatial_dims)  # U'_a
        self.spatial_score = nn.Linear(options.spatial_dims, 1)  # w_s

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the regions that go with the sound.

        Args:
            visual: (..., R, D_v).
            audio: (..., D_a).

        Returns:
            (..., D_v) attended visual features, and (..., R) weights, 0 or more, whose sum is 1.
        """
        seen = mean_over_regions(functional.relu(self.channel_visual(visual)))  # the audio is the same in all regions
        squeezed = functional.relu(self.squeeze(functional.relu(self.channel_audio(audio)) * seen))
        gate = torch.sigmoid(self.excite(squeezed))  # (..., D_v)
        if self.channel_gate == "residual":
            gate = 1 + gate
        regions = functional.relu(self.spatial_visual(visual * gate[..., None, :]))  # (..., R, D)
        heard = functional.relu(self.spatial_audio(audio)) * self.spatial_score.weight[0]  # (..., D)
        scores = scored_regions(heard, regions) + self.spatial_score.bias
        weights = torch.softmax(torch.tanh(scores.float()), dim=-1)  # (..., R)
        return attended_regions(weights, visual) * gate, weights


class AttentionBlock(nn.Module):
    """Multi-head attention, then a feed-forward network, each with residual and LayerNorm (Vaswani et al., NIPS 2017).

    Args:
        dims: D.
        heads: a divisor of D.
        feedforward_dims: hidden units of the feed-forward network; 0 leaves it and what follows it out.
        dropout: share dropped in the attention's weights and before each residual.
    """

    def __init__(self, dims: int, heads: int, feedforward_dims: int, dropout: float) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(dims, heads, dropout=dropout, batch_first=True)
        self.attention_norm = nn.LayerNorm(dims)
        self.dropout = nn.Dropout(dropout)
        self.feedforward = None
        if feedforward_dims:
            self.feedforward = nn.Sequential(
                nn.Linear(dims, feedforward_dims), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward_dims, dims)
            )
            self.feedforward_norm = nn.LayerNorm(dims)

    def forward(
        self, x: Tensor, keys: Tensor, values: Tensor, valid: Tensor, *, query: Tensor | None = None, show: bool = False
    ) -> tuple[Tensor, Tensor | None]:
        """Update ``x`` by what it attends to.

        Args:
            x: (B, T, D), to which the residual goes.
            keys: (B, S, D).
            values: (B, S, D).
            valid: (B, S) bool; other segments are not attended to.
            query: (B, T, D), if not ``x``.
            show: whether to give the weights, which costs a little.

        Returns:
            (B, T, D), and if shown (B, T, S) weights, mean over the heads; in a video with no valid segment, of any
            value.
        """
        query = x if query is None else query
        # All segments of a video without a valid one: a softmax over none would be NaN.
        ignored = ~valid & valid.any(dim=1, keepdim=True)
        found, weights = self.attention(query, keys, values, key_padding_mask=ignored, need_weights=show)
        x = self.attention_norm(x + self.dropout(found))
        if self.feedforward is not None:
            x = self.feedforward_norm(x + self.dropout(self.feedforward(x)))
        return x, weights


class Memory(nn.Module):
    """Linear, then self-attention over the segments of one modality."""

    def __init__(self, input_dims: int, options: CmranOptions) -> None:
        super().__init__()
        self.project = nn.Linear(input_dims, options.model_dims)
        self.blocks = nn.ModuleList(_block(options) for _ in range(options.layers))

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
        self.project = nn.Linear(input_dims, options.model_dims)
        self.block = _block(options)

    def forward(self, x: Tensor, memory: Tensor, valid: Tensor) -> Tensor:
        """(B, T, input_dims) and the other's (B, T, D) to (B, T, D)."""
        x = self.project(x)
        both = torch.cat([memory, x], dim=1)  # (B, 2 T, D)
        updated: Tensor = self.block(x, both, both, valid.repeat(1, 2))[0]
        return updated


def _block(options: CmranOptions) -> AttentionBlock:
    return AttentionBlock(options.model_dims, options.heads, options.feedforward_dims, options.dropout)


class Cmran(TwoModalityInput):
    """CMRAN, see the head of this module.

    Shows ``spatial_attention``, ``temporal_attention`` (of the last attention, over both modalities of a segment
    together), ``event_relevance`` and ``category_logits``.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: CmranOptions) -> None:
        super().__init__(dims)
        self.form = options.form
        size = options.model_dims
        self.fit_visual = nn.Sequential(
            nn.Linear(dims.visual_dims, dims.visual_dims), nn.ReLU(), nn.Dropout(options.visual_dropout)
        )
        self.attention = SpatialChannelAttention(dims.visual_dims, dims.audio_dims, options)
        self.visual_memory = Memory(dims.visual_dims, options)
        self.audio_memory = Memory(dims.audio_dims, options)
        self.visual_relation = CrossModalRelation(dims.visual_dims, options)
        self.audio_relation = CrossModalRelation(dims.audio_dims, options)
        self.interaction = AttentionBlock(size, options.interaction_heads, 0, options.dropout)
        self.relevance = nn.Linear(size, 1)
        self.category = nn.Linear(size, dims.num_classes if options.form == "weak" else dims.num_categories)

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
        shown["event_relevance"], shown["category_logits"] = relevance, categories
        return decision_logits(categories, relevance, self.dims.num_categories)

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor, task_loss: TaskLoss) -> Tensor:
        """Of relevance and category where segments have labels; of videos, the task's loss of relevant logits."""
        relevance, categories = output.shown["event_relevance"], output.shown["category_logits"]
        if target.ndim == 3:
            return relevance_loss(relevance, categories, target, valid)
        if self.form == "weak":
            scaled = torch.sigmoid(relevance)[..., None] * categories[:, None]  # (B, T, C)
            return task_loss(replace(output, logits=without_padding(scaled, valid)), target, valid)
        return task_loss(output, target, valid)


def decision_logits(categories: Tensor, relevance: Tensor, num_categories: int) -> Tensor:
    """Logits whose largest is the video's category where a segment is relevant, else background.

    Args:
        categories: (B, K) of the video, the event categories and, where it scores it, background.
        relevance: (B, T) of the segments; relevant above 0.
        num_categories: C - 1.

    Returns:
        (B, T, C).
    """
    events = categories[:, None, :num_categories].expand(-1, relevance.shape[1], -1)  # (B, T, C - 1)
    background = events.amax(dim=-1) - relevance
    if categories.shape[1] > num_categories:
        background = torch.maximum(background, categories[:, num_categories:])
    return torch.cat([events, background[..., None]], dim=-1)


def relevance_loss(relevance: Tensor, categories: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Binary cross entropy of the segments' relevance plus cross entropy of the videos' category.

    Args:
        relevance: (B, T) logits.
        categories: (B, K) logits, K being C - 1 or C. Videos without any event do not count in them.
        target: (B, T, C) one-hot.
        valid: (B, T) bool.

    Returns:
        A scalar: mean over the valid segments plus mean over the videos with event.
    """
    events = without_padding(target[..., :-1], valid)
    is_event = events.sum(dim=-1)  # (B, T)
    of_segments = functional.binary_cross_entropy_with_logits(relevance[valid], is_event[valid])
    counts = functional.pad(events.sum(dim=1), (0, categories.shape[1] - events.shape[2]))  # (B, K)
    total = counts.sum(dim=1)
    share = counts / total.clamp(min=1)[:, None]
    of_videos = -(share * torch.log_softmax(categories, dim=-1)).sum() / (total > 0).sum().clamp(min=1)
    return of_segments + of_videos


ENTRIES: Mapping[str, Entry] = {
    "cmran": Entry(
        "attention to regions, channels and both modalities' segments; event relevance and the video's category",
        XU,
        CmranOptions,
        Cmran,
        training=Training(
            learning_rate=5e-4,
            schedule="milestones",
            decay_factor=0.5,
            decay_epochs=(10, 20, 30),
            batch_size=32,
            epochs=200,
            clip_gradient_norm=0.1,
            pooling="max",
        ),
    ),
}
