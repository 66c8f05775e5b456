import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.media.sound import SoundPlacer, to_mono


def sine(rate, seconds, hertz=440.0, start=0.0):
    return (0.5 * np.sin(2 * np.pi * hertz * (start + np.arange(round(rate * seconds)) / rate))).astype(np.float32)


def placed(pieces, length):
    timeline = np.full(length, np.nan, dtype=np.float32)
    for position, samples in pieces:
        assert np.isnan(timeline[position : position + len(samples)]).all(), "a sample was placed twice"
        timeline[position : position + len(samples)] = samples
    return timeline


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 44100, 48000, 96000])
def test_resampled_sound_is_in_its_place_to_the_sample(rate):
    placer = SoundPlacer(16000)
    sound = sine(rate, 2.0)
    pieces = []
    for first in range(0, len(sound), 1024):
        # Times as Matroska has them, rounded to milliseconds.
        pieces += placer.push(sound[first : first + 1024], rate, 0.25 + round(first / rate, 3))
    pieces += placer.flush()
    timeline = placed(pieces, 16000 * 3)
    assert np.isnan(timeline[:4000]).all()
    assert np.abs(timeline[4200:35800] - sine(16000, 2.0)[200:-200]).max() < 1e-4


def test_a_gap_stays_a_gap_and_what_follows_is_in_its_place():
    placer = SoundPlacer(16000)
    pieces = placer.push(sine(48000, 0.5), 48000, 0.0)
    pieces += placer.push(sine(48000, 0.5, start=1.0), 48000, 1.0)
    pieces += placer.flush()
    timeline = placed(pieces, 16000 * 2)
    assert np.isnan(timeline[8000:16000]).all()
    assert np.abs(timeline[16200:23800] - sine(16000, 0.5, start=1.0)[200:-200]).max() < 1e-4


def test_overlapping_sound_is_cut():
    placer = SoundPlacer(16000)
    pieces = placer.push(sine(16000, 0.5), 16000, 0.0)
    pieces += placer.push(sine(16000, 0.5, start=0.25), 16000, 0.25)
    pieces += placer.push(sine(16000, 0.1), 16000, 0.1)
    pieces += placer.flush()
    timeline = placed(pieces, 16000)
    assert np.isnan(timeline[12000:]).all()
    assert np.abs(timeline[:12000] - sine(16000, 0.75)).max() < 1e-6


def test_sound_before_zero_is_cut():
    placer = SoundPlacer(16000)
    pieces = placer.push(sine(16000, 0.5, start=-0.1), 16000, -0.1) + placer.flush()
    assert pieces[0][0] == 0
    assert np.abs(placed(pieces, 16000)[:6400] - sine(16000, 0.4)).max() < 1e-6


def test_a_change_of_rate_goes_on_in_place():
    placer = SoundPlacer(16000)
    pieces = placer.push(sine(48000, 0.5), 48000, 0.0)
    pieces += placer.push(sine(22050, 0.5, start=0.5), 22050, 0.5)
    pieces += placer.flush()
    timeline = placed(pieces, 16000)
    assert np.abs(timeline[8200:15800] - sine(16000, 0.5, start=0.5)[200:-200]).max() < 1e-4


@given(
    st.lists(st.tuples(st.floats(-1, 5), st.integers(1, 3000), st.sampled_from([8000, 16000, 44100])), max_size=12),
    st.sampled_from([8000, 16000, 22050]),
)
def test_no_sample_is_placed_twice_or_out_of_order(pieces, rate):
    placer = SoundPlacer(rate)
    ready = []
    for start, count, piece_rate in pieces:
        ready += placer.push(np.ones(count, dtype=np.float32), piece_rate, start)
    ready += placer.flush()
    end = 0
    for position, samples in ready:
        assert position >= end
        end = position + len(samples)


@pytest.mark.parametrize(
    ("dtype", "name", "full"),
    [("u1", "u8", None), ("i2", "s16", 32768), ("i4", "s32", 2**31), ("f4", "flt", 1), ("f8", "dbl", 1)],
)
@pytest.mark.parametrize("is_planar", [True, False])
def test_every_sample_format_becomes_the_mean_of_its_channels(dtype, name, full, is_planar):
    left, right = np.array([0.5, -0.5, 0.25]), np.zeros(3)
    values = np.stack([left, right])
    codes = (values * 128 + 128 if full is None else values * full).astype(dtype)
    codes = codes if is_planar else codes.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(codes, format=name + "p" * is_planar, layout="stereo")
    assert to_mono(frame) == pytest.approx(left / 2, abs=1e-6)


def test_samples_that_are_no_number_are_silent():
    values = np.array([[np.nan, np.inf, 0.5]], dtype=np.float32)
    assert to_mono(av.AudioFrame.from_ndarray(values, format="flt", layout="mono")).tolist() == [0, 0, 0.5]
