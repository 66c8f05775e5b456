import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from avel.matching import dcca
from avel.matching.base import MatcherOptions
from avel.matching.dcca import Dcca, correlation
from avel.models.options import Dims


def views(n=400, k=4, seed=0):
    """Two views that share two of their k directions, one of them with noise."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 2))
    x, y = rng.normal(size=(n, k)), rng.normal(size=(n, k))
    x[:, :2], y[:, :2] = shared, shared + [0, 0.5] * rng.normal(size=(n, 2))
    mixed_x, mixed_y = x @ rng.normal(size=(k, k)), y @ rng.normal(size=(k, k))
    return torch.from_numpy(mixed_x), torch.from_numpy(mixed_y + 3)


def slow_correlation(x, y):
    """The paper's formula with symmetric roots: trace norm of S_xx^(-1/2) S_xy S_yy^(-1/2)."""
    x, y = x - x.mean(0), y - y.mean(0)
    n = len(x) - 1

    def root(z):
        s = z.T @ z / n
        s += dcca.REGULARIZATION * np.trace(s) / len(s) * np.eye(len(s))
        return np.linalg.inv(sqrtm(s).real)

    return np.linalg.norm(root(x) @ (x.T @ y / n) @ root(y), "nuc")


def test_correlation_is_the_trace_norm_of_the_paper():
    x, y = views()
    torch.testing.assert_close(
        float(correlation(x, y)), float(slow_correlation(x.numpy(), y.numpy())), rtol=1e-6, atol=0
    )


def test_correlation_of_known_views():
    """One shared direction without noise, one with correlation 1 / sqrt(1 + 0.25), two that share nothing."""
    x, y = views(n=20_000)
    assert float(correlation(x, y)) == pytest.approx(1 + 1 / np.sqrt(1.25), abs=0.06)


def test_correlation_does_not_change_under_invertible_maps():
    x, y = views()
    mixed = correlation(x @ torch.ones(4, 4, dtype=torch.double).triu(), y + 5)
    torch.testing.assert_close(mixed, correlation(x, y), rtol=0.02, atol=0)


def test_gradient_of_the_correlation():
    x, y = (v[:30].clone().requires_grad_() for v in views())
    assert torch.autograd.gradcheck(correlation, (x, y))


@pytest.fixture
def fitted(monkeypatch):
    monkeypatch.setattr(dcca, "REGULARIZATION", 1e-9)  # which would leave the smallest variates below unit variance
    torch.manual_seed(3)
    model = Dcca(Dims(visual_dims=4, audio_dims=4), MatcherOptions(hidden_dims=8, embedding_dims=4))
    x, y = (v.float() for v in views())
    return model, x, y, model.fit(x, y)


def test_fitted_variates_are_white_and_correlate_in_pairs(fitted):
    model, x, y, correlations = fitted
    u, v = (z.detach().double() for z in model.variates(x, y))
    assert torch.allclose(u.mean(0), torch.zeros(4).double(), atol=1e-4)
    torch.testing.assert_close(u.T @ u / 399, torch.eye(4).double(), atol=1e-3, rtol=0)
    torch.testing.assert_close(u.T @ v / 399, torch.diag(correlations.double()), atol=1e-3, rtol=0)
    assert correlations.tolist() == sorted(correlations.tolist(), reverse=True)


def test_correlations_sum_to_the_objective(fitted):
    model, x, y, correlations = fitted
    objective = correlation(model.embed_visual(x), model.embed_audio(y))
    assert float(correlations.sum()) == pytest.approx(float(objective.detach()), rel=1e-5)


def test_distance_is_one_minus_cosine(fitted):
    model, x, y, _ = fitted
    u, v = (z.detach().numpy() for z in model.variates(x[:3], y[:5]))
    distances = model.distances(x[:3], y[:5]).detach()
    for i in range(3):
        for j in range(5):
            cosine = u[i] @ v[j] / (np.linalg.norm(u[i]) * np.linalg.norm(v[j]))
            assert float(distances[i, j]) == pytest.approx(1 - cosine, abs=1e-5)


def test_gradient_reaches_every_parameter(fitted):
    model, x, y, _ = fitted
    correlation(model.embed_visual(x), model.embed_audio(y)).backward()
    # A bias of the last layer moves all results alike, which CCA does not see.
    for name, parameter in model.named_parameters():
        assert name.endswith("2.bias") or parameter.grad.abs().max() > 1e-6, name


@pytest.mark.parametrize("shapes", [((3, 4), (3, 5)), ((1, 4), (1, 4)), ((4,), (4,))])
def test_refuses_other_shapes(shapes):
    with pytest.raises(ValueError, match=r"x and y must be \(N, K\) alike with N > 1, got"):
        correlation(*(torch.randn(shape) for shape in shapes))
