"""Series whose shift is known, and properties that hold for any."""

import numpy as np
import pytest
from blows import AT, RATE, blows

from avel.synchrony.alignment import FAR_SECONDS, PAIRS, SURE, align, sides


def test_what_belongs_together_is_far_above_any_shift():
    found = align(sides(*blows(10, AT), RATE))
    assert found.score > 2 * SURE
    assert found.blocks.argmax() == 27
    assert found.blocks.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("shift", [-0.5, -0.4, 0.4, 0.5])
def test_a_shifted_sound_fits_at_its_shift_and_not_at_none(shift):
    found = align(sides(*blows(10, AT, shift), RATE))
    assert found.shifts[found.deviations.argmax()] == pytest.approx(shift, abs=0.081)
    assert found.score < SURE


def test_music_over_a_restless_picture_is_no_witness():
    scores = []
    for seed in range(10):
        motion, _ = blows(10, (), seed=seed, restless=True)
        _, sound = blows(10, np.arange(0.5, 10, 0.5), seed=seed + 100)
        scores.append(align(sides(motion, sound, RATE)).score)
    assert np.median(scores) < 2
    assert max(scores) < 2 * SURE


def test_a_stretch_is_judged_by_its_own_sound():
    motion, sound = blows(16, AT[AT < 8])
    _, other = blows(16, np.array([9.3, 10.4, 12.9, 14.2]), seed=1)
    sound[8 * RATE :] = other[8 * RATE :]
    both = sides(motion, sound, RATE)
    assert align(both, 2, 6).score > SURE
    assert align(both, 10, 14).score < SURE


def test_too_little_says_nothing():
    assert align(sides(*blows(1.5, ()), RATE)) is None
    assert align(sides(*blows(10, AT), RATE), 4, 5) is None


@pytest.mark.parametrize(("start", "end"), [(0, 3), (2.5, 5.5), (0, 8), (5, 8)])
def test_correlations_are_those_of_a_slow_loop(start, end):
    both = sides(*blows(8, AT[AT < 8]), RATE)
    found = align(both, start, end)
    first, last, total = round(start * RATE), round(end * RATE), len(both.sound["onsets"])
    shifts = np.round(found.shifts * RATE).astype(int)
    used = slice(max(0, first - shifts[-1]), min(total, last - shifts[0]))
    far = np.abs(found.shifts) > FAR_SECONDS
    curves = []
    for seen, heard in PAIRS:
        sound = both.sound[heard][first:last] - both.sound[heard][first:last].mean()
        picture = both.picture[seen] - both.picture[seen][used].mean(axis=0)
        power = (picture[used] ** 2).mean(axis=0) * len(sound)
        norms = np.maximum(np.sqrt((sound**2).sum() * np.maximum(power, 1e-12)), 1e-3)
        curve = []
        for shift in shifts:
            at = [t for t in range(len(sound)) if 0 <= first + t - shift < total]
            product = sum(sound[t] * picture[first + t - shift] for t in at)
            curve.append(np.sort(product / norms * np.sqrt(len(sound) / len(at)))[-2:].mean())
        curves.append((np.array(curve) - np.mean(np.array(curve)[far])) / np.std(np.array(curve)[far]))
    mean = np.mean(curves, axis=0)
    np.testing.assert_allclose(found.deviations, (mean - mean[far].mean()) / mean[far].std(), atol=1e-9)


def test_still_pictures_and_silence_score_nothing():
    still = np.zeros((250, 64), np.float32)
    _, sound = blows(10, AT)
    assert align(sides(still, sound, RATE)).score == pytest.approx(0, abs=1e-6)
    motion, _ = blows(10, AT)
    assert align(sides(motion, np.zeros((250, 2), np.float32), RATE)).score == pytest.approx(0, abs=1e-6)
    assert not align(sides(still, sound, RATE)).blocks.any()


def test_loudness_and_contrast_change_nothing_much():
    motion, sound = blows(10, AT)
    louder = sound + np.array([2.0, 0.0], np.float32)
    assert align(sides(motion, louder, RATE)).score == pytest.approx(align(sides(motion, sound, RATE)).score, rel=1e-3)


def test_sides_of_two_videos_are_refused():
    with pytest.raises(ValueError, match="Motion of 10 moments and sound of 11 are not of one video"):
        sides(np.zeros((10, 64), np.float32), np.zeros((11, 2), np.float32), RATE)
