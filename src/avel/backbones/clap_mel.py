"""Log-mel spectrograms as LAION's CLAP takes them (Wu et al., ICASSP 2023, arXiv:2211.06687), of 10 s at 48 kHz.

Powers of a short-time Fourier transform whose frames are centred, summed by triangles of Slaney's mel scale and norm
("Auditory Toolbox", 1998), in decibels. A shorter sound is repeated, and then followed by silence, to fill 10 s.
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats

SAMPLE_RATE = 48000
SAMPLES = 10 * SAMPLE_RATE
BANDS = 64
FRAMES = 1001

_FFT = 1024
_HOP = 480
_LOWEST_HZ, _HIGHEST_HZ = 50.0, 14000.0
_LEAST_POWER = 1e-10


def filled(waveforms: Floats) -> Floats:
    """(T, N) sounds of at most 10 s to (T, SAMPLES): repeated as often as they fit whole, then silence."""
    count = SAMPLES // waveforms.shape[1]
    repeated = np.tile(waveforms, (1, count))
    return np.pad(repeated, ((0, 0), (0, SAMPLES - repeated.shape[1])))


def clap_mel(waveforms: Floats) -> Floats:
    """(T, SAMPLES) to (T, FRAMES, BANDS) decibels."""
    padded = np.pad(waveforms, ((0, 0), (_FFT // 2, _FFT // 2)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT, axis=-1)[:, ::_HOP]
    phase = 2 * np.pi * np.arange(_FFT) / _FFT
    window = (0.5 - 0.5 * np.cos(phase)).astype(np.float32)
    powers = np.abs(np.fft.rfft(frames * window, axis=-1)) ** 2
    return np.asarray(10 * np.log10(np.maximum(powers @ _triangles(), _LEAST_POWER)), np.float32)


@cache
def _triangles() -> Floats:
    """(513, BANDS), each of the same area."""
    edges = _hertz(np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2))
    bins = np.linspace(0, SAMPLE_RATE / 2, _FFT // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2]), np.float32)


def _mel(hertz: float) -> float:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    return 3 * hertz / 200 if hertz < 1000 else 15 + 27 * float(np.log(hertz / 1000) / np.log(6.4))


def _hertz(mels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(mels < 15, 200 * mels / 3, 1000 * np.exp(np.log(6.4) * (mels - 15) / 27))
