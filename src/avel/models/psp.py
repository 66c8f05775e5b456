"""Positive sample propagation, PSP (Zhou et al., CVPR 2021).

    audio -> two Linear -> a,   visual (B, T, R, D_v) -> audio-guided attention -> two Linear -> v
    BiLSTM of each; every pair of an audio and a visual segment has a similarity; pairs below a threshold are pruned,
    the others propagate: v + (weights of v's pairs) a, and a + (weights of a's pairs) v
    Linear, ReLU, dropout, one LayerNorm for both; their mean -> Linear, ReLU, Linear

Where segments have labels, the cosine similarity of the two propagated features of each segment is trained besides
(`pair_similarity_loss`), with weight 100.

Sizes, the ReLU of the pairs' projections and dropout are those of the authors' released code. Chosen here:

- The threshold 0.099 (weakly supervised 0.095) just prunes what is below the mean weight of the ten segments of AVE.
  In a video of n valid segments it is 10 / n times as large, so that it means the same and padding does not count.
- A video without any event has no pair to be similar; its target is zero everywhere.
- Their loader keeps one buffer of similarity targets and never clears it, so that the targets of a batch hold what
  earlier ones left in the same row (a second batch of one video had a target that sums to 2). Ours are made anew.

``form="weak"`` is their weakly supervised network: features go to the BiLSTM as they are (the visual through one
Linear), weights are not normalized again after pruning, nothing follows the propagation but the LayerNorm, and a
weighting branch scales each segment's logits by sigmoid(relu(w . logits)). It was trained with the proportions of the
classes as labels and binary cross entropy of the softmax; here with cross entropy, which has the same targets.
"""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import ModelOutput, TaskLoss, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import AttentionForm, AudioGuidedAttention, Form, SegmentLSTM, without_padding
from avel.models.options import Dims, Share, Size
from avel.models.tian2018 import LstmSizes

AVE_SEGMENTS = 10
"""Segments of a video in AVE, for which the threshold is given."""


class PspOptions(LstmSizes):
    """Options of PSP.

    Attributes:
        attention: how the audio is added to the regions, see `avel.models.layers.AudioGuidedAttention`.
        attention_dims: d, to which both modalities are projected.
        attention_hidden_dims: k.
        form: of the network, see the head of this module.
        threshold: smallest weight of a pair that propagates, in a video of ten segments.
        embedding_dims: to which both modalities are mapped before the BiLSTM; the form ``weak`` does so with the
            visual only.
        dropout: share dropped in the propagation while training.
        similarity_weight: of the loss of the pairs' similarity, from 0 to 10,000.
    """

    attention: AttentionForm = "paper"
    attention_dims: Size = 512
    attention_hidden_dims: Size = 49
    form: Form = "supervised"
    threshold: Share = 0.099
    embedding_dims: Size = 128
    dropout: Share = 0.1
    similarity_weight: Annotated[float, Field(ge=0, le=10000)] = 100.0


class PositiveSamplePropagation(nn.Module):
    """Every segment takes from the other modality's segments that are similar enough.

    b = relu(v W_2^v) relu(a W_1^a)^T / sqrt(D) over all pairs; the visual's weights are the rows of b, with sum 1, and
    0 where they are not above the threshold; v + weights relu(a W_2^a). The same with the columns for the audio.

    Args:
        dims: D.
        options: see there.
    """

    def __init__(self, dims: int, options: PspOptions) -> None:
        super().__init__()
        self.form = options.form
        self.threshold: Share = options.threshold
        self.visual_value, self.visual_pair, self.audio_pair, self.audio_value = (
            nn.Linear(dims, dims, bias=False) for _ in range(4)
        )
        if options.form == "supervised":
            self.visual_out, self.audio_out = (nn.Linear(dims, dims, bias=False) for _ in range(2))
        self.dropout: nn.Dropout = nn.Dropout(options.dropout)
        self.norm: nn.LayerNorm = nn.LayerNorm(dims, eps=1e-6)
        glorot(self)

    def forward(self, v: Tensor, a: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Propagate.

        Args:
            v: (B, T, D).
            a: (B, T, D).
            valid: (B, T) bool.

        Returns:
            (B, T, D) of the visual and of the audio, and the visual's weights (B, T, T), rows of sum 1 or 0.
        """
        seen, heard = self._projected(self.visual_pair, v), self._projected(self.audio_pair, a)
        pairs = (seen @ heard.transpose(1, 2)).float() / v.shape[-1] ** 0.5  # (B, T, T), 0 or more as both are
        of_visual = self._weights(pairs, valid)
        of_audio = self._weights(pairs.transpose(1, 2), valid)
        v, a = (
            v + of_visual.to(v.dtype) @ self._projected(self.audio_value, a),
            a + of_audio.to(a.dtype) @ self._projected(self.visual_value, v),
        )
        if self.form == "supervised":
            v, a = self._projected(self.visual_out, v), self._projected(self.audio_out, a)
        return self.norm(v), self.norm(a), of_visual

    def _projected(self, layer: nn.Module, x: Tensor) -> Tensor:
        return self.dropout(functional.relu(layer(x)))

    def _weights(self, pairs: Tensor, valid: Tensor) -> Tensor:
        weights = _normalized(pairs.masked_fill(~valid[:, None], 0.0))
        threshold = self.threshold * AVE_SEGMENTS / valid.sum(dim=1).clamp(min=1)
        weights = weights.masked_fill(weights <= threshold[:, None, None], 0.0)
        return weights if self.form == "weak" else _normalized(weights)


def _normalized(x: Tensor) -> Tensor:
    return x / (x.sum(dim=-1, keepdim=True) + 1e-8)


def glorot(module: nn.Module) -> None:
    """Glorot-uniform weights for every Linear in it."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)


class Psp(TwoModalityInput):
    """PSP, see the head of this module.

    Shows ``spatial_attention``, ``temporal_attention`` (the visual segments' weights of the audio's; rows of sum 1, or
    0 where all are pruned, or in form ``weak`` less than 1) and ``similarity`` (B, T), the cosine of each segment's two
    propagated features.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: PspOptions) -> None:
        super().__init__(dims)
        self.form = options.form
        self.similarity_weight: float = options.similarity_weight
        size = options.embedding_dims
        is_weak = options.form == "weak"
        heard_dims = dims.audio_dims if is_weak else size
        self.embed_audio: nn.Identity | nn.Sequential = nn.Identity() if is_weak else _embedding(dims.audio_dims, size)
        self.embed_visual: nn.Linear | nn.Sequential = (
            nn.Linear(dims.visual_dims, size) if is_weak else _embedding(dims.visual_dims, size)
        )
        self.attention: AudioGuidedAttention = AudioGuidedAttention.of(dims, options, heard_dims)
        self.audio_lstm: SegmentLSTM = SegmentLSTM(heard_dims, options.lstm_dims)
        self.visual_lstm: SegmentLSTM = SegmentLSTM(size, options.lstm_dims)
        self.propagation: PositiveSamplePropagation = PositiveSamplePropagation(2 * options.lstm_dims, options)
        self.head: nn.Sequential = nn.Sequential(
            nn.Linear(2 * options.lstm_dims, options.head_dims, bias=False),
            nn.ReLU(),
            nn.Linear(options.head_dims, dims.num_classes, bias=False),
        )
        glorot(self.head)
        self.weighting: nn.Linear | None = nn.Linear(dims.num_classes, 1, bias=False) if is_weak else None

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        a = self.embed_audio(audio)
        pooled, weights = self.attention(visual, a)
        shown["spatial_attention"] = without_padding(weights, valid)
        a, v = self.audio_lstm(a, valid), self.visual_lstm(self.embed_visual(pooled), valid)
        v, a, weights = self.propagation(v, a, valid)
        shown["temporal_attention"] = without_padding(weights, valid)
        shown["similarity"] = without_padding(functional.cosine_similarity(v.float(), a.float(), dim=-1), valid)
        logits: Tensor = self.head(0.5 * (v + a))
        if self.weighting is not None:
            logits = logits * torch.sigmoid(functional.relu(self.weighting(logits)))
        return logits

    def loss(self, output: ModelOutput, target: Tensor, valid: Tensor, task_loss: TaskLoss) -> Tensor:
        """The task's loss, and where segments have labels that of the pairs' similarity."""
        loss = task_loss(output, target, valid)
        if self.spec.target == "videos" or self.form == "weak":
            return loss
        return loss + self.similarity_weight * pair_similarity_loss(
            output.shown["similarity"], similarity_target(target, valid), valid
        )


def _embedding(input_dims: int, output_dims: int) -> nn.Sequential:
    # There is nothing between the two, as in the authors' code.
    return nn.Sequential(
        nn.Linear(input_dims, 2 * output_dims, bias=False), nn.Linear(2 * output_dims, output_dims, bias=False)
    )


def similarity_target(target: Tensor, valid: Tensor) -> Tensor:
    """(B, T, C) one-hot labels to (B, T): 1 / n in the n segments with an event, else 0; rows of sum 1, or 0."""
    is_event = valid & (target[..., :-1].sum(dim=-1) > 0)
    return is_event / is_event.sum(dim=1, keepdim=True).clamp(min=1)


def pair_similarity_loss(similarity: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Pull audio-visual similarity towards the segments that hold the event (Zhou et al., CVPR 2021, Eqs. 8-9).

    Mean square of how the similarities, their negatives set to zero and divided by their sum, differ from the target.

    Args:
        similarity: (B, T) similarity of the two features in each segment.
        target: (B, T), non-negative; each row sums to 1, or to 0 in a video without event.
        valid: (B, T) bool.

    Returns:
        A scalar, mean over the valid segments.
    """
    share = _normalized(functional.relu(without_padding(similarity, valid)))
    return functional.mse_loss(share[valid], target[valid])


ENTRIES: Mapping[str, Entry] = {
    "psp": Entry(
        "similar pairs of audio and visual segments take from each other",
        "Zhou et al., CVPR 2021",
        PspOptions,
        Psp,
        training={
            "schedule": "milestones",
            "decay_factor": 0.8,
            "decay_epochs": (60, 120),
            "batch_size": 128,
            "epochs": 300,
            "weak_labels": "proportion",
        },
    ),
}
