"""The network's layout and front end by hand; real voices in test_voice.py."""

import numpy as np
import pytest

from avel.backbones import weights
from avel.backbones.engine import EngineOptions
from avel.backbones.speaker_gender import BANDS, FRAMES, PATCH_SAMPLES, WEIGHTS, SpeakerGender, normalized, patches
from avel.errors import WeightsError


def test_patches_are_standardized_and_every_15_frames():
    noise = np.random.default_rng(0).normal(0, 0.1, (2, 16000)).astype(np.float32)
    found = patches(noise)
    assert found.shape == (2, 3, FRAMES, BANDS)  # 98 frames
    np.testing.assert_allclose(found.mean(axis=(2, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=(2, 3)), 1, atol=1e-4)
    np.testing.assert_allclose(patches(noise[:, 15 * 160 :])[:, 0], found[:, 1], atol=1e-4)


def test_patches_do_not_depend_on_loudness():
    noise = np.random.default_rng(0).normal(0, 0.1, (1, PATCH_SAMPLES)).astype(np.float32)
    np.testing.assert_allclose(patches(noise), patches(noise * 0.01), atol=1e-3)


def test_a_tone_is_in_the_band_around_it():
    tone = np.sin(2 * np.pi * 1000 * np.arange(PATCH_SAMPLES) / 16000).astype(np.float32)
    mels = 2595 * np.log10(1 + np.array([100, 1000, 8000]) / 700)
    band = round((mels[1] - mels[0]) / (mels[2] - mels[0]) * (BANDS + 1)) - 1
    assert set(patches(tone[None])[0, 0].argmax(axis=1).tolist()) == {band}


def test_the_network_is_the_published_one(weight_file):
    """Layer by layer from the file, in Keras' order of axes."""
    weight_file(WEIGHTS)
    tensors = weights.load_tensors(WEIGHTS)
    by_name = {(name.split("/")[1], name.split("/")[-1]): t for name, t in tensors.items()}
    patch = np.random.default_rng(1).normal(size=(FRAMES, BANDS)).astype(np.float32)

    def normalized(x, number):
        gamma, beta, mean, variance = (
            by_name[f"batch_normalization_{number}", f"{part}:0"]
            for part in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        return np.maximum((x - mean) / np.sqrt(variance + 1e-3) * gamma + beta, 0)

    x = patch[:, :, None]
    for number in range(1, 6):
        kernel, bias = by_name[f"conv2d_{number}", "kernel:0"], by_name[f"conv2d_{number}", "bias:0"]
        height, width = x.shape[0] - 2, x.shape[1] - 2
        x = bias + sum(x[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3))
        x = normalized(x, number)
        if number in (2, 4, 5):
            rows, columns = {2: (1, 2), 4: (2, 2), 5: (28, 1)}[number]
            height, width = x.shape[0] // rows, x.shape[1] // columns
            x = x[: height * rows, : width * columns].reshape(height, rows, width, columns, -1).max(axis=(1, 3))
    x = x.reshape(-1)
    for number in range(1, 6):
        x = x @ by_name[f"dense_{number}", "kernel:0"] + by_name[f"dense_{number}", "bias:0"]
        x = normalized(x, number + 5) if number < 5 else x
    (found,) = SpeakerGender(EngineOptions(device="cpu", precision="float32"))._network(patch[None])
    np.testing.assert_allclose(found[0], x, rtol=1e-3, atol=1e-3)


def test_short_or_silent_sound_says_nothing(weight_file):
    weight_file(WEIGHTS)
    gender = SpeakerGender(EngineOptions(precision="float32"))
    assert not gender(np.zeros((2, 16000), np.float32)).any()
    assert not gender(np.ones((1, PATCH_SAMPLES - 1), np.float32)).any()
    assert gender(np.zeros((0, 16000), np.float32)).shape == (0,)


def test_other_tensors_are_refused():
    with pytest.raises(WeightsError, match="are not laid out as that network's: .* is missing"):
        normalized({"model_weights/conv2d_1/conv2d_1_2/kernel:0": np.zeros((3, 3, 1, 64), np.float32)})
