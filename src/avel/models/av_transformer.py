"""AV-transformer and instance attention (Lin and Wang, ACCV 2020), with its ablations and the classifiers behind it.

Three parts, each with what the paper puts in its place (its Tables 2 and 3):

    visual          features of each region from those of its frame and its neighbours in time: AV-transformer (Eq. 2),
                    or an MLP, a 3D convolution, or an LSTM
    co_attention    weights of the regions from these and the sound: instance attention (Eq. 3), or the cosine of AVOL,
                    or audio-guided attention (AG; Tian et al., ECCV 2018)
    classifier      an MLP, an LSTM, AVSDN or AVEL (A+V of Tian et al.) over the sound and the regions' raw features,
                    pooled with these weights (Eq. 4)

Read where the paper is not clear or cannot be meant:

- Eq. 2 sums the weights times v_r, the region's own features, which would give v_r whatever the weights are. Meant are
  v_i, as in the attention that it builds on.
- The sum of phi(v_i^k) over three segments needs neighbours where a video ends: the segment itself stands in for them,
  and for a neighbour that is padding.
- Table 3 calls the neighbours "inter", in the text all of t-1, t, t+1. Its row inter+audio would then be the full
  model; it has other numbers, so that there "inter" is t-1 and t+1.
- Eq. 3 is a plain inner product, though the text calls the co-attention AVOL, a cosine. Eq. 3 is the full model, the
  cosine the rows named AVOL. Its softmax has no temperature, as none is mentioned.

Not given, and chosen here: every MLP (of the regions, theta and phi) is Linear, ReLU, Linear with hidden units as many
as results; scores are not divided by the root of the size (``scaled`` does so); the convolution and the LSTM run over
the MLP's regions, the LSTM in both directions with half the units in each; all co-attentions pool the raw features, so
that the classifiers are the same behind each; the LSTM classifier is a BiLSTM over the joined features, the MLP a
Linear over them, both with the head of Tian et al. Where the sound has another size than the regions, it is first
mapped linearly. Optimizer, rate and batch are not given either: those of the code that Tian et al. released.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from avel.models.avsdn import WEAK_OF_LIN_AND_WANG, SequenceToSequence
from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import (
    AudioGuidedAttention,
    RegionConv3d,
    SegmentLSTM,
    attended_regions,
    mlp_head,
    scored_regions,
    without_padding,
)
from avel.models.options import Dims, Size
from avel.models.region_linear import RegionLinear
from avel.models.tian2018 import LstmSizes

Visual = Literal["av-transformer", "mlp", "conv3d", "lstm"]
Frames = Literal["intra+inter", "intra", "inter"]
RegionCoAttention = Literal["instance", "avol", "ag"]
Classifier = Literal["mlp", "lstm", "avsdn", "avel"]


class AvTransformerOptions(LstmSizes):
    """Options of the AV-transformer; see the head of this module.

    Attributes:
        classifier: over the sound and the pooled regions.
        visual: how the regions are represented.
        co_attention: how they are weighted.
        frames: of the AV-transformer: which segments' regions it attends to, ``intra`` t, ``inter`` t-1 and t+1.
        with_audio: of the AV-transformer: the sound is added to its queries.
        scaled: of the AV-transformer and instance attention: scores are divided by the root of ``region_dims``.
        region_dims: K, features of a represented region; at most 1024, and even with ``visual`` lstm.
        attention_dims: d of co-attention ``ag``, see `avel.models.layers.AudioGuidedAttention`.
        attention_hidden_dims: k of co-attention ``ag``.

    Raises:
        ValueError: if ``region_dims`` is odd with ``visual`` lstm, or as `Options`.
    """

    classifier: Classifier = "avel"
    visual: Visual = "av-transformer"
    co_attention: RegionCoAttention = "instance"
    frames: Frames = "intra+inter"
    with_audio: bool = True
    scaled: bool = False
    region_dims: Annotated[int, Field(ge=1, le=1024)] = 128
    attention_dims: Size = 512
    attention_hidden_dims: Size = 49

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.visual == "lstm" and self.region_dims % 2:
            raise ValueError(
                f"option 'region_dims' must be even with visual lstm, half for each direction; got {self.region_dims}."
            )
        return self


def _mlp(input_dims: int, output_dims: int) -> nn.Sequential:
    return nn.Sequential(RegionLinear(input_dims, output_dims), nn.ReLU(), RegionLinear(output_dims, output_dims))


class AvTransformer(nn.Module):
    """Regions that attend to those of their own frame and of its neighbours (Eq. 2).

    Attn[r, i] = (theta(v_r^t) + a^t) . sum over k of phi(v_i^k), result_r = sum over i of softmax_i(Attn[r, i]) v_i^t.

    Args:
        region_dims: K.
        frames: k: ``intra`` is t, ``inter`` t-1 and t+1, ``intra+inter`` all three.
        with_audio: whether a^t is in it.
        scaled: divide by the root of K.
    """

    def __init__(self, region_dims: int, frames: Frames, with_audio: bool, scaled: bool) -> None:
        super().__init__()
        self.frames = frames
        self.with_audio = with_audio
        self.scale: float = region_dims**-0.5 if scaled else 1.0
        self.theta: nn.Sequential = _mlp(region_dims, region_dims)
        self.phi: nn.Sequential = _mlp(region_dims, region_dims)

    def forward(self, regions: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """(B, T, R, K) of (B, T, R, K) regions and (B, T, K) audio; ``valid`` (B, T)."""
        query = self.theta(regions)
        if self.with_audio:
            query = query + audio[..., None, :].to(query.dtype)
        key = self._of_frames(self.phi(regions), valid)
        # Not `scaled_dot_product_attention`: nothing bounds these scores, and the gradient of its fused kernel is NaN
        # where they are some 1e8. On a processor it also takes two to three times as long to train.
        with torch.autocast(regions.device.type, enabled=False):
            scores = query.float() @ key.float().transpose(-1, -2) * self.scale  # (B, T, R, R)
        weights = torch.softmax(scores, dim=-1)
        return weights.to(regions.dtype) @ regions

    def _of_frames(self, keys: Tensor, valid: Tensor) -> Tensor:
        if self.frames == "intra":
            return keys
        usable = valid[..., None, None]  # (B, T, 1, 1)
        times = torch.arange(keys.shape[1], device=keys.device)
        # Indices and not slices, which an export has for more than one segment only.
        before, after = (
            torch.where(usable[:, neighbour], keys[:, neighbour], keys)
            for neighbour in ((times - 1).clamp(min=0), (times + 1).clamp(max=keys.shape[1] - 1))
        )
        return before + after if self.frames == "inter" else before + keys + after


class RegionLstm(nn.Module):
    """A BiLSTM over the segments, along each region (paper, Sec. 4.4).

    Args:
        region_dims: K, even.
    """

    def __init__(self, region_dims: int) -> None:
        super().__init__()
        self.lstm: SegmentLSTM = SegmentLSTM(region_dims, region_dims // 2)

    def forward(self, regions: Tensor, valid: Tensor) -> Tensor:
        """(B, T, R, K) to (B, T, R, K)."""
        along = regions.transpose(1, 2)  # (B, R, T, K)
        sequences = along.flatten(0, 1)
        hidden: Tensor = self.lstm(sequences, valid.repeat_interleave(along.shape[1], dim=0))
        return hidden.view(along.shape).transpose(1, 2)


class VisualRepresentation(nn.Module):
    """Features of each region from those of its frame and its neighbours.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: AvTransformerOptions) -> None:
        super().__init__()
        size = options.region_dims
        self.embed: nn.Sequential = _mlp(dims.visual_dims, size)
        self.transformer: AvTransformer | None = None
        self.over_time: RegionConv3d | RegionLstm | None = None
        if options.visual == "av-transformer":
            self.transformer = AvTransformer(size, options.frames, options.with_audio, options.scaled)
        elif options.visual == "conv3d":
            self.over_time = RegionConv3d(size, size, dims.regions)
        elif options.visual == "lstm":
            self.over_time = RegionLstm(size)

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """(B, T, R, K) of (B, T, R, D_v) visual features and audio (B, T, K)."""
        regions: Tensor = self.embed(visual)
        if self.transformer is not None:
            regions = self.transformer(regions, audio, valid)
        elif self.over_time is not None:
            regions = self.over_time(regions, valid)
        return regions


class RegionWeights(nn.Module):
    """Weights of the regions from how they go with the sound (Eq. 3).

    Args:
        audio_dims: D_a.
        options: see there.
    """

    def __init__(self, audio_dims: int, options: AvTransformerOptions) -> None:
        super().__init__()
        self.is_cosine: bool = options.co_attention == "avol"
        self.scale: float = options.region_dims**-0.5 if options.scaled and not self.is_cosine else 1.0
        self.guide: AudioGuidedAttention | None = None
        if options.co_attention == "ag":
            self.guide = AudioGuidedAttention(
                options.region_dims, audio_dims, options.attention_dims, options.attention_hidden_dims
            )

    def forward(self, regions: Tensor, audio: Tensor, mapped_audio: Tensor) -> Tensor:
        """(B, T, R) float32, 0 or more and of sum 1, from (B, T, R, K), the sound (B, T, D_a) and the same as K."""
        if self.guide is not None:
            return self.guide(regions, audio)[1]
        if self.is_cosine:
            regions, mapped_audio = (functional.normalize(x.float(), dim=-1) for x in (regions, mapped_audio))
        return torch.softmax(scored_regions(mapped_audio, regions).float() * self.scale, dim=-1)


class MlpClassifier(nn.Module):
    """Classifier of each segment by itself.

    Args:
        dims: sizes of the input.
        options: sizes.
    """

    def __init__(self, dims: Dims, options: LstmSizes) -> None:
        super().__init__()
        hidden_dims = 2 * options.lstm_dims
        self.first: nn.Linear = nn.Linear(dims.visual_dims + dims.audio_dims, hidden_dims)
        self.head: nn.Sequential = mlp_head(hidden_dims, options.head_dims, dims.num_classes)

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """Logits (B, T, C) of (B, T, D_v) and (B, T, D_a)."""
        return self.head(self.first(torch.cat([audio, visual], dim=-1)))


class LstmClassifier(nn.Module):
    """Classifier of a BiLSTM over the joined features.

    Args:
        dims: sizes of the input.
        options: sizes.
    """

    def __init__(self, dims: Dims, options: LstmSizes) -> None:
        super().__init__()
        self.lstm: SegmentLSTM = SegmentLSTM(dims.visual_dims + dims.audio_dims, options.lstm_dims)
        self.head: nn.Sequential = mlp_head(2 * options.lstm_dims, options.head_dims, dims.num_classes)

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """Logits (B, T, C) of (B, T, D_v) and (B, T, D_a)."""
        return self.head(self.lstm(torch.cat([audio, visual], dim=-1), valid))


class TianClassifier(nn.Module):
    """Classifier of Tian et al., ECCV 2018, which the paper calls AVEL: a BiLSTM over each modality, joined (A+V-att).

    Args:
        dims: sizes of the input.
        options: sizes.
    """

    def __init__(self, dims: Dims, options: LstmSizes) -> None:
        super().__init__()
        self.audio_lstm: SegmentLSTM = SegmentLSTM(dims.audio_dims, options.lstm_dims)
        self.visual_lstm: SegmentLSTM = SegmentLSTM(dims.visual_dims, options.lstm_dims)
        self.head: nn.Sequential = mlp_head(4 * options.lstm_dims, options.head_dims, dims.num_classes)

    def forward(self, visual: Tensor, audio: Tensor, valid: Tensor) -> Tensor:
        """Logits (B, T, C) of (B, T, D_v) and (B, T, D_a)."""
        both = torch.cat([self.audio_lstm(audio, valid), self.visual_lstm(visual, valid)], dim=-1)
        return self.head(both)


_CLASSIFIERS: Mapping[Classifier, Callable[[Dims, LstmSizes], nn.Module]] = {
    "mlp": MlpClassifier,
    "lstm": LstmClassifier,
    "avsdn": SequenceToSequence,
    "avel": TianClassifier,
}


class InstanceAttention(TwoModalityInput):
    """The model; see the head of this module.

    Args:
        dims: sizes of the input.
        options: see there.

    Raises:
        ValueError: if ``visual`` is conv3d and the regions are not on a square grid.
    """

    def __init__(self, dims: Dims, options: AvTransformerOptions) -> None:
        super().__init__(dims)
        uses_audio = options.visual == "av-transformer" and options.with_audio
        self.map_audio: nn.Module = nn.Identity()
        if dims.audio_dims != options.region_dims and (uses_audio or options.co_attention != "ag"):
            self.map_audio = nn.Linear(dims.audio_dims, options.region_dims)
        self.represent: VisualRepresentation = VisualRepresentation(dims, options)
        self.weigh: RegionWeights = RegionWeights(dims.audio_dims, options)
        self.classifier: nn.Module = _CLASSIFIERS[options.classifier](dims, options)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C); ``spatial_attention`` (B, T, R) is shown."""
        mapped_audio = self.map_audio(audio)
        regions = self.represent(visual, mapped_audio, valid)
        weights = self.weigh(regions, audio, mapped_audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        attended = attended_regions(weights, visual)  # Eq. 4
        return self.classifier(attended, audio, valid)


ENTRIES: Mapping[str, Entry] = {
    "av-transformer": Entry(
        "regions attend to neighbours in space and time, then instance attention",
        "Lin and Wang, ACCV 2020",
        AvTransformerOptions,
        InstanceAttention,
        training=WEAK_OF_LIN_AND_WANG,
    ),
}
