"""A store that was written before stores got files by subject (commit 47f2ee7), of a clip with flashes and a tone."""

import shutil
from pathlib import Path

import numpy as np

from avel.features.recipe import preset
from avel.features.source import SourceFile
from avel.features.store import FeatureStore

FOLDER = Path(__file__).parent / "written_before"


def test_a_store_of_before_is_read(tmp_path):
    folder = shutil.copytree(FOLDER / "store", tmp_path / "store")
    store = FeatureStore(folder)
    assert store.recipe == preset("fast")
    assert list(store.verify()) == [("flash", [])]
    (row,), damaged = store.index()
    assert not damaged
    assert (row.segments, row.visual_valid, row.audio_valid) == (2, 2, 2)
    stored = store.open("flash")
    assert stored.source.sha256 == SourceFile.of(FOLDER / "flash.mp4").sha256
    assert stored.visual["efficientnet-lite0"].shape == (2, 1, 1000)
    assert np.isclose(stored.visual["efficientnet-lite0"].astype(np.float32).sum(-1), 1, atol=0.01).all()
    assert stored.audio["embedded-embedding"].shape[0] == 2
