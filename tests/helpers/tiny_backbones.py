"""Two backbones that compute in microseconds, on real pictures and sound; importable by worker processes."""

import os
import time
from pathlib import Path

import numpy as np

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.errors import WeightsError
from avel.features.jobs import Backbones
from avel.features.recipe import Recipe
from avel.media.types import PictureFormat

RECIPE = Recipe(visual=("mean-colours",), audio=("band-energies",), frames_per_segment=2)


class MeanColours(VisualBackbone):
    """Mean colour in [0, 1] of each quarter of the picture."""

    name = "mean-colours"
    dims = 3
    labels = None
    regions = 4

    def __init__(self, frames_per_segment=2, side=32):
        self.pictures = PictureFormat(frames_per_segment, width=side, height=side)
        self.record = {"name": self.name, "digest": "sha256:none", "side": side, "engine": "numpy", "device": "cpu"}

    def __call__(self, pictures):
        t, f, h, w, c = pictures.shape
        quarters = pictures.reshape(t, f, 2, h // 2, 2, w // 2, c)
        return (quarters.mean(axis=(1, 3, 5), dtype=np.float64) / 255).reshape(t, 4, c).astype(np.float32)


class BandEnergies(AudioBackbone):
    """Root mean square of the sound in each of eight bands of 500 Hz."""

    name = "band-energies"
    dims = 8
    labels = None
    sample_rate = 8000

    def __init__(self):
        self.record = {"name": self.name, "digest": "sha256:none", "engine": "numpy"}

    def __call__(self, waveforms):
        power = np.abs(np.fft.rfft(waveforms, axis=1)[:, 1:]) ** 2 / waveforms.shape[1] ** 2 * 2
        return np.sqrt(np.stack([p.sum(axis=1) for p in np.array_split(power, 8, axis=1)], axis=1)).astype(np.float32)


def load(recipe, device, threads):
    """Every load leaves a line in the file that is named in the environment."""
    if log := os.environ.get("TINY_LOG"):
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()} {threads or 0}\n")
    return Backbones([MeanColours(recipe.frames_per_segment)], [BandEnergies()])


def load_slow(recipe, device, threads):
    """As `load`, half a second a batch."""
    backbones = load(recipe, device, threads)
    backbones.visual[0].__class__ = _Slow
    return backbones


def load_stuck(recipe, device, threads):
    """As `load`; says so in the third batch, and does not end."""
    backbones = load(recipe, device, threads)
    backbones.visual[0].__class__ = _Stuck
    return backbones


def load_held(recipe, device, threads):
    """As `load`; all batches but the first wait until the file that is named in the environment is gone."""
    backbones = load(recipe, device, threads)
    backbones.visual[0].__class__ = _Held
    return backbones


def load_poisonable(recipe, device, threads):
    """As `load`; the process dies of a picture that is all red."""
    backbones = load(recipe, device, threads)
    backbones.visual[0].__class__ = _Poisonable
    return backbones


def load_nothing(recipe, device, threads):
    raise WeightsError("no weights")


def load_and_die(recipe, device, threads):
    os._exit(1)


class _Slow(MeanColours):
    def __call__(self, pictures):
        time.sleep(0.5)
        return super().__call__(pictures)


class _Stuck(MeanColours):
    batches = 0

    def __call__(self, pictures):
        self.batches += 1
        if self.batches == 3:
            print("stuck", flush=True)
            time.sleep(3600)
        return super().__call__(pictures)


class _Held(MeanColours):
    batches = 0

    def __call__(self, pictures):
        self.batches += 1
        while self.batches > 1 and Path(os.environ["TINY_HOLD"]).exists():
            time.sleep(0.01)
        return super().__call__(pictures)


class _Poisonable(MeanColours):
    def __call__(self, pictures):
        colours = super().__call__(pictures)
        if (colours[..., 0] > 0.9).all() and (colours[..., 1:] < 0.1).all():
            os._exit(139)
        return colours
