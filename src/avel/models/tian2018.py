"""Audio-visual event localization of Tian et al., ECCV 2018: encoders and the models of one modality.

Each segment's regions are pooled by their mean or by audio-guided visual attention, each modality goes through an LSTM
over the segments (Eq. 1), and a linear head that all segments share gives their classes. The models that join both
modalities are in `avel.models.fusion`.

Weak supervision (W-A, W-V, ...) is the same models: the task pools their segments' logits (Eq. 7), not the model.

The authors' released code has an LSTM in both directions (``recurrence="bilstm"``) and the head
ReLU-Linear(64)-ReLU-Linear (``head="mlp"``). What the paper leaves open is as there: one layer, 128 units in each
direction, Glorot-uniform weights of attention and head.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AttentionForm,
    AudioGuidedAttention,
    SegmentLSTM,
    linear,
    mean_over_regions,
    mlp_head,
    without_padding,
)
from avel.models.options import Dims, Options, Size

TIAN = "Tian et al., ECCV 2018"


class LstmSizes(Options):
    """Sizes of the released code of Tian et al., which later papers build on.

    Attributes:
        lstm_dims: units of an LSTM in each direction.
        head_dims: hidden units of the head, where it has any.
    """

    lstm_dims: Size = 128
    head_dims: Size = 64


class TianOptions(LstmSizes):
    """Options of A, V and A+V.

    Attributes:
        recurrence: ``lstm`` as Eq. 1, from the first segment on; ``bilstm`` in both directions, as the released code.
        head: ``linear``, the paper's "shared FC layer"; ``mlp`` with hidden units, as the released code.
    """

    early: ClassVar[Mapping[str, Any]] = {"recurrence": "bilstm", "head": "mlp"}

    recurrence: Literal["lstm", "bilstm"] = "lstm"
    head: Literal["linear", "mlp"] = "linear"


class AttentionOptions(TianOptions):
    """Options of models with audio-guided visual attention, see `avel.models.layers.AudioGuidedAttention`.

    Attributes:
        attention: how the audio is added, as Eq. 4 has it or as the authors' code does.
        attention_dims: d, to which both modalities are projected.
        attention_hidden_dims: k.
    """

    attention: AttentionForm = "paper"
    attention_dims: Size = 512
    attention_hidden_dims: Size = 49


def lstm_over(input_dims: int, options: TianOptions) -> SegmentLSTM:
    """The recurrent layer over the segments that options ask for."""
    return SegmentLSTM(input_dims, options.lstm_dims, bidirectional=options.recurrence == "bilstm")


def head_of(input_dims: int, num_classes: int, options: TianOptions) -> nn.Module:
    """The head that options ask for."""
    if options.head == "mlp":
        return mlp_head(input_dims, options.head_dims, num_classes)
    return linear(input_dims, num_classes)


class VisualPooling(nn.Module):
    """(B, T, R, D_v) to (B, T, D_v), by attention where there are options for it, else by the mean."""

    def __init__(self, dims: Dims, options: AttentionOptions | None) -> None:
        super().__init__()
        self.attention: AudioGuidedAttention | None = (
            None if options is None else AudioGuidedAttention.of(dims, options)
        )

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Pool; the attention's weights go into ``shown``."""
        if self.attention is None:
            return mean_over_regions(visual)
        pooled, weights = self.attention(visual, audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        return pooled


class AudioOnly(TwoModalityInput):
    """A: audio alone. The visual features are not used.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: TianOptions) -> None:
        super().__init__(dims)
        self.lstm: SegmentLSTM = lstm_over(dims.audio_dims, options)
        self.head: nn.Module = head_of(self.lstm.out_dims, dims.num_classes, options)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        return self.head(self.lstm(audio, valid))


class VisualOnly(TwoModalityInput):
    """V and V-att: visual alone, but for the attention, which the audio guides.

    Args:
        dims: sizes of the input.
        options: `AttentionOptions` for V-att, plain `TianOptions` for V.
    """

    def __init__(self, dims: Dims, options: TianOptions) -> None:
        super().__init__(dims)
        self.pooling: VisualPooling = VisualPooling(dims, options if isinstance(options, AttentionOptions) else None)
        self.lstm: SegmentLSTM = lstm_over(dims.visual_dims, options)
        self.head: nn.Module = head_of(self.lstm.out_dims, dims.num_classes, options)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        pooled = self.pooling(visual, audio, valid, shown)
        return self.head(self.lstm(pooled, valid))


ENTRIES: Mapping[str, Entry] = {
    "a": Entry("audio alone", TIAN, TianOptions, AudioOnly, modalities=lambda options: ("audio",)),
    "v": Entry(
        "visual alone, mean over the regions", TIAN, TianOptions, VisualOnly, modalities=lambda options: ("visual",)
    ),
    "v-att": Entry("visual alone, pooled by audio-guided attention", TIAN, AttentionOptions, VisualOnly),
}
