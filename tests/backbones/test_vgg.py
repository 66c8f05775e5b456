import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from avel.backbones import vgg, weights
from avel.backbones.engine import EngineOptions
from avel.backbones.vgg import Vgg19
from avel.backbones.vgg_network import Pool5Network, equalize, round_kernels
from avel.errors import WeightsError


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    try:
        return weights.load_tensors("vgg19")
    except WeightsError:
        pytest.skip("the weights vgg19 are not here and cannot be fetched")


def slow_pool5(pictures: np.ndarray, tensors: dict[str, np.ndarray]) -> np.ndarray:
    """Pool5 of (N, H, W, 3) pictures in float64: products of matrices, and nothing of PyTorch's layers."""
    x = pictures.astype(np.float64) / 255
    first = tensors["0.weight"].astype(np.float64)[:, :, 0, 0]
    x = x @ first.T + tensors["0.bias"]
    places = iter([2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51])
    for count in (2, 2, 4, 4, 4):
        for _ in range(count):
            place = next(places)
            kernel = tensors[f"{place}.weight"].astype(np.float64)
            height, width = x.shape[1:3]
            padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
            x = tensors[f"{place}.bias"] + sum(
                padded[:, row : row + height, column : column + width] @ kernel[:, :, row, column].T
                for row in range(3)
                for column in range(3)
            )
            x = np.maximum(x, 0)
        n, height, width, channels = x.shape
        x = x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))
    return x.reshape(len(x), -1, 512)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture(scope="module")
def known(tensors: dict[str, np.ndarray], clip_pictures: Callable[..., Any]) -> tuple[np.ndarray, np.ndarray]:
    """A segment of one frame and its features."""
    pictures = clip_pictures("dog_bark_02754", 1, 1)
    with torch.no_grad():
        return pictures, vgg._pool5("vgg19")(torch.from_numpy(pictures[:, 0])).numpy()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        (EngineOptions(device="cpu", precision="float32"), 1e-4),
        (EngineOptions(device="torch-cpu", precision="float32"), 1e-4),
        (EngineOptions(device="cpu", precision="float16"), 1e-3),
    ],
)
def test_engines_agree_with_the_plain_module(
    options: EngineOptions, tolerance: float, known: tuple[np.ndarray, np.ndarray]
) -> None:
    pictures, expected = known
    backbone = Vgg19(options, frames_per_segment=1)
    features = backbone(pictures)
    assert features.shape == (1, backbone.regions, backbone.dims)
    assert features.dtype == np.float32
    assert relative(features, expected) < tolerance


def test_a_crop_through_the_module_is_the_slow_version(
    tensors: dict[str, np.ndarray], clip_pictures: Callable[..., Any]
) -> None:
    crop = clip_pictures("dog_bark_avsync", 1, 1)[0, :, 64:96, 32:96]
    with torch.no_grad():
        found = vgg._pool5("vgg19")(torch.from_numpy(crop)).numpy()
    assert found.shape == (1, 1 * 2, 512)
    assert relative(found, slow_pool5(crop, tensors)) < 1e-5


@pytest.mark.slow
def test_the_feature_of_a_segment_is_the_mean_over_its_frames(clip_pictures: Callable[..., Any]) -> None:
    pictures = clip_pictures("race_car", 1, 3)
    options = EngineOptions(device="cpu", precision="float32")
    backbone = Vgg19(options, frames_per_segment=3)
    alone = backbone(pictures.transpose(1, 0, 2, 3, 4))
    assert relative(backbone(pictures)[0], alone.mean(axis=0)) < 1e-6
    assert relative(alone[0], alone[2]) > 0.01  # the frames do differ


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("nncf"), reason="NNCF is not installed")
def test_int8_is_near_float(clip_pictures: Callable[..., Any]) -> None:
    # The quantization was chosen with other clips. 4 frames, not 16, leave more error in the mean than vgg.py states.
    pictures = np.concatenate([clip_pictures(name, 2, 4) for name in ("dog_bark_02677", "speech_nasa", "harp_6zlMP")])
    exact = Vgg19(EngineOptions(device="cpu", precision="float32"), frames_per_segment=4)(pictures)
    backbone = Vgg19(EngineOptions(device="cpu", precision="int8"), frames_per_segment=4)
    assert backbone.record["precision"] == "int8"
    assert backbone.record["quantization"].keys() == {"calibration", "prepared", "keep_float", "outliers"}
    found = backbone(pictures)
    cosines = [np.vdot(f, e) / np.linalg.norm(f) / np.linalg.norm(e) for f, e in zip(found, exact, strict=True)]
    assert 1e-3 < relative(found, exact) < 0.04
    assert min(cosines) > 0.997


def test_equalizing_changes_no_bit(tensors: dict[str, np.ndarray], clip_pictures: Callable[..., Any]) -> None:
    crop = torch.from_numpy(clip_pictures("dog_bark_avsync", 1, 1)[0, :, :64, :64].copy())
    network = vgg._pool5("vgg19").eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with torch.no_grad():
        expected = network(crop)
        assert torch.equal(equalize(network, crop.numpy())(crop), expected)
    assert sum(not torch.equal(before[name], tensor) for name, tensor in network.state_dict().items()) > 20


def test_kernels_are_rounded_to_8_bits_and_keep_their_sums() -> None:
    torch.manual_seed(0)
    network = Pool5Network().requires_grad_(False)
    exact = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    round_kernels(network, {"layers.0", "layers.1"})
    assert torch.equal(network.layers[1].weight, exact["layers.1.weight"])
    for place in (3, 35):
        weight, rounded = exact[f"layers.{place}.weight"], network.layers[place].weight
        step = weight.abs().amax((1, 2, 3), keepdim=True) / 127
        steps = rounded / step
        torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)
        torch.testing.assert_close(steps.abs().amax((1, 2, 3)), torch.full((len(steps),), 127.0))
        lost = (rounded - weight) / step
        assert float(lost.abs().max()) <= 1.0001
        assert float(lost.sum((2, 3)).abs().max()) <= 0.5001
        nearest = (weight / step).round() - weight / step
        assert float(lost.sum((2, 3)).square().mean()) < 0.2 * float(nearest.sum((2, 3)).square().mean())


def test_the_original_weights_are_read_as_keras_stores_them(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    stored, channels = {}, 3
    for block, (count, width) in enumerate(((2, 64), (2, 128), (4, 256), (4, 512), (4, 512)), start=1):
        for number in range(1, count + 1):
            layer = f"block{block}_conv{number}"
            kernel = torch.randn((3, 3, channels, width), generator=generator) * (2 / 9 / channels) ** 0.5
            stored[f"{layer}/{layer}_W_1:0"] = kernel
            stored[f"{layer}/{layer}_b_1:0"] = torch.randn(width, generator=generator)
            channels = width
    stored = {name: tensor.numpy() for name, tensor in stored.items()}
    monkeypatch.setattr(weights, "load_tensors", lambda name: stored)
    picture = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)

    named = {"0.weight": np.eye(3)[:, :, None, None], "0.bias": np.zeros(3)}
    places = iter([2, 5, 9, 12, 16, 19, 22, 25, 29, 32, 35, 38, 42, 45, 48, 51])
    for layer, place in zip(dict.fromkeys(name.split("/")[0] for name in stored), places, strict=True):
        named[f"{place}.weight"] = stored[f"{layer}/{layer}_W_1:0"].transpose(3, 2, 0, 1)
        named[f"{place}.bias"] = stored[f"{layer}/{layer}_b_1:0"]
    caffe = picture[..., ::-1].astype(np.float64) - (103.939, 116.779, 123.68)
    with torch.no_grad():
        found = vgg._pool5("vgg19-original")(torch.from_numpy(picture)).numpy()
    assert relative(found, slow_pool5(caffe * 255, named)) < 1e-5


def test_frames_follow_the_segment_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "from_torch", lambda *_, **__: type("Network", (), {"record": {}}))
    assert Vgg19().pictures.frames_per_segment == 16
    assert Vgg19(segment_seconds=0.5).pictures.frames_per_segment == 8
    assert Vgg19(segment_seconds=0.01).pictures.frames_per_segment == 1
    assert Vgg19(segment_seconds=2, frames_per_segment=4).record["frames_per_segment"] == 4
    with pytest.raises(ValueError, match="frames_per_segment must be 1 or more, got 0"):
        Vgg19(frames_per_segment=0)


def test_the_published_recipe_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vgg, "from_torch", lambda *_, **__: type("Network", (), {"record": {}}))
    published = Vgg19(weights_name="vgg19-original", scaling="bilinear", moments="whole-interval")
    assert (published.pictures.scaling, published.pictures.moments) == ("bilinear", "whole-interval")
    assert (published.name, published.record["name"]) == ("vgg19-ave", "vgg19-ave")
    half = Vgg19(weights_name="vgg19-original", scaling="bilinear")
    assert (half.name, half.record["scaling"], half.record["moments"]) == ("vgg19-original", "bilinear", "even")
    with pytest.raises(ValueError, match="scaling must be one of smooth, bilinear; got 'nearest'"):
        Vgg19(scaling="nearest")


def test_other_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="weights_name must be 'vgg19' or 'vgg19-original'; got 'vgg16'"):
        Vgg19(weights_name="vgg16")
