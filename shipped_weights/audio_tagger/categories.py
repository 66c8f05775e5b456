"""AVE's categories as avel's localizer hears them."""

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from avel.data.categories import Category, ave_categories, class_indices

Floats = npt.NDArray[np.float32]
SPEECH = "Speech (man or woman)"


class Decision:
    """Which categories are heard in a second, as avel's localizer decides: a class reaches the category's threshold.

    The categories of men's and women's speech are one here: telling them apart is the work of the pitch, not of the
    tagger.
    """

    def __init__(self, labels: list[str]) -> None:
        self._rules: dict[str, tuple[list[int], float]] = {}
        for category in ave_categories():
            name = SPEECH if category.audio_requires else category.name
            if category.audio:
                self._rules[name] = (self._indices(category, labels), category.audio_threshold)
        self.names = list(self._rules)

    @staticmethod
    def _indices(category: Category, labels: list[str]) -> list[int]:
        return class_indices(category.audio, labels, category.name)

    def __call__(self, logits: Floats) -> npt.NDArray[np.bool_]:
        """(N, C) logits to (N, K), K categories in the order of `names`."""
        scores = expit(logits)
        return np.stack([scores[:, indices].max(axis=1) >= at for indices, at in self._rules.values()], axis=1)
