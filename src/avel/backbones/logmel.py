"""Log-mel spectrograms as the AudioSet networks (VGGish, YAMNet) take them.

Magnitudes of a short-time Fourier transform, summed by triangles that are even on HTK's mel scale, then
log(mel + offset). Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017; the details
are those of the reference implementation of AudioSet's VGGish: frames are not centred, the Hann window is periodic,
and the triangles stand on the mel axis, not on the frequency axis.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from avel.backbones.base import Floats


@dataclass(frozen=True)
class LogMel:
    """Waveforms to log-mel frames; the defaults are YAMNet's, VGGish differs in `offset` (0.01).

    Attributes:
        sample_rate: samples a second of the waveforms.
        window_samples: length of the Hann window.
        hop_samples: from one frame to the next.
        fft_length: the window is padded with zeros to this.
        bands: M, number of mel bands.
        lowest_hz: lower edge of the lowest band.
        highest_hz: upper edge of the highest band.
        offset: added before the logarithm.
    """

    sample_rate: int = 16000
    window_samples: int = 400
    hop_samples: int = 160
    fft_length: int = 512
    bands: int = 64
    lowest_hz: float = 125.0
    highest_hz: float = 7500.0
    offset: float = 0.001

    def __post_init__(self) -> None:
        if self.window_samples > self.fft_length:
            raise ValueError(
                f"The window has {self.window_samples} samples; fft_length = {self.fft_length} is shorter."
            )
        if not 0 <= self.lowest_hz < self.highest_hz <= self.sample_rate / 2:
            raise ValueError(
                f"Mel bands from {self.lowest_hz} to {self.highest_hz} Hz: allowed is 0 <= lowest < highest <= "
                f"{self.sample_rate / 2} Hz, half the sample rate."
            )

    def samples(self, frames: int) -> int:
        """How many samples `frames` frames need."""
        return self.window_samples + (frames - 1) * self.hop_samples

    def __call__(self, waveforms: Floats) -> Floats:
        """Log-mel frames.

        Args:
            waveforms: (..., S) float32, S >= `window_samples`.

        Returns:
            (..., N, M) float32, N = 1 + (S - window) // hop: only frames that lie within the waveform.

        Raises:
            ValueError: if a waveform is shorter than one window.
        """
        if waveforms.shape[-1] < self.window_samples:
            raise ValueError(
                f"The waveform has {waveforms.shape[-1]} samples; one window needs {self.window_samples}. "
                "Pad it with zeros."
            )
        frames = np.lib.stride_tricks.sliding_window_view(waveforms, self.window_samples, axis=-1)
        windowed = frames[..., :: self.hop_samples, :] * self._window
        magnitudes = np.abs(np.fft.rfft(windowed, self.fft_length, axis=-1))
        return np.log(magnitudes @ self.triangles + np.float32(self.offset))

    @cached_property
    def triangles(self) -> Floats:
        """(fft_length / 2 + 1, M) weight of each frequency in each band."""
        edges = np.linspace(_mel(self.lowest_hz), _mel(self.highest_hz), self.bands + 2)
        bins = _mel(np.linspace(0.0, self.sample_rate / 2, self.fft_length // 2 + 1))[:, None]
        rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
        falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
        weights = np.maximum(0.0, np.minimum(rising, falling))
        weights[0] = 0.0  # the reference implementation leaves the constant part of the signal out
        return weights.astype(np.float32)

    @cached_property
    def _window(self) -> Floats:
        phase = 2 * np.pi * np.arange(self.window_samples) / self.window_samples
        return (0.5 - 0.5 * np.cos(phase)).astype(np.float32)


def _mel(hertz: npt.ArrayLike) -> npt.NDArray[np.float64]:
    return 1127.0 * np.log1p(np.asarray(hertz, np.float64) / 700.0)
