r"""Cross-modal attention network (CMAN) of Xuan et al., AAAI 2020: where, when and which to attend.

    pictures -> spatial attention \
                                   -> self-attention -> LSTM -> co-attention -> head    (each modality its own)
    sound ------------------------/

Each of the three attentions, and each modality, can be switched off: the ten rows of the paper's Table 1.

The copy of the paper that this follows lacks Eqs. 1-5. They are taken from the works that it builds on:

- spatial attention, from its text: both modalities projected by Linear and ReLU, cosine, softmax over the regions. A
  cosine of such vectors is 0 to 1, which leaves the softmax rather even; the option ``temperature`` divides it.
- self-attention: context-aware self-attention (Yang et al., AAAI 2019).
- LSTM with a sentinel: adaptive attention (Lu et al., CVPR 2017).

Eqs. 7 and 8 as printed cannot be multiplied. Here W_a is p x d_x, W_g and W_s are p x d, w_h is p, and what comes from
the hidden state is added to every segment alike. The other modality's features are mapped to d before they are mixed.

What else the paper leaves open, and is chosen here: the LSTM runs in both directions with 128 units each, and the head
is Tian et al.'s, since rows 1 to 3 of Table 1 are that paper's numbers (``bidirectional``); self-attention keeps the
size of its input and is added to it, as in the Transformer that Yang et al. have it in (``skip_connection``); p is d.
Its training is not given, only "the same settings" as Tian et al. The paper calls the parameters that its attentions
add negligible; on AVE's features the whole has 3.5 M here, and its row A+V 0.96 M. Its "ResNet-151, 512 x 7 x 7" cannot
be, since the last features of ResNet-152 are 2048; VGG-19's are 512 x 7 x 7, and so are AVE's published features.
"""

import math
from collections.abc import Mapping
from typing import Annotated, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import attended_regions, mean_over_regions, mean_over_time, mlp_head, without_padding
from avel.models.options import Dims, Size
from avel.models.recurrence import scan
from avel.models.region_linear import RegionLinear
from avel.models.tian2018 import LstmSizes

XUAN = "Xuan et al., AAAI 2020"

_SMALLEST_SQUARE = 1e-12


class CmanOptions(LstmSizes):
    """Options of CMAN.

    Attributes:
        audio: whether the sound is classified; without it, it may still guide the spatial attention.
        visual: whether the pictures are classified.
        spatial_attention: pool regions by their cosine with the sound, not by their mean (V-att).
        self_attention: attend over the segments of each modality (S-att).
        co_attention: attend over the segments of the other modality (Co-att).
        global_context: let the mean over the segments into the queries and keys of the self-attention.
        sentinel: let the co-attention turn to the LSTM's own memory.
        normalize_gates: softmax over the two sentinel gates before they mix, so that they say which modality counts.
        skip_connection: add the self-attention to its input.
        bidirectional: run the LSTM in both directions.
        temperature: of the softmax over the regions.
        attention_dims: to which the spatial attention projects both modalities.
        co_attention_dims: p, hidden units of the co-attention.

    Raises:
        ValueError: if no modality is left, or an attention between the two lacks one, or as `Options`.
    """

    audio: bool = True
    visual: bool = True
    spatial_attention: bool = True
    self_attention: bool = True
    co_attention: bool = True
    global_context: bool = True
    sentinel: bool = True
    normalize_gates: bool = True
    skip_connection: bool = True
    bidirectional: bool = True
    temperature: Annotated[float, Field(ge=0.001, le=1000)] = 1.0
    attention_dims: Size = 512
    co_attention_dims: Size = 256

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if not (self.audio or self.visual):
            raise ValueError("option 'audio' or 'visual' must be true: there is nothing to classify.")
        if self.spatial_attention and not self.visual:
            raise ValueError("option 'spatial_attention' is of the pictures, and 'visual' is false.")
        if self.co_attention and not (self.audio and self.visual):
            raise ValueError("option 'co_attention' is between two modalities, and 'audio' or 'visual' is false.")
        return self


def _modalities(options: CmanOptions) -> tuple[str, ...]:
    looks = {"audio": options.audio or options.spatial_attention, "visual": options.visual}
    return tuple(modality for modality, is_looked_at in looks.items() if is_looked_at)


class CosineAttention(nn.Module):
    """Spatial attention: w = softmax over the regions of cos(relu(U_v v_i), relu(U_a a)) / temperature.

    Args:
        visual_dims: D_v.
        audio_dims: D_a.
        common_dims: to which both are projected.
        temperature: see above.
    """

    def __init__(self, visual_dims: int, audio_dims: int, common_dims: int, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature
        self.project_visual: nn.Linear = RegionLinear(visual_dims, common_dims, relu=True)
        self.project_audio: nn.Linear = nn.Linear(audio_dims, common_dims)
        for layer in (self.project_visual, self.project_audio):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the regions that go with the sound.

        Args:
            visual: (..., R, D_v).
            audio: (..., D_a).

        Returns:
            (..., D_v) attended visual features, and (..., R) weights, 0 or more, whose sum is 1.
        """
        v = self.project_visual(visual)  # (..., R, d)
        a = functional.relu(self.project_audio(audio))[..., None]  # (..., d, 1)
        product = (v @ a)[..., 0].float()  # (..., R)
        weights = torch.softmax(product / (_norm(v, -1) * _norm(a, -2)) / self.temperature, dim=-1)
        return attended_regions(weights, visual), weights


class SelfAttention(nn.Module):
    """Global context-aware self-attention over the segments of a modality (Yang et al., AAAI 2019).

    Q = W_Q x and K = W_K x are mixed with what is mapped of c, the mean of x over the segments:

        Q' = (1 - l_Q) Q + l_Q U_Q c,    l_Q = sigmoid(v_QH . Q + v_QC . U_Q c), a number for each segment,

    and likewise K'. The result is softmax(Q' K'^T / sqrt(d)) W_V x.

    Args:
        feature_dims: d, of the input and of the result.
        global_context: whether Q and K are mixed with c.
    """

    def __init__(self, feature_dims: int, global_context: bool) -> None:
        super().__init__()
        self.query: nn.Linear = nn.Linear(feature_dims, feature_dims, bias=False)  # W_Q
        self.key: nn.Linear = nn.Linear(feature_dims, feature_dims, bias=False)  # W_K
        self.value: nn.Linear = nn.Linear(feature_dims, feature_dims, bias=False)  # W_V
        self.query_context: ContextGate | None = ContextGate(feature_dims) if global_context else None
        self.key_context: ContextGate | None = ContextGate(feature_dims) if global_context else None

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, D), zero where padding, to (B, T, D) and the weights (B, T, T), whose rows have the sum 1."""
        query, key = self.query(x), self.key(x)
        if self.query_context is not None and self.key_context is not None:
            mean = mean_over_time(x, valid)[:, None]  # (B, 1, D)
            query, key = self.query_context(query, mean), self.key_context(key, mean)
        scores = query @ key.transpose(1, 2) / math.sqrt(x.shape[2])
        weights = torch.softmax(_without_padded_segments(scores.float(), valid), dim=-1)
        return weights.to(x.dtype) @ self.value(x), weights


class ContextGate(nn.Module):
    """(1 - l) q + l U c with l = sigmoid(v_H . q + v_C . U c): a query or key q and how much of c comes into it."""

    def __init__(self, feature_dims: int) -> None:
        super().__init__()
        self.context: nn.Linear = nn.Linear(feature_dims, feature_dims, bias=False)  # U
        self.gate_own: nn.Linear = nn.Linear(feature_dims, 1, bias=False)  # v_H
        self.gate_context: nn.Linear = nn.Linear(feature_dims, 1, bias=False)  # v_C

    def forward(self, own: Tensor, mean: Tensor) -> Tensor:
        """(B, T, D) and (B, 1, D) to (B, T, D)."""
        context = self.context(mean)
        gate = torch.sigmoid(self.gate_own(own) + self.gate_context(context))  # (B, T, 1)
        return (1 - gate) * own + gate * context


class SentinelLSTM(nn.Module):
    """LSTM whose memory m has a second way out besides the hidden state: the sentinel (Lu et al., CVPR 2017).

    s_t = sigmoid(W_x x_t + W_h h_(t-1)) * tanh(m_t)

    Args:
        input_dims: D.
        hidden_dims: H, in each direction.
        bidirectional: join both directions; each has a sentinel of its own.
        sentinel: whether there is one.
    """

    def __init__(self, input_dims: int, hidden_dims: int, bidirectional: bool, sentinel: bool) -> None:
        super().__init__()
        directions = 2 if bidirectional else 1
        self.out_dims: int = directions * hidden_dims
        self.cells: nn.ModuleList = nn.ModuleList(nn.LSTMCell(input_dims, hidden_dims) for _ in range(directions))
        self.sentinels: nn.ModuleList = nn.ModuleList(
            Sentinel(input_dims, hidden_dims) for _ in range(directions if sentinel else 0)
        )

    def forward(self, x: Tensor, valid: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, T, D) to the hidden states and the sentinels, (B, T, out_dims) each; padding is as if it were not there.

        What they are where padding is, has no meaning.
        """
        hidden, sentinels = [], []
        for direction, cell in enumerate(self.cells):
            backwards = direction == 1
            zeros = x.new_zeros(x.shape[0], self.out_dims // len(self.cells), dtype=torch.float32)
            h, memory = scan(cell, x, valid, (zeros, zeros), backwards=backwards)
            hidden.append(h)
            if len(self.sentinels):
                before = [h[:, 1:], zeros[:, None]] if backwards else [zeros[:, None], h[:, :-1]]
                sentinels.append(self.sentinels[direction](x, torch.cat(before, dim=1), memory))
        return torch.cat(hidden, dim=-1), torch.cat(sentinels, dim=-1) if sentinels else None


class Sentinel(nn.Module):
    """The second way out of an LSTM's memory, of one direction; see `SentinelLSTM`."""

    def __init__(self, input_dims: int, hidden_dims: int) -> None:
        super().__init__()
        self.from_input: nn.Linear = nn.Linear(input_dims, hidden_dims)  # W_x
        self.from_hidden: nn.Linear = nn.Linear(hidden_dims, hidden_dims, bias=False)  # W_h

    def forward(self, x: Tensor, hidden_before: Tensor, memory: Tensor) -> Tensor:
        """(B, T, D), (B, T, H) and (B, T, H) to (B, T, H)."""
        gate = torch.sigmoid(self.from_input(x) + self.from_hidden(hidden_before))
        return gate * torch.tanh(memory)


class CoAttention(nn.Module):
    """Attention of one modality over the segments of the other, and over its own sentinel (Eqs. 6-8).

    z_ti = w_h . tanh(W_a y_i + W_g h_t) of the other modality's features y, c_t = sum over i of softmax(z_t)_i P y_i,
    beta_t = last of softmax([z_t; w_h . tanh(W_s s_t + W_g h_t)])

    Args:
        own_dims: d, of the LSTM's hidden state h and its sentinel s.
        other_dims: of y.
        hidden_dims: p.
        sentinel: whether there is one.
    """

    def __init__(self, own_dims: int, other_dims: int, hidden_dims: int, sentinel: bool) -> None:
        super().__init__()
        self.from_other: nn.Linear = nn.Linear(other_dims, hidden_dims, bias=False)  # W_a
        self.from_hidden: nn.Linear = nn.Linear(own_dims, hidden_dims, bias=False)  # W_g
        self.from_sentinel: nn.Linear | None = nn.Linear(own_dims, hidden_dims, bias=False) if sentinel else None  # W_s
        self.score: nn.Linear = nn.Linear(hidden_dims, 1, bias=False)  # w_h
        self.project: nn.Linear = nn.Linear(other_dims, own_dims)  # P

    def forward(
        self, hidden: Tensor, sentinel: Tensor | None, other: Tensor, valid: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """Look into the other modality.

        Args:
            hidden: (B, T, d).
            sentinel: (B, T, d), ``None`` where there is none.
            other: (B, T, other_dims).
            valid: (B, T) bool.

        Returns:
            (B, T, d) context c, and (B, T) gates beta in (0, 1) where there is a sentinel: 1 is the sentinel only.
        """
        from_hidden = self.from_hidden(hidden)  # (B, T, p)
        scores = self.score(torch.tanh(from_hidden[:, :, None] + self.from_other(other)[:, None]))[..., 0]
        scores = _without_padded_segments(scores.float(), valid)  # (B, T, T)
        context = torch.softmax(scores, dim=-1).to(other.dtype) @ self.project(other)
        if self.from_sentinel is None:
            return context, None
        of_sentinel = self.score(torch.tanh(self.from_sentinel(sentinel) + from_hidden)).float()  # (B, T, 1)
        return context, torch.softmax(torch.cat([scores, of_sentinel], dim=-1), dim=-1)[..., -1]


class Cman(TwoModalityInput):
    """CMAN; see the head of this module.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: CmanOptions) -> None:
        super().__init__(dims)
        self.skip_connection, self.normalize_gates = options.skip_connection, options.normalize_gates
        sizes = {"visual": dims.visual_dims} if options.visual else {}
        sizes |= {"audio": dims.audio_dims} if options.audio else {}
        sentinel = options.co_attention and options.sentinel
        self.spatial_attention: CosineAttention | None = None
        if options.spatial_attention:
            self.spatial_attention = CosineAttention(
                dims.visual_dims, dims.audio_dims, options.attention_dims, options.temperature
            )
        self.self_attention: nn.ModuleDict = nn.ModuleDict()
        if options.self_attention:
            self.self_attention.update(
                {name: SelfAttention(size, options.global_context) for name, size in sizes.items()}
            )
        self.lstm: nn.ModuleDict = nn.ModuleDict(
            {
                name: SentinelLSTM(size, options.lstm_dims, options.bidirectional, sentinel)
                for name, size in sizes.items()
            }
        )
        own_dims = options.lstm_dims * (2 if options.bidirectional else 1)
        self.co_attention: nn.ModuleDict = nn.ModuleDict()
        if options.co_attention:
            self.co_attention.update(
                {
                    name: CoAttention(own_dims, sizes[_OTHER[name]], options.co_attention_dims, sentinel)
                    for name in sizes
                }
            )
        self.head: nn.Sequential = mlp_head(len(sizes) * own_dims, options.head_dims, dims.num_classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C).

        Shows, as far as it has them, ``spatial_attention``, ``temporal_attention`` (the mean of the modalities'
        self-attention), ``visual_gates`` and ``audio_gates`` (the two beta of Eq. 8), and ``gates``, the visual's share
        of a softmax over both, which says "which" modality is attended.
        """
        x = {}
        if "visual" in self.lstm:
            x["visual"] = self._pooled(visual, audio, valid, shown)
        if "audio" in self.lstm:
            x["audio"] = audio
        x = self._self_attended(x, valid, shown)
        hidden, sentinels = {}, {}
        for name, lstm in self.lstm.items():
            hidden[name], sentinels[name] = lstm(x[name], valid)
        if self.co_attention:
            hidden = self._co_attended(hidden, sentinels, x, valid, shown)
        return self.head(torch.cat(list(hidden.values()), dim=-1))

    def _pooled(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        if self.spatial_attention is None:
            return mean_over_regions(visual)
        pooled, weights = self.spatial_attention(visual, audio)
        shown["spatial_attention"] = without_padding(weights, valid)
        return pooled

    def _self_attended(self, x: dict[str, Tensor], valid: Tensor, shown: dict[str, Tensor]) -> dict[str, Tensor]:
        if not self.self_attention:
            return x
        attended, weights = {}, []
        for name, attention in self.self_attention.items():
            from_others, of_modality = attention(x[name], valid)
            attended[name] = x[name] + from_others if self.skip_connection else from_others
            weights.append(of_modality)
        shown["temporal_attention"] = without_padding(torch.stack(weights).mean(dim=0), valid)
        return attended

    def _co_attended(
        self,
        hidden: dict[str, Tensor],
        sentinels: dict[str, Tensor | None],
        x: dict[str, Tensor],
        valid: Tensor,
        shown: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        context, gates = {}, {}
        for name, attention in self.co_attention.items():
            context[name], gate = attention(hidden[name], sentinels[name], x[_OTHER[name]], valid)
            if gate is not None:
                gates[name] = gate
                shown[f"{name}_gates"] = without_padding(gate, valid)
        if gates:
            pair = torch.softmax(torch.stack([gates["visual"], gates["audio"]]), dim=0)
            shown["gates"] = without_padding(pair[0], valid)
            if self.normalize_gates:
                gates = dict(zip(gates, pair, strict=True))
            for name, gate in gates.items():
                context[name] = gate[..., None] * sentinels[name] + (1 - gate[..., None]) * context[name]
        return {name: context[name] + hidden[name] for name in hidden}


_OTHER = {"visual": "audio", "audio": "visual"}


def _norm(x: Tensor, dim: int) -> Tensor:
    """Euclidean norm, never 0, in float32; in bfloat16 several times as fast as torch's, whose gradient is float32."""
    return (x * x).sum(dim=dim, dtype=torch.float32).clamp(min=_SMALLEST_SQUARE).sqrt()


def _without_padded_segments(scores: Tensor, valid: Tensor) -> Tensor:
    """(B, T, T) with padded segments of the last dimension so low that a softmax leaves nothing for them."""
    return scores.masked_fill(~valid[:, None], torch.finfo(scores.dtype).min)


ENTRIES: Mapping[str, Entry] = {
    "cman": Entry(
        "spatial, self- and co-attention with sentinels: where, when and which to attend",
        XUAN,
        CmanOptions,
        Cman,
        modalities=_modalities,
        training={"weak_labels": "proportion"},
    ),
}
