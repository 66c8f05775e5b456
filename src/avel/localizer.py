"""A user's video and a model to a `Localization`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import avel
from avel.backbones.base import AudioBackbone, VisualBackbone
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.data.categories import Category, ave_categories, load_categories
from avel.decoding import Decoding, SegmentScores, decode
from avel.errors import MediaError
from avel.events import Localization, segment_bounds
from avel.features.extract import Features, Progress, extract
from avel.models.agreement import Agreement
from avel.models.base import FeatureNeeds, LocalizationModel

DEFAULT_MODEL = "agreement"
SHORTEST_SEGMENT_SECONDS, LONGEST_SEGMENT_SECONDS = 0.2, 30.0


class Localizer:
    """A model and the backbones it needs, loaded once, for any number of videos.

    Args:
        model: name of a model; ``"agreement"`` needs no training.
        categories: what to look for: a TOML file, or categories; AVE's 28 when ``None``.
        segment_seconds: length of a segment.
        precision: ``"float32"``, ``"float16"`` or ``"int8"``, of the backbones.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"torch-cpu"``.
        decoding: how scores become events.

    Raises:
        CategoriesError: if the categories cannot be read or name classes that the taggers lack.
        WeightsError: if a backbone's weights cannot be had.
        ValueError: if a setting is not one of the above.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        categories: str | Path | Sequence[Category] | None = None,
        segment_seconds: float = 1.0,
        precision: str = "float16",
        device: str = "auto",
        decoding: Decoding | None = None,
    ) -> None:
        if model != DEFAULT_MODEL:
            raise ValueError(f"Unknown model {model!r}. Available models are {DEFAULT_MODEL}.")
        if not SHORTEST_SEGMENT_SECONDS <= segment_seconds <= LONGEST_SEGMENT_SECONDS:
            raise ValueError(
                f"segment_seconds must be from {SHORTEST_SEGMENT_SECONDS} to {LONGEST_SEGMENT_SECONDS}, "
                f"got {segment_seconds}."
            )
        self.segment_seconds = segment_seconds
        self.decoding = decoding or Decoding()
        self.categories = _categories(categories)
        options = EngineOptions(device=device, precision=precision)
        self.visual: list[VisualBackbone] = [
            visual_backbone(name, options, segment_seconds=segment_seconds) for name in ("efficientnet-lite0", "faces")
        ]
        self.audio: list[AudioBackbone] = [audio_backbone(name, options) for name in ("yamnet", "voice")]
        self.model: LocalizationModel = Agreement(
            self.categories,
            visual_labels=[label for backbone in self.visual for label in backbone.labels or ()],
            audio_labels=[label for backbone in self.audio for label in backbone.labels or ()],
            needs=FeatureNeeds(
                visual=tuple(backbone.name for backbone in self.visual),
                audio=tuple(backbone.name for backbone in self.audio),
            ),
            visual_chance=[
                1 / backbone.dims if backbone.exclusive else 0.0
                for backbone in self.visual
                for _ in range(backbone.dims)
            ],
        )

    @property
    def backbone_names(self) -> list[str]:
        """Names of the networks and other extractors in use."""
        return [backbone.name for backbone in (*self.visual, *self.audio)]

    def __call__(self, video: str | Path, *, progress: Progress | None = None) -> Localization:
        """Find the events of one video.

        Args:
            video: a video file.
            progress: called with the seconds done and the declared duration.

        Raises:
            MediaError: if nothing of the video can be read.
        """
        features = extract(video, self.visual, self.audio, segment_seconds=self.segment_seconds, progress=progress)
        if not (features.visual_valid.any() or features.audio_valid.any()):
            raise MediaError(f"{video}: neither a picture nor a sound could be read in it. Is the file damaged?")
        bounds = segment_bounds(features.duration_seconds, self.segment_seconds)
        events, segments = decode(
            self._scores(features), bounds, features.audio_valid, features.visual_valid, self.decoding
        )
        return Localization(
            video=str(video),
            duration_seconds=features.duration_seconds,
            segment_seconds=self.segment_seconds,
            model=self._description(features),
            events=events,
            segments=segments,
            warnings=features.warnings,
        )

    def _scores(self, features: Features) -> SegmentScores:
        visual = np.concatenate([features.visual[name] for name in self.model.needs.visual], axis=-1)  # (T, R, D)
        audio = np.concatenate([features.audio[name] for name in self.model.needs.audio], axis=-1)  # (T, D)
        valid = torch.ones(1, len(audio), dtype=torch.bool)
        with torch.inference_mode():
            output = self.model(torch.from_numpy(visual)[None], torch.from_numpy(audio)[None], valid)
        logits = output.logits[0]
        return SegmentScores(
            categories=self.model.categories,
            events=torch.sigmoid(logits[:, :-1] - logits[:, -1:]).numpy(),
            audio=output.shown["audio_scores"][0].numpy(),
            visual=output.shown["visual_scores"][0].numpy(),
            seen_alone=np.array([category.visual_evidence == "class" for category in self.categories]),
        )

    def _description(self, features: Features) -> Mapping[str, Any]:
        """What a reader of the result has to know of how it was made, and of what it cannot find."""
        assert isinstance(self.model, Agreement)
        names = self.model.categories
        return {
            "name": DEFAULT_MODEL,
            "avel": avel.__version__,
            "categories": list(names),
            "backbones": dict(features.record),
            "decoding": {
                "threshold": self.decoding.threshold,
                "keep": self.decoding.keep,
                "max_gap_segments": self.decoding.max_gap_segments,
            },
            "cannot_hear": [n for n, audible in zip(names, self.model.audible, strict=True) if not audible],
            "cannot_see": [n for n, visible in zip(names, self.model.visible, strict=True) if not visible],
            "notes": {category.name: category.note for category in self.categories if category.note},
        }


def localize(video: str | Path, **settings: Any) -> Localization:
    """Find the audio-visual events of one video.

    For several videos make one `Localizer`, which loads its networks once.

    Args:
        video: a video file.
        settings: as for `Localizer`.

    Returns:
        The result, with ``.events``, ``.segments``, ``.to_json()`` and ``.plot()``.
    """
    return Localizer(**settings)(video)


def _categories(categories: str | Path | Sequence[Category] | None) -> tuple[Category, ...]:
    if categories is None:
        return ave_categories()
    if isinstance(categories, str | Path):
        return load_categories(categories)
    return tuple(categories)
