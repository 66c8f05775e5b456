import numpy as np
import pytest

from avel.backbones.audio_windows import cover


def test_a_second_has_one_window_in_its_middle() -> None:
    second = np.arange(16000, dtype=np.float32)[None]
    windows = cover(second, 15600)
    assert windows.shape == (1, 1, 15600)
    assert windows[0, 0, 0] == 200


def test_a_short_segment_is_followed_by_silence() -> None:
    windows = cover(np.ones((2, 100), np.float32), 15600)
    assert windows.shape == (2, 1, 15600)
    assert windows[1, 0].sum() == 100
    assert windows[1, 0, :100].all()


@pytest.mark.parametrize("samples", [15601, 16001, 24000, 31200, 80000])
def test_long_segments_are_covered_by_overlapping_windows(samples: int) -> None:
    segment = np.arange(1, samples + 1, dtype=np.float32)[None]
    windows = cover(segment, 15600)[0]
    heard = np.unique(windows)
    assert len(heard) >= samples - 780  # at most 49 ms are left out
    starts = windows[:, 0]
    if len(starts) > 1:
        assert starts[0] == 1
        assert windows[-1, -1] == samples
        assert np.diff(starts).max() <= 1.1 * 7800
