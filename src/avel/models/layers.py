"""Blocks that several papers' models share.

B videos, T segments, R regions, D features. ``valid`` is (B, T) bool, False where a segment is only padding: nothing of
such a segment reaches another one, not even a NaN.
"""

import math
from typing import ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from avel.models.options import Dims, Options, Size
from avel.models.region_linear import RegionLinear

AttentionForm = Literal["paper", "released"]
ChannelGate = Literal["residual", "plain"]
Form = Literal["supervised", "weak"]
"""Of a network that its authors built in two ways, one for each task."""

States = tuple[Tensor, Tensor]
"""Hidden and cell state of an LSTM."""


def check_inputs(visual: Tensor, audio: Tensor, valid: Tensor, dims: tuple[int, int, int]) -> None:
    """Check what a model is given.

    Args:
        visual: (B, T, R, D_v).
        audio: (B, T, D_a).
        valid: (B, T) bool.
        dims: R, D_v and D_a that the model was built for.

    Raises:
        ValueError: if a shape or the mask's type is another one.
    """
    regions, visual_dims, audio_dims = dims
    if visual.ndim != 4 or visual.shape[2:] != (regions, visual_dims) or 0 in visual.shape[:2]:
        raise ValueError(f"visual must have shape (B, T, {regions}, {visual_dims}), got {tuple(visual.shape)}.")
    if audio.shape != (*visual.shape[:2], audio_dims):
        raise ValueError(
            f"audio must have shape {(*visual.shape[:2], audio_dims)} to go with visual, got {tuple(audio.shape)}."
        )
    if valid.shape != visual.shape[:2] or valid.dtype != torch.bool:
        raise ValueError(
            f"valid must be bool of shape {tuple(visual.shape[:2])}, got {valid.dtype} of shape {tuple(valid.shape)}."
        )


def all_valid(valid: Tensor) -> bool:
    """Whether there is no padding, so that work on it can be spared.

    Never so while a model is exported: what a graph computes cannot depend on what a mask holds.
    """
    return not torch.compiler.is_exporting() and bool(valid.all())


def without_padding(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, ...) with zeros in the segments that are padding."""
    return x.masked_fill(~valid.view(*valid.shape, *[1] * (x.ndim - 2)), 0.0)


def mean_over_regions(x: Tensor) -> Tensor:
    """(..., R, D) to (..., D). PyTorch's mean of bfloat16 takes ten times as long on a processor as its sum."""
    return x.sum(dim=-2) / x.shape[-2]


def attended_regions(weights: Tensor, visual: Tensor) -> Tensor:
    """(..., D), the regions (..., R, D) summed with the weights (..., R)."""
    return (weights.to(visual.dtype)[..., None, :] @ visual)[..., 0, :]


def scored_regions(wanted: Tensor, visual: Tensor) -> Tensor:
    """(..., R), the inner product of each of the regions (..., R, D) with what is wanted (..., D)."""
    # Twice as fast as the regions times a column: its product reads each region once.
    return (wanted[..., None, :].to(visual.dtype) @ visual.transpose(-1, -2))[..., 0, :]


def max_over_time(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, D) to (B, D), the largest of the valid segments; zero where there is none."""
    largest = x.masked_fill(~valid[..., None], torch.finfo(x.dtype).min).amax(dim=1)
    return torch.where(valid.any(dim=1)[:, None], largest, 0.0)


def mean_over_time(x: Tensor, valid: Tensor) -> Tensor:
    """(B, T, D) to (B, D), the mean of the valid segments; zero where there is none."""
    return without_padding(x, valid).sum(dim=1) / valid.sum(dim=1).clamp(min=1)[:, None].to(x.dtype)


def linear(input_dims: int, output_dims: int) -> nn.Linear:
    """A Linear whose weights start Glorot-uniform."""
    layer = nn.Linear(input_dims, output_dims)
    nn.init.xavier_uniform_(layer.weight)
    return layer


def mlp_head(input_dims: int, hidden_dims: int, num_classes: int) -> nn.Sequential:
    """ReLU, Linear, ReLU, Linear, as the head of Tian et al.'s released code; Glorot-uniform weights, as there."""
    return nn.Sequential(nn.ReLU(), linear(input_dims, hidden_dims), nn.ReLU(), linear(hidden_dims, num_classes))


class Standardization(nn.Module):
    """Brings each feature to mean 0 and variance 1 over all segments that it was trained on.

    Mean and variance are those of all valid segments since the start of the training, in training as well, so that a
    segment's result does not depend on the batch it is in, as it would with batch normalization.

    Args:
        dims: D.

    Attributes:
        mean: (D,) of the segments.
        variance: (D,) of them.
        count: how many they are; a number with a point, so that it can be averaged as weights are.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    LIMIT: ClassVar[float] = 10.0
    """Standard deviations; a feature that hardly varied in training must not drown all others when it does later."""

    def __init__(self, dims: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dims))
        self.register_buffer("variance", torch.ones(dims))
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) to (B, T, D), from -10 to 10; padding has no part in the mean and the variance."""
        if self.training:
            self._learn(x.detach()[valid].float())
        scaled = (x - self.mean) * torch.rsqrt(self.variance + 1e-5)
        return scaled.clamp(-self.LIMIT, self.LIMIT)

    def _learn(self, segments: Tensor) -> None:
        """Add (N, D) segments to the mean and the variance (Chan, Golub and LeVeque, 1983)."""
        if not len(segments):
            return
        count = self.count + len(segments)
        share = len(segments) / count
        variance, mean = torch.var_mean(segments, dim=0, correction=0)
        apart = mean - self.mean
        self.variance.lerp_(variance, share).add_(apart**2 * share * (1 - share))
        self.mean.add_(apart * share)
        self.count.copy_(count)


class SegmentLSTM(nn.Module):
    """One LSTM layer over the segments that are valid.

    Args:
        input_dims: D.
        hidden_dims: H, in each direction.
        bidirectional: N = 2 directions, from the first segment on and from the last one back; else N = 1, the first.

    Attributes:
        out_dims: N H, features of the result.
    """

    def __init__(self, input_dims: int, hidden_dims: int, *, bidirectional: bool = True) -> None:
        super().__init__()
        self.out_dims: int = (2 if bidirectional else 1) * hidden_dims
        self.lstm: nn.LSTM = nn.LSTM(input_dims, hidden_dims, batch_first=True, bidirectional=bidirectional)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, D) to (B, T, N H), zero where padding; padding may lie anywhere, and is as if it were not there."""
        return self.run(x, valid)[0]

    def run(self, x: Tensor, valid: Tensor, start: States | None = None) -> tuple[Tensor, States]:
        """As `forward`, with the states that each direction ends in.

        Args:
            x: (B, T, D).
            valid: (B, T) bool.
            start: the states to start from, hidden and cell, each (N, B, H); zeros if left out.

        Returns:
            (B, T, N H), and the last states, as ``start``. Those of a video without any valid segment mean nothing.
        """
        if all_valid(valid):
            hidden, states = self.lstm(x, start)
            return hidden, states
        # Valid segments first, in their order, then padding.
        count = valid.sum(dim=1, keepdim=True)
        places = torch.where(valid, valid.cumsum(dim=1), count + (~valid).cumsum(dim=1))[..., None] - 1  # (B, T, 1)
        x = without_padding(x, valid)
        first = torch.zeros_like(x).scatter(1, places.expand_as(x), x)
        over_valid = self._exported if torch.compiler.is_exporting() else self._packed
        hidden, states = over_valid(first, count, start)
        return without_padding(hidden.gather(1, places.expand(*x.shape[:2], hidden.shape[2])), valid), states

    def _packed(self, x: Tensor, count: Tensor, start: States | None) -> tuple[Tensor, States]:
        # A video without any valid segment runs over one of padding.
        packed = pack_padded_sequence(x, count[:, 0].clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        packed, states = self.lstm(packed, start)
        hidden, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
        return hidden, states

    def _exported(self, x: Tensor, count: Tensor, start: States | None) -> tuple[Tensor, States]:
        """The same in an ONNX graph, where there are no packed sequences.

        ONNX's LSTM takes the lengths of sequences, but OpenVINO passes over them, so it runs over the padding too. On
        both ways padding comes last, since the way back goes over the valid segments turned round. The cell state
        passes it unchanged as long as the input gate is shut and the forget gate open, which one more feature does: 1
        in padding, with weights at which the gates' sigmoids are 0 and 1 in float32.
        """
        steps = torch.arange(x.shape[1], device=x.device)
        is_padding = steps >= count  # (B, T)
        last = (count - 1).clamp(min=0)[..., None]  # (B, 1, 1)
        x = torch.cat([x, is_padding[..., None].to(x.dtype)], dim=-1)
        zeros = x.new_zeros(2 if self.lstm.bidirectional else 1, x.shape[0], self.lstm.hidden_size)
        hidden_start, cell_start = start or (zeros, zeros)
        there, last_hidden, cell = self._exported_way(x, last, hidden_start[:1], cell_start[:1], "")
        if not self.lstm.bidirectional:
            return there, (last_hidden, cell)
        turned = torch.where(is_padding, steps, count - 1 - steps)[..., None]  # (B, T, 1)
        back, last_hidden_back, cell_back = self._exported_way(
            x.gather(1, turned.expand_as(x)), last, hidden_start[1:], cell_start[1:], "_reverse"
        )
        both = torch.cat([there, back.gather(1, turned.expand_as(back))], dim=-1)
        return both, (torch.cat([last_hidden, last_hidden_back]), torch.cat([cell, cell_back]))

    def _exported_way(
        self, x: Tensor, last: Tensor, hidden: Tensor, cell: Tensor, ending: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One way over (B, T, D + 1): (B, T, H), and hidden state (1, B, H) of segment ``last`` and cell state."""
        size = self.lstm.hidden_size
        # Rows by gate as ONNX has them, input, output, forget, cell; torch has them as input, forget, cell, output.
        # By indices, which can be folded into the weights before the file is written; four chunks of them cannot.
        rows = torch.cat([gate * size + torch.arange(size, device=x.device) for gate in (0, 3, 1, 2)])
        of_input, weights, bias, more_bias = (
            tensor[rows][None]
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            for tensor in [getattr(self.lstm, f"{name}_l0{ending}")]
        )
        of_padding = torch.tensor([-1e4, 0.0, 1e4, 0.0], device=x.device).repeat_interleave(size)[None, :, None]
        out, _, cell = torch.onnx.ops.symbolic_multi_out(
            "LSTM",
            (
                x.transpose(0, 1),
                torch.cat([of_input, of_padding], dim=-1),
                weights,
                torch.cat([bias, more_bias], dim=-1),
                None,
                hidden,
                cell,
            ),
            {"hidden_size": size},
            dtypes=(x.dtype,) * 3,
            shapes=((x.shape[1], 1, x.shape[0], size), (1, x.shape[0], size), (1, x.shape[0], size)),
        )
        out = out[:, 0].transpose(0, 1)  # (B, T, H)
        return out, out.gather(1, last.expand(x.shape[0], 1, size)).transpose(0, 1), cell


class AttentionSizes(Protocol):
    """Options of every model with `AudioGuidedAttention`; see there."""

    @property
    def attention(self) -> AttentionForm:
        """``form``."""

    @property
    def attention_dims(self) -> int:
        """``common_dims``."""

    @property
    def attention_hidden_dims(self) -> int:
        """``hidden_dims``."""


class AudioGuidedAttention(nn.Module):
    """Audio-guided visual attention (Tian et al., ECCV 2018, Eqs. 2-4).

    x = W_f tanh(W_v U_v(v) + (W_a U_a(a)) 1^T), w = softmax(x) over the R regions, v_att = sum of w_i v_i. Each U is
    Linear and ReLU; the W have no bias.

    The paper calls the hidden size k, the number of regions, so that both are 49. In its form the audio term is added
    to the k hidden units of every region alike. The authors' code adds entry i of it to all hidden units of region i,
    which runs only where k = R: ``form="released"``. Weights start Glorot-uniform, as in that code.

    Args:
        visual_dims: D_v.
        audio_dims: D_a.
        common_dims: d, to which each U projects.
        hidden_dims: k.
        form: ``paper`` or ``released``.
        regions: R; needed to check ``released``.

    Raises:
        ValueError: if ``form`` is ``released`` and ``hidden_dims`` is not R.
    """

    def __init__(
        self,
        visual_dims: int,
        audio_dims: int,
        common_dims: int = 512,
        hidden_dims: int = 49,
        form: AttentionForm = "paper",
        regions: int = 49,
    ) -> None:
        super().__init__()
        if form == "released" and hidden_dims != regions:
            raise ValueError(
                f"the released form of the attention needs as many hidden units as regions, {regions}; "
                f"got attention_hidden_dims={hidden_dims}. Give {regions}, or use the paper's form."
            )
        self.form = form
        self.project_visual: nn.Linear = RegionLinear(visual_dims, common_dims, relu=True)  # U_v
        self.project_audio: nn.Linear = nn.Linear(audio_dims, common_dims)  # U_a
        self.hidden_visual: nn.Linear = RegionLinear(common_dims, hidden_dims, bias=False)  # W_v
        self.hidden_audio: nn.Linear = nn.Linear(common_dims, hidden_dims, bias=False)  # W_a
        self.score: nn.Linear = nn.Linear(hidden_dims, 1, bias=False)  # W_f
        for layer in (self.project_visual, self.project_audio, self.hidden_visual, self.hidden_audio, self.score):
            nn.init.xavier_uniform_(layer.weight)

    @classmethod
    def of(cls, dims: Dims, options: AttentionSizes, audio_dims: int | None = None) -> Self:
        """That of a model's sizes and options; the sound has D_a features unless told otherwise."""
        return cls(
            dims.visual_dims,
            dims.audio_dims if audio_dims is None else audio_dims,
            options.attention_dims,
            options.attention_hidden_dims,
            options.attention,
            dims.regions,
        )

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the regions that go with the sound.

        Args:
            visual: (..., R, D_v).
            audio: (..., D_a).

        Returns:
            (..., D_v) attended visual features, and (..., R) weights, 0 or more, whose sum is 1.
        """
        from_visual = self.hidden_visual(self.project_visual(visual))  # (..., R, k)
        from_audio = self.hidden_audio(functional.relu(self.project_audio(audio)))  # (..., k)
        from_audio = from_audio[..., None, :] if self.form == "paper" else from_audio[..., None]
        scores = self.score(torch.tanh(from_visual + from_audio))[..., 0]
        weights = torch.softmax(scores.float(), dim=-1)  # (..., R)
        return attended_regions(weights, visual), weights


class SpatialChannelOptions(Options):
    """Options of models with `SpatialChannelAttention`, see there.

    Attributes:
        channel_gate: ``residual`` multiplies channels by 1 + gate, as the released code does, ``plain`` by the gate.
        channel_dims: to which both modalities are projected for the channels' gate.
        bottleneck_dims: of the channels' gate.
        spatial_dims: to which both are projected for the regions' weights.
    """

    channel_gate: ChannelGate = "residual"
    channel_dims: Size = 512
    bottleneck_dims: Size = 256
    spatial_dims: Size = 256


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
        self.channel_visual: nn.Linear = RegionLinear(visual_dims, options.channel_dims, relu=True)  # U_v
        self.channel_audio: nn.Linear = nn.Linear(audio_dims, options.channel_dims)  # U_a
        self.squeeze: nn.Linear = nn.Linear(options.channel_dims, options.bottleneck_dims)  # W_1
        self.excite: nn.Linear = nn.Linear(options.bottleneck_dims, visual_dims)  # W_2
        self.spatial_visual: nn.Linear = RegionLinear(visual_dims, options.spatial_dims, relu=True)  # U'_v
        self.spatial_audio: nn.Linear = nn.Linear(audio_dims, options.spatial_dims)  # U'_a
        self.spatial_score: nn.Linear = nn.Linear(options.spatial_dims, 1)  # w_s

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Pool the regions that go with the sound.

        Args:
            visual: (..., R, D_v).
            audio: (..., D_a).

        Returns:
            (..., D_v) attended visual features, and (..., R) weights, 0 or more, whose sum is 1.
        """
        seen = mean_over_regions(self.channel_visual(visual))  # the audio is the same in all regions
        squeezed = functional.relu(self.squeeze(functional.relu(self.channel_audio(audio)) * seen))
        gate = torch.sigmoid(self.excite(squeezed))  # (..., D_v)
        if self.channel_gate == "residual":
            gate = 1 + gate
        regions = self.spatial_visual(visual * gate[..., None, :])  # (..., R, D)
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
        self.attention: nn.MultiheadAttention = nn.MultiheadAttention(dims, heads, dropout=dropout, batch_first=True)
        self.attention_norm: nn.LayerNorm = nn.LayerNorm(dims)
        self.dropout: nn.Dropout = nn.Dropout(dropout)
        self.feedforward: nn.Sequential | None = None
        if feedforward_dims:
            self.feedforward = nn.Sequential(
                nn.Linear(dims, feedforward_dims), nn.ReLU(), nn.Dropout(dropout), nn.Linear(feedforward_dims, dims)
            )
            self.feedforward_norm: nn.LayerNorm = nn.LayerNorm(dims)

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


def check_heads(model_dims: int, **heads: int) -> None:
    """Check that features can be shared out to heads.

    Raises:
        ValueError: if ``model_dims`` is not a multiple of one of them.
    """
    for name, count in heads.items():
        if model_dims % count:
            raise ValueError(f"option 'model_dims' must be a multiple of '{name}', {count}; got {model_dims}.")


class RegionConv3d(nn.Module):
    """A 3D convolution (Tran et al., ICCV 2015) of 3 x 3 x 3 over the segments and the grid of the regions.

    Around the picture, before and after the video and where padding, there are zeros.

    Args:
        input_dims: D.
        output_dims: D'.
        regions: R, the rows of a square grid one after the other.

    Raises:
        ValueError: if ``regions`` is not the square of a number.
    """

    def __init__(self, input_dims: int, output_dims: int, regions: int) -> None:
        super().__init__()
        self.side: int = math.isqrt(regions)
        if self.side**2 != regions:
            raise ValueError(f"a 3D convolution needs regions on a square grid, such as 49; got {regions}.")
        self.convolution: nn.Conv3d = nn.Conv3d(input_dims, output_dims, kernel_size=3, padding=1)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """(B, T, R, D) to (B, T, R, D')."""
        grid = without_padding(x, valid).reshape(*x.shape[:2], self.side, self.side, x.shape[3])
        convolved: Tensor = self.convolution(grid.permute(0, 4, 1, 2, 3))  # (B, D', T, rows, columns)
        return convolved.permute(0, 2, 3, 4, 1).flatten(2, 3)


def log_sigmoid(x: Tensor) -> Tensor:
    """The logarithm of the sigmoid; torch's own is exported as log(1 / (1 + exp(-x))), which is -inf below -88."""
    return -functional.softplus(-x)


def mean_probabilities(logits: list[Tensor]) -> Tensor:
    """Logits whose softmax is the mean of the softmaxes of several (..., C) logits."""
    return torch.logsumexp(torch.stack([torch.log_softmax(one.float(), dim=-1) for one in logits]), dim=0)


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
