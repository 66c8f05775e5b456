import numpy as np
import pytest
from scipy.special import expit, logit

from avel.matching.calibration import PRIOR, PlattScaling, fit_calibration


def test_a_known_calibration_is_found():
    rng = np.random.default_rng(0)
    cosines = rng.uniform(-1, 1, 40_000)
    together = rng.random(len(cosines)) < expit(6 * cosines - 1)
    positive, negative = cosines[together], cosines[~together]
    found = fit_calibration(positive, negative)
    assert found.slope == pytest.approx(6, rel=0.05)
    # Fitted with both kinds as likely, then moved to the prior.
    balance = logit(PRIOR) - np.log(len(positive) / len(negative))
    assert found.offset == pytest.approx(-1 + balance, abs=0.1)


def test_few_pairs_told_apart_without_error_give_a_finite_slope():
    found = fit_calibration([0.9, 0.8], [0.1, 0.0, 0.2])
    assert 0 < found.slope < 100
    assert found(0.9) > found(0.1)


def test_both_kinds_are_needed():
    with pytest.raises(ValueError, match="pairs that go together, and pairs that do not"):
        fit_calibration([], [0.1])


def test_probabilities():
    assert PlattScaling(2.0, -1.0)([0.5]).tolist() == [0.5]
