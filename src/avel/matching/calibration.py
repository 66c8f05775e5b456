"""From a cosine to how sure it is that two segments go together (Platt scaling, 1999)."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.records import Record

PRIOR = 0.01
"""How often what is looked at goes with the query: a moment or two in a few minutes of footage. A score of 0.5 is then
where of moments that look as near, half are right."""

CLOSE = 0.5
"""Score from which something counts as found."""


_MOST_STEPS, _LONGEST_STEP = 100, 5.0
_RIDGE = 1e-6
_LEAST_SLOPE = 0.1
"""Where cosines say nothing, greater ones are still no less sure."""


@dataclass(frozen=True)
class PlattScaling(Record):
    """Probability = expit(slope * cosine + offset).

    Attributes:
        slope: above 0.
        offset: for the prior `PRIOR`.
    """

    slope: float = 12.0
    offset: float = -8.0

    def __call__(self, cosines: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probabilities of cosines of any shape."""
        return _expit(self.slope * np.asarray(cosines, np.float64) + self.offset)


def fit_calibration(together: npt.ArrayLike, apart: npt.ArrayLike) -> PlattScaling:
    """Fit to cosines of pairs that go together and of pairs that do not, by maximum likelihood.

    Args:
        together: (P,), at least one.
        apart: (Q,), at least one.

    Raises:
        ValueError: if there is none of a kind.
    """
    positive, negative = np.asarray(together, np.float64), np.asarray(apart, np.float64)
    if not len(positive) or not len(negative):
        raise ValueError("a calibration needs pairs that go together, and pairs that do not.")
    # Platt's targets, which keep few pairs that are told apart without error from a slope without bound.
    high, low = (len(positive) + 1) / (len(positive) + 2), 1 / (len(negative) + 2)
    cosines = np.concatenate([positive, negative])
    targets = np.concatenate([np.full(len(positive), high), np.full(len(negative), low)])
    weights = np.concatenate([np.full(len(positive), 1 / len(positive)), np.full(len(negative), 1 / len(negative))])

    inputs = np.stack([cosines, np.ones_like(cosines)], axis=1)
    fitted = np.array([5.0, -2.0])
    for _ in range(_MOST_STEPS):  # Newton's method; the loss is convex
        said = _expit(inputs @ fitted)
        gradient = inputs.T @ (weights * (said - targets)) + _RIDGE * np.array([fitted[0], 0])
        curvature = (inputs.T * (weights * said * (1 - said))) @ inputs + _RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        step *= min(1.0, _LONGEST_STEP / max(float(np.abs(step).max()), 1e-12))
        fitted = fitted - step
        if np.abs(step).max() < 1e-9:
            break
    return PlattScaling(max(float(fitted[0]), _LEAST_SLOPE), float(fitted[1]) + math.log(PRIOR / (1 - PRIOR)))


def _expit(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)))
