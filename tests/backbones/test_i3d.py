import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.i3d import WEIGHTS, I3d, kinetics_classes
from avel.backbones.i3d_network import CLASSES
from avel.backbones.weights import WeightFile, entries
from avel.errors import WeightsError
from avel.media.reader import MediaReader


@pytest.fixture(scope="module")
def i3d(weight_file) -> I3d:
    weight_file(WEIGHTS)
    return I3d(EngineOptions(device="cpu", precision="float32"))


def test_classes_are_those_of_kinetics_in_deepminds_order() -> None:
    classes = kinetics_classes()
    assert len(set(classes)) == CLASSES
    assert (classes[0], classes[-1]) == ("abseiling", "zumba")


def test_windows_cover_every_segment_and_are_full_where_they_can_be(i3d: I3d) -> None:
    assert list(i3d._windows(7)) == [(0, 3), (3, 6), (4, 7)]
    assert list(i3d._windows(2)) == [(0, 2)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("clip", "classes"),
    [
        ("harp_6zlMP", {"playing harp"}),
        ("drum_02480", {"playing drums", "playing cymbals"}),
    ],
)
def test_what_people_do_is_named(clip: str, classes: set[str], i3d: I3d, event_clips: Path) -> None:
    with MediaReader(event_clips / f"{clip}.mp4", pictures={"i3d": i3d.pictures}) as reader:
        pictures = np.stack([segment.pictures["i3d"] for segment in reader if segment.visual_valid])
    probabilities = i3d(pictures[:3])
    assert probabilities.shape == (3, 1, CLASSES)
    assert kinetics_classes()[probabilities.mean(axis=(0, 1)).argmax()] in classes
    expected = I3d(EngineOptions(device="torch-cpu", precision="float32"))(pictures[:3])
    assert np.linalg.norm(probabilities - expected) < 1e-3 * np.linalg.norm(expected)
    np.testing.assert_allclose(probabilities.sum(axis=2), 1, atol=1e-4)


# Its file is a pickle.


def _catalogued(content: bytes, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "arrays.ckpt").write_bytes(content)
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    entry = WeightFile("arrays", "arrays.ckpt", "CC0-1.0", len(content), digest, (), "Test data", "This test")
    monkeypatch.setattr(entries, "catalogue", lambda: {"arrays": entry})
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(folder))
    monkeypatch.setenv("AVEL_CACHE_DIR", str(folder / "cache"))


def test_a_pickle_of_arrays_is_read_by_the_keys_that_lead_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    _catalogued(pickle.dumps({"params": {"a/b": {"kernel": kernel}}}, protocol=4), tmp_path, monkeypatch)
    for _ in range(2):  # the file itself, and what it was converted to
        tensors = weights.load_tensors("arrays")
        assert list(tensors) == ["params|a/b|kernel"]
        assert np.array_equal(tensors["params|a/b|kernel"], kernel)


class _Touch:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def test_a_pickle_that_names_anything_but_arrays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _catalogued(pickle.dumps({"params": _Touch()}), tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match=r"arrays.ckpt does not hold arrays alone: it names "):
        weights.load_tensors("arrays")
    assert not (tmp_path / "ran").exists()
