import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.localization.windows import Windows, slide


@st.composite
def cuts(draw):
    length = draw(st.integers(1, 12))
    return Windows(length, draw(st.integers(0, length - 1)))


def batches_of(array, size):
    return ({"x": array[i : i + size]} for i in range(0, len(array), size))


def joined(parts, name="y"):
    return np.concatenate([part[name] for part in parts if part])


@given(cuts(), st.integers(1, 60), st.integers(1, 9))
def test_a_model_of_single_segments_answers_as_on_the_whole_video(windows, count, batch):
    values = np.random.default_rng(count).normal(size=(count, 3)).astype(np.float32)

    def local(arrays, valid):
        return {"y": np.tanh(arrays["x"]) ** 3, "z": arrays["x"][:, 0]}

    parts = list(slide(batches_of(values, batch), windows, local))
    np.testing.assert_array_equal(joined(parts), np.tanh(values) ** 3)
    np.testing.assert_array_equal(joined(parts, "z"), values[:, 0])


@given(st.integers(3, 12), st.integers(1, 60), st.integers(1, 9), st.data())
def test_a_model_that_looks_at_neighbours_answers_as_on_the_whole_video(length, count, batch, data):
    windows = Windows(length, data.draw(st.integers(2, length - 1)))
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)

    def between(arrays, valid):
        x = arrays["x"] * valid
        return {"y": x + 2 * np.append(x[1:], 0) - 3 * np.append(0, x[:-1])}

    whole = between({"x": values}, np.ones(count, bool))["y"]
    np.testing.assert_array_equal(joined(slide(batches_of(values, batch), windows, between)), whole)


@given(cuts(), st.integers(1, 60), st.integers(1, 9))
def test_weights_of_windows_add_up_to_1_and_are_none_outside(windows, count, batch):
    seen = []

    def which(arrays, valid):
        """Each window says its own number, so that what comes out is its weight."""
        seen.append(arrays["x"][valid])
        weights = np.zeros((windows.length, 80))
        weights[:, len(seen) - 1] = 1
        return {"y": weights}

    weights = joined(slide(batches_of(np.arange(count), batch), windows, which))
    assert weights.shape == (count, 80)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert (weights >= 0).all()
    for number, segments in enumerate(seen):
        assert set(np.flatnonzero(weights[:, number])) <= set(segments.tolist())
    assert {int(t) for segments in seen for t in segments} == set(range(count))


@given(st.integers(2, 12), st.integers(1, 60))
def test_windows_are_full_but_in_a_video_shorter_than_one(length, count):
    valids = []

    def keep(arrays, valid):
        assert len(arrays["x"]) == len(valid) == length
        assert not arrays["x"][~valid].any()
        valids.append(valid)
        return {"y": arrays["x"]}

    list(slide(batches_of(np.ones(count), 5), Windows.half_overlapping(length), keep))
    if count >= length:
        assert all(valid.all() for valid in valids)
    else:
        (valid,) = valids
        assert valid.tolist() == [True] * count + [False] * (length - count)


def test_windows_that_disagree_are_crossfaded_without_a_jump():
    numbers = iter(range(100))

    def disagree(arrays, valid):
        return {"y": np.full(10, float(next(numbers)))}

    found = joined(slide(batches_of(np.zeros(32), 8), Windows(10, 5), disagree))
    steps = np.diff(found)
    assert found[0] == 0
    assert found[-1] == 5  # starts 0, 5, 10, 15, 20, and 22
    assert (steps >= 0).all()
    assert steps.max() <= 0.5


def test_segments_come_while_the_video_is_read_and_little_is_held():
    held = []

    def video():
        for t in range(0, 1000, 8):
            held.append(t - len(done))
            yield {"x": np.zeros((8, 2))}

    done = []

    def run(arrays, valid):
        return {"y": arrays["x"]}

    for part in slide(video(), Windows(10, 5), run):
        done.extend(part.get("y", ()))
    assert len(done) == 1000
    assert max(held) <= 20


def test_no_segment_gives_none():
    assert list(slide(iter(()), Windows(10, 5), lambda arrays, valid: arrays)) == []


@pytest.mark.parametrize(
    ("length", "overlap", "message"),
    [
        (0, 0, "A window has 1 segment or more, got 0"),
        (10, 10, "Windows of 10 segments overlap by 0 to 9, got 10"),
        (10, -1, "overlap by 0 to 9, got -1"),
    ],
)
def test_impossible_windows(length, overlap, message):
    with pytest.raises(ValueError, match=message):
        Windows(length, overlap)
