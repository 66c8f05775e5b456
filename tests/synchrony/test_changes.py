import numpy as np
import pytest

from avel.synchrony.changes import COLUMNS, SIDE, Motion, Onsets, joined, moments


def test_motion_is_where_the_picture_changes():
    pictures = np.zeros((1, 50, SIDE, SIDE, 1), np.uint8)
    pictures[0, 20:, 32:48, 64:80] = 100  # the block in row 2, column 4
    energies = Motion()(pictures)
    assert energies.shape == (1, 64, 50)
    assert energies[0, 2 * COLUMNS + 4, 20] == pytest.approx(100, abs=0.1)
    known = np.isfinite(energies[0])
    assert known.sum(axis=1).tolist() == [1] * 64  # the same picture shown again is no motion of its own
    assert np.nansum(energies) == pytest.approx(100, abs=0.1)


def test_motion_is_that_of_a_slow_loop():
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (1, 4, SIDE, SIDE, 1), dtype=np.uint8)
    pictures[0, 2] = pictures[0, 1]  # shown twice
    found = Motion(4 / 50)(pictures)[0]
    grey = pictures[0, ..., 0].astype(float)
    assert np.isnan(found[:, [0, 2]]).all()
    for moment, before in ((1, 0), (3, 2)):
        for block in range(COLUMNS * COLUMNS):
            rows, columns = (slice(16 * place, 16 * place + 16) for place in divmod(block, COLUMNS))
            changed = np.abs(grey[moment, rows, columns] - grey[before, rows, columns]).mean()
            assert found[block, moment] == pytest.approx(changed, rel=1e-5)


def test_onsets_are_where_a_sound_starts():
    waveform = np.random.default_rng(0).normal(0, 1e-4, 16000).astype(np.float32)
    waveform[8000:12000] += np.random.default_rng(1).normal(0, 0.2, 4000).astype(np.float32)
    found = Onsets()(waveform[None])
    assert found.shape == (1, 100)
    loudness, onsets = found[0, :50], found[0, 50:]
    assert onsets.argmax() in (24, 25, 26)  # at 0.5 s
    assert loudness[26:36].min() > loudness[:24].max()
    assert loudness[26:36].min() > loudness[40:].max()


def test_series_have_no_gaps():
    motion = np.full((2, 64, 4), np.nan, np.float32)
    motion[0, :, 1], motion[0, :, 3], motion[1, :, 2] = 2, 4, 9  # spread over 2, 2 and 3 moments
    series, sound = joined(motion, np.arange(16, dtype=np.float32).reshape(2, 8))
    assert series.shape == (8, 64)
    assert np.isfinite(series).all()
    assert series[2, 0] == pytest.approx(2)
    assert series[:, 0].max() == pytest.approx(3)
    np.testing.assert_array_equal(sound[:, 0], [0, 1, 2, 3, 8, 9, 10, 11])
    np.testing.assert_array_equal(sound[:, 1], [4, 5, 6, 7, 12, 13, 14, 15])
    assert not joined(np.full((1, 64, 4), np.nan, np.float32), np.zeros((1, 8), np.float32))[0].any()


def test_features_do_not_depend_on_the_other_segments():
    random = np.random.default_rng(0)
    pictures = random.integers(0, 255, (2, 10, SIDE, SIDE, 1), np.uint8)
    motion = Motion(0.2)
    np.testing.assert_array_equal(motion(pictures)[1], motion(pictures[1:])[0])
    waveforms = random.normal(0, 0.1, (2, 3200)).astype(np.float32)
    onsets = Onsets(0.2)
    np.testing.assert_allclose(onsets(waveforms)[1], onsets(waveforms[1:])[0], atol=1e-6)


@pytest.mark.parametrize(("seconds", "count"), [(1.0, 50), (0.2, 10), (0.03, 2), (30.0, 500)])
def test_moments(seconds, count):
    assert moments(seconds) == Motion(seconds).dims == Onsets(seconds).dims // 2 == count
