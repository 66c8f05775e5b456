import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.backbones.audio_windows import cover


def starts_of(samples: int) -> np.ndarray:
    segment = np.arange(samples, dtype=np.float64)[None]
    return cover(segment, 15600)[0, :, 0].astype(int)


def test_a_short_segment_is_followed_by_silence() -> None:
    windows = cover(np.ones((2, 100), np.float32), 15600)
    assert windows.shape == (2, 1, 15600)
    assert windows[1, 0].sum() == 100
    assert windows[1, 0, :100].all()


@pytest.mark.parametrize(
    ("samples", "starts"),
    [(15600, [0]), (16000, [200]), (31200, [0, 7800, 15600]), (32000, [0, 8200, 16400])],
)
def test_windows_worked_by_hand(samples: int, starts: list[int]) -> None:
    assert starts_of(samples).tolist() == starts


@given(samples=st.integers(15600, 500_000))
def test_windows_cover_the_segment(samples: int) -> None:
    starts = starts_of(samples)
    ends = starts + 15600
    assert starts[0] >= 0
    assert ends[-1] <= samples
    assert starts[0] + samples - ends[-1] <= 1170
    assert (np.diff(starts) <= 7800 * 1.15 + 1).all()
    if len(starts) > 1:
        assert starts[0] == 0
        assert ends[-1] == samples
