"""VGGish without its weights: random ones stand in for them to compare implementations, and only for that."""

import math

import numpy as np
import pytest

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.vggish import BANDS, FRAMES, Vggish, _module, _network, patches
from avel.errors import WeightsError

CONVOLUTIONS = {0: (1, 64), 3: (64, 128), 6: (128, 256), 8: (256, 256), 11: (256, 512), 13: (512, 512)}
LINEARS = {0: (12288, 4096), 2: (4096, 4096), 4: (4096, 128)}
POOLED_AFTER = (0, 3, 8, 13)


@pytest.fixture(scope="module")
def tensors():
    """Random tensors in the published layout, scaled so that activations keep their size."""
    import torch

    random = torch.Generator().manual_seed(7)
    made = {}
    for place, (channels, width) in CONVOLUTIONS.items():
        made[f"features.{place}.weight"] = torch.randn(width, channels, 3, 3, generator=random) * math.sqrt(
            2 / 9 / channels
        )
        made[f"features.{place}.bias"] = torch.randn(width, generator=random) / 10
    for place, (channels, width) in LINEARS.items():
        made[f"embeddings.{place}.weight"] = torch.randn(width, channels, generator=random) * math.sqrt(2 / channels)
        made[f"embeddings.{place}.bias"] = torch.randn(width, generator=random) / 10
    return {name: tensor.numpy() for name, tensor in made.items()}


def plain_forward(tensors, patch):
    """The network by its published description, in the axis order of AudioSet's code: height, width, channels."""
    x = patch[:, :, None]
    for place in CONVOLUTIONS:
        kernel = tensors[f"features.{place}.weight"].transpose(2, 3, 1, 0)  # (3, 3, in, out)
        height, width, _ = x.shape
        padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        x = tensors[f"features.{place}.bias"] + sum(
            padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
        )
        x = np.maximum(x, 0)
        if place in POOLED_AFTER:
            x = x.reshape(height // 2, 2, width // 2, 2, -1).max(axis=(1, 3))
    assert x.shape == (6, 4, 512)
    x = x.reshape(-1)
    for place in LINEARS:
        x = tensors[f"embeddings.{place}.weight"] @ x + tensors[f"embeddings.{place}.bias"]
        if place != 4:
            x = np.maximum(x, 0)
    return x


@pytest.fixture(scope="module")
def sound():
    """(2, 16000), a tone with noise and a fading chirp."""
    random = np.random.default_rng(5)
    times = np.arange(16000) / 16000
    tone = 0.3 * np.sin(2 * np.pi * 440 * times) + 0.05 * random.standard_normal(16000)
    chirp = np.sin(2 * np.pi * (200 + 3000 * times) * times) * (1 - times)
    return np.stack([tone, chirp]).astype(np.float32)


@pytest.fixture(scope="module")
def expected(tensors, sound):
    return np.stack([plain_forward(tensors, patch) for patch in patches(sound)[:, 0]])


@pytest.fixture
def with_random_weights(tensors, monkeypatch, tmp_path):
    """Nothing that these weights give may stay in the user's cache."""
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(weights, "load_tensors", lambda name: {"vggish": tensors}[name])


def relative(found, expected):
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def slow_patch(second):
    """The patch of one second from the published parameters, sample by sample and band by band."""
    rate, window_seconds, hop_seconds, bands, low_hz, high_hz = 16000, 0.025, 0.010, 64, 125.0, 7500.0
    window, hop = round(window_seconds * rate), round(hop_seconds * rate)
    length = 2 ** math.ceil(math.log2(window))
    mel = [1127 * math.log(1 + k * rate / length / 700) for k in range(length // 2 + 1)]
    low, high = (1127 * math.log(1 + hertz / 700) for hertz in (low_hz, high_hz))
    rows = []
    for frame in range(1 + (len(second) - window) // hop):
        samples = [second[frame * hop + n] * (0.5 - 0.5 * math.cos(2 * math.pi * n / window)) for n in range(window)]
        magnitudes = np.abs(np.fft.fft(samples, length))
        row = []
        for band in range(bands):
            left, centre, right = (low + (high - low) * (band + k) / (bands + 1) for k in range(3))
            total = 0.0
            for k in range(1, length // 2 + 1):  # without the constant part
                height = min((mel[k] - left) / (centre - left), (right - mel[k]) / (right - centre))
                total += magnitudes[k] * max(0.0, height)
            row.append(math.log(total + 0.01))
        rows.append(row)
    assert len(rows) == 98
    return np.array(rows[:96])


def test_a_second_gives_the_published_patch(sound):
    found = patches(sound)
    assert found.shape == (2, 1, 96, 64)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0, 0], slow_patch(sound[0]), atol=2e-3)
    assert relative(found[1, 0], slow_patch(sound[1])) < 3e-5


@pytest.mark.parametrize(("samples", "count"), [(1, 1), (15599, 1), (16000, 1), (30959, 1), (30960, 2), (160000, 10)])
def test_segments_of_any_length_have_whole_patches(samples, count):
    assert patches(np.zeros((3, samples), np.float32)).shape == (3, count, FRAMES, BANDS)


def test_a_short_segment_is_followed_by_silence(sound):
    short = patches(sound[:, :8000])
    np.testing.assert_array_equal(short[:, :, 50:], np.float32(math.log(0.01)))
    np.testing.assert_allclose(short[:, :, :48], patches(sound)[:, :, :48], atol=1e-4)


def test_the_network_is_the_published_one(with_random_weights, sound, expected):
    import torch

    with torch.inference_mode():
        embeddings = _module()(torch.from_numpy(patches(sound)[:, 0])).numpy()
    assert (expected < 0).any()
    assert relative(embeddings, expected) < 1e-5


def test_the_last_relu_can_be_left_out(with_random_weights, sound):
    options = EngineOptions(device="torch-cpu", precision="float32")
    after, before = Vggish(options), Vggish(options, last_relu=False)
    linear = before(sound)
    assert linear.shape == (2, 128)
    assert (linear < 0).any()
    np.testing.assert_array_equal(after(sound), np.maximum(linear, 0))
    assert (after.name, after.record["last_relu"]) == ("vggish", True)
    assert (before.name, before.record["last_relu"]) == ("vggish-no-relu", False)
    assert after.record["digest"] == weights.digest("vggish")


def test_several_patches_are_averaged_after_the_relu(with_random_weights, sound):
    backbone = Vggish(EngineOptions(device="torch-cpu", precision="float32"))
    # The second half starts with the frame that follows the first patch: 96 hops of 160 samples.
    joined = np.concatenate([sound[0, :15360], sound[1]])[None]
    parts = np.stack([joined[0, :15600], joined[0, 15360:30960]])
    assert relative(backbone(joined)[0], backbone(parts).mean(axis=0)) < 1e-6


@pytest.mark.slow
def test_openvino_gives_the_same(with_random_weights, sound, expected):
    found = Vggish(EngineOptions(device="cpu", precision="float32"))(sound)
    assert relative(found, np.maximum(expected, 0)) < 1e-4


def test_other_tensors_are_refused(tensors):
    import torch

    tensors = {name: torch.from_numpy(array) for name, array in tensors.items()}
    with pytest.raises(WeightsError, match=r"embeddings\.4\.bias is missing, not \(128,\)\. Allowed is"):
        _network({name: tensor for name, tensor in tensors.items() if name != "embeddings.4.bias"})
    with pytest.raises(WeightsError, match=r"pca\.matrix is \(2, 2\), not in it"):
        _network({**tensors, "pca.matrix": torch.zeros(2, 2)})
    with pytest.raises(WeightsError, match=r"features\.0\.weight is \(3, 3, 1, 64\), not \(64, 1, 3, 3\)"):
        _network({**tensors, "features.0.weight": torch.zeros(3, 3, 1, 64)})
    with pytest.raises(WeightsError, match="; and 15 more"):
        _network({})


def test_missing_weights_are_asked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("AVEL_OFFLINE", "1")
    monkeypatch.delenv("AVEL_WEIGHTS_DIR", raising=False)
    with pytest.raises(WeightsError, match=r"download https://.*/vggish-10086976\.pth; then put the file"):
        Vggish()
