import numpy as np
import pytest
from scipy.signal import sawtooth

from avel.backbones.voice import Voice

RATE = 16000


def voiced(hz, seconds=1.0, level=0.1):
    t = np.arange(int(seconds * RATE)) / RATE
    return (level * sawtooth(2 * np.pi * hz * t)).astype(np.float32)


@pytest.mark.parametrize("hz", [85, 110, 140, 200, 260, 320])
def test_pitch_of_a_periodic_sound(hz):
    assert np.median(Voice().pitches(voiced(hz))) == pytest.approx(hz, rel=0.02)


def test_low_and_high_voices():
    scores = Voice()(np.stack([voiced(110), voiced(220)]))
    assert scores.shape == (2, 2)
    assert scores[0, 0] > 0.9 > 0.2 > scores[0, 1]
    assert scores[1, 1] > 0.9 > 0.2 > scores[1, 0]


def test_noise_silence_and_short_sounds_have_no_voice():
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert not Voice()(np.stack([noise, np.zeros(RATE, np.float32)])).any()
    assert not Voice()(voiced(110, seconds=0.02)[None]).any()
