"""The system for any words: an image-text and an audio-text network of the user's that agree."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from avel.backbones.engine import EngineOptions
from avel.backbones.open_vocabulary import OpenVocabulary, OpenVocabularyPictures, OpenVocabularySounds
from avel.data.categories import Category, everyday_categories
from avel.features.jobs import Backbones
from avel.localization.decoding import Decoding, SegmentScores
from avel.localization.system import System
from avel.localization.windows import SegmentArrays, Windows
from avel.models.agreement import Agreement

THRESHOLD = 0.5
"""Probability at which a phrase counts as heard or seen: it fits better than all that it is compared with. Not
measured."""


class OpenVocabularySystem(System):
    """Two networks that compare with words, and agree (`avel.models.agreement`); whole segments, no synchrony.

    Args:
        vocabulary: the networks.
        phrases: what to look for.
        segment_seconds: length of a segment.
        options: device and precision.

    Raises:
        WeightsError: if a file of the networks cannot be had, or is not as the description says.
    """

    name = "open-vocabulary"
    decoding: Decoding = Decoding(keep=0.3)
    windows: Windows = Windows(64, 2)

    def __init__(
        self, vocabulary: OpenVocabulary, phrases: Sequence[str], segment_seconds: float, options: EngineOptions
    ) -> None:
        self._path = vocabulary.path
        self.categories: tuple[str, ...] = tuple(phrases)
        self.segment_seconds = segment_seconds
        names = {phrase.casefold() for phrase in phrases}
        others = [category.name for category in everyday_categories() if category.name.casefold() not in names]
        pictures = OpenVocabularyPictures(vocabulary, phrases, others, options, segment_seconds)
        sounds = OpenVocabularySounds(vocabulary, phrases, others, options)
        self.backbones: Backbones = Backbones([pictures], [sounds])
        table = [Category(phrase, (phrase,), (phrase,), THRESHOLD, THRESHOLD) for phrase in phrases]
        self._model = Agreement(table, visual_labels=phrases, audio_labels=phrases)
        self.notices: tuple[str] = (
            f"What the networks of {vocabulary.path} find was not measured by avel, nor was the threshold at which a "
            "phrase counts as heard or seen.",
        )

    def predict(self, inputs: SegmentArrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """See `System`."""
        found = self._model(inputs["visual"], inputs["audio"], valid)
        return {name: getattr(found, name) for name in ("events", "audio", "visual")}

    def scores(self, predictions: SegmentArrays) -> SegmentScores:
        """See `System`."""
        return SegmentScores(
            categories=self.categories,
            events=predictions["events"],
            audio=predictions["audio"],
            visual=predictions["visual"],
            seen_alone=np.ones(len(self.categories), dtype=bool),
        )

    def description(self) -> dict[str, Any]:
        """See `System`."""
        return {"open_vocabulary": str(self._path), "measured": False}
