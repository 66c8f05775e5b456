"""The system that needs no training: an audio tagger and visual taggers that agree (`avel.models.agreement`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avel.backbones.base import AudioBackbone
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.backbones.voice import VOICES, Voice, voice_scores
from avel.data.categories import Category
from avel.errors import WeightsError
from avel.features.jobs import Backbones
from avel.localization.confirmation import IN_TIME
from avel.localization.decoding import Decoding, SegmentScores
from avel.localization.system import System
from avel.localization.windows import SegmentArrays, Windows
from avel.models.agreement import Agreement
from avel.models.base import ModelOutput, category_odds
from avel.synchrony.changes import Motion, Onsets

AUDIO_TAGGERS = ("auto", "yamnet", "yamnet-onnx", "embedded")


class AgreementSystem(System):
    """Two frozen taggers that agree.

    Args:
        categories: what to look for.
        segment_seconds: length of a segment.
        options: device and precision.
        audio_tagger: one of `AUDIO_TAGGERS`.

    Raises:
        CategoriesError: if the categories name classes that the taggers lack.
        WeightsError: if a tagger's weights are not available.
        ValueError: if there is no such tagger.
    """

    name = "agreement"
    decoding = Decoding()
    # Scores of a segment depend on its neighbours alone, which the overlap gives it: windows change nothing.
    windows = Windows(64, 2)
    model: Agreement

    def __init__(
        self, categories: Sequence[Category], segment_seconds: float, options: EngineOptions, audio_tagger: str
    ) -> None:
        self.categories = tuple(categories)
        self.segment_seconds = segment_seconds
        visual = [
            visual_backbone(name, options, segment_seconds=segment_seconds) for name in ("efficientnet-lite0", "faces")
        ]
        audio = [self._audio_tagger(audio_tagger, options), audio_backbone("voice", options)]
        self.backbones = Backbones(visual, audio)
        self.synchrony = Backbones([Motion(segment_seconds)], [Onsets(segment_seconds)])
        self.model = Agreement(
            self.categories,
            visual_labels=[label for backbone in visual for label in backbone.labels or ()],
            audio_labels=[*(audio[0].labels or ()), *VOICES],
            visual_chance=[
                1 / backbone.dims if backbone.exclusive else 0.0 for backbone in visual for _ in range(backbone.dims)
            ],
        )

    def _audio_tagger(self, name: str, options: EngineOptions) -> AudioBackbone:
        if name not in AUDIO_TAGGERS:
            raise ValueError(f"Unknown audio tagger {name!r}. Supported are {', '.join(AUDIO_TAGGERS)}.")
        if name != "auto":
            return audio_backbone(name, options)
        for better in ("yamnet", "yamnet-onnx"):
            try:
                return audio_backbone(better, options)
            except WeightsError:
                pass
        self.notices = (
            "YAMNet's weights are not available here, so the smaller embedded audio tagger listens. "
            "`avel weights fetch yamnet` says what to do; --audio-tagger embedded chooses it without this notice.",
        )
        return audio_backbone("embedded", options)

    def predict(self, inputs: SegmentArrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """See `System`. Whose voice it is takes more of the video than a window's seams give: `scores` judges it."""
        sounds, voice = np.split(inputs["audio"], [-Voice.dims], axis=1)
        anyones = np.ones((len(sounds), len(VOICES)), sounds.dtype)
        found = super().predict({**inputs, "audio": np.concatenate([sounds, anyones], axis=1)}, valid)
        return {**found, "voice": voice}

    def _predictions(self, output: ModelOutput) -> dict[str, torch.Tensor]:
        return {
            "events": torch.sigmoid(category_odds(output.logits)),
            "audio": output.shown["audio_scores"],
            "visual": output.shown["visual_scores"],
        }

    def scores(self, predictions: SegmentArrays) -> SegmentScores:
        """See `System`."""
        events, audio = predictions["events"].copy(), predictions["audio"].copy()
        for index, category in enumerate(self.categories):
            for name in category.audio_requires:
                if name.casefold() in VOICES:
                    whose = voice_scores(predictions["voice"], audio[:, index], self.segment_seconds)
                    p = whose[:, VOICES.index(name.casefold())]
                    gate = p / (p + category.audio_threshold)
                    audio[:, index] = np.minimum(audio[:, index], gate)
                    events[:, index] = np.minimum(events[:, index], gate)
        return SegmentScores(
            categories=self.model.spec.categories,
            events=events,
            audio=audio,
            visual=predictions["visual"],
            seen_alone=np.array([category.visual_evidence == "class" for category in self.categories]),
            in_time=np.array([category.name in IN_TIME for category in self.categories]),
        )

    def description(self) -> dict[str, Any]:
        """See `System`."""
        names = self.model.spec.categories
        return {
            "cannot_hear": [n for n, audible in zip(names, self.model.audible, strict=True) if not audible],
            "cannot_see": [n for n, visible in zip(names, self.model.visible, strict=True) if not visible],
            "attention": "synchrony",
            "notes": {category.name: category.note for category in self.categories if category.note},
        }
