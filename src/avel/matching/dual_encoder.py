"""A dual encoder of pictures and sound: two projection heads into one space, trained by contrast.

As CLIP (Radford et al., ICML 2021) joins pictures and words, with frozen networks below and heads of two layers. What
distinguishes it from AVDLN are embeddings of length 1, features of equal scale, and the loss: each segment has to find
its partner among those of all other clips in the batch and misaligned segments (`avel.matching.contrast`), which is
symmetric InfoNCE (van den Oord et al., arXiv:1807.03748), instead of single pairs being pulled or pushed.

Embeddings of length 1 can be kept and searched: the heads are two matrices, and `avel.matching.heads` runs them without
PyTorch.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from avel.matching.base import Matcher, MatcherOptions
from avel.models.options import Dims, Share, Size

SMALLEST_SCALE = 0.1
"""Of a feature, as a share of the mean scale: a rare class that a tagger names once does not outweigh all others."""

MARGIN = 1.0
"""Of the contrastive loss on embeddings of length 1, whose distances are at most 2."""

_FIRST_TEMPERATURE, _LOWEST_TEMPERATURE = 0.1, 0.01
_NEVER = -1e9


class DualEncoderOptions(MatcherOptions):
    """Sizes of the heads.

    Attributes:
        hidden_dims: of the first layer.
        embedding_dims: of the result.
        dropout: share of features, and of hidden units, that are left out in training.
    """

    hidden_dims: Size = 256
    embedding_dims: Size = 64
    dropout: Share = 0.3


class DualEncoder(Matcher):
    """Two heads, square root - scale - Linear - LeakyReLU - Linear - length 1, and a learned temperature.

    The square root of probabilities makes their product Bhattacharyya's coefficient, and of activations after a ReLU
    it tames the few large ones.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    options_type: ClassVar[type[MatcherOptions]] = DualEncoderOptions

    def __init__(self, dims: Dims, options: MatcherOptions) -> None:
        super().__init__(dims, options)
        self._dropout = options.dropout if isinstance(options, DualEncoderOptions) else 0.0
        self.log_scale: nn.Parameter = nn.Parameter(torch.tensor(-math.log(_FIRST_TEMPERATURE)))
        self.visual_mean: Tensor
        self.visual_scale: Tensor
        self.audio_mean: Tensor
        self.audio_scale: Tensor
        for modality, size in (("visual", dims.visual_dims), ("audio", dims.audio_dims)):
            self.register_buffer(f"{modality}_mean", torch.zeros(size))
            self.register_buffer(f"{modality}_scale", torch.ones(size))

    def fit_scales(self, visual: Tensor, audio: Tensor) -> None:
        """Take means and deviations of features, which are subtracted and divided by.

        Args:
            visual: (N, D_v).
            audio: (N, D_a).
        """
        for modality, features in (("visual", visual), ("audio", audio)):
            roots = _root(features)
            deviation = roots.std(dim=0, correction=0)
            smallest = SMALLEST_SCALE * deviation.mean() + 1e-6
            getattr(self, f"{modality}_mean").copy_(roots.mean(dim=0))
            getattr(self, f"{modality}_scale").copy_(deviation.clamp(min=float(smallest)))

    def visual(self, features: Tensor) -> Tensor:
        """(..., D_v) to (..., E) of length 1."""
        return self._embedded((_root(features) - self.visual_mean) / self.visual_scale, self.embed_visual)

    def audio(self, features: Tensor) -> Tensor:
        """(..., D_a) to (..., E) of length 1."""
        return self._embedded((_root(features) - self.audio_mean) / self.audio_scale, self.embed_audio)

    def distances(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(..., T_v, T_a), 1 - cosine, in [0, 2]."""
        return 1 - self.visual(visual) @ self.audio(audio).mT

    @property
    def scale(self) -> Tensor:
        """What cosines are multiplied by in the loss: one over the temperature."""
        return self.log_scale.exp().clamp(max=1 / _LOWEST_TEMPERATURE)

    def _embedded(self, features: Tensor, layers: nn.Sequential) -> Tensor:
        first, between, last = layers
        hidden = between(first(functional.dropout(features, self._dropout, self.training)))
        return functional.normalize(last(functional.dropout(hidden, self._dropout, self.training)), dim=-1)


def infonce_loss(cosines: Tensor, further: Tensor, misaligned: Tensor, others: Tensor, scale: Tensor) -> Tensor:
    """Cross-entropy of each segment's partner among the partners of all and misaligned segments.

    Args:
        cosines: (B, B) of the segment of one modality in each row and that of the other modality in each column; the
            partners are on the diagonal.
        further: (B, N) of it and further segments of the other modality.
        misaligned: (B, N) bool, which of them do not go with it.
        others: (B, B) bool, which columns do not go with a row; neither is the diagonal among them, nor a segment of
            the same video.
        scale: one over the temperature.
    """
    partners = torch.eye(len(cosines), dtype=torch.bool, device=cosines.device)
    logits = torch.cat(
        [cosines.masked_fill(~(others | partners), _NEVER), further.masked_fill(~misaligned, _NEVER)], dim=1
    )
    return functional.cross_entropy(scale * logits, torch.arange(len(cosines), device=cosines.device))


def margin_loss(cosines: Tensor, further: Tensor, misaligned: Tensor, others: Tensor, margin: float) -> Tensor:
    """The contrastive loss (Tian et al., Eq. 10) on the same segments: y D^2 + (1 - y) max(0, th - D)^2.

    Args:
        cosines: as of `infonce_loss`.
        further: as there.
        misaligned: as there.
        others: as there.
        margin: th, above 0.

    Returns:
        The mean over pairs that go together, and over both kinds of pairs that do not, added up.
    """
    squares = 2 - 2 * torch.cat([cosines, further], dim=1)
    apart = torch.cat([others, misaligned], dim=1)
    pushed = (margin - squares.clamp(min=1e-7).sqrt()).clamp(min=0).square()
    means = [pushed[:, part][apart[:, part]] for part in (slice(len(cosines)), slice(len(cosines), None))]
    return (2 - 2 * cosines.diagonal()).mean() + sum(
        (values.mean() for values in means if len(values)), start=torch.zeros(())
    )


def _root(features: Tensor) -> Tensor:
    return features.sign() * features.abs().sqrt()
