import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import conv3d

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.i3d import FRAMES, WEIGHTS, I3d, _network, kinetics_classes
from avel.backbones.i3d_network import CLASSES, I3dNetwork, Unit3d
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


def test_a_unit_pads_as_tensorflow_does_and_normalizes_without_a_scale() -> None:
    """By hand: for 16 pictures of 10 x 9, 7 wide at every other place, the odd row of zeros comes last."""
    torch.manual_seed(0)
    unit = Unit3d(2, 3, 7, 2).eval()
    unit.normalization.running_mean.normal_()
    unit.normalization.running_var.uniform_(0.5, 2)
    unit.normalization.bias.data.normal_()
    x = torch.randn(1, 2, 16, 10, 9)
    padded = torch.zeros(1, 2, 16 + 5, 10 + 5, 9 + 6)
    padded[:, :, 2:18, 2:12, 3:12] = x
    y = conv3d(padded, unit.convolution.weight, stride=2)
    mean, variance, shift = (
        t[:, None, None, None]
        for t in (unit.normalization.running_mean, unit.normalization.running_var, unit.normalization.bias)
    )
    expected = ((y - mean) / (variance + 1e-3).sqrt() + shift).clamp(min=0)
    with torch.no_grad():
        found = unit(x)
    assert found.shape == (1, 3, 8, 5, 5)
    torch.testing.assert_close(found, expected.detach(), atol=1e-5, rtol=1e-4)


def test_probabilities_of_any_pictures_add_up_to_one() -> None:
    pictures = torch.randint(0, 256, (1, FRAMES, 224, 224, 3), dtype=torch.uint8)
    with torch.no_grad():
        found = I3dNetwork().eval()(pictures)
    assert found.shape == (1, CLASSES)
    torch.testing.assert_close(found.sum(), torch.tensor(1.0))


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
    with torch.no_grad():
        row = pictures[:3].reshape(-1, *pictures.shape[2:])
        chosen = row[np.linspace(0, len(row) - 1, FRAMES).round().astype(int)]
        expected = _network().eval()(torch.from_numpy(chosen[np.newaxis])).numpy()
    assert np.linalg.norm(probabilities[0] - expected) < 1e-3 * np.linalg.norm(expected)


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
        assert np.array_equal(tensors["params|a/b|kernel"].numpy(), kernel)


class _Touch:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("ran"),)  # type: ignore[return-value]


def test_a_pickle_that_names_anything_but_arrays_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _catalogued(pickle.dumps({"params": _Touch()}), tmp_path, monkeypatch)
    with pytest.raises(WeightsError, match=r"arrays.ckpt does not hold arrays alone: it names "):
        weights.load_tensors("arrays")
    assert not (tmp_path / "ran").exists()
