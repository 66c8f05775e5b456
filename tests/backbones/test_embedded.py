"""The tagger that ships. How well it hears in general is measured in shipped_weights/audio_tagger/MODEL_CARD.md."""

import hashlib
import json
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from avel.backbones.embedded import FILE_NAME, Embedded
from avel.backbones.embedded_network import TaggerNetwork
from avel.backbones.engine import EngineOptions
from avel.errors import WeightsError
from avel.media.reader import MediaReader

FILE = Path(str(resources.files("avel.backbones") / "data" / FILE_NAME))
SPEECH = "Speech"


@pytest.fixture(scope="module")
def tagger() -> Embedded:
    return Embedded()


def waveforms(clip: Path) -> np.ndarray:
    with MediaReader(clip, sample_rate=16000) as reader:
        return np.stack([segment.waveform for segment in reader])


def write(path: Path, tensors: dict[str, torch.Tensor], **description: object) -> Path:
    save_file(tensors, path, metadata={"audio_tagger": json.dumps(description)})
    return path


def test_the_file_is_small_and_says_how_it_was_made(tagger: Embedded) -> None:
    assert FILE.stat().st_size <= 5_000_000
    assert tagger.record["digest"] == "sha256:" + hashlib.sha256(FILE.read_bytes()).hexdigest()
    assert tagger.record["training"].startswith("sha256:")
    assert tagger.record["name"] == tagger.name == "embedded"


def test_classes_are_yamnets_in_its_order(tagger: Embedded, weight_file: Callable[[str], Path]) -> None:
    weight_file("yamnet")
    from avel.backbones.yamnet import Yamnet

    assert tagger.labels == Yamnet().labels
    assert tagger.dims == 521


@pytest.mark.parametrize(("output", "dims"), [("scores", 521), ("embedding", 1024)])
@pytest.mark.parametrize("shape", [(1, 1), (3, 16000), (2, 40000)])
def test_one_row_a_segment(output: str, dims: int, shape: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    features = Embedded(output=output)(0.1 * random.standard_normal(shape).astype(np.float32))  # type: ignore[arg-type]
    assert features.shape == (shape[0], dims)
    assert features.dtype == np.float32
    assert features.min() >= 0
    if output == "scores":
        assert features.max() <= 1


def test_a_long_segment_has_what_any_part_of_it_has(tagger: Embedded, hello: Path) -> None:
    sound = waveforms(hello)
    joined = np.concatenate([np.zeros(32000, np.float32), sound[:2].ravel()])[None]
    speech = tagger.labels.index(SPEECH)
    assert tagger(joined)[0, speech] >= 0.5
    assert tagger(joined[:, :32000])[0, speech] < 0.1


def test_engines_agree(event_clips: Path) -> None:
    sound = waveforms(event_clips / "dog_bark_avsync.mp4")
    exact = Embedded(EngineOptions(device="torch-cpu", precision="float32"), output="embedding")(sound)
    converted = Embedded(EngineOptions(device="cpu", precision="float32"), output="embedding")(sound)
    assert np.linalg.norm(converted - exact) <= 1e-4 * np.linalg.norm(exact)


def test_the_network_is_the_one_that_was_trained() -> None:
    trained = TaggerNetwork(521).eval()
    trained.load_state_dict({name: tensor.float() for name, tensor in load_file(FILE).items()})
    patches = np.random.default_rng(0).normal(size=(3, 96, 64)).astype(np.float32)
    with torch.no_grad():
        logits, embeddings = trained(torch.from_numpy(patches))
    for output, expected in (("scores", logits.sigmoid()), ("embedding", embeddings)):
        (found,) = Embedded(EngineOptions(device="cpu", precision="float32"), output=output)._network(patches)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("level", [0.0, 1e-5])
def test_silence_is_no_event(tagger: Embedded, level: float) -> None:
    silence = level * np.random.default_rng(0).standard_normal((2, 16000)).astype(np.float32)
    scores = tagger(silence)
    ambient = tagger.labels.index("Silence")
    assert (scores[:, ambient] > 0.5).all()
    assert np.delete(scores, ambient, axis=1).max() < 0.2


def test_hears_the_man_in_hello_while_he_speaks(tagger: Embedded, hello: Path) -> None:
    """He speaks in seconds 0 to 3 and again in 6 to 7. The clip was not in the training."""
    speech = tagger(waveforms(hello))[:, tagger.labels.index(SPEECH)]
    assert (speech[[0, 1, 2, 6]] >= 0.2).all()


@pytest.mark.parametrize(
    ("clip", "label"),
    [
        ("dog_bark_02677.mp4", "Dog"),
        ("dog_bark_02754.mp4", "Dog"),
        ("dog_bark_avsync.mp4", "Dog"),
        ("baby_cry_01951.mp4", "Baby cry, infant cry"),
        ("speech_nasa.mp4", SPEECH),
        ("speech_friday_cc0.mp4", SPEECH),
    ],
)
def test_hears_real_clips(tagger: Embedded, event_clips: Path, clip: str, label: str) -> None:
    """None of them was in the training."""
    heard = tagger(waveforms(event_clips / clip))[:, tagger.labels.index(label)]
    assert (heard >= 0.2).sum() >= 2


def test_no_dog_where_there_is_none(tagger: Embedded, event_clips: Path) -> None:
    for clip in ("speech_nasa.mp4", "water_cc0.mp4", "strings_nEmU3.mp4"):
        dog = tagger(waveforms(event_clips / clip))[:, tagger.labels.index("Bark")]
        assert dog.max() < 0.2, clip


def test_every_parameter_learns() -> None:
    network = TaggerNetwork(5, normalized=True)
    logits, embedding = network(torch.randn(3, 96, 64))
    (logits.sum() + embedding.sum()).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_another_output_is_refused() -> None:
    with pytest.raises(ValueError, match="output must be 'scores' or 'embedding'; got 'logits'"):
        Embedded(output="logits")  # type: ignore[arg-type]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.safetensors cannot be read \(No such file"):
        Embedded(path=tmp_path / "none.safetensors")


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "large.safetensors"
    path.write_bytes(bytes(5_000_001))
    with pytest.raises(WeightsError, match="has more than 5000000 bytes"):
        Embedded(path=path)


def test_weights_without_a_description_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(WeightsError, match="does not describe an audio tagger in its header"):
        Embedded(path=path)
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(WeightsError, match="does not describe an audio tagger in its header"):
        Embedded(path=path)


def test_other_tensors_are_refused(tmp_path: Path, tagger: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    tensors = load_file(FILE)
    del tensors["head.bias"]
    path = write(tmp_path / "less.safetensors", tensors, classes=list(tagger.labels), log_mel={}, training="none")
    with pytest.raises(
        WeightsError, match=r"less\.safetensors does not .* tensors: head\.bias is missing, not \(521,\)"
    ):
        Embedded(path=path)(np.zeros((1, 16000), np.float32))
