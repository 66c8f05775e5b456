"""What SciPy would give, for which alone whoever only localizes would have to install and import it."""

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

F = TypeVar("F", bound=np.floating[Any])


def sigmoid(x: npt.ArrayLike) -> npt.NDArray[Any]:
    """``1 / (1 + exp(-x))``, of the same type, without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, np.negative(x))))


def weighted_means(values: npt.NDArray[F], kernel: npt.NDArray[F]) -> npt.NDArray[F]:
    """(N, ...) values convolved with a kernel of an odd number of weights, symmetric beyond both ends."""
    reach = len(kernel) // 2
    padded = np.pad(values, [(reach, reach), *[(0, 0)] * (values.ndim - 1)], mode="symmetric")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis=0) @ kernel[::-1])


def running_means(values: npt.NDArray[F], count: int) -> npt.NDArray[F]:
    """(N, ...) values to the mean of an odd number of them around each; beyond the ends are those at the ends."""
    reach = count // 2
    first = values[:1]  # taken off, so that what is constant stays so to the last bit
    padded = np.pad(values - first, [(reach + 1, reach), *[(0, 0)] * (values.ndim - 1)], mode="edge")
    padded[0] = 0
    totals = np.cumsum(padded, axis=0)
    return np.asarray((totals[count:] - totals[:-count]) / count + first)


def running_maxima(values: npt.NDArray[F], count: int) -> npt.NDArray[F]:
    """(N,) values to the greatest of `count` of them around each, one more before it than after it if that is even."""
    padded = np.pad(values, (count // 2, count - 1 - count // 2), mode="edge")
    return np.asarray(np.lib.stride_tricks.sliding_window_view(padded, count).max(axis=-1))
