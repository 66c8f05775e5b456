"""Dual attention matching, DAM (Wu et al., ICCV 2019).

    visual (B, T, R, D_v) -> audio-guided attention -> v (B, T, D),   audio -> a (B, T, D)
    event-level features: self-attention of v, and of a, over the segments of the event, and its mean over them
    p_t = (sigmoid(visual event . a_t) + sigmoid(audio event . v_t)) / 2     each modality checks the other
    both event-level features -> the video's category

A segment with p_t above a half has that category, any other is background (`avel.models.layers.decision_logits`).

Training takes the event's segments from the labels, which a new video does not have. What is done there, and what else
was found nowhere, since the authors released no code, is chosen here:

- A first look takes all segments for the event's. Its p_t then are the weights of the segments in a second look, which
  gives the result. In training, the second look has the labels for weights, and the first is trained like it.
  ``event_region="whole"`` leaves it at the first.
- v and a are Linear, ReLU and Linear to 256; attention to regions is that of A+V-att; self-attention has one head.
- The loss is that of CMRAN, the binary cross entropy of p_t and the cross entropy of the category with equal weights.
  The recipe is that of Tian et al.

There is no weakly supervised form: the event's segments have to be known.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from avel.models.base import ModelOutput, TaskLoss, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AttentionForm,
    AudioGuidedAttention,
    decision_logits,
    log_sigmoid,
    relevance_loss,
    without_padding,
)
from avel.models.options import Dims, Options, Size


class DamOptions(Options):
    """Options of DAM.

    Attributes:
        event_region: which segments the event-level features are of, see the head of this module.
        event_dims: features of a segment and of the event.
        attention: to regions, see `avel.models.layers.AudioGuidedAttention`.
        attention_dims: d, to which both modalities are projected.
        attention_hidden_dims: k.
    """

    event_region: Literal["relevant", "whole"] = "relevant"
    event_dims: Size = 256
    attention: AttentionForm = "paper"
    attention_dims: Size = 512
    attention_hidden_dims: Size = 49


class EventFeature(nn.Module):
    """Self-attention over weighted segments and its weighted mean.

    With weights of 0 and 1 it is that of the segments with 1, as if there were no others. Weights are given as
    logarithms, which tell small ones apart where a runtime's sigmoid does not.

    Args:
        dims: D.
    """

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(dims, dims, bias=False) for _ in range(3))

    def forward(self, x: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor]:
        """Of (B, T, D), with (B, T) logarithms of weights that are not all 0, (B, D) and the attention (B, T, T)."""
        scores = (self.query(x) @ self.key(x).transpose(1, 2)).float() / x.shape[-1] ** 0.5
        attention = torch.softmax(scores + log_weights[:, None], dim=-1)
        share = torch.softmax(log_weights, dim=1)
        event = (share[:, None] @ attention).to(x.dtype) @ self.value(x)  # (B, 1, D): mean of attention @ value
        return event[:, 0], attention


class Dam(TwoModalityInput):
    """DAM, see the head of this module.

    Shows ``spatial_attention``, ``temporal_attention`` (mean of both modalities), ``event_relevance``,
    ``video_category``, and ``visual_features`` and ``audio_features`` (B, T, D), which are matched.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: DamOptions) -> None:
        super().__init__(dims)
        self.event_region = options.event_region
        size = options.event_dims
        self.attention: AudioGuidedAttention = AudioGuidedAttention.of(dims, options)
        self.local_visual: nn.Sequential = _local(dims.visual_dims, size)
        self.local_audio: nn.Sequential = _local(dims.audio_dims, size)
        self.visual_event, self.audio_event = EventFeature(size), EventFeature(size)
        self.category: nn.Linear = nn.Linear(2 * size, dims.num_categories)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        pooled, weights = self.attention(visual, audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        v, a = self.local_visual(pooled), self.local_audio(audio)
        shown["visual_features"], shown["audio_features"] = v.float(), a.float()
        relevance, categories, attention = self.look(v, a, _log_weights(valid))
        if self.event_region == "relevant":
            is_relevant = _log_weights(valid) + log_sigmoid(relevance)
            relevance, categories, attention = self.look(v, a, is_relevant)
        shown["temporal_attention"] = without_padding(attention, valid)
        shown["event_relevance"] = without_padding(relevance, valid)
        shown["video_category"] = categories
        return decision_logits(categories, relevance, self.dims.num_categories)

    def look(self, v: Tensor, a: Tensor, log_weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Match both modalities, the event being where the weights are.

        Args:
            v: (B, T, D).
            a: (B, T, D).
            log_weights: (B, T) logarithms of the segments' weights in [0, 1].

        Returns:
            Logits (B, T) of p_t, logits (B, C - 1) of the category, and attention (B, T, T).
        """
        visual_event, visual_attention = self.visual_event(v, log_weights)
        audio_event, audio_attention = self.audio_event(a, log_weights)
        of_audio = (a @ visual_event[..., None])[..., 0].float()
        of_visual = (v @ audio_event[..., None])[..., 0].float()
        # The logit of a mean of two sigmoids, without their rounding to 0 or 1.
        matches = torch.stack([of_audio, of_visual])
        relevance = torch.logsumexp(log_sigmoid(matches), dim=0) - torch.logsumexp(log_sigmoid(-matches), dim=0)
        categories = self.category(torch.cat([visual_event, audio_event], dim=-1)).float()
        return relevance, categories, (visual_attention + audio_attention) / 2

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor, task_loss: TaskLoss) -> Tensor:
        """Of relevance and category in both looks where segments have labels, else the task's loss."""
        if self.spec.target == "videos":
            return task_loss(output, target, valid)
        v, a = output.shown["visual_features"], output.shown["audio_features"]
        is_event = valid & (target[..., :-1].sum(dim=-1) > 0)
        regions = [_log_weights(valid)]
        if self.event_region == "relevant":
            regions.append(_log_weights(is_event, valid))
        looks = [self.look(v, a, region)[:2] for region in regions]
        return torch.stack([relevance_loss(*look, target, valid) for look in looks]).sum()


def _local(input_dims: int, output_dims: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(input_dims, output_dims), nn.ReLU(), nn.Linear(output_dims, output_dims))


def _log_weights(*choices: Tensor) -> Tensor:
    """(B, T) of a weight of 1 in the segments of the first choice, (B, T) bool, that has any in a video, else of 0.

    In a video that no choice has a segment of, all have a weight of 1.
    """
    chosen = torch.ones_like(choices[-1])
    for choice in reversed(choices):
        has_any = choice.any(dim=1, keepdim=True)
        chosen = (choice & has_any) | (chosen & ~has_any)  # not `torch.where`, which ONNX Runtime lacks for bool
    return torch.zeros(chosen.shape, device=chosen.device).masked_fill(~chosen, -torch.inf)


ENTRIES: Mapping[str, Entry] = {
    "dam": Entry(
        "event-level features of one modality matched to the other's segments; the video's category",
        "Wu et al., ICCV 2019",
        DamOptions,
        Dam,
    ),
}
