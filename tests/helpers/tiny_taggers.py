"""Taggers that compute in microseconds, on real pictures and sound: colours are animals, and tones are their voices."""

import numpy as np

from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.efficientnet import imagenet_classes
from avel.backbones.embedded import audioset_classes
from avel.features.jobs import Backbones
from avel.features.recipe import Recipe
from avel.media.types import PictureFormat

RECIPE = Recipe(visual=("efficientnet-lite0",), audio=("embedded",), frames_per_segment=2)

SEEN = {"beagle": (200, 20, 20), "tabby": (20, 200, 20), "steam locomotive": (20, 20, 200)}
HEARD = {"Bark": 300, "Meow": 900, "Train horn": 1700}
"""Hertz of the tone that is taken for it."""


class Colours(VisualBackbone):
    """The class whose colour is nearest; nothing in the dark."""

    name = "efficientnet-lite0"
    dims = 1000
    labels = imagenet_classes()
    exclusive = True
    regions = 1

    def __init__(self, weights="one"):
        self.pictures = PictureFormat(2, width=16, height=16)
        self.record = {"name": self.name, "digest": f"sha256:{weights}", "engine": "numpy"}
        self._numbers = [next(n for n, label in enumerate(self.labels) if label.split(", ")[0] == one) for one in SEEN]

    def __call__(self, pictures):
        mean = pictures.mean(axis=(1, 2, 3), dtype=np.float64)  # (T, 3)
        found = np.full((len(mean), 1, self.dims), 0.4 / self.dims, np.float32)
        nearest = ((mean[:, None] - np.array(list(SEEN.values()))) ** 2).sum(axis=2).argmin(axis=1)
        for segment, number in enumerate(nearest):
            if mean[segment].max() > 60:
                found[segment, 0, self._numbers[number]] = 0.6
        return found


class Tones(AudioBackbone):
    """The class whose tone is nearest; nothing in silence."""

    name = "embedded"
    labels = audioset_classes()
    dims = len(labels)
    sample_rate = 8000

    def __init__(self):
        self.record = {"name": self.name, "digest": "sha256:one", "engine": "numpy"}

    def __call__(self, waveforms):
        power = np.abs(np.fft.rfft(waveforms * np.hanning(waveforms.shape[1]), axis=1)) ** 2
        hertz = np.fft.rfftfreq(waveforms.shape[1], 1 / self.sample_rate)[power.argmax(axis=1)]
        found = np.zeros((len(waveforms), self.dims), np.float32)
        for segment, frequency in enumerate(hertz):
            name = min(HEARD, key=lambda one: abs(HEARD[one] - frequency))
            if np.square(waveforms[segment]).mean() > 1e-6 and abs(HEARD[name] - frequency) < 150:
                found[segment, self.labels.index(name)] = 0.9
        return found


def load(recipe, device, threads):
    return Backbones([Colours()] if recipe.visual else [], [Tones()] if recipe.audio else [])


def load_other_weights(recipe, device, threads):
    return Backbones([Colours("two")] if recipe.visual else [], [Tones()] if recipe.audio else [])
