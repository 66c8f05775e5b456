import numpy as np
import pytest

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.features.extract import Extraction
from avel.media.types import PictureFormat


class Windowed(VisualBackbone):
    """Looks at three segments together; its feature is how many it was given."""

    name = "windowed"
    labels = None
    dims = regions = 1
    pictures = PictureFormat(1, 8, 8)
    window_segments = 3

    def __init__(self):
        self.record = {}

    def __call__(self, pictures):
        return np.full((len(pictures), 1, 1), len(pictures), np.float32)


class Counted(AudioBackbone):
    """Its feature is how many segments it was given."""

    labels = None
    dims = 1
    sample_rate = 8000

    def __init__(self, name):
        self.name, self.record = name, {}

    def __call__(self, waveforms):
        return np.full((len(waveforms), 1), len(waveforms), np.float32)


def test_a_gated_ear_listens_where_it_is_asked_by_what_the_others_hear(clips):
    def after_the_second(batch):
        assert set(batch.audio) == {"ungated"}
        assert not batch.visual
        return np.arange(4) >= 2

    ears = [Counted("gated"), Counted("ungated")]
    with Extraction(clips / "more" / "e.mp4", [], ears, gates={"gated": after_the_second}) as extraction:
        (batch,) = extraction
    assert batch.audio["gated"].ravel().tolist() == [0, 0, 2, 2]
    assert batch.audio["ungated"].ravel().tolist() == [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("wanted", "given"),
    [
        ([0, 0, 0, 0], [0, 0, 0, 0]),
        ([1, 0, 0, 0], [3, 3, 3, 0]),
        ([0, 0, 1, 0], [0, 3, 3, 3]),
        ([1, 0, 0, 1], [4, 4, 4, 4]),
    ],
)
def test_a_gated_backbone_looks_where_it_is_asked_and_in_whole_windows(clips, wanted, given):
    gates = {"windowed": lambda batch: np.array(wanted, bool)}
    with Extraction(clips / "more" / "e.mp4", [Windowed()], [], gates=gates) as extraction:
        (batch,) = extraction
    assert batch.visual["windowed"].ravel().tolist() == given
