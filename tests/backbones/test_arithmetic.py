"""The same as SciPy's, which users who only localize need not have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import convolve1d, maximum_filter1d, uniform_filter1d
from scipy.special import expit

from avel.backbones.arithmetic import running_maxima, running_means, sigmoid, weighted_means


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_sigmoid_overflows_nowhere(dtype):
    x = np.array([-1e4, -100, -20, -1, 0, 1, 20, 100, 1e4], dtype)
    with np.errstate(over="raise", invalid="raise"):
        found = sigmoid(x)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expit(x), rtol=1e-5, atol=1e-38)


@given(count=st.integers(1, 40), width=st.sampled_from([1, 3, 5, 41]), seed=st.integers(0, 99))
def test_means_over_neighbours(count, width, seed):
    rng = np.random.default_rng(seed)
    values, kernel = rng.normal(size=(count, 3)), rng.normal(size=width)
    np.testing.assert_allclose(weighted_means(values, kernel), convolve1d(values, kernel, axis=0), atol=1e-9)
    expected = uniform_filter1d(values, width, axis=0, mode="nearest")
    np.testing.assert_allclose(running_means(values, width), expected, atol=1e-9)
    np.testing.assert_allclose(running_means(values[:, 0], width), expected[:, 0], atol=1e-9)


@given(count=st.integers(1, 40), width=st.integers(1, 12), seed=st.integers(0, 99))
def test_the_greatest_of_neighbours(count, width, seed):
    values = np.random.default_rng(seed).normal(size=count)
    np.testing.assert_array_equal(running_maxima(values, width), maximum_filter1d(values, width, mode="nearest"))
