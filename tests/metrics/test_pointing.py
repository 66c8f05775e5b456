import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.metrics.pointing import covered, pointing


def at(row, column, shape=(4, 4), others=0.0):
    grid = np.full(shape, others)
    grid[row, column] = 1
    return grid


def test_perfect_pointing():
    found = pointing([at(0, 3), at(2, 1)], [(0.75, 0.0, 1.0, 0.25), (0.25, 0.5, 0.5, 0.75)])
    assert (found.hits, found.inside, found.random, found.middle) == (1, 1, 1 / 16, 0)
    assert (found.pointed, found.unlit, found.false, found.dark) == (2, 0, 0, 0)


def test_by_hand():
    """A box over half of each of four parts; one map in it, one beside it, one dark, and one lit in silence."""
    box = (0.375, 0.375, 0.625, 0.625)
    grid = np.zeros((4, 4))
    grid[1, 1], grid[0, 0] = 3, 1
    found = pointing([grid, at(0, 0), np.zeros((4, 4)), at(1, 1), np.zeros((4, 4))], [box, box, box, None, None])
    assert found.hits == 0.5
    assert found.inside == pytest.approx((3 / 4 * 1 / 4 + 0) / 2)
    assert (found.random, found.middle) == (4 / 16, 1)
    assert (found.pointed, found.unlit, found.false, found.dark) == (2, 1, 1, 1)


def test_nothing_to_point_at():
    found = pointing(np.zeros((2, 7, 7)), [None, None])
    assert math.isnan(found.hits)
    assert found.to_dict()["hits"] is None
    assert (found.pointed, found.dark) == (0, 2)


@given(st.integers(1, 9), st.integers(1, 9), st.tuples(*[st.floats(0, 1)] * 4))
def test_parts_share_a_box_out(rows, columns, corners):
    left, right = sorted(corners[:2])
    top, bottom = sorted(corners[2:])
    if right - left < 1e-3 or bottom - top < 1e-3:
        return
    shares = covered((left, top, right, bottom), rows, columns)
    assert shares.sum() / (rows * columns) == pytest.approx((right - left) * (bottom - top), abs=1e-6)
    assert ((shares >= 0) & (shares <= 1 + 1e-9)).all()


@given(st.integers(0, 6), st.integers(0, 6))
def test_only_the_part_under_a_box_is_a_hit(row, column):
    box = (column / 7, row / 7, (column + 1) / 7, (row + 1) / 7)
    found = pointing([at(row, column, (7, 7))], [box])
    assert (found.hits, found.random) == (1, pytest.approx(1 / 49))
    assert pointing([at((row + 1) % 7, column, (7, 7))], [box]).hits == 0


@pytest.mark.parametrize(
    ("attention", "boxes", "message"),
    [
        (np.zeros((2, 7)), [None, None], r"attention must have shape .T, rows, columns., got .2, 7."),
        (np.zeros((2, 7, 7)), [None], "a box or None for each of 2 segments, got 1"),
        (np.full((1, 7, 7), -1), [None], "attention must be finite and 0 or more"),
        (np.full((1, 7, 7), np.nan), [None], "attention must be finite and 0 or more"),
        (np.ones((1, 7, 7)), [(0.5, 0, 0.5, 1)], "left < right and top < bottom in .0, 1., got"),
        (np.ones((1, 7, 7)), [(0, 0, 1.5, 1)], "left < right and top < bottom in .0, 1., got"),
    ],
)
def test_malformed(attention, boxes, message):
    with pytest.raises(ValueError, match=message):
        pointing(attention, boxes)
