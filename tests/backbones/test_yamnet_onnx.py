from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from avel.backbones.embedded import audioset_classes
from avel.backbones.engine import EngineOptions
from avel.backbones.yamnet_onnx import WEIGHTS, YamnetOnnx


@pytest.fixture(scope="module")
def tagger(weight_file: Callable[[str], Any]) -> YamnetOnnx:
    weight_file(WEIGHTS)
    return YamnetOnnx(EngineOptions(precision="float32"))


def test_classes_are_yamnets(tagger: YamnetOnnx) -> None:
    assert tagger.labels == audioset_classes()
    assert (tagger.dims, len(audioset_classes())) == (521, 521)
    assert tagger.record["precision"] == "float32"


@pytest.mark.parametrize(
    ("clip", "heard"),
    [
        ("bird_0nib7", "Bird"),
        ("baby_cry_01951", "Baby cry, infant cry"),
        ("dog_bark_02754", "Dog"),
        ("harp_6zlMP", "Harp"),
        ("race_car", "Car"),
        ("speech_nasa", "Speech"),
    ],
)
def test_what_is_heard_is_named(clip: str, heard: str, tagger: YamnetOnnx, clip_waveforms: Callable[..., Any]) -> None:
    scores = tagger(clip_waveforms(clip))
    assert scores.min() >= 0
    assert scores.max() <= 1
    surest = np.argsort(-scores.mean(axis=0))[:3]
    assert heard in [audioset_classes()[index] for index in surest]


def test_scores_are_much_like_those_of_the_other_file(
    tagger: YamnetOnnx, weight_file: Callable[[str], Any], clip_waveforms: Callable[..., Any]
) -> None:
    weight_file("yamnet")
    from avel.backbones.yamnet import Yamnet

    waveforms = np.concatenate([clip_waveforms(clip) for clip in ("bird_0nib7", "race_car", "speech_nasa")])
    other = Yamnet()(waveforms)
    assert np.corrcoef(tagger(waveforms).ravel(), other.ravel())[0, 1] > 0.9


def test_the_embedding_is_what_the_classes_are_told_from(
    weight_file: Callable[[str], Any], clip_waveforms: Callable[..., Any]
) -> None:
    weight_file(WEIGHTS)
    embedding = YamnetOnnx(EngineOptions(precision="float32"), output="embedding")
    assert (embedding.name, embedding.dims, embedding.labels) == ("yamnet-onnx-embedding", 1024, None)
    found = embedding(clip_waveforms("race_car")[:2])
    assert found.shape == (2, 1024)
    assert found.min() >= 0
    assert found.std() > 0.1


def test_windows_of_long_segments_are_joined(tagger: YamnetOnnx, clip_waveforms: Callable[..., Any]) -> None:
    long = clip_waveforms("race_car", 2)[:1]
    first, last = long[:, :15600], long[:, -15600:]
    assert (tagger(long) >= np.maximum(tagger(first), tagger(last)) - 1e-4).all()


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="output must be 'scores' or 'embedding'; got 'logits'"):
        YamnetOnnx(output="logits")  # type: ignore[arg-type]
