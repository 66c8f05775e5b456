"""Whether what a paper claims is so here: the difference of two rows with its 95 % interval, and a verdict.

The interval is of a paired bootstrap over clips and seeds (Efron and Tibshirani, 1993). Each of `RESAMPLES` times, the
test clips are drawn with replacement, the same ones for both rows, and so are the seeds of each row. Few seeds vary
less among themselves than seeds do at large, so their deviations are enlarged by the root of S / (S - 1).

========================  ==================================================================
holds                     the whole interval is above 0
does not hold             the whole interval is below 0
cannot be told            0 lies in it, or there are fewer than two seeds, or a row has learned nothing
========================  ==================================================================

One pair of twenty without any difference falls outside its interval by chance: look at how many hold, not at one alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from avel.evaluation.papers.base import Claim
from avel.metrics.values import Number
from avel.records import Record

VerdictName = Literal["holds", "does not hold", "cannot be told"]

RESAMPLES = 4000
INTERVAL = (2.5, 97.5)


@dataclass(frozen=True)
class ClipResults:
    """How a row answered each test clip.

    Attributes:
        right: (S, N) number of right segments of each clip, with each seed.
        segments: (N,) number of segments of each clip.
    """

    right: npt.NDArray[np.int64]
    segments: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Verdict(Record):
    """What became of a claim.

    Attributes:
        better: name of the row that is claimed to be better.
        worse: name of the other.
        where: the place in the paper.
        difference: in percentage points, the mean over the seeds; ``nan`` where a row was not measured.
        low: lower end of the 95 % interval; ``nan`` where it is not known.
        high: upper end.
        verdict: see the head of this module.
        reason: why it cannot be told, where that is not the interval.
    """

    better: str
    worse: str
    where: str
    difference: Number
    low: Number
    high: Number
    verdict: VerdictName
    reason: str = ""

    def __str__(self) -> str:
        """For a person to read."""
        start = f"{self.better} above {self.worse} ({self.where}): {self.difference:+.1f} points"
        interval = "" if np.isnan(self.low) else f" [{self.low:+.1f}, {self.high:+.1f}]"
        return f"{start}{interval}, {self.verdict}{f' ({self.reason})' if self.reason else ''}"


def verdict(
    claim: Claim,
    means: tuple[float, float],
    clips: tuple[ClipResults | None, ClipResults | None],
    learned: Mapping[str, bool],
) -> Verdict:
    """Judge a claim.

    Args:
        claim: which row is said to be better than which.
        means: accuracy of both rows in percent, over their seeds.
        clips: how both answered each clip; ``None`` where that was not kept.
        learned: for both names, whether the row has learned anything.
    """
    better, worse = clips
    low = high = np.nan
    reason = ""
    nothing = [name for name in (claim.better, claim.worse) if not learned[name]]
    if nothing:
        reason = f"{' and '.join(nothing)} learned nothing"
    elif better is None or worse is None:
        reason = "it was measured by an earlier version, without its clips"
    elif len(better.segments) != len(worse.segments):
        reason = "the rows were measured on different clips"
    else:
        low, high = difference_interval(better, worse)
        if min(len(better.right), len(worse.right)) < 2:
            reason = "one seed says nothing of other seeds"
    found: VerdictName = "cannot be told"
    if not reason and low > 0:
        found = "holds"
    elif not reason and high < 0:
        found = "does not hold"
    return Verdict(claim.better, claim.worse, claim.where, means[0] - means[1], low, high, found, reason)


def difference_interval(first: ClipResults, second: ClipResults, *, seed: int = 0) -> tuple[float, float]:
    """95 % interval of how much better the first is, in percentage points of segments.

    Args:
        first: on N clips.
        second: on the same clips in the same order; its number of seeds may be another one.
        seed: of the resampling.

    Raises:
        ValueError: if the clips are not the same.
    """
    if first.segments.tolist() != second.segments.tolist():
        raise ValueError("both have to be of the same clips.")
    random = np.random.default_rng(seed)
    drawn = _drawn_clips(len(first.segments), seed)
    differences = _resampled(first, drawn, random) - _resampled(second, drawn, random)
    low, high = np.percentile(100 * differences, INTERVAL)
    return float(low), float(high)


def _resampled(
    results: ClipResults, drawn: npt.NDArray[np.int64], random: np.random.Generator
) -> npt.NDArray[np.float64]:
    """(RESAMPLES,) accuracy on drawn clips, as a mean over drawn seeds."""
    accuracy = (drawn @ results.right.T) / (drawn @ results.segments)[:, None]  # (RESAMPLES, S)
    seeds = accuracy.shape[1]
    mean = accuracy.mean(axis=1)
    if seeds < 2:
        return mean
    chosen = random.integers(seeds, size=accuracy.shape)
    deviation = np.take_along_axis(accuracy - mean[:, None], chosen, axis=1).mean(axis=1)
    return mean + deviation * np.sqrt(seeds / (seeds - 1))


@lru_cache(maxsize=4)
def _drawn_clips(count: int, seed: int) -> npt.NDArray[np.int64]:
    """(RESAMPLES, N) how often each clip is drawn; the same for every pair of rows."""
    drawn = np.random.default_rng([seed, count]).multinomial(count, np.full(count, 1 / count), size=RESAMPLES)
    return np.asarray(drawn, np.int64)
