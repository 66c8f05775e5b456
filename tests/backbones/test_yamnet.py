import csv
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.yamnet import Yamnet
from avel.errors import WeightsError


@pytest.fixture(scope="module")
def yamnet() -> Yamnet:
    try:
        weights.path("yamnet", offline=True)
    except WeightsError:
        pytest.skip("the weights yamnet are not here (set AVEL_WEIGHTS_DIR)")
    return Yamnet(EngineOptions(device="cpu"))


def top(network: Yamnet, scores: np.ndarray, count: int) -> set[str]:
    assert network.labels is not None
    return {network.labels[index] for index in np.argsort(scores)[::-1][:count]}


def test_labels_are_those_of_the_class_map(yamnet: Yamnet, shared: Path) -> None:
    with (shared / "weights" / "yamnet_class_map.csv").open(encoding="utf-8", newline="") as stream:
        expected = tuple(row["display_name"] for row in csv.DictReader(stream))
    assert yamnet.labels == expected
    assert yamnet.dims == len(expected) == 521


@pytest.mark.parametrize(
    ("clip", "classes"),
    [
        ("dog_bark_02677", {"Dog", "Bark", "Animal", "Domestic animals, pets"}),
        ("dog_bark_02754", {"Dog", "Animal", "Domestic animals, pets"}),
        ("dog_bark_avsync", {"Dog", "Bark", "Animal", "Domestic animals, pets"}),
        ("baby_cry_01951", {"Crying, sobbing", "Baby cry, infant cry"}),
        ("race_car", {"Vehicle", "Car", "Motor vehicle (road)", "Race car, auto racing"}),
        ("speech_nasa", {"Speech"}),
        ("water_cc0", {"Stream", "Water"}),
    ],
)
def test_real_sounds_have_their_classes(
    clip: str, classes: set[str], yamnet: Yamnet, clip_waveforms: Callable[..., Any]
) -> None:
    scores = yamnet(clip_waveforms(clip))
    assert scores.dtype == np.float32
    assert scores.shape[1] == 521
    assert ((scores >= 0) & (scores <= 1)).all()
    assert top(yamnet, scores.mean(axis=0), len(classes)) == classes


def test_silence_is_silence_and_nothing_else(yamnet: Yamnet) -> None:
    scores = yamnet(np.zeros((2, 16000), np.float32))
    assert top(yamnet, scores[0], 1) == {"Silence"}
    assert np.sort(scores[0])[-2] < 0.05


@pytest.mark.parametrize("samples", [1, 400, 8000, 15599, 15600, 16000, 40000])
def test_segments_of_any_length(samples: int, yamnet: Yamnet) -> None:
    waveforms = np.random.default_rng(0).normal(0, 0.1, (2, samples)).astype(np.float32)
    scores = yamnet(waveforms)
    assert scores.shape == (2, 521)
    assert np.isfinite(scores).all()
    assert np.array_equal(yamnet(waveforms[1:])[0], scores[1])


def test_a_short_segment_is_followed_by_silence(yamnet: Yamnet, clip_waveforms: Callable[..., Any]) -> None:
    bark = clip_waveforms("dog_bark_02754")[1:2, :8000]
    assert np.array_equal(yamnet(bark), yamnet(np.pad(bark, ((0, 0), (0, 7600)))))
    assert "Dog" in top(yamnet, yamnet(bark)[0], 3)


def test_a_long_segment_hears_what_any_window_hears(yamnet: Yamnet, clip_waveforms: Callable[..., Any]) -> None:
    assert yamnet.labels is not None
    dog = yamnet.labels.index("Dog")
    bark = clip_waveforms("dog_bark_02754")[1]
    silence = np.zeros(16000 * 4, np.float32)
    long = np.concatenate([silence, bark, silence])[None]
    assert yamnet(long)[0, dog] > 0.4
    assert yamnet(silence[None])[0, dog] < 0.05


def test_embedding_is_what_the_scores_are_made_of(yamnet: Yamnet, clip_waveforms: Callable[..., Any]) -> None:
    network = Yamnet(EngineOptions(device="cpu"), output="embedding")
    assert (network.name, network.dims, network.labels) == ("yamnet-embedding", 1024, None)
    barks, speech = clip_waveforms("dog_bark_02754"), clip_waveforms("speech_nasa")
    embeddings = network(np.concatenate([barks, speech]))
    assert embeddings.shape == (len(barks) + len(speech), 1024)
    assert embeddings.min() >= 0
    # The scores are a linear layer's sigmoid, so it can be found again from the two outputs.
    scores = yamnet(np.concatenate([barks, speech]))
    logits = np.log(np.clip(scores, 1 / 512, 1 - 1 / 512) / (1 - np.clip(scores, 1 / 512, 1 - 1 / 512)))
    speech_class, rows = 0, np.column_stack([embeddings, np.ones(len(embeddings))])
    solution, *_ = np.linalg.lstsq(rows, logits[:, speech_class], rcond=None)
    assert np.corrcoef(rows @ solution, logits[:, speech_class])[0, 1] > 0.99
    units = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    alike = units @ units.T
    assert alike[len(barks) :, len(barks) :].mean() > alike[: len(barks), len(barks) :].mean() + 0.2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yamnet", "yamnet-onnx"])
def test_processors_agree(name: str, weight_file: Callable[[str], Any], hello: Path, tmp_path: Path) -> None:
    """What this processor can against what AVX2 alone can."""
    weight_file(name)
    program = (
        "import sys, numpy as np\n"
        "from avel.backbones.registry import audio_backbone\n"
        "from avel.media.reader import MediaReader\n"
        "with MediaReader(sys.argv[2], sample_rate=16000) as reader:\n"
        "    waveforms = np.stack([segment.waveform for segment in reader])\n"
        "np.save(sys.argv[3], audio_backbone(sys.argv[1])(waveforms))\n"
    )
    scores = []
    for setting in ("DEFAULT", "AVX2"):
        file = tmp_path / f"{setting}.npy"
        environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": setting}
        subprocess.run([sys.executable, "-c", program, name, str(hello), str(file)], env=environment, check=True)
        scores.append(np.load(file))
    assert np.abs(scores[0] - scores[1]).max() < 1e-3


def test_the_record_says_that_it_runs_in_floating_point(yamnet: Yamnet) -> None:
    assert yamnet.record["precision"] == "float32"
    assert yamnet.record["engine"] == "openvino"
    assert yamnet.record["digest"] == weights.digest("yamnet")


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="output must be 'scores' or 'embedding'; got 'logits'"):
        Yamnet(output="logits")  # type: ignore[arg-type]
