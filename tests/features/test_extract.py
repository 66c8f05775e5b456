import numpy as np
import pytest

from avel.backbones.base import VisualBackbone
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
