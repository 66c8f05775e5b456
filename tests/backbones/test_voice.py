import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import sawtooth

from avel.backbones.engine import EngineOptions
from avel.backbones.speaker_gender import WEIGHTS
from avel.backbones.voice import HIGHEST_MALE_HZ, LOWEST_FEMALE_HZ, REFERENCE_HZ, Voice, voice_scores

RATE = 16000


@pytest.fixture(scope="module")
def voice(weight_file):
    weight_file(WEIGHTS)
    return Voice(EngineOptions(precision="float32"))


def voiced(hz, seconds=1.0, level=0.1):
    t = np.arange(int(seconds * RATE)) / RATE
    return (level * sawtooth(2 * np.pi * hz * t)).astype(np.float32)


def evidence(hz, odds, segments=5, share=0.6):
    return np.tile(np.array([share, odds, np.log2(hz / REFERENCE_HZ)], np.float32), (segments, 1))


@pytest.mark.parametrize("hz", [85, 110, 140, 200, 260, 320])
def test_pitch_of_a_periodic_sound(voice, hz):
    assert np.median(voice.pitches(voiced(hz))) == pytest.approx(hz, rel=0.02)


def test_noise_silence_and_short_sounds_have_no_voice(voice):
    noise = np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32)
    assert not voice(np.stack([noise, np.zeros(RATE, np.float32)])).any()
    assert not voice(voiced(110, seconds=0.02)[None]).any()


def test_evidence_does_not_depend_on_the_other_segments(voice):
    waveforms = np.stack([voiced(110), np.zeros(RATE, np.float32), voiced(220)])
    together = voice(waveforms)
    np.testing.assert_allclose(together, np.concatenate([voice(w[None]) for w in waveforms]), atol=1e-3)
    assert together[0, 2] == pytest.approx(np.log2(110 / REFERENCE_HZ), abs=0.05)


def test_both_witnesses_have_to_be_clear():
    speech = np.ones(5, np.float32)

    def says(hz, odds):
        low, high = voice_scores(evidence(hz, odds), speech, 1.0)[2]
        return "low" if low else "high" if high else None

    assert says(110, 10) == "low"
    assert says(210, -8) == "high"
    assert says(210, 10) is None  # a man who speaks high, or a woman in noise
    assert says(110, -8) is None
    assert says(165, 10) is None
    assert says(110, 1) is None
    assert says(HIGHEST_MALE_HZ - 1, 4.1) == "low"
    assert says(LOWEST_FEMALE_HZ + 1, -3.1) == "high"


def test_it_takes_seconds_of_voice():
    speech = np.ones(9, np.float32)
    one = np.zeros((9, 3), np.float32)
    one[4] = evidence(110, 10, 1, share=0.5)
    assert not voice_scores(one, speech, 1.0).any()
    one[5] = evidence(110, 10, 1, share=0.5)
    assert voice_scores(one, speech, 1.0)[:, 0].astype(bool).tolist() == [False] * 3 + [True] * 4 + [False] * 2


def test_two_speakers_in_turn_are_not_one():
    turns = np.concatenate([evidence(110, 10, 1), evidence(210, -8, 1)] * 4)
    assert not voice_scores(turns, np.ones(8, np.float32), 1.0)[2:-2].any()


def test_what_is_no_speech_does_not_count():
    mixed = np.concatenate([evidence(110, 10, 3), evidence(380, -20, 3)])
    heard = np.array([1, 1, 1, 0, 0, 0], np.float32)
    low, high = voice_scores(mixed, heard, 1.0).T
    assert low[:3].all()
    assert not high.any()


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(-20, 20), st.floats(-1.2, 1.2), st.floats(0, 1)), min_size=1, max_size=12
    ),
    st.sampled_from([0.2, 0.5, 1.0, 3.0, 10.0]),
)
def test_scores_are_nothing_or_one_voice(rows, seconds):
    array = np.array(rows, np.float32)
    scores = voice_scores(array[:, :3], array[:, 3], seconds)
    assert scores.shape == (len(rows), 2)
    assert ((scores == 0) | ((scores >= 0.5) & (scores <= 1))).all()
    assert not scores.all(axis=1).any()


@pytest.mark.parametrize(
    ("clip", "start", "end", "said"),
    [
        ("events/speech_nasa", 0, 12, "low"),
        ("events2/podium_speech", 1, 8, "low"),
        ("events2/reportage_narrated", 5, 11, "low"),
        ("events2/stage_hosts", 0, 10, "high"),
        ("events2/axe_chopping", 0, 8, None),  # a man who shouts at 220 Hz
    ],
)
def test_real_voices(voice, shared, clip, start, end, said):
    from avel.media.reader import MediaReader

    with MediaReader(shared / "data" / "media" / f"{clip}.mp4", sample_rate=RATE) as reader:
        found = voice(np.stack([segment.waveform for segment in reader])[start:end])
    low, high = voice_scores(found, np.ones(len(found), np.float32), 1.0).astype(bool).T
    assert (low.mean() > 0.7, high.mean() > 0.7) == (said == "low", said == "high")
    assert not (low if said == "high" else high if said == "low" else low | high).any()
