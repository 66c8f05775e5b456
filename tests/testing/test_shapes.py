import av
import numpy as np
import pytest

from avel.testing.shapes import SHAPES, make_shapes_clip, shape_box


def test_shapes_are_seen_and_heard_when_they_should_be(tmp_path):
    path = make_shapes_clip(
        tmp_path / "clip.mkv",
        4.0,
        [("red disc", 0.0, 1.0), ("blue stripes", 0.5, 1.0)],
        seen_only=[("green square", 1.0, 2.0)],
        heard_only=[("red disc", 2.0, 3.0)],
        waveforms=[(3.0, np.full(100_000, 0.25, np.float32))],
    )
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    assert len(frames) == 32

    def share(second, category):
        return (np.abs(frames[round(8 * second)] - SHAPES[category].colour).max(axis=-1) < 30).mean()

    assert [share(0.25, name) > 0.05 for name in SHAPES] == [True, False, False]
    assert share(0.75, "blue stripes") > 0.05
    assert [share(1.5, name) > 0.05 for name in SHAPES] == [False, True, False]
    assert [share(2.5, name) > 0.05 for name in SHAPES] == [False, False, False]
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)]) / 32768
    loudness = [float(np.sqrt((sound[i * 16000 : (i + 1) * 16000] ** 2).mean())) for i in range(4)]
    assert min(loudness[0], loudness[2]) > 0.1
    assert loudness[1] < 0.02
    assert loudness[3] == pytest.approx(0.25, abs=0.01)


def test_equal_seeds_give_equal_shapes_and_unknown_ones_are_refused(tmp_path):
    events = [("red disc", 0.0, 1.0)]
    one, same, other = (
        make_shapes_clip(tmp_path / f"{i}.mkv", 1.0, events, seed=seed).read_bytes() for i, seed in enumerate((1, 1, 2))
    )
    assert one != other
    assert len(one) == len(same)
    with pytest.raises(ValueError, match="Unknown category 'cow'. There are: red disc, green square, blue stripes"):
        make_shapes_clip(tmp_path / "x.mkv", 1.0, [("cow", 0, 1)])


@pytest.mark.parametrize("category", SHAPES)
def test_shapes_are_at_the_place_that_they_are_given(tmp_path, category):
    place, size = (0.7, 0.3), 0.4
    events = [(category, 0.0, 1.0)]
    path = make_shapes_clip(tmp_path / "a.mkv", 2.0, events, frame_rate=2, places=[place], size=size)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    changed = np.abs(frames[0] - frames[-1]).max(axis=2) > 60
    np.testing.assert_array_equal(np.abs(frames[1] - frames[-1]).max(axis=2) > 60, changed)  # it stays
    rows, columns = np.nonzero(changed)
    left, top, right, bottom = shape_box(place, size)
    assert (columns.min() / 160, (columns.max() + 1) / 160) == pytest.approx((left, right), abs=0.08)
    assert (rows.min() / 120, (rows.max() + 1) / 120) == pytest.approx((top, bottom), abs=0.02)
    with pytest.raises(ValueError, match="There are 2 places for 1 shapes"):
        make_shapes_clip(tmp_path / "b.mkv", 1.0, events, places=[place, place])
