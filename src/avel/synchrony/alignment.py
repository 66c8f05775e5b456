"""How much better picture and sound fit as they are than with one of them shifted.

A sound that something in the picture makes starts when that something moves, stops or turns; a sound from elsewhere
starts whenever it does. So the changes of each block of the picture are correlated with those of the sound, as they are
and shifted against each other by up to some seconds. Music over a restless picture correlates at every shift; only what
belongs together correlates better at one. The score of a shift is how many standard deviations of all the far shifts
it lies above their mean: the null is the video itself, and there is nothing to learn.

Three pairs are looked at, each by its correlation in the best blocks: a block that starts to move with the onset of a
sound (a flash, a bark, a lid that is lifted), one that stops with it (a hammer, a knife, a drumstick), and one that
moves as long as the sound is loud.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.backbones.arithmetic import running_means, weighted_means
from avel.backbones.base import Floats

Doubles = npt.NDArray[np.float64]

PAIRS = (("rise", "onsets"), ("fall", "onsets"), ("energy", "loudness"))
BEST_BLOCKS = 2
LOCAL_SECONDS = 2.0
"""Over which both sides are standardized, so that a loud or restless stretch counts no more than another."""
SMOOTHING_SECONDS = 0.1
NEAR_SECONDS = (-0.08, 0.16)
"""Shifts at which sound and picture count as together: sound reaches a microphone late, and video pictures are early or
late by a frame or two."""
FAR_SECONDS = 0.48
"""Shifts beyond this, either way, are the null."""
MAX_SHIFT_SECONDS = 4.0
MIN_SECONDS = 2.0
"""Less says nothing."""
SURE = 3.6
"""Standard deviations that 1 of 100 pairs of unrelated picture and sound reach (``benchmarks/synchrony.py``)."""


@dataclass(frozen=True)
class Sides:
    """The changes of a video's picture and sound, made ready to be correlated.

    Attributes:
        picture: by kind of change, (N, R).
        sound: by kind of change, (N,).
        rate: moments a second.
    """

    picture: dict[str, Doubles]
    sound: dict[str, Doubles]
    rate: float

    @property
    def seconds(self) -> float:
        """Length of the video."""
        return len(self.sound["onsets"]) / self.rate


@dataclass(frozen=True)
class Alignment:
    """How well a stretch of sound fits the picture at each shift.

    Attributes:
        shifts: (S,) seconds by which the sound comes after the picture.
        deviations: (S,) standard deviations of the far shifts above their mean.
        blocks: (R,) share of each block in what fits at the best shift near 0; they add up to 1, or are all 0.
    """

    shifts: Doubles
    deviations: Doubles
    blocks: Floats

    @property
    def score(self) -> float:
        """The most of `deviations` near shift 0."""
        near = (self.shifts >= NEAR_SECONDS[0]) & (self.shifts <= NEAR_SECONDS[1])
        return float(self.deviations[near].max())


def sides(motion: Floats, sound: Floats, rate: float) -> Sides:
    """Changes to correlate, from what `avel.synchrony.changes.joined` gives.

    Args:
        motion: (N, R) motion energy, in grey levels.
        sound: (N, 2) loudness and onset strength.
        rate: moments a second.

    Raises:
        ValueError: if the two have different lengths.
    """
    if len(motion) != len(sound):
        raise ValueError(f"Motion of {len(motion)} moments and sound of {len(sound)} are not of one video.")
    width = max(3, round(SMOOTHING_SECONDS * rate) | 1)
    kernel = np.hanning(width + 2)[1:-1]
    kernel /= kernel.sum()

    def ready(values: Doubles) -> Doubles:
        return _standardized(values, max(3, round(LOCAL_SECONDS * rate) | 1))

    energy = weighted_means(np.log(motion.astype(np.float64) + 0.5), kernel)
    step = max(1, round(0.04 * rate))
    change = np.zeros_like(energy)
    if len(energy) > 2 * step:
        change[step:-step] = energy[2 * step :] - energy[: -2 * step]
    picture = {
        "energy": ready(energy),
        "rise": ready(np.maximum(change, 0)),
        "fall": ready(np.maximum(-change, 0)),
    }
    smooth = weighted_means(sound.astype(np.float64), kernel)
    return Sides(picture, {"loudness": ready(smooth[:, 0]), "onsets": ready(smooth[:, 1])}, rate)


def align(of: Sides, start_seconds: float = 0.0, end_seconds: float | None = None) -> Alignment | None:
    """Compare a stretch of sound with the picture at the same time, and with the picture at other times.

    Args:
        of: both sides of a video.
        start_seconds: of the stretch.
        end_seconds: of the stretch; the video's end when ``None``.

    Returns:
        ``None`` where there is too little to compare: a stretch or its surroundings shorter than `MIN_SECONDS`.
    """
    total = len(of.sound["onsets"])
    start = max(0, round(start_seconds * of.rate))
    end = total if end_seconds is None else min(total, round(end_seconds * of.rate))
    if end - start < MIN_SECONDS * of.rate:
        return None
    reach = round(MAX_SHIFT_SECONDS * of.rate)
    shifts = np.arange(-reach, reach + 1)
    # Shift s compares sound at t with picture at t - s; of some shifts there is not enough picture.
    covered = np.minimum(end - shifts, total) - np.maximum(start - shifts, 0)
    enough = 2 * covered >= end - start
    shifts, covered = shifts[enough], covered[enough]
    seconds = shifts / of.rate
    far = np.abs(seconds) > FAR_SECONDS
    near = (seconds >= NEAR_SECONDS[0]) & (seconds <= NEAR_SECONDS[1])
    if far.sum() < MIN_SECONDS * of.rate:
        return None
    first, last = max(0, start - shifts[-1]), min(total, end - shifts[0])
    curves = [
        _correlations(of.picture[seen][first:last], of.sound[heard][start:end], start - first, shifts, covered)
        for seen, heard in PAIRS
    ]
    best = [_best(curve) for curve in curves]
    deviations = _deviations(np.mean([_deviations(values, far) for values in best], axis=0), far)
    at = int(np.flatnonzero(near)[deviations[near].argmax()])
    usual = [float(np.median(values[far])) for values in best]
    return Alignment(seconds, deviations, _blocks([curve[at] for curve in curves], usual))


def _correlations(
    picture: Doubles, sound: Doubles, offset: int, shifts: npt.NDArray[np.int64], covered: npt.NDArray[np.int64]
) -> Doubles:
    """(S, R) correlation of a stretch of sound with each block, at each shift.

    Args:
        picture: (M, R) all of it that any shift needs.
        sound: (L,) the stretch, which starts `offset` moments after `picture`.
        offset: see there.
        shifts: (S,) in moments.
        covered: (S,) moments of the stretch for which there is a picture.
    """
    sound = sound - sound.mean()
    picture = picture - picture.mean(axis=0)
    starts = offset - shifts  # of the sound, in the picture
    # What goes around the end of a transform of this size is of no shift that is asked for.
    size = _fast_size(max(len(picture), starts.max() + len(sound), len(picture) - starts.min()))
    spectrum = np.conj(np.fft.rfft(picture.T, size)) * np.fft.rfft(sound, size)
    products = np.fft.irfft(spectrum, size)[:, -starts].T  # the one at -1 is the last
    norms = np.sqrt((sound**2).sum() * np.maximum((picture**2).mean(axis=0) * len(sound), 1e-12))
    # Where fewer moments count, the root keeps the deviation of what is unrelated.
    result: Doubles = products / np.maximum(norms, 1e-3) * np.sqrt(len(sound) / covered)[:, None]
    return result


def _fast_size(least: int) -> int:
    """The least even number from `least` on that has no factor beyond 5, so that its transform is fast."""
    size = least + least % 2
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 2


def _best(curve: Doubles) -> Doubles:
    best: Doubles = np.partition(curve, -BEST_BLOCKS, axis=1)[:, -BEST_BLOCKS:].mean(axis=1)
    return best


def _deviations(values: Doubles, far: npt.NDArray[np.bool_]) -> Doubles:
    null = values[far]
    result: Doubles = (values - null.mean()) / max(float(null.std()), 1e-6)
    return result


def _blocks(at_shift: list[Doubles], usual: list[float]) -> Floats:
    """Share of each block in what fits at one shift: what it has beyond the best blocks of most far shifts.

    Args:
        at_shift: (R,) correlations of each pair.
        usual: of each pair, that of the best blocks at most far shifts.
    """
    beyond = np.sum([np.maximum(curve - value, 0) for curve, value in zip(at_shift, usual, strict=True)], axis=0)
    total = beyond.sum()
    shares: Floats = (beyond / total if total > 1e-3 else 0 * beyond).astype(np.float32)
    return shares


def _standardized(values: Doubles, width: int) -> Doubles:
    mean = running_means(values, width)
    variance = running_means((values - mean) ** 2, width)
    floor = 0.05 * np.median(variance, axis=0) + 1e-9
    result: Doubles = (values - mean) / np.sqrt(variance + floor)
    return result
