"""Deep canonical correlation analysis (Andrew et al., ICML 2013), the baseline of Tian et al., ECCV 2018.

Tian et al. say neither networks nor distance; here the networks are those of AVDLN, so that only the objective
differs, and the distance is 1 - cosine in the space of the canonical variates, as is usual where CCA retrieves.
"""

import torch
from torch import Tensor
from torch.nn import functional

from avel.matching.base import Matcher, MatcherOptions
from avel.models.options import Dims

REGULARIZATION = 1e-3
"""Added to the diagonal of each covariance (r_x and r_y of the paper), as a share of its mean variance."""


class Dcca(Matcher):
    """Two networks whose results correlate, and the linear CCA of those.

    Train the networks with `correlation` of large batches, then call `fit` once on all pairs; without it there are no
    distances.

    Args:
        dims: sizes of the input.
        options: see there.
    """

    def __init__(self, dims: Dims, options: MatcherOptions) -> None:
        super().__init__(dims, options)
        size = options.embedding_dims
        self.visual_mean: Tensor
        self.audio_mean: Tensor
        self.visual_variates: Tensor
        self.audio_variates: Tensor
        self.register_buffer("visual_mean", torch.zeros(size))
        self.register_buffer("audio_mean", torch.zeros(size))
        self.register_buffer("visual_variates", torch.zeros(size, size))
        self.register_buffer("audio_variates", torch.zeros(size, size))

    @torch.no_grad()
    def fit(self, visual: Tensor, audio: Tensor) -> Tensor:
        """Fit the linear CCA on the networks' results for pairs.

        Args:
            visual: (N, D_v).
            audio: (N, D_a), what goes with each of ``visual``.

        Returns:
            (embedding_dims,) canonical correlations, the largest first.

        Raises:
            ValueError: as `correlation`.
        """
        x, y = self.embed_visual(visual), self.embed_audio(audio)
        between, root_x, root_y = _covariances(x, y)
        whitened = _whiten(between, root_x, root_y)
        left, correlations, right = torch.linalg.svd(whitened)
        self.visual_mean.copy_(x.mean(dim=0))
        self.audio_mean.copy_(y.mean(dim=0))
        self.visual_variates.copy_(torch.linalg.solve_triangular(root_x.T, left, upper=True))
        self.audio_variates.copy_(torch.linalg.solve_triangular(root_y.T, right.T, upper=True))
        return correlations.to(x.dtype)

    def variates(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Canonical variates of (..., D_v) and (..., D_a), each (..., embedding_dims)."""
        return (
            (self.embed_visual(visual) - self.visual_mean) @ self.visual_variates,
            (self.embed_audio(audio) - self.audio_mean) @ self.audio_variates,
        )

    def distances(self, visual: Tensor, audio: Tensor) -> Tensor:
        """(..., T_v, T_a), 1 - cosine of the canonical variates, in [0, 2]."""
        x, y = self.variates(visual, audio)
        return 1 - functional.normalize(x, dim=-1) @ functional.normalize(y, dim=-1).mT


def correlation(x: Tensor, y: Tensor) -> Tensor:
    """Sum of the canonical correlations of two views, which training maximizes (Andrew et al., Sec. 3).

    It is the trace norm of S_xx^(-1/2) S_xy S_yy^(-1/2). Cholesky roots take the place of the symmetric ones: they
    differ by a rotation, which leaves the singular values as they are, and their gradient does not break down where two
    eigenvalues are equal.

    Args:
        x: (N, K) with N > 1.
        y: (N, K).

    Raises:
        ValueError: if the shapes are other ones.
    """
    return torch.linalg.svdvals(_whiten(*_covariances(x, y))).sum()


def _covariances(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if x.ndim != 2 or x.shape != y.shape or len(x) < 2:
        raise ValueError(f"x and y must be (N, K) alike with N > 1, got {tuple(x.shape)} and {tuple(y.shape)}.")
    x, y = x.double() - x.double().mean(dim=0), y.double() - y.double().mean(dim=0)
    return x.T @ y / (len(x) - 1), _root(x), _root(y)


def _root(centered: Tensor) -> Tensor:
    covariance = centered.T @ centered / (len(centered) - 1)
    ridge = REGULARIZATION * covariance.diagonal().mean() + 1e-12
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    return torch.linalg.cholesky(covariance + ridge * identity)


def _whiten(between: Tensor, root_x: Tensor, root_y: Tensor) -> Tensor:
    half = torch.linalg.solve_triangular(root_x, between, upper=False)
    return torch.linalg.solve_triangular(root_y, half.T, upper=False).T
