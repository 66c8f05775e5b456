"""Audio-visual event localization of Tian et al., ECCV 2018: encoders and the models of one modality.

Each segment's regions are pooled by their mean or by audio-guided visual attention, each modality goes through a
BiLSTM over the segments, and a head that all segments share gives their classes. The models that join both modalities
are in `avel.models.fusion`.

Weak supervision (W-A, W-V, ...) is the same models: the task pools their segments' logits (Eq. 7), not the model.

What the paper leaves open and the authors' released code settles: one BiLSTM layer with 128 units in each direction,
the head ReLU-Linear(64)-ReLU-Linear, Glorot-uniform weights of attention and head.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from avel.models.base import LocalizationModel, ModelOutput
from avel.models.layers import AttentionForm, AudioGuidedAttention, BiLSTM, check_inputs, mlp_head, without_padding
from avel.models.options import Dims, Options

RegionPooling = Literal["mean", "attention"]


@dataclass(frozen=True)
class AvelOptions(Options):
    """Options of A, V and A+V.

    Attributes:
        lstm_dims: units of a BiLSTM in each direction.
        head_dims: hidden units of the head.
    """

    lstm_dims: int = 128
    head_dims: int = 64


@dataclass(frozen=True)
class AttentionOptions(AvelOptions):
    """Options of models with audio-guided visual attention, see `avel.models.layers.AudioGuidedAttention`.

    Attributes:
        attention: how the audio is added, as Eq. 4 has it or as the authors' code does.
        attention_dims: d, to which both modalities are projected.
        attention_hidden_dims: k.
    """

    attention: AttentionForm = "paper"
    attention_dims: int = 512
    attention_hidden_dims: int = 49


class VisualPooling(nn.Module):
    """(B, T, R, D_v) to (B, T, D_v), by attention where there are options for it, else by the mean."""

    def __init__(self, dims: Dims, options: AttentionOptions | None) -> None:
        super().__init__()
        self.attention = None
        if options is not None:
            self.attention = AudioGuidedAttention(
                dims.visual_dims,
                dims.audio_dims,
                options.attention_dims,
                options.attention_hidden_dims,
                options.attention,
                dims.regions,
            )

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Pool; the attention's weights go into ``shown``."""
        if self.attention is None:
            return visual.mean(dim=2)
        pooled, weights = self.attention(visual, audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        attended: Tensor = pooled
        return attended


class TwoModalityInput(LocalizationModel):
    """Base of the models here: checks the input and clears its padding."""

    def __init__(self, dims: Dims) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> ModelOutput:
        """Score every segment.

        Args:
            visual: (B, T, R, D_v) float; T may be any number from 1.
            audio: (B, T, D_a) float.
            valid: (B, T) bool; False where a segment is only padding. What it holds there is not looked at.

        Returns:
            Logits (B, T, C), zero where padding, and what the model can show.

        Raises:
            ValueError: if a shape or the mask's type is not as the model was built for.
        """
        check_inputs(visual, audio, valid, (self.dims.regions, self.dims.visual_dims, self.dims.audio_dims))
        if not bool(valid.all()):
            visual, audio = without_padding(visual, valid), without_padding(audio, valid)
        shown: dict[str, Tensor] = {}
        logits = self.score(visual, audio, valid, shown)
        return ModelOutput(without_padding(logits.float(), valid), shown)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C) of input without padding; what can be shown goes into ``shown``."""
        raise NotImplementedError


class AudioOnly(TwoModalityInput):
    """A: audio alone. The visual features are not used.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: AvelOptions) -> None:
        super().__init__(dims)
        self.lstm = BiLSTM(dims.audio_dims, options.lstm_dims)
        self.head = mlp_head(2 * options.lstm_dims, options.head_dims, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        logits: Tensor = self.head(self.lstm(audio, valid))
        return logits


class VisualOnly(TwoModalityInput):
    """V and V-att: visual alone, but for the attention, which the audio guides.

    Args:
        dims: sizes of the input.
        options: `AttentionOptions` for V-att, plain `AvelOptions` for V.
    """

    def __init__(self, dims: Dims, options: AvelOptions) -> None:
        super().__init__(dims)
        self.pooling = VisualPooling(dims, options if isinstance(options, AttentionOptions) else None)
        self.lstm = BiLSTM(dims.visual_dims, options.lstm_dims)
        self.head = mlp_head(2 * options.lstm_dims, options.head_dims, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        pooled = self.pooling(visual, audio, valid, shown)
        logits: Tensor = self.head(self.lstm(pooled, valid))
        return logits


def mean_probabilities(logits: list[Tensor]) -> Tensor:
    """Logits whose softmax is the mean of the softmaxes of several (..., C) logits."""
    return torch.logsumexp(torch.stack([torch.log_softmax(one.float(), dim=-1) for one in logits]), dim=0)
