import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.testing.tone_and_flash import draw_picture, is_flash, make_clip, picture_number, tone_waveform


@given(st.integers(0, 2**16 - 1), st.booleans(), st.integers(32, 200), st.integers(32, 200))
def test_a_picture_tells_its_number_and_whether_it_flashes_at_any_size(number, flashes, width, height):
    picture = draw_picture(number, flashes, width, height)
    assert picture.shape == (height, width, 3)
    assert picture_number(picture) == number
    assert is_flash(picture) == flashes


def test_the_tone_sounds_during_events_only():
    tone = tone_waveform(2.0, [(0.5, 1.0)], 8000, tone_hertz=1000.0)
    assert tone.shape == (16000,)
    assert not tone[:4000].any()
    assert not tone[8000:].any()
    assert tone[4002] == pytest.approx(0.5)  # a quarter of the tone's period after its start


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.avi", "clip.ts"])
def test_a_clip_has_the_pictures_and_the_sound_that_were_asked_for(tmp_path, name):
    path = make_clip(tmp_path / name, 1.0, events=[(0.4, 0.6)], frame_rate=10)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert [picture_number(frame) for frame in frames] == list(range(10))
    assert [is_flash(frame) for frame in frames] == [n in (4, 5) for n in range(10)]
    with av.open(str(path)) as container:
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    assert 1.0 <= len(sound) / 16000 < 1.2
