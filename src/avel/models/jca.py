r"""Recursive joint co-attention (JCA) of Duan et al., WACV 2021.

    sound    -> recurrent layer -------------------\
                     | guides                       joint co-attention, l times -> joint recurrent layer -> head
    pictures -> attention over regions -> recurrent layer /

The joint representation J, audio and visual side by side, attends to each of them, and what comes out is added to it;
this is done again with weights of its own, l times.

What the paper leaves open is as the authors' code has it: l = 4; both modalities 512 features wide; audio-guided
attention over the regions (that of Tian et al., ECCV 2018, guided by what the recurrent layer made of the sound);
recurrent layers of two layers, 256 units in each direction, whose input is joined to their output and mapped linearly
("residual embedding"); input and their result divided by their Euclidean norm (``normalize``); 128 hidden units in the
head; dropout; Glorot-uniform weights without biases to start from. The number k of attention maps, which that code does
not have, is 32. ``variant="code"`` is the co-attention of that code, and its learned first states of the recurrent
layers.

The weights over time are N x N, so N is fixed, 10 in AVE. A shorter video takes their first rows and columns, which is
the same as zeros where it has no segments; in a longer one, each window of N segments attends to itself.

Of its Table 2, and not said there: without a recurrent layer, the linear map of its input is left; GRU replaces the
uni-modal LSTMs, as in the code; "average pooling" and "max pooling" are "alternatives to early fusion", so J is the
mean or the maximum of both modalities; in ordinary co-attention the other modality takes the place of J.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import AttentionForm, AudioGuidedAttention, SegmentLSTM, without_padding
from avel.models.options import Dims, Layers, Options, Share, Size
from avel.models.recurrence import Step, scan

DUAN = "Duan et al., WACV 2021"

_VIDEOS_AT_ONCE = 4

Variant = Literal["paper", "code"]
Guide = Literal["joint", "other"]
JointFusion = Literal["concatenation", "average", "max"]
Recurrence = Literal["lstm", "gru"]


class JcaOptions(Options):
    """Options of JCA.

    Attributes:
        variant: the co-attention of the paper or of the authors' code.
        recursions: l, at most 16.
        guide: who attends to a modality: the joint representation, or the other modality.
        fusion: how the joint representation is made of both modalities.
        map_dims: k, attention maps of the paper's variant.
        window_segments: N, at most 512.
        recurrence: of the uni-modal layers.
        unimodal_recurrence: whether there are recurrent layers before the co-attention.
        joint_recurrence: whether there is one after it.
        residual_embedding: join a recurrent layer's input to its output.
        normalize: divide the input, and what the recurrent layers give, by their Euclidean norm.
        recurrent_layers: of each recurrent layer, at most 8.
        lstm_dims: units in each direction; both modalities have twice as many features.
        head_dims: hidden units of the head.
        attention: over the regions, see `avel.models.layers.AudioGuidedAttention`; the authors' code has the released.
        attention_dims: to which it projects both modalities.
        attention_hidden_dims: its hidden units.
        dropout: share of the features dropped while training, in co-attention and head.
        recurrent_dropout: the same in the uni-modal recurrent layers.
    """

    variant: Variant = "paper"
    recursions: Layers = 4
    guide: Guide = "joint"
    fusion: JointFusion = "concatenation"
    map_dims: Size = 32
    window_segments: Annotated[int, Field(ge=1, le=512)] = 10
    recurrence: Recurrence = "lstm"
    unimodal_recurrence: bool = True
    joint_recurrence: bool = True
    residual_embedding: bool = True
    normalize: bool = True
    recurrent_layers: Annotated[int, Field(ge=1, le=8)] = 2
    lstm_dims: Size = 256
    head_dims: Size = 128
    attention: AttentionForm = "paper"
    attention_dims: Size = 512
    attention_hidden_dims: Size = 49
    dropout: Share = 0.3
    recurrent_dropout: Share = 0.1

    @property
    def feature_dims(self) -> int:
        """d_a and d_v, features of each modality."""
        return 2 * self.lstm_dims


class LstmLayer(nn.Module):
    """One bidirectional LSTM layer that may learn the states that it starts from.

    Args:
        input_dims: D.
        hidden_dims: H, in each direction.
        learns_start: whether it does; otherwise they are zero.
    """

    def __init__(self, input_dims: int, hidden_dims: int, learns_start: bool) -> None:
        super().__init__()
        self.lstm: SegmentLSTM = SegmentLSTM(input_dims, hidden_dims)
        self.start: nn.Parameter | None = _first_states(2, 2, hidden_dims) if learns_start else None

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) to (B, T, 2 H); padding is as if it were not there."""
        if self.start is None:
            return self.lstm.run(x, valid)[0]
        hidden, cell = (state[:, None].expand(-1, x.shape[0], -1).contiguous() for state in self.start)
        return self.lstm.run(x, valid, (hidden, cell))[0]


class GruLayer(nn.Module):
    """One bidirectional GRU layer; arguments as `LstmLayer`."""

    def __init__(self, input_dims: int, hidden_dims: int, learns_start: bool) -> None:
        super().__init__()
        self.hidden_dims = hidden_dims
        self.cells: nn.ModuleList = nn.ModuleList(nn.GRUCell(input_dims, hidden_dims) for _ in range(2))
        self.start: nn.Parameter | None = _first_states(2, hidden_dims) if learns_start else None

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """As `LstmLayer`."""
        start = x.new_zeros(2, self.hidden_dims) if self.start is None else self.start
        ways: list[Tensor] = []
        for cell, first, backwards in zip(self.cells, start, (False, True), strict=True):
            states = (first.expand(x.shape[0], -1),)
            ways += scan(_step_of(cell), x, valid, states, backwards=backwards)
        return torch.cat(ways, dim=-1)


_LAYERS: Mapping[str, type[LstmLayer] | type[GruLayer]] = {"lstm": LstmLayer, "gru": GruLayer}


class Representation(nn.Module):
    """Recurrent layers over the segments and a linear map of what they give, with their input joined to it.

    Args:
        input_dims: D.
        options: see there.
        recurrence: of the layers; ``None`` leaves only the linear map, of the input.
        dropout: between the layers and before the map.
    """

    def __init__(self, input_dims: int, options: JcaOptions, recurrence: Recurrence | None, dropout: float) -> None:
        super().__init__()
        self.normalize: bool = options.normalize
        self.joins_input: bool = recurrence is not None and options.residual_embedding
        self.dropout: nn.Dropout = nn.Dropout(dropout)
        self.layers: nn.ModuleList = nn.ModuleList()
        out_dims = input_dims
        if recurrence is not None:
            for _ in range(options.recurrent_layers):
                self.layers.append(_LAYERS[recurrence](out_dims, options.lstm_dims, options.variant == "code"))
                out_dims = 2 * options.lstm_dims
        self.map: nn.Linear = nn.Linear(out_dims + (input_dims if self.joins_input else 0), options.feature_dims)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) to (B, T, 2 H), zero where padding."""
        out = x
        for i, layer in enumerate(self.layers):
            out = layer(self.dropout(out) if i else out, valid)
        if self.joins_input:
            out = torch.cat([x, out], dim=-1)
        out = self.map(self.dropout(out))
        return without_padding(functional.normalize(out, dim=-1) if self.normalize else out, valid)


class PaperAttention(nn.Module):
    """What a guide sees in a modality, as in the paper (Sec. 2 and Eq. 1), here for the modality A and the guide J.

    C = tanh(A^T W_j J / sqrt(d)), H = relu(W_a A + W_c C^T), and W_h^T H is what is added to A; d is J's size.

    Args:
        feature_dims: d_a, of A.
        guide_dims: d, of J.
        options: see there.
    """

    def __init__(self, feature_dims: int, guide_dims: int, options: JcaOptions) -> None:
        super().__init__()
        window, maps = options.window_segments, options.map_dims
        self.affinity: nn.Linear = nn.Linear(window, window, bias=False)  # W_j^T
        self.own: nn.Linear = nn.Linear(window, maps, bias=False)  # W_a
        self.from_affinity: nn.Linear = nn.Linear(guide_dims, maps, bias=False)  # W_c
        self.spread: nn.Linear = nn.Linear(maps, window, bias=False)  # W_h^T
        self.dropout: nn.Dropout = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(B, T, d_a) and (B, T, d), both zero where padding, with T no more than N, to (B, T, d_a)."""
        t, x = x.shape[1], x.transpose(1, 2)  # (B, d_a, T)
        moved = functional.linear(x, self.affinity.weight[:t, :t]) / math.sqrt(guide.shape[2])  # A^T W_j
        from_affinity = _few_at_once(lambda m, j: self.from_affinity((m @ j).tanh_()), moved, guide)
        maps = functional.relu(functional.linear(x, self.own.weight[:, :t]) + from_affinity)  # H^T, (B, d_a, k)
        return self.dropout(functional.linear(maps, self.spread.weight[:t]).transpose(1, 2))


class CodeAttention(nn.Module):
    """What a guide sees in a modality, as in the authors' code, here for the modality A and the guide J.

    C = tanh((W_k A)^T J / sqrt(d)), and relu(W_o relu(tanh(W_v A C))) is what is added to A. All W have biases, W_k is
    over time, the others over features, and the guide has been mapped linearly before.

    Args:
        feature_dims: d_a, of A.
        guide_dims: d, of J.
        options: see there.
    """

    def __init__(self, feature_dims: int, guide_dims: int, options: JcaOptions) -> None:
        super().__init__()
        self.key: nn.Linear = nn.Linear(options.window_segments, options.window_segments)  # W_k
        self.value: nn.Linear = nn.Linear(feature_dims, feature_dims)  # W_v
        self.out: nn.Linear = nn.Linear(guide_dims, feature_dims)  # W_o
        self.dropout: nn.Dropout = nn.Dropout(options.dropout)

    def forward(self, x: Tensor, guide: Tensor) -> Tensor:
        """(B, T, d_a) and (B, T, d), both zero where padding, with T no more than N, to (B, T, d_a)."""
        t = x.shape[1]
        key = functional.linear(x.transpose(1, 2), self.key.weight[:t, :t], self.key.bias[:t])  # (B, d_a, T)
        seen = _few_at_once(
            lambda k, j, v: v @ self.dropout((k @ j).tanh_()), key / math.sqrt(guide.shape[2]), guide, self.value(x)
        )
        return self.dropout(functional.relu(self.out(functional.relu(torch.tanh(seen)))))


class JointCoAttention(nn.Module):
    """One recursion: each modality is attended by its guide, and what that sees in it is added to it.

    Args:
        options: see there.
    """

    def __init__(self, options: JcaOptions) -> None:
        super().__init__()
        self.guide, self.fusion = options.guide, options.fusion
        features = options.feature_dims
        concatenates = options.guide == "joint" and options.fusion == "concatenation"
        guide_dims = 2 * features if concatenates else features
        attention = PaperAttention if options.variant == "paper" else CodeAttention
        self.audio: CodeAttention | PaperAttention = attention(features, guide_dims, options)
        self.visual: CodeAttention | PaperAttention = attention(features, guide_dims, options)
        # The authors' code maps the joint representation once for both modalities.
        mapped = 0 if options.variant == "paper" else 1 if options.guide == "joint" else 2
        self.map_guides: nn.ModuleList = nn.ModuleList(nn.Linear(guide_dims, guide_dims) for _ in range(mapped))

    def forward(self, audio: Tensor, visual: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """Audio and visual features (B, T, d_a), zero where padding, and the same anew."""
        guides = [visual, audio] if self.guide == "other" else [self._joint(audio, visual)]
        if self.map_guides:
            guides = [
                without_padding(linear(guide), valid) for linear, guide in zip(self.map_guides, guides, strict=True)
            ]
        audio, visual = audio + self.audio(audio, guides[0]), visual + self.visual(visual, guides[-1])
        return without_padding(audio, valid), without_padding(visual, valid)

    def _joint(self, audio: Tensor, visual: Tensor) -> Tensor:
        if self.fusion == "average":
            return (audio + visual) / 2
        if self.fusion == "max":
            return torch.maximum(audio, visual)
        return torch.cat([audio, visual], dim=-1)


class Jca(TwoModalityInput):
    """JCA; see the head of this module.

    Args:
        dims: sizes of the input.
        options: see there.

    Raises:
        ValueError: if the attention over the regions is the released one and its hidden units are not R.
    """

    def __init__(self, dims: Dims, options: JcaOptions) -> None:
        super().__init__(dims)
        self.normalize, self.window_segments = options.normalize, options.window_segments
        features = options.feature_dims
        unimodal = options.recurrence if options.unimodal_recurrence else None
        self.audio_representation: Representation = Representation(
            dims.audio_dims, options, unimodal, options.recurrent_dropout
        )
        self.attention: AudioGuidedAttention = AudioGuidedAttention.of(dims, options, features)
        self.map_attended: nn.Linear = nn.Linear(dims.visual_dims, features)
        self.visual_representation: Representation = Representation(
            features, options, unimodal, options.recurrent_dropout
        )
        self.recursions: nn.ModuleList = nn.ModuleList(JointCoAttention(options) for _ in range(options.recursions))
        joint: Recurrence | None = "lstm" if options.joint_recurrence else None
        self.joint_representation: Representation = Representation(
            2 * features, options, joint, 0.0
        )  # without dropout, as in the code
        self.head: nn.Sequential = nn.Sequential(
            nn.Linear(features, options.head_dims),
            nn.ReLU(),
            nn.Dropout(options.dropout),
            nn.Linear(options.head_dims, dims.num_classes),
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C); ``spatial_attention`` (B, T, R) is shown."""
        if self.normalize:
            visual, audio = functional.normalize(visual, dim=-1), functional.normalize(audio, dim=-1)
        audio = self.audio_representation(audio, valid)
        attended, weights = self.attention(visual, audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        pooled = self.visual_representation(self.map_attended(attended), valid)
        audio, pooled = self._recurse(audio, pooled, valid)
        return self.head(self.joint_representation(torch.cat([audio, pooled], dim=-1), valid))

    def _recurse(self, audio: Tensor, visual: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, d_a) features after every recursion, in windows of at most N segments."""
        num_videos, num_segments = valid.shape
        window = min(num_segments, self.window_segments)
        missing = -num_segments % window
        audio, visual = (functional.pad(x, (0, 0, 0, missing)).reshape(-1, window, x.shape[2]) for x in (audio, visual))
        in_windows = functional.pad(valid, (0, missing)).reshape(-1, window)
        for recursion in self.recursions:
            audio, visual = recursion(audio, visual, in_windows)
        audio, visual = (x.reshape(num_videos, -1, x.shape[2])[:, :num_segments] for x in (audio, visual))
        return audio, visual


def _first_states(*shape: int) -> nn.Parameter:
    """Glorot-uniform, as in the authors' code."""
    return nn.Parameter(nn.init.xavier_uniform_(torch.empty(*shape)))


def _few_at_once(function: Callable[..., Tensor], *xs: Tensor) -> Tensor:
    """A function of whole videos, of so few at once that their affinities stay in the processor's cache."""
    if xs[0].device.type != "cpu" or torch.compiler.is_exporting():
        return function(*xs)
    return torch.cat([function(*some) for some in zip(*(torch.split(x, _VIDEOS_AT_ONCE) for x in xs), strict=True)])


def _step_of(cell: nn.Module) -> Step:
    return lambda x, states: (cell(x, states[0]),)


ENTRIES: Mapping[str, Entry] = {
    "jca": Entry(
        "joint co-attention, recursive: audio and visual together attend to each of them",
        DUAN,
        JcaOptions,
        Jca,
        training={
            "learning_rate": 1e-4,
            "schedule": "plateau",
            "decay_factor": 0.5,
            "decay_patience": 10,
            "batch_size": 64,
            "epochs": 300,
        },
    ),
}
