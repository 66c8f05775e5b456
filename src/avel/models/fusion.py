"""Models that join audio and visual: A+V, A+V-att and the ten fusions of Table 2 (Tian et al., ECCV 2018).

Where the fusion stands:

    early     fuse(audio features, pooled visual features) -> LSTM -> head
    late      fuse(LSTM of audio, LSTM of visual)          -> head
    decision  fuse(classes of audio, classes of visual)    -> softmax;   classes: LSTM -> head, of each modality

LSTM and head are those of `avel.models.tian2018`.

A+V-att is the fusion Concat in late position (both 72.7 % in the paper's tables); A+V is the same over the mean of the
regions.

The paper defines only DMRN (Eqs. 5-6) and cites the rest; what each is, is in its class. Left open there, and chosen
here: every fusion may map its two inputs linearly first, as the cited works do. The head after a late fusion is one
Linear in both forms of the head, as in the authors' code for DMRN; only after Concat, which has no layer of its own, is
it the MLP where that is asked for, as in their code for A+V-att. A decision fusion's result goes into the softmax as it
is; ``decision_layer`` puts a Linear between, for several fusions give only numbers in (-1, 1). Concat, MB and GMB do
not give a number a class, and always have it.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from avel.models.base import LocalizationModel, TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import SegmentLSTM, linear, mean_probabilities, without_padding
from avel.models.options import Dims, Layers, Options, Size
from avel.models.tian2018 import TIAN, AttentionOptions, TianOptions, VisualPooling, head_of, lstm_over

Position = Literal["early", "late", "decision"]
FusedModality = Literal["audio", "visual"]


class FusionOptions(AttentionOptions):
    """Options of Concat, and of every fusion.

    Attributes:
        position: see the head of this module.
        decision_layer: a Linear after a decision fusion, see there too.
    """

    early: ClassVar[Mapping[str, Any]] = {**AttentionOptions.early, "decision_layer": True}

    position: Position = "late"
    decision_layer: bool = False


class ProjectedOptions(FusionOptions):
    """Options of Additive, Maxpooling and GMU.

    Attributes:
        fusion_dims: to which the fusion maps both modalities; in decision position it is the number of classes.
    """

    fusion_dims: Size = 256


class GatedOptions(ProjectedOptions):
    """Options of Gated.

    Attributes:
        gate: the modality that is made a gate of the other.
    """

    gate: FusedModality = "audio"


class BilinearOptions(FusionOptions):
    """Options of Multimodal Bilinear.

    Attributes:
        bilinear_dims: to which both modalities are mapped before their outer product; at most 256.
    """

    bilinear_dims: Annotated[int, Field(ge=1, le=256)] = 32


class GatedBilinearOptions(BilinearOptions):
    """Options of Gated Multimodal Bilinear.

    Attributes:
        gate: the modality that goes through a sigmoid.
    """

    gate: FusedModality = "audio"


class MrnOptions(ProjectedOptions):
    """Options of MRN.

    Attributes:
        residual: the modality that the blocks update.
        blocks: how many, at most 16; the paper found that more than one does not help.
    """

    residual: FusedModality = "audio"
    blocks: Layers = 1


class DmrnOptions(ProjectedOptions):
    """Options of DMRN; ``fusion_dims`` are the hidden units of its U, in every position.

    Attributes:
        blocks: how many, at most 16; the paper found that more than one does not help.
    """

    blocks: Layers = 1


class DmrfeOptions(AttentionOptions):
    """Options of DMRFE, which the paper has in late position only.

    Attributes:
        fusion_dims: hidden units of the U of each DMRN block.
    """

    fusion_dims: Size = 256


class Fusion(nn.Module):
    """Base of the fusions: (..., audio_dims) and (..., visual_dims) to (..., out_dims).

    Attributes:
        out_dims: features of the result.
    """

    out_dims: int

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor | None]:
        """The fused features, and a gate in (0, 1) of the same leading shape where there is one."""
        raise NotImplementedError


class Concat(Fusion):
    """[a, v]."""

    def __init__(self, audio_dims: int, visual_dims: int) -> None:
        super().__init__()
        self.out_dims: int = audio_dims + visual_dims

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """See `Fusion`."""
        return torch.cat([audio, visual], dim=-1), None


class _Projected(Fusion):
    def __init__(self, audio_dims: int, visual_dims: int, out_dims: int) -> None:
        super().__init__()
        self.project_audio = nn.Linear(audio_dims, out_dims)  # U
        self.project_visual = nn.Linear(visual_dims, out_dims)  # V
        self.out_dims = out_dims


class Additive(_Projected):
    """U a + V v (Kiela et al., AAAI 2018)."""

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """See `Fusion`."""
        return self.project_audio(audio) + self.project_visual(visual), None


class MaxPooling(_Projected):
    """max(U a, V v), element by element (Kiela et al., AAAI 2018)."""

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """See `Fusion`."""
        return torch.maximum(self.project_audio(audio), self.project_visual(visual)), None


class Gated(_Projected):
    """sigmoid(U a) * V v (Kiela et al., AAAI 2018, where the text is the gate of the image).

    Args:
        audio_dims: features of the audio.
        visual_dims: features of the visual.
        out_dims: of the result.
        gate: the modality in the sigmoid.
    """

    def __init__(self, audio_dims: int, visual_dims: int, out_dims: int, gate: FusedModality) -> None:
        super().__init__(audio_dims, visual_dims, out_dims)
        self.gate = gate

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """See `Fusion`; the gate is the mean of the sigmoid."""
        a, v = self.project_audio(audio), self.project_visual(visual)
        gate, passed = (torch.sigmoid(a), v) if self.gate == "audio" else (torch.sigmoid(v), a)
        return gate * passed, gate.mean(dim=-1)


class Bilinear(_Projected):
    """Outer product of U a and V v (Kiela et al., AAAI 2018); MB, and with a gate GMB, where one is in a sigmoid.

    Args:
        audio_dims: features of the audio.
        visual_dims: features of the visual.
        factor_dims: of U a and V v; the result has the square of it.
        gate: the modality in the sigmoid, ``None`` for none.
    """

    def __init__(self, audio_dims: int, visual_dims: int, factor_dims: int, gate: FusedModality | None = None) -> None:
        super().__init__(audio_dims, visual_dims, factor_dims)
        self.gate = gate
        self.out_dims: int = factor_dims**2

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor | None]:
        """See `Fusion`; the gate is the mean of the sigmoid."""
        a, v = self.project_audio(audio), self.project_visual(visual)
        gate = None
        if self.gate == "audio":
            gate = a = torch.sigmoid(a)
        elif self.gate == "visual":
            gate = v = torch.sigmoid(v)
        return (a[..., :, None] * v[..., None, :]).flatten(-2), None if gate is None else gate.mean(dim=-1)


class GMU(_Projected):
    """Gated multimodal unit (Arevalo et al., ICLR workshop 2017): z * tanh(V v) + (1 - z) * tanh(U a).

    z = sigmoid(W [v, a]).
    """

    def __init__(self, audio_dims: int, visual_dims: int, out_dims: int) -> None:
        super().__init__(audio_dims, visual_dims, out_dims)
        self.gate: nn.Linear = nn.Linear(visual_dims + audio_dims, out_dims)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, Tensor]:
        """See `Fusion`; the gate is the mean of z, the share of the visual."""
        a, v = torch.tanh(self.project_audio(audio)), torch.tanh(self.project_visual(visual))
        z = torch.sigmoid(self.gate(torch.cat([visual, audio], dim=-1)))
        return z * v + (1 - z) * a, z.mean(dim=-1)


class MRN(Fusion):
    """Multimodal residual network (Kim et al., NIPS 2016), whose question is here the modality that is updated.

    H_l = W' H_(l-1) + tanh(W_q H_(l-1)) * tanh(W_2 tanh(W_1 v)) with H_0 the one modality and v the other.

    Args:
        audio_dims: features of the audio.
        visual_dims: features of the visual.
        out_dims: of the result.
        residual: the modality that is H_0.
        blocks: L.
    """

    def __init__(self, audio_dims: int, visual_dims: int, out_dims: int, residual: FusedModality, blocks: int) -> None:
        super().__init__()
        self.residual = residual
        self.out_dims = out_dims
        start, other = (audio_dims, visual_dims) if residual == "audio" else (visual_dims, audio_dims)
        inputs = [start] + [out_dims] * (blocks - 1)
        self.shortcuts: nn.ModuleList = nn.ModuleList(nn.Linear(size, out_dims) for size in inputs)  # W'
        self.updates: nn.ModuleList = nn.ModuleList(nn.Linear(size, out_dims) for size in inputs)  # W_q
        self.others: nn.ModuleList = nn.ModuleList(
            nn.Sequential(nn.Linear(other, out_dims), nn.Tanh(), nn.Linear(out_dims, out_dims)) for _ in inputs
        )  # W_2 tanh(W_1 .)

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """See `Fusion`."""
        hidden, other = (audio, visual) if self.residual == "audio" else (visual, audio)
        for shortcut, update, transform in zip(self.shortcuts, self.updates, self.others, strict=True):
            hidden = shortcut(hidden) + torch.tanh(update(hidden)) * torch.tanh(transform(other))
        return hidden, None


class DMRN(Fusion):
    """Dual multimodal residual network (Eqs. 5-6): a' = tanh(a + f(a, v)), v' = tanh(v + f(a, v)), result their mean.

    f(a, v) = (U_v(v) + U_a(a)) / 2, each U Linear, tanh, Linear. The authors' code swaps a' and v', which changes
    nothing with one block. It needs features of one size: where they differ, in early position, both are first mapped
    linearly to ``hidden_dims``. More blocks have weights of their own.

    Args:
        audio_dims: features of the audio.
        visual_dims: features of the visual.
        hidden_dims: hidden units of each U.
        blocks: how many.
    """

    def __init__(self, audio_dims: int, visual_dims: int, hidden_dims: int, blocks: int = 1) -> None:
        super().__init__()
        same = audio_dims == visual_dims
        self.out_dims: int = audio_dims if same else hidden_dims
        self.to_audio: nn.Identity | nn.Linear = nn.Identity() if same else nn.Linear(audio_dims, hidden_dims)
        self.to_visual: nn.Identity | nn.Linear = nn.Identity() if same else nn.Linear(visual_dims, hidden_dims)
        self.transform_audio: nn.ModuleList = nn.ModuleList(self._transform(hidden_dims) for _ in range(blocks))  # U_a
        self.transform_visual: nn.ModuleList = nn.ModuleList(self._transform(hidden_dims) for _ in range(blocks))  # U_v

    def _transform(self, hidden_dims: int) -> nn.Sequential:
        return nn.Sequential(nn.Linear(self.out_dims, hidden_dims), nn.Tanh(), nn.Linear(hidden_dims, self.out_dims))

    def forward(self, audio: Tensor, visual: Tensor) -> tuple[Tensor, None]:
        """See `Fusion`."""
        a, v = self.to_audio(audio), self.to_visual(visual)
        for of_audio, of_visual in zip(self.transform_audio, self.transform_visual, strict=True):
            merged = 0.5 * (of_visual(v) + of_audio(a))
            a, v = torch.tanh(a + merged), torch.tanh(v + merged)
        return 0.5 * (a + v), None


class AudioVisual(TwoModalityInput):
    """A model of both modalities with one fusion; see the head of this module.

    DMRFE is an ensemble: each member has its own fusion and head on the same two LSTMs, and the logits are such that
    their softmax is the mean of the members' probabilities.

    Args:
        dims: sizes of the input.
        options: `AttentionOptions` for attended visual features, plain `TianOptions` for the mean of the regions.
        make_fusion: called with the sizes of audio and visual, makes a fusion.
        position: where it stands.
        members: of the ensemble.
    """

    def __init__(
        self,
        dims: Dims,
        options: TianOptions,
        make_fusion: Callable[[int, int], Fusion],
        position: Position = "late",
        members: int = 1,
    ) -> None:
        super().__init__(dims)
        self.position = position
        self.pooling: VisualPooling = VisualPooling(dims, options if isinstance(options, AttentionOptions) else None)
        classes = dims.num_classes
        if position == "early":
            self.fusions: nn.ModuleList = nn.ModuleList([make_fusion(dims.audio_dims, dims.visual_dims)])
            self.lstm: SegmentLSTM = lstm_over(self._fused_dims, options)
            self.heads: nn.ModuleList = nn.ModuleList([head_of(self.lstm.out_dims, classes, options)])
            return
        self.audio_lstm, self.visual_lstm = lstm_over(dims.audio_dims, options), lstm_over(dims.visual_dims, options)
        temporal = self.audio_lstm.out_dims
        if position == "decision":
            self.audio_head, self.visual_head = head_of(temporal, classes, options), head_of(temporal, classes, options)
            temporal = classes
        self.fusions = nn.ModuleList(make_fusion(temporal, temporal) for _ in range(members))
        self.heads = nn.ModuleList(self._fused_head(options) for _ in range(members))

    @property
    def _fused_dims(self) -> int:
        fusion = self.fusions[0]
        assert isinstance(fusion, Fusion)
        return fusion.out_dims

    def _fused_head(self, options: TianOptions) -> nn.Module:
        classes = self.dims.num_classes
        if self.position == "late" and isinstance(self.fusions[0], Concat):
            return head_of(self._fused_dims, classes, options)
        gives_classes = self.position == "decision" and not isinstance(self.fusions[0], Concat | Bilinear)
        if gives_classes and isinstance(options, FusionOptions) and not options.decision_layer:
            return nn.Identity()
        return linear(self._fused_dims, classes)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C); ``gates`` (B, T) are shown by Gated, GMB and GMU."""
        a, v = audio, self.pooling(visual, audio, valid, shown)
        if self.position != "early":
            a, v = self.audio_lstm(a, valid), self.visual_lstm(v, valid)
        if self.position == "decision":
            a, v = self.audio_head(a), self.visual_head(v)
        logits = []
        for fusion, head in zip(self.fusions, self.heads, strict=True):
            fused, gates = fusion(a, v)
            if gates is not None:
                shown["gates"] = without_padding(gates.float(), valid)
            logits.append(head(self.lstm(fused, valid) if self.position == "early" else fused))
        return logits[0] if len(logits) == 1 else mean_probabilities(logits)


_AFTER_ATTENTION = "a+v-att"
"""The authors' DMRN was trained from their A+V-att (a comment in their code); the weights that fit are taken over."""


def _of_sizes(make_fusion: Callable[[int, int, int, Any], Fusion]) -> Callable[[Dims, Any], AudioVisual]:
    """A fusion is made of the sizes of audio and visual, the size of its result, and its options."""

    def make(dims: Dims, options: FusionOptions) -> AudioVisual:
        result = dims.num_classes if options.position == "decision" else getattr(options, "fusion_dims", 0)
        return AudioVisual(dims, options, lambda a, v: make_fusion(a, v, result, options), options.position)

    return make


def _concat(dims: Dims, options: TianOptions) -> AudioVisual:
    return AudioVisual(dims, options, Concat)


def _dmrfe(dims: Dims, options: DmrfeOptions) -> AudioVisual:
    return AudioVisual(dims, options, lambda a, v: DMRN(a, v, options.fusion_dims), members=2)


def _table_2(
    name: str,
    options: type[Options],
    make: Callable[[Dims, Any], LocalizationModel],
    starts_from: str | None = None,
) -> Entry:
    return Entry(f"audio and attended visual, fused by {name}", TIAN, options, make, starts_from=starts_from)


ENTRIES: Mapping[str, Entry] = {
    "a+v": Entry("audio and visual, concatenated after their LSTMs", TIAN, TianOptions, _concat),
    "a+v-att": Entry("audio and attended visual, concatenated after their LSTMs", TIAN, AttentionOptions, _concat),
    "additive": _table_2("addition", ProjectedOptions, _of_sizes(lambda a, v, result, o: Additive(a, v, result))),
    "maxpooling": _table_2(
        "their maximum", ProjectedOptions, _of_sizes(lambda a, v, result, o: MaxPooling(a, v, result))
    ),
    "gated": _table_2("a gate", GatedOptions, _of_sizes(lambda a, v, result, o: Gated(a, v, result, o.gate))),
    "bilinear": _table_2(
        "an outer product (Multimodal Bilinear)",
        BilinearOptions,
        _of_sizes(lambda a, v, result, o: Bilinear(a, v, o.bilinear_dims)),
    ),
    "gated-bilinear": _table_2(
        "an outer product with a gate (GMB)",
        GatedBilinearOptions,
        _of_sizes(lambda a, v, result, o: Bilinear(a, v, o.bilinear_dims, o.gate)),
    ),
    "gmu": _table_2("a gated multimodal unit", ProjectedOptions, _of_sizes(lambda a, v, result, o: GMU(a, v, result))),
    "concat": _table_2("concatenation", FusionOptions, _of_sizes(lambda a, v, result, o: Concat(a, v))),
    "mrn": _table_2(
        "a multimodal residual network",
        MrnOptions,
        _of_sizes(lambda a, v, result, o: MRN(a, v, result, o.residual, o.blocks)),
    ),
    "dmrn": _table_2(
        "a dual multimodal residual network",
        DmrnOptions,
        _of_sizes(lambda a, v, result, o: DMRN(a, v, o.fusion_dims, o.blocks)),
        _AFTER_ATTENTION,
    ),
    "dmrfe": _table_2("an ensemble of two DMRN blocks", DmrfeOptions, _dmrfe, _AFTER_ATTENTION),
}
