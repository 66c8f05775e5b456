import numpy as np
import pytest

from avel.evaluation.papers import Claim
from avel.evaluation.verdicts import ClipResults, difference_interval, verdict

LEARNED = {"A": True, "B": True}
CLAIM = Claim("A", "B", "Sec. 1")


def results(accuracy: float, *, seeds: int = 3, clips: int = 300, spread: float = 0.0, seed: int = 0) -> ClipResults:
    """Clips of 10 segments that a row answers so well, on average; its seeds differ by so much.

    Some clips are harder than others, the same ones for every row.
    """
    shifts = np.linspace(-spread, spread, seeds)[:, None] if seeds > 1 else np.zeros((1, 1))
    chances = np.clip(accuracy + np.random.default_rng(99).normal(0, 0.2, clips) + shifts, 0, 1)
    return ClipResults(np.random.default_rng(seed).binomial(10, chances), np.full(clips, 10))


def judged(better: ClipResults, worse: ClipResults) -> str:
    means = (10 * float(better.right.mean()), 10 * float(worse.right.mean()))
    return verdict(CLAIM, means, (better, worse), LEARNED).verdict


def test_verdicts_of_clear_and_unclear_differences() -> None:
    assert judged(results(0.7), results(0.6, seed=1)) == "holds"
    assert judged(results(0.6), results(0.7, seed=1)) == "does not hold"
    assert judged(results(0.65), results(0.65, seed=1)) == "cannot be told"
    assert judged(results(0.68), results(0.65, seed=1)) == "holds"
    # The same three points, but the trainings of one row differ by ten among themselves.
    assert judged(results(0.68, spread=0.05), results(0.65, spread=0.05, seed=1)) == "cannot be told"


def test_pairing_by_clip_makes_the_interval_narrower() -> None:
    first, second = results(0.68), results(0.66, seed=1)
    low, high = difference_interval(first, second)
    mixed = ClipResults(second.right[:, np.random.default_rng(5).permutation(300)], second.segments)
    low_mixed, high_mixed = difference_interval(first, mixed)
    assert high - low < 0.8 * (high_mixed - low_mixed)


def test_the_interval_is_that_of_a_mean_by_hand() -> None:
    # 100 clips of one segment: the first 80 are right in one row, the last 50 in the other.
    right, other = np.zeros((2, 2, 100), np.int64)
    right[:, :80] = 1
    other[:, 50:] = 1
    segments = np.ones(100, np.int64)
    low, high = difference_interval(ClipResults(right, segments), ClipResults(other, segments))
    deviation = 100 * (right[0] - other[0]).std() / np.sqrt(100)
    assert (low + high) / 2 == pytest.approx(30, abs=1)
    assert (high - low) / 2 == pytest.approx(1.96 * deviation, rel=0.05)


def test_rows_that_are_equally_good_are_seldom_told_apart() -> None:
    def rows(i: int) -> tuple[ClipResults, ClipResults]:
        return results(0.65, seeds=5, clips=100, seed=2 * i), results(0.65, seeds=5, clips=100, seed=2 * i + 1)

    told = sum(judged(*rows(i)) != "cannot be told" for i in range(60))
    assert told <= 8  # three are expected


def test_what_cannot_be_told_says_why() -> None:
    one = results(0.9, seeds=1)
    found = verdict(CLAIM, (90.0, 60.0), (one, results(0.6)), LEARNED)
    assert (found.verdict, found.reason) == ("cannot be told", "one seed says nothing of other seeds")
    assert found.low > 0
    found = verdict(CLAIM, (90.0, 60.0), (None, results(0.6)), LEARNED)
    assert found.reason == "it was measured by an earlier version, without its clips"
    found = verdict(CLAIM, (90.0, 60.0), (results(0.9), results(0.6)), {"A": True, "B": False})
    assert (found.verdict, found.reason) == ("cannot be told", "B learned nothing")
    assert str(found) == "A above B (Sec. 1): +30.0 points, cannot be told (B learned nothing)"
