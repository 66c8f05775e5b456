import numpy as np
from blows import AT, blows

from avel.synchrony.changes import moments
from avel.synchrony.witness import WitnessStream, witness

RATE = moments(1.0)


def segments(seconds, at, shift=0.0, seed=0):
    """What the backbones give of a made video, without a gap."""
    motion, sound = blows(seconds, at, shift, seed, rate=RATE)
    count = round(seconds)
    return (
        motion.reshape(count, RATE, 64).transpose(0, 2, 1),
        sound.reshape(count, RATE, 2).transpose(0, 2, 1).reshape(count, 2 * RATE),
    )


def test_what_belongs_together_is_confirmed_where_it_is():
    found = witness(*segments(10, AT), 1.0)
    assert found.confidence.shape == (10,)
    assert (found.confidence[2:8] > 0.5).all()
    assert {int(grid.argmax()) for grid in found.blocks[2:8]} == {27}
    np.testing.assert_allclose(found.blocks.sum(axis=(1, 2)), found.confidence >= 0.5, atol=1e-5)


def test_what_does_not_is_hardly_ever():
    motion, _ = segments(10, AT)
    shares = []
    for seed in range(8):
        times = np.cumsum(np.random.default_rng(seed).uniform(0.4, 1.6, 9))
        _, other = segments(10, times[times < 9.5], seed=seed)
        found = witness(motion, other, 1.0)
        assert not found.blocks[found.confidence < 0.5].any()
        shares.append((found.confidence >= 0.5).mean())
    assert np.mean(shares) < 0.15


def test_what_could_not_be_read_is_not_confirmed():
    motion, onsets = segments(10, AT)
    every, readable = np.ones(10, bool), np.arange(10) != 5
    for valid in ((every, readable), (readable, every)):
        stream = WitnessStream(1.0)
        stream.add(motion, onsets, *valid)
        assert stream.result().confidence[5] == 0


def test_a_long_video_is_judged_while_it_is_read():
    times = np.cumsum(np.random.default_rng(2).uniform(0.5, 1.5, 80))
    motion, onsets = segments(70, times[times < 69])
    stream, seen = WitnessStream(1.0), []
    for start in range(0, 70, 7):
        part = slice(start, start + 7)
        stream.add(motion[part], onsets[part], np.ones(7, bool), np.ones(7, bool))
        seen.append(stream.result().deviations)
        assert len(seen[-1]) == start + 7
    assert len(stream._rows) < 45  # it does not keep the video
    whole = witness(motion, onsets, 1.0)
    np.testing.assert_allclose(seen[-1], whole.deviations)
    np.testing.assert_allclose(seen[4][:10], whole.deviations[:10])  # what was said of the beginning stays
    assert (whole.confidence[3:66] > 0.5).mean() > 0.9


def test_a_video_of_a_second_says_nothing():
    found = witness(*segments(1, AT), 1.0)
    assert found.deviations.tolist() == [-np.inf]
    assert found.confidence.tolist() == [0]
