import sys
from pathlib import Path

import pytest

# Worker processes import the tiny backbones by their name, as they would a user's own.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """A folder of six clips of different colours, tones and lengths, two of them with equal names."""
    from tiny_clips import make_clip

    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(["a.mp4", "b.mp4", "c.mkv", "d.mp4", "more/a.mp4", "more/e.mp4"]):
        colour = (40 * number, 255 - 40 * number, 128)
        make_clip(folder / name, colour, hertz=300 + 500 * number, seconds=1.5 + number / 2)
    return folder


@pytest.fixture
def clip(clips):
    return clips / "a.mp4"
