from fractions import Fraction
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.media.reader import MediaReader
from avel.media.sound import MonoMixer, SoundPlacer, channel_gains


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


def test_sound_that_waits_for_more_is_resampled_as_if_it_came_at_once():
    sound = np.random.default_rng(0).uniform(-1, 1, 44100).astype(np.float32)
    whole, bit_by_bit = SoundPlacer(16000), SoundPlacer(16000)
    expected = whole.push(sound, 44100, 0.0) + whole.flush()
    found = []
    for first in range(0, len(sound), 1024):
        found += bit_by_bit.push(sound[first : first + 1024], 44100, first / 44100)
    assert 0 < bit_by_bit.next_sample < 16000
    found += bit_by_bit.flush()
    assert np.array_equal(placed(found, 16001)[:16000], placed(expected, 16001)[:16000])


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


def frame_of(channels, layout, rate=16000):
    """A packed frame of (C, S) samples."""
    values = np.asarray(channels, np.float32).T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(values), format="flt", layout=layout)
    frame.sample_rate = rate
    return frame


@pytest.mark.parametrize(
    ("dtype", "name", "full"),
    [("u1", "u8", None), ("i2", "s16", 32768), ("i4", "s32", 2**31), ("f4", "flt", 1), ("f8", "dbl", 1)],
)
@pytest.mark.parametrize("is_planar", [True, False])
def test_every_sample_format_becomes_the_mean_of_left_and_right(dtype, name, full, is_planar):
    left, right = np.array([0.5, -0.5, 0.25]), np.zeros(3)
    values = np.stack([left, right])
    codes = (values * 128 + 128 if full is None else values * full).astype(dtype)
    codes = codes if is_planar else codes.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(codes, format=name + "p" * is_planar, layout="stereo")
    frame.sample_rate = 16000
    assert MonoMixer()(frame) == pytest.approx(left / 2, abs=1e-6)


def test_samples_that_are_no_number_are_silent():
    assert MonoMixer()(frame_of([[np.nan, np.inf, 0.5]], "mono")).tolist() == [0, 0, 0.5]


@pytest.mark.parametrize(
    ("layout", "gains"),
    [
        ("mono", [1]),
        ("stereo", [0.5, 0.5]),
        ("2.1", [0.5, 0.5, 0]),
        ("3.0", [0.5, 0.5, 0.7071]),
        ("quad", [0.5, 0.5, 0.3536, 0.3536]),
        ("5.1", [0.5, 0.5, 0.7071, 0, 0.3536, 0.3536]),
        ("5.1(side)", [0.5, 0.5, 0.7071, 0, 0.3536, 0.3536]),
        ("7.1", [0.5, 0.5, 0.7071, 0, 0.3536, 0.3536, 0.3536, 0.3536]),
        ("3 channels", [1 / 3] * 3),
        ("ambisonic 1", [1, 0, 0, 0]),
    ],
)
def test_each_channel_of_a_layout_has_its_share_of_the_mixture(layout, gains):
    count = av.AudioLayout(layout).nb_channels
    for channel in range(count):
        values = np.zeros((count, 50))
        values[channel] = 0.5
        assert MonoMixer()(frame_of(values, layout)) == pytest.approx(np.full(50, gains[channel] / 2), abs=1e-4)


def test_many_channels():
    for layout in ("hexadecagonal", "22.2", "12 channels"):
        count = av.AudioLayout(layout).nb_channels
        mono = MonoMixer()(frame_of(np.full((count, 40), 0.01), layout))
        names = [channel.name for channel in av.AudioLayout(layout).channels]
        assert mono == pytest.approx(np.full(40, 0.01 * channel_gains(names).sum()), abs=1e-5)


def test_a_mixture_that_is_too_loud_is_turned_down_and_keeps_its_form():
    wave = sine(16000, 0.1)[None] * 2  # full scale
    mono = MonoMixer()(frame_of(np.repeat(wave, 6, axis=0), "5.1"))
    assert np.abs(mono).max() == pytest.approx(1.0, abs=1e-3)
    assert np.corrcoef(mono, wave[0])[0, 1] > 0.99999
    mixer = MonoMixer()
    mixer(frame_of(np.repeat(wave, 6, axis=0), "5.1"))
    later = [mixer(frame_of(np.repeat(wave * 0.1, 6, axis=0), "5.1")) for _ in range(20)]
    assert np.abs(later[-1]).max() == pytest.approx(
        0.1 * channel_gains(["FL", "FR", "FC", "LFE", "BL", "BR"]).sum(), abs=1e-3
    )


def test_the_layout_may_change_from_frame_to_frame():
    mixer = MonoMixer()
    assert mixer(frame_of(np.full((2, 30), 0.5), "stereo")) == pytest.approx(np.full(30, 0.5))
    assert mixer(frame_of(np.full((1, 20), 0.5), "mono")) == pytest.approx(np.full(20, 0.5))
    assert mixer(frame_of(np.eye(6)[2][:, None] * np.full((6, 10), 0.5), "5.1")) == pytest.approx(
        np.full(10, 0.3536), abs=1e-4
    )
    assert mixer(frame_of(np.full((2, 30), 0.5), "stereo", 48000)) == pytest.approx(np.full(30, 0.5))


def test_what_is_read_of_surround_sound_is_packed(tmp_path, monkeypatch):
    """AAC in 5.1 is planar as it is decoded; PyAV's reading of such frames is safe for few layouts."""
    path = tmp_path / "surround.mp4"
    centre = sine(48000, 2.0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="5.1")
        resampler = av.AudioResampler(format="fltp", layout="5.1", rate=48000)
        for first in range(0, len(centre), 1024):
            part = np.zeros((6, len(centre[first : first + 1024])), np.float32)
            part[2] = centre[first : first + 1024]
            frame = frame_of(part, "5.1", 48000)
            frame.pts, frame.time_base = first, Fraction(1, 48000)
            for converted in resampler.resample(frame):
                container.mux(stream.encode(converted))
        container.mux(stream.encode(None))
    seen = []
    from avel.media import sound

    class Frames:
        """PyAV's resampler, whose frames tell how they were when they were read."""

        def __init__(self, *args, **options):
            self.resampler = av.AudioResampler(*args, **options)

        def resample(self, frame):
            frames = self.resampler.resample(frame)
            seen.extend((frame is not None and frame.format.is_planar, out.format.is_planar) for out in frames)
            return frames

    monkeypatch.setattr(sound, "av", SimpleNamespace(**{**vars(av), "AudioResampler": Frames}))
    with MediaReader(path) as reader:
        got = np.concatenate([segment.waveform for segment in reader])
    assert (True, False) in seen
    assert not any(packed for _, packed in seen)
    error = got[2000:30000] - sine(16000, 2.0)[2000:30000] * np.float32(np.sqrt(0.5))
    assert np.sqrt(np.mean(error**2)) < 0.01
