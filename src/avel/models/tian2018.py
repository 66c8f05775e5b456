"""Audio-visual event localization of Tian et al., ECCV 2018: encoders and the models of one modality.

Each segment's regions are pooled by their mean or by audio-guided visual attention, each modality goes through a
BiLSTM over the segments, and a head that all segments share gives their classes. The models that join both modalities
are in `avel.models.fusion`.

Weak supervision (W-A, W-V, ...) is the same models: the task pools their segments' logits (Eq. 7), not the model.

What the paper leaves open and the authors' released code settles: one BiLSTM layer with 128 units in each direction,
the head ReLU-Linear(64)-ReLU-Linear, Glorot-uniform weights of attention and head.
"""

from collections.abc import Mapping

from torch import Tensor, nn

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import AttentionForm, AudioGuidedAttention, BiLSTM, mean_over_regions, mlp_head, without_padding
from avel.models.options import Dims, Options, Size

TIAN = "Tian et al., ECCV 2018"


class TianOptions(Options):
    """Options of A, V and A+V.

    Attributes:
        lstm_dims: units of a BiLSTM in each direction.
        head_dims: hidden units of the head.
    """

    lstm_dims: Size = 128
    head_dims: Size = 64


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


class VisualPooling(nn.Module):
    """(B, T, R, D_v) to (B, T, D_v), by attention where there are options for it, else by the mean."""

    def __init__(self, dims: Dims, options: AttentionOptions | None) -> None:
        super().__init__()
        self.attention = None if options is None else AudioGuidedAttention.of(dims, options)

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
        self.lstm = BiLSTM(dims.audio_dims, options.lstm_dims)
        self.head = mlp_head(2 * options.lstm_dims, options.head_dims, dims.num_classes)

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
        self.pooling = VisualPooling(dims, options if isinstance(options, AttentionOptions) else None)
        self.lstm = BiLSTM(dims.visual_dims, options.lstm_dims)
        self.head = mlp_head(2 * options.lstm_dims, options.head_dims, dims.num_classes)

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
