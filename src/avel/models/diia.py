"""Dynamic intra- and inter-modality attention, DIIA (Liang et al., 2024).

    visual (B, T, R, D_v) -> audio-guided spatial-channel attention -> V (B, T, D),   audio -> A (B, T, D)
    depth times: V_intra, A_intra = gated self-attention of each    (Eqs. 3-8)
                 V, A = attention of each to the other              (Eqs. 9-10)
    (V W_v + A W_a) / 2 -> Linear, ReLU, Linear                     (Eq. 11)

The gates cross over: the audio's mean over time gates the visual's queries and keys, and the other way round. Values,
and the residual, are not gated.

What the paper leaves out and what is chosen here: both modalities are first mapped linearly to 256; the form of the
attention to regions is that of CMRAN, which it describes; 4 heads, 1024 hidden units, LayerNorm after each residual,
dropout 0.1, one round; a ReLU and 64 units between the last two layers, as the models before it; 200 epochs. There are
no positions, since none are spoken of, so that the order of segments does not count. Each modality and round has
weights of its own. Eq. 13 is a formula of two classes; the accuracy meant is that of all classes.
"""

from collections.abc import Mapping
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AttentionBlock,
    AudioGuidedAttention,
    SpatialChannelAttention,
    SpatialChannelOptions,
    check_heads,
    mean_over_regions,
    mean_over_time,
    without_padding,
)
from avel.models.options import Dims, Heads, Layers, Share, Size

LIANG = "Liang et al., 2024"

RegionPooling = Literal["spatial-channel", "spatial", "mean"]
Gates = Literal["crossed", "own", "none"]
Order = Literal["intra-inter", "inter-intra", "intra", "inter"]


class DiiaOptions(SpatialChannelOptions):
    """Options of DIIA.

    Attributes:
        pooling: of the regions: audio-guided over regions and channels, over regions only (Tian et al., ECCV 2018), or
            their mean.
        gates: of queries and keys in the attention within a modality: by the other modality, as Eqs. 5-6 have it, by
            the modality itself, or none.
        order: of the attention within and between modalities, and whether there are both.
        depth: rounds of them, at most 16.
        model_dims: features of a segment, a multiple of ``heads``.
        heads: of each attention, at most 64.
        feedforward_dims: hidden units after each attention.
        dropout: share dropped in and after attention while training.
        head_dims: hidden units of the head.

    Raises:
        ValueError: if ``model_dims`` is no such multiple, or as `Options`.
    """

    pooling: RegionPooling = "spatial-channel"
    gates: Gates = "crossed"
    order: Order = "intra-inter"
    depth: Layers = 1
    model_dims: Size = 256
    heads: Heads = 4
    feedforward_dims: Size = 1024
    dropout: Share = 0.1
    head_dims: Size = 64

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        check_heads(self.model_dims, heads=self.heads)
        return self


class IntraAttention(nn.Module):
    """Attention within each modality, its queries and keys gated (Eqs. 3-8).

    V' = (1 + sigmoid(mean_t(A) W_A)) * V, V_intra = FFN(MHA(V', V', V)), and the same with A and V exchanged.

    Args:
        options: see there.
    """

    def __init__(self, options: DiiaOptions) -> None:
        super().__init__()
        size = options.model_dims
        self.gates = options.gates
        if options.gates != "none":
            self.visual_gate: nn.Linear = nn.Linear(size, size, bias=False)  # W_V
            self.audio_gate: nn.Linear = nn.Linear(size, size, bias=False)  # W_A
        self.visual, self.audio = _block(options), _block(options)

    def forward(self, v: Tensor, a: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) of both, and the weights (B, T, T), mean of both; the mean of each gate goes into ``shown``."""
        v_gated, a_gated = v, a
        if self.gates != "none":
            by_visual = torch.sigmoid(self.visual_gate(mean_over_time(v, valid)))[:, None]  # (B, 1, D)
            by_audio = torch.sigmoid(self.audio_gate(mean_over_time(a, valid)))[:, None]
            if self.gates == "own":
                by_visual, by_audio = by_audio, by_visual
            v_gated, a_gated = (1 + by_audio) * v, (1 + by_visual) * a
            for name, gate in (("visual_gates", by_audio), ("audio_gates", by_visual)):
                shown[name] = gate.float().mean(dim=-1) * valid  # of a window, so the same in all of its segments
        new_v, v_weights = self.visual(v, v_gated, v, valid, query=v_gated, show=True)
        new_a, a_weights = self.audio(a, a_gated, a, valid, query=a_gated, show=True)
        return new_v, new_a, (v_weights + a_weights) / 2


class InterAttention(nn.Module):
    """Attention between the modalities (Eqs. 9-10): V_inter = FFN(MHA(V, A, A)), A_inter = FFN(MHA(A, V, V)).

    Args:
        options: see there.
    """

    def __init__(self, options: DiiaOptions) -> None:
        super().__init__()
        self.visual, self.audio = _block(options), _block(options)

    def forward(self, v: Tensor, a: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, D) of both, and the weights (B, T, T), mean of both; it has no gates to show."""
        new_v, v_weights = self.visual(v, a, a, valid, show=True)
        new_a, a_weights = self.audio(a, v, v, valid, show=True)
        return new_v, new_a, (v_weights + a_weights) / 2


def _block(options: DiiaOptions) -> AttentionBlock:
    return AttentionBlock(options.model_dims, options.heads, options.feedforward_dims, options.dropout)


class Diia(TwoModalityInput):
    """DIIA, see the head of this module.

    Shows ``spatial_attention``, unless the regions are averaged, ``temporal_attention`` of the last attention, and of
    the last attention within the modalities ``visual_gates`` and ``audio_gates``, the mean of each gate's features.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: DiiaOptions) -> None:
        super().__init__(dims)
        size = options.model_dims
        self.pooling: nn.Module | None = None
        if options.pooling == "spatial-channel":
            self.pooling = SpatialChannelAttention(dims.visual_dims, dims.audio_dims, options)
        elif options.pooling == "spatial":
            self.pooling = AudioGuidedAttention(dims.visual_dims, dims.audio_dims)
        self.project_visual: nn.Linear = nn.Linear(dims.visual_dims, size)
        self.project_audio: nn.Linear = nn.Linear(dims.audio_dims, size)
        kinds = {"intra": IntraAttention, "inter": InterAttention}
        names = options.order.split("-") * options.depth
        self.attentions: nn.ModuleList = nn.ModuleList(kinds[name](options) for name in names)
        self.merge_visual: nn.Linear = nn.Linear(size, size)  # W^v_inter
        self.merge_audio: nn.Linear = nn.Linear(size, size)  # W^a_inter
        self.head: nn.Sequential = nn.Sequential(
            nn.Linear(size, options.head_dims), nn.ReLU(), nn.Linear(options.head_dims, dims.num_classes)
        )

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        if self.pooling is None:
            pooled = mean_over_regions(visual)
        else:
            pooled, weights = self.pooling(visual, audio)
            shown["spatial_attention"] = without_padding(weights, valid)
        v, a = self.project_visual(pooled), self.project_audio(audio)
        for attention in self.attentions:
            v, a, attended = attention(v, a, valid, shown)
        shown["temporal_attention"] = without_padding(attended.float(), valid)
        return self.head(0.5 * (self.merge_visual(v) + self.merge_audio(a)))


ENTRIES: Mapping[str, Entry] = {
    "diia": Entry(
        "attention within each modality, gated by the other, then between both",
        LIANG,
        DiiaOptions,
        Diia,
        training={
            "learning_rate": 7e-4,
            "schedule": "milestones",
            "decay_factor": 0.5,
            "decay_epochs": (10, 20, 30),
            "batch_size": 128,
            "epochs": 200,
        },
    ),
}
