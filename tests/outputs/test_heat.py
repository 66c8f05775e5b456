import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from avel.outputs.heat import heat, lay_over, veil

SHARES = hnp.arrays(np.float32, st.tuples(st.integers(1, 7), st.integers(1, 7)), elements=st.floats(0, 1, width=32))


def test_where_there_is_no_event_nothing_is_marked():
    assert not heat(np.zeros((7, 7), np.float32)).any()
    picture = np.full((20, 30, 3), 100, np.uint8)
    np.testing.assert_array_equal(lay_over(picture, veil(np.zeros((7, 7), np.float32), (30, 20))), picture)


def test_looking_everywhere_alike_marks_nothing_and_a_slight_lean_little():
    even = np.full((7, 7), 1 / 49, np.float32)
    np.testing.assert_allclose(heat(even), 0, atol=1e-5)
    lean = even.copy()
    lean[0, 0] *= 1.1
    assert heat(lean / lean.sum()).max() == pytest.approx(0.1, abs=0.01)


def test_twice_the_equal_share_is_full_heat_times_the_score():
    attention = np.array([[2, 1], [1, 0]], np.float32) / 4
    np.testing.assert_allclose(heat(attention), [[1, 0], [0, 0]])
    np.testing.assert_allclose(heat(0.6 * attention), [[0.6, 0], [0, 0]], rtol=1e-6)
    np.testing.assert_allclose(
        heat(np.array([[0.9, 0.6], [0, 0]], np.float32) / 1.5),
        [[1, 1], [0, 0]] * np.array([1, 0.6 * 4 / 1.5 - 1]) / np.array([1, 0.9 * 4 / 1.5 - 1]),
        rtol=1e-5,
    )


@given(SHARES)
def test_heat_is_a_share_and_no_higher_than_the_score(attention):
    found = heat(attention)
    assert found.shape == attention.shape
    assert ((found >= 0) & (found <= min(float(attention.sum()), 1) + 1e-6)).all()


@given(SHARES, st.integers(1, 40), st.integers(1, 40))
def test_a_veil_fits_any_picture(attention, width, height):
    picture = np.full((height, width, 3), 255, np.uint8)
    assert lay_over(picture, veil(attention, (width, height))).shape == picture.shape
