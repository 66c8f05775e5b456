"""Whether a voice is a man's or a woman's, by the network of inaSpeechSegmenter.

Doukhan et al., "An open-source speaker gender detection framework for monitoring gender equality", ICASSP 2018: a
convolutional network on patches of 0.695 s of 24 log-mel bands, trained on some 2000 speakers of French television and
radio. It knows voices and nothing else: what it says of other sounds means nothing.

The front end is SIDEKIT's, which the network was trained on: frames of 25 ms every 10 ms, pre-emphasis within each
frame, the logarithm of the power in triangles from 100 to 8000 Hz of equal width on the mel scale and equal area, each
of which lacks the last bin of its falling side. A patch is standardized by its own mean and deviation.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones import weights
from avel.backbones.base import Floats
from avel.backbones.engine import EngineOptions, from_frozen
from avel.backbones.operations import FrozenNetwork, Operations, Tensors, V, folded
from avel.errors import WeightsError

WEIGHTS = "speaker-gender"
SAMPLE_RATE = 16000
FRAMES, BANDS = 68, 24
PATCH_SAMPLES = 400 + (FRAMES - 1) * 160
"""What a patch takes: 0.695 s."""
PATCH_HOP_FRAMES = 15
PATCHES_TOGETHER = 3
"""Patches that go through the network as one: as many as a second has."""

_WINDOW, _HOP, _FFT = 400, 160, 512
_PRE_EMPHASIS = 0.97
_LOWEST_HZ, _HIGHEST_HZ = 100.0, 8000.0
_EPSILON = 1e-3
_WIDTHS = (64, 64, 128, 128, 256)
_POOLINGS = {2: (1, 2), 4: (2, 2), 5: (28, 1)}
"""After which convolution, and its window."""
_HIDDEN = 512


class SpeakerGender:
    """Log odds that a voice is a man's.

    Args:
        options: device, precision, threads.

    Raises:
        WeightsError: if the weights are not available.
    """

    def __init__(self, options: EngineOptions) -> None:
        self._network = from_frozen(
            NETWORK, name=WEIGHTS, digest=weights.digest(WEIGHTS), options=options, items_together=PATCHES_TOGETHER
        )
        self.record: dict[str, Any] = self._network.record

    def __call__(self, waveforms: Floats) -> Floats:
        """Mean log odds over the patches of each waveform.

        Args:
            waveforms: (T, S) float32 mono at `SAMPLE_RATE`.

        Returns:
            (T,) above 0 for a man's voice; 0 where a waveform is shorter than a patch, or silent in each.
        """
        if waveforms.shape[1] < PATCH_SAMPLES or not len(waveforms):
            return np.zeros(len(waveforms), np.float32)
        found = patches(waveforms)
        audible: npt.NDArray[np.bool_] = np.asarray(np.isfinite(found).all(axis=(2, 3)))  # (T, P)
        (answers,) = self._network(np.where(audible[..., None, None], found, 0).reshape(-1, FRAMES, BANDS))
        odds = np.where(audible, (answers[:, 1] - answers[:, 0]).reshape(audible.shape), 0)
        mean: Floats = (odds.sum(axis=1) / np.maximum(audible.sum(axis=1), 1)).astype(np.float32)
        return mean


def patches(waveforms: Floats) -> Floats:
    """What the network takes.

    Args:
        waveforms: (T, S) float32 mono at `SAMPLE_RATE`, S >= `PATCH_SAMPLES`.

    Returns:
        (T, P, `FRAMES`, `BANDS`), every `PATCH_HOP_FRAMES` frames; not finite where a frame is digital silence.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waveforms, _WINDOW, axis=1)[:, ::_HOP].astype(np.float32)
    before = np.concatenate([frames[..., :1], frames[..., :-1]], axis=-1)
    spectra = np.abs(np.fft.rfft((frames - _PRE_EMPHASIS * before) * np.hanning(_WINDOW).astype(np.float32), _FFT)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        bands = np.log(spectra @ _TRIANGLES)  # (T, N, M)
        cut = np.lib.stride_tricks.sliding_window_view(bands, FRAMES, axis=1)[:, ::PATCH_HOP_FRAMES]
        cut = cut.transpose(0, 1, 3, 2)
        standard: Floats = (cut - cut.mean(axis=(2, 3), keepdims=True)) / cut.std(axis=(2, 3), keepdims=True)
    return standard


def _triangles() -> Floats:
    """(F, M) weight of each frequency in each band."""
    mels = np.linspace(_mel(_LOWEST_HZ), _mel(_HIGHEST_HZ), BANDS + 2)
    edges = 700 * (10 ** (mels / 2595) - 1)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    hertz: npt.NDArray[np.float64] = np.arange(_FFT // 2 + 1)[:, None] * SAMPLE_RATE / _FFT
    rising = (hertz - low) / (centre - low)
    falling = (high - hertz) / (high - centre)
    last = (hertz <= high) & (hertz + SAMPLE_RATE / _FFT > high)
    falling[last | (hertz > high)] = 0
    triangles: Floats = (2 / (high - low) * np.clip(np.minimum(rising, falling), 0, None)).astype(np.float32)
    return triangles


def _mel(hertz: float) -> float:
    return 2595 * math.log10(1 + hertz / 700)


_TRIANGLES = _triangles()


def _answers(ops: Operations[V], patches: V) -> V:
    """(B, `FRAMES`, `BANDS`) patches to (B, 2) logits of a woman's and a man's voice."""
    x = ops.reshape(patches, (1, FRAMES, BANDS))
    for number in range(1, len(_WIDTHS) + 1):
        x = ops.relu(ops.convolution(x, f"conv2d_{number}", padding=0))
        if number in _POOLINGS:
            x = ops.max_pool(x, _POOLINGS[number], _POOLINGS[number], padding=0)
    x = ops.reshape(x, (_WIDTHS[-1],))
    for number in range(1, 5):
        x = ops.relu(ops.linear(x, f"dense_{number}"))
    return ops.linear(x, "dense_5")


def normalized(stored: Tensors) -> Tensors:
    """Tensors as `Operations` takes them, from those named and laid out as Keras has them.

    Every normalization is folded into the layer before it.

    Raises:
        WeightsError: if a tensor is missing or has another shape.
    """
    by_name = {"/".join((name.split("/")[1], name.split("/")[-1])): t for name, t in stored.items() if "/" in name}

    def tensor(layer: str, part: str, *shape: int) -> npt.NDArray[np.float32]:
        found = by_name.get(f"{layer}/{part}:0")
        if found is None or found.shape != shape:
            was = "missing" if found is None else found.shape
            raise WeightsError(
                f"The weights {WEIGHTS!r} are not laid out as that network's: {layer}/{part} is {was}, not {shape}. "
                "Allowed is keras_male_female_cnn.hdf5 of inaSpeechSegmenter 0.6."
            )
        return found

    tensors = {}
    inputs = (1, *_WIDTHS[:-1], _WIDTHS[-1], *[_HIDDEN] * 3)
    kernels = [
        *(("conv2d", number, (3, 3, inputs[number - 1], width)) for number, width in enumerate(_WIDTHS, start=1)),
        *(("dense", number, (inputs[len(_WIDTHS) + number - 1], _HIDDEN)) for number in range(1, 5)),
    ]
    for count, (kind, number, shape) in enumerate(kernels, start=1):
        layer = f"{kind}_{number}"
        mean, variance, shift, scale = (
            tensor(f"batch_normalization_{count}", part, shape[-1])
            for part in ("moving_mean", "moving_variance", "beta", "gamma")
        )
        kernel, bias = tensor(layer, "kernel", *shape), tensor(layer, "bias", shape[-1])
        kernel = np.moveaxis(kernel, (-1, -2), (0, 1))  # outputs and inputs come first
        weight = folded(kernel, mean, variance, shift, scale, epsilon=_EPSILON, bias=bias)
        tensors[f"{layer}.weight"], tensors[f"{layer}.bias"] = weight
    tensors["dense_5.weight"] = tensor("dense_5", "kernel", _HIDDEN, 2).T
    tensors["dense_5.bias"] = tensor("dense_5", "bias", 2)
    return tensors


def _tensors() -> Tensors:
    return normalized(weights.load_tensors(WEIGHTS))


NETWORK = FrozenNetwork(_answers, _tensors, (FRAMES, BANDS), np.float32)
"""From patches (B, `FRAMES`, `BANDS`) to logits (B, 2)."""
