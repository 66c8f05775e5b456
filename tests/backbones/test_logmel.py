import math

import numpy as np
import pytest

from avel.backbones.logmel import LogMel


def slow_log_mel(waveform: np.ndarray, offset: float) -> np.ndarray:
    """The same by definition: a discrete Fourier transform as a sum, and the height of each triangle at each bin."""
    rate, window, hop, fft, bands = 16000, 400, 160, 512, 64
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * n / window) for n in range(window)]
    times = np.arange(window)
    fourier = np.exp(-2j * np.pi * np.outer(np.arange(fft // 2 + 1), times) / fft)

    def mel(hertz: float) -> float:
        return 2595.0 * math.log10(1.0 + hertz / 700.0)

    low, high = mel(125.0), mel(7500.0)
    edges = [low + (high - low) * k / (bands + 1) for k in range(bands + 2)]
    result = []
    for start in range(0, len(waveform) - window + 1, hop):
        magnitude = abs(fourier @ (waveform[start : start + window] * hann))
        row = []
        for band in range(bands):
            left, centre, right = edges[band : band + 3]
            total = 0.0
            for k in range(1, fft // 2 + 1):
                at = mel(k * rate / fft)
                if left < at <= centre:
                    total += magnitude[k] * (at - left) / (centre - left)
                elif centre < at < right:
                    total += magnitude[k] * (right - at) / (right - centre)
            row.append(math.log(total + offset))
        result.append(row)
    return np.array(result)


@pytest.mark.parametrize("offset", [0.001, 0.01])
def test_agrees_with_a_slow_implementation(offset: float) -> None:
    random = np.random.default_rng(3)
    waveform = (0.1 * random.standard_normal(1200) + 0.3 * np.sin(np.arange(1200) * 0.2)).astype(np.float32)
    fast = LogMel(offset=offset)(waveform)
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, slow_log_mel(waveform, offset), atol=2e-4)


def test_one_second_has_98_frames_and_96_need_975_ms() -> None:
    log_mel = LogMel()
    assert log_mel(np.zeros((3, 16000), np.float32)).shape == (3, 98, 64)
    assert log_mel.samples(96) == 15600
    assert log_mel(np.zeros(15600, np.float32)).shape == (96, 64)
    assert log_mel(np.zeros(15599, np.float32)).shape == (95, 64)


def test_silence_is_the_logarithm_of_the_offset() -> None:
    np.testing.assert_allclose(LogMel(offset=0.01)(np.zeros(800, np.float32)), math.log(0.01), rtol=1e-6)


def test_a_tone_is_loudest_in_its_band() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000).astype(np.float32)
    log_mel = LogMel()
    band = int(np.bincount(log_mel(tone).argmax(axis=1)).argmax())
    assert log_mel.triangles[32, band] == log_mel.triangles[32].max()  # bin 32 is 1000 Hz


def test_a_waveform_shorter_than_a_window_is_refused() -> None:
    with pytest.raises(ValueError, match="The waveform has 399 samples; one window needs 400"):
        LogMel()(np.zeros(399, np.float32))


def test_bands_beyond_half_the_sample_rate_are_refused() -> None:
    with pytest.raises(ValueError, match="allowed is 0 <= lowest < highest <= 4000.0 Hz"):
        LogMel(sample_rate=8000)


def test_a_window_longer_than_the_transform_is_refused() -> None:
    with pytest.raises(ValueError, match="The window has 600 samples; fft_length = 512 is shorter"):
        LogMel(window_samples=600)
