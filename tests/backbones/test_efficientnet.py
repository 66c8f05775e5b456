from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avel.backbones import weights
from avel.backbones.efficientnet import EfficientNetLite, imagenet_classes
from avel.backbones.efficientnet_network import scaled_channels
from avel.backbones.engine import EngineOptions
from avel.errors import WeightsError

DOGS = range(151, 269)  # ImageNet's breeds, from Chihuahua to Mexican hairless


@pytest.fixture(scope="module")
def lite0() -> EfficientNetLite:
    try:
        return EfficientNetLite(EngineOptions(device="cpu"))
    except WeightsError:
        pytest.skip("the weights efficientnet-lite0 are not here and cannot be fetched")


def test_classes_are_those_of_imagenet_in_order() -> None:
    classes = imagenet_classes()
    assert len(classes) == 1000
    assert classes[0].startswith("tench")
    assert classes[DOGS[0]].startswith("Chihuahua")
    assert classes[DOGS[-1]].startswith("Mexican hairless")
    assert classes[999].startswith("toilet tissue")


@pytest.mark.parametrize("clip", ["dog_bark_02677", "dog_bark_02754", "dog_bark_avsync", "dog_speech_BjCEu"])
def test_dogs_are_dogs(clip: str, lite0: EfficientNetLite, clip_pictures: Callable[..., Any]) -> None:
    probabilities = lite0(clip_pictures(clip, 3, 4))
    assert probabilities.shape == (3, 1, 1000)
    assert probabilities[:, 0, DOGS].sum(axis=1).mean() > 0.5
    assert probabilities.mean(axis=(0, 1)).argmax() in DOGS


@pytest.mark.parametrize(
    ("clip", "classes"),
    [
        ("harp_6zlMP", ["harp"]),
        ("drum_02480", ["drum", "drumstick"]),
        ("baby_cry_01951", ["diaper", "cradle", "bassinet", "crib"]),
    ],
)
def test_things_are_recognized(
    clip: str, classes: list[str], lite0: EfficientNetLite, clip_pictures: Callable[..., Any]
) -> None:
    mean = lite0(clip_pictures(clip, 3, 4)).mean(axis=(0, 1))
    assert lite0.labels is not None
    assert lite0.labels[mean.argmax()].split(",")[0] in classes


def test_probabilities_are_the_mean_over_frames(lite0: EfficientNetLite, clip_pictures: Callable[..., Any]) -> None:
    pictures = clip_pictures("race_car", 1, 4)
    alone = lite0(pictures.transpose(1, 0, 2, 3, 4))
    together = lite0(pictures)
    assert np.allclose(together[0], alone.mean(axis=0), atol=1e-6)
    assert together.sum() == pytest.approx(1, abs=1e-3)  # in float16 where the processor has it
    assert abs(alone[0] - alone[3]).max() > 0.01


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [
        (EngineOptions(device="cpu", precision="float32"), 1e-4),
        (EngineOptions(device="cpu", precision="float16"), 2e-2),
    ],
)
def test_engines_agree(
    options: EngineOptions, tolerance: float, lite0: EfficientNetLite, clip_pictures: Callable[..., Any]
) -> None:
    pictures = clip_pictures("strings_nEmU3", 1, 4)
    expected = EfficientNetLite(EngineOptions(device="torch-cpu", precision="float32"))(pictures)[0, 0]
    found = EfficientNetLite(options)(pictures)[0, 0]
    assert np.linalg.norm(found - expected) / np.linalg.norm(expected) < tolerance


@pytest.mark.slow
@pytest.mark.parametrize(("name", "side"), [("efficientnet-lite1", 240), ("efficientnet-lite2", 260)])
def test_larger_networks_see_dogs_too(name: str, side: int, clip_pictures: Callable[..., Any]) -> None:
    try:
        weights.path(name)
    except WeightsError:
        pytest.skip(f"the weights {name} are not here and cannot be fetched")
    network = EfficientNetLite(EngineOptions(device="cpu"), name=name, frames_per_segment=2)
    assert (network.pictures.width, network.pictures.height) == (side, side)
    assert network(clip_pictures("dog_bark_02754", 2, 2, side))[:, 0, DOGS].sum(axis=1).mean() > 0.4


def test_int8_runs_in_floating_point(lite0: EfficientNetLite) -> None:
    assert EfficientNetLite(EngineOptions(device="cpu", precision="int8")).record == lite0.record


def test_frames_follow_the_segment_length(lite0: EfficientNetLite) -> None:
    assert lite0.pictures.frames_per_segment == 4
    assert EfficientNetLite(segment_seconds=0.5).pictures.frames_per_segment == 2
    assert EfficientNetLite(segment_seconds=0.01).pictures.frames_per_segment == 1
    with pytest.raises(ValueError, match="frames_per_segment must be 1 or more, got 0"):
        EfficientNetLite(frames_per_segment=0)


def test_channels_are_multiples_of_eight() -> None:
    assert [scaled_channels(channels, 1.1) for channels in (16, 24, 40, 80, 112, 192, 320)] == [
        16,
        24,
        48,
        88,
        120,
        208,
        352,
    ]


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="name must be one of efficientnet-lite0, .*; got 'efficientnet-b0'"):
        EfficientNetLite(name="efficientnet-b0")
