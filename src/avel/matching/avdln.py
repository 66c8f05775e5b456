"""AVDLN, the audio-visual distance learning network of Tian et al., ECCV 2018, Section 5."""

import torch
from torch import Tensor

from avel.matching.base import Matcher

MARGIN = 2.0
"""th of Eq. 10, not in the paper; from the authors' training code."""

_SMALLEST_SQUARE = 1e-7
"""Squared distances below it count as it, as in the authors' code: the root has no gradient at 0."""


class Avdln(Matcher):
    """Two small networks whose results are near where picture and sound go together.

    512 -> 128 -> 64 for the visual and 128 -> 128 -> 64 for the audio, with LeakyReLU of 0.3 between.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def forward(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Euclidean distance of each pair (Eq. 9).

        Args:
            visual: (..., D_v).
            audio: (..., D_a).

        Returns:
            (...).
        """
        return _root((self.embed_visual(visual) - self.embed_audio(audio)).square().sum(dim=-1))

    def distances(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(..., T_v, T_a), the distance (Eq. 9) of each visual and each audio segment."""
        difference = self.embed_visual(visual)[..., :, None, :] - self.embed_audio(audio)[..., None, :, :]
        return _root(difference.square().sum(dim=-1))


def contrastive_loss(distances: Tensor, synchronized: Tensor, margin: float = MARGIN) -> Tensor:
    """Mean over pairs of y D^2 + (1 - y) max(0, th - D)^2 (Eq. 10; Hadsell et al., CVPR 2006).

    Args:
        distances: (N,), 0 or more.
        synchronized: (N,), 1 where the pair goes together, else 0.
        margin: th, above 0.

    Raises:
        ValueError: if the shapes differ or ``margin`` is not above 0.
    """
    if distances.shape != synchronized.shape:
        raise ValueError(
            f"distances and synchronized must have the same shape, got {tuple(distances.shape)} "
            f"and {tuple(synchronized.shape)}."
        )
    if not margin > 0:
        raise ValueError(f"margin must be above 0, got {margin}.")
    y = synchronized.to(distances.dtype)
    return (y * distances.square() + (1 - y) * (margin - distances).clamp(min=0).square()).mean()


def _root(squares: Tensor) -> Tensor:
    return torch.sqrt(squares.clamp(min=_SMALLEST_SQUARE))
