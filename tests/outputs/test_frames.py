import numpy as np
import pytest
from PIL import Image

from avel.errors import OutputError
from avel.outputs.frames import write_frames
from avel.testing.tone_and_flash import make_clip, picture_number


def test_frames_are_those_on_screen(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 2.0, frame_rate=10)
    wanted = {tmp_path / "out" / f"{n}.jpg": seconds for n, seconds in enumerate((1.25, 0.0, 0.31, 1.99))}
    write_frames(clip, wanted, (64, 64))
    numbers = []
    for path in wanted:
        with Image.open(path) as picture:
            numbers.append(picture_number(np.asarray(picture)))
    assert numbers == [12, 0, 3, 19]


def test_sound_alone_has_no_frames(tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 1.0, video_span=None)
    with pytest.raises(OutputError, match="has no picture, so there are no frames to write"):
        write_frames(clip, {tmp_path / "a.jpg": 0.5}, (64, 64))
