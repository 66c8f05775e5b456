"""The two temporal action localizers that Tian et al. (ECCV 2018, Sec. 6.3) compare with: ED-TCN and SSN.

The paper says only that both were extended to the supervised task, on the same features as V. Both take the mean of
the visual features over the regions; ``features="both"`` joins the audio to it.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from avel.models.base import TwoModalityInput
from avel.models.entry import Entry
from avel.models.layers import log_sigmoid, mean_over_regions, without_padding
from avel.models.options import Dims, Options, Share, Size

InputFeatures = Literal["visual", "both"]


class EdTcnOptions(Options):
    """Options of ED-TCN.

    Attributes:
        features: which modalities it sees.
        first_dims: filters of the first encoder layer.
        more_dims: each further layer has so many more.
        layers: of the encoder, and of the decoder; at most 8.
        kernel_segments: length of the filters; odd, at most 101.
        dropout: share of the filters dropped while training.

    Raises:
        ValueError: if ``kernel_segments`` is even, or as `Options`.
    """

    features: InputFeatures = "visual"
    first_dims: Size = 64
    more_dims: Size = 32
    layers: Annotated[int, Field(ge=1, le=8)] = 2
    kernel_segments: Annotated[int, Field(ge=1, le=101)] = 5
    dropout: Share = 0.3

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.kernel_segments % 2 == 0:
            raise ValueError(f"option 'kernel_segments' must be odd, got {self.kernel_segments}.")
        return self


class SsnOptions(Options):
    """Options of SSN.

    Attributes:
        features: which modalities it sees.
        max_segments: length of the longest proposal, at most 64; AVE's longest event has 10 segments.
        dropout: share of the features dropped while training.
    """

    features: InputFeatures = "visual"
    max_segments: Annotated[int, Field(ge=1, le=64)] = 10
    dropout: Share = 0.8


def _segment_features(visual: Tensor, audio: Tensor, features: InputFeatures) -> Tensor:
    pooled = mean_over_regions(visual)
    return pooled if features == "visual" else torch.cat([pooled, audio], dim=-1)


def _segment_dims(dims: Dims, features: InputFeatures) -> int:
    return dims.visual_dims if features == "visual" else dims.visual_dims + dims.audio_dims


def _modalities(options: EdTcnOptions | SsnOptions) -> tuple[str, ...]:
    return ("visual",) if options.features == "visual" else ("audio", "visual")


class EdTcn(TwoModalityInput):
    """Encoder-decoder temporal convolutional network (Lea et al., CVPR 2017).

    Encoder layer: convolution over the segments, ReLU, division by the largest of a segment's filters, maximum over
    pairs of segments. Decoder layer: each segment twice, convolution, ReLU, the same division. Then a Linear. Filters
    as in its authors' code, 64 and 96; its filters of 25 steps suit long videos, AVE has ten segments: 5.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: EdTcnOptions) -> None:
        super().__init__(dims)
        self.features = options.features
        sizes = [options.first_dims + i * options.more_dims for i in range(options.layers)]
        inputs = [_segment_dims(dims, options.features), *sizes]
        self.encoder: nn.ModuleList = nn.ModuleList(
            self._convolution(a, b, options) for a, b in zip(inputs[:-1], sizes, strict=True)
        )
        decoded = sizes[::-1]
        self.decoder: nn.ModuleList = nn.ModuleList(
            self._convolution(a, b, options) for a, b in zip([sizes[-1], *decoded[:-1]], decoded, strict=True)
        )
        self.dropout: nn.Dropout1d = nn.Dropout1d(options.dropout)
        self.head: nn.Linear = nn.Linear(decoded[-1], dims.num_classes)

    @staticmethod
    def _convolution(inputs: int, outputs: int, options: EdTcnOptions) -> nn.Conv1d:
        return nn.Conv1d(inputs, outputs, options.kernel_segments, padding=options.kernel_segments // 2)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        x = _segment_features(visual, audio, self.features).transpose(1, 2)  # (B, D, T)
        num_segments = x.shape[-1]
        # Pairs have to come out even in each layer, which an export has to see for any number of segments.
        pooled = 2 ** len(self.encoder)
        missing = (num_segments + pooled - 1) // pooled * pooled - num_segments
        x = functional.pad(x, (0, missing))
        # Padding is kept at zero before every convolution, as what lies beyond the video's ends.
        inside = functional.pad(valid[:, None].to(x.dtype), (0, missing))  # (B, 1, T)
        masks = [inside]
        for convolution in self.encoder:
            x = _largest_of_pairs(self._filtered(convolution, x, masks[-1]))
            masks.append(_largest_of_pairs(masks[-1]))
        for convolution in self.decoder:
            masks.pop()
            x = self._filtered(convolution, x.repeat_interleave(2, dim=-1) * masks[-1], masks[-1])
        return self.head(x[..., :num_segments].transpose(1, 2))

    def _filtered(self, convolution: nn.Module, x: Tensor, mask: Tensor) -> Tensor:
        x = functional.relu(self.dropout(convolution(x))) * mask
        return x / (x.amax(dim=1, keepdim=True) + 1e-5)


def _largest_of_pairs(x: Tensor) -> Tensor:
    """(..., 2 N) to (..., N); as max_pool1d, which exports for one length only."""
    return torch.unflatten(x, -1, (-1, 2)).amax(dim=-1)


class Ssn(TwoModalityInput):
    """Structured segment network (Zhao et al., ICCV 2017), proposal based, made to label segments.

    A proposal is a span of segments. Its structured temporal pyramid is five means: over the half of its length before
    it (starting), over it, over its first and second half (course), and over half its length after it (ending). An
    activity classifier over the course gives a softmax over categories and background; a completeness classifier over
    all five gives each category's probability of being complete. A category's score is the product of both.

    Departures, since AVE's task labels segments: every span of up to ``max_segments`` segments is a proposal, in place
    of TAG, whose actionness classifier would have to be trained apart; a segment has the score of the best proposal
    that covers it, which is what non-maximum suppression leaves; the score that counts as background is learned; and
    all of it is trained end to end by the loss of the segments, not by labels of proposals, so that completeness is a
    sigmoid, not a hinge. There is no location regression: spans already lie on segments.

    Both classifiers are linear and so are means, so each segment is classified once and proposals take means of that.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: SsnOptions) -> None:
        super().__init__(dims)
        self.features = options.features
        self.max_segments: int = options.max_segments
        size = _segment_dims(dims, options.features)
        self.dropout: nn.Dropout = nn.Dropout(options.dropout)
        self.activity: nn.Linear = nn.Linear(3 * size, dims.num_classes)
        self.completeness: nn.Linear = nn.Linear(5 * size, dims.num_categories)
        self.background: nn.Parameter = nn.Parameter(torch.tensor(-1.0))
        for layer in (self.activity, self.completeness):
            nn.init.normal_(layer.weight, std=0.001)  # as in its authors' code
            nn.init.zeros_(layer.bias)

    def score(self, visual: Tensor, audio: Tensor, valid: Tensor, shown: dict[str, Tensor]) -> Tensor:
        """Logits (B, T, C)."""
        x = self.dropout(_segment_features(visual, audio, self.features))  # (B, T, D)
        batch, num_segments, size = x.shape
        starts, ends = proposals(num_segments, self.max_segments, x.device)  # (P,)
        lengths = ends - starts
        half, middle = (lengths + 1) // 2, starts + lengths // 2
        windows = [
            ((starts - half).clamp(min=0), starts),
            (starts, ends),
            (starts, starts + half),
            (middle, ends),
            (ends, (ends + half).clamp(max=num_segments)),
        ]
        activity = self.activity.weight.view(-1, 3, size)
        completeness = self.completeness.weight.view(-1, 5, size)
        counts = _sums(valid[..., None].float())  # (B, T + 1, 1)
        activity_logits: Tensor | float = self.activity.bias
        completeness_logits: Tensor | float = self.completeness.bias
        for part, (low, high) in enumerate(windows):
            within = (counts[:, high] - counts[:, low]).clamp(min=1)  # (B, P, 1)
            is_course = 1 <= part <= 3
            weight = completeness[:, part]
            if is_course:
                weight = torch.cat([weight, activity[:, part - 1]])
            sums = _sums(functional.linear(x, weight).float())  # (B, T + 1, ...)
            means = (sums[:, high] - sums[:, low]) / within
            completeness_logits = completeness_logits + means[..., : completeness.shape[0]]
            if is_course:
                activity_logits = activity_logits + means[..., completeness.shape[0] :]
        assert isinstance(activity_logits, Tensor)
        assert isinstance(completeness_logits, Tensor)
        scores = torch.log_softmax(activity_logits, dim=-1)[..., :-1] + log_sigmoid(completeness_logits)
        is_valid = (counts[:, ends] - counts[:, starts])[..., 0] == lengths  # (B, P): no padding in it
        scores = scores.masked_fill(~is_valid[..., None], -torch.inf)
        best = best_cover(scores, starts, ends, num_segments, self.max_segments)  # (B, T, C - 1)
        best = without_padding(best, valid)  # no proposal covers padding
        return torch.cat([best, self.background.expand(batch, num_segments, 1)], dim=-1)


def proposals(num_segments: int, max_segments: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """All spans ``[start, end)`` of 1 to ``max_segments`` segments, (P,) each."""
    times = torch.arange(num_segments, device=device)
    spans = (times[:, None] + torch.arange(1, max_segments + 1, device=device)).flatten()
    starts = times.repeat_interleave(max_segments)
    inside = spans <= num_segments
    return starts[inside], spans[inside]


def best_cover(scores: Tensor, starts: Tensor, ends: Tensor, num_segments: int, max_segments: int) -> Tensor:
    """The best score among the spans that cover each segment.

    Args:
        scores: (B, P, K).
        starts: (P,) as `proposals` gives them.
        ends: (P,) likewise.
        num_segments: T.
        max_segments: of a span.

    Returns:
        (B, T, K).
    """
    # A span of length n covers n segments, so pass (start, length) scores down: a span's score also counts for the two
    # spans in it that are shorter by one segment. At length 1 each segment has the best of all that cover it.
    grid = scores.new_full((scores.shape[0], max_segments, num_segments, scores.shape[2]), -torch.inf)
    grid[:, ends - starts - 1, starts] = scores
    best = grid[:, -1]
    for length in range(max_segments - 2, -1, -1):
        from_left = functional.pad(best[:, :-1], (0, 0, 1, 0), value=-torch.inf)
        best = torch.maximum(grid[:, length], torch.maximum(best, from_left))
    return best


def _sums(x: Tensor) -> Tensor:
    """(B, T, D) to (B, T + 1, D), sums of what lies before each segment."""
    return functional.pad(x.cumsum(dim=1), (0, 0, 1, 0))


ENTRIES: Mapping[str, Entry] = {
    "ed-tcn": Entry(
        "encoder-decoder of temporal convolutions on visual features",
        "Lea et al., CVPR 2017, as a baseline of Tian et al., ECCV 2018",
        EdTcnOptions,
        EdTcn,
        modalities=_modalities,
    ),
    "ssn": Entry(
        "spans as proposals on visual features",
        "Zhao et al., ICCV 2017, as a baseline of Tian et al., ECCV 2018",
        SsnOptions,
        Ssn,
        modalities=_modalities,
    ),
}
