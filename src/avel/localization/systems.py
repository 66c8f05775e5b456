"""What localizes: a model, the networks that make its features, and how its answers are read.

`Taggers` needs no training (`avel.models.agreement`); `Trained` is a checkpoint of any model of the registry, with the
features that it was trained on and no others.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avel.backbones.base import AudioBackbone
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.data.categories import Category
from avel.errors import FeaturesError, ModelError, WeightsError
from avel.features.extract import FeatureBatch
from avel.features.recipe import Recipe
from avel.features.run import Backbones, Loader
from avel.features.store import BackboneEntry
from avel.localization.decoding import ARGMAX, Decoding, SegmentScores, exclusive_scores, independent_scores
from avel.localization.windows import Arrays, Windows
from avel.models import registry
from avel.models.agreement import Agreement
from avel.models.base import FeatureNeeds, LocalizationModel, ModelOutput, category_odds, shown_by
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.features import FeatureRecord, differences

AUDIO_TAGGERS = ("auto", "yamnet", "embedded")
MODALITIES = ("audio", "visual")


class System(ABC):
    """A model with everything that it takes to run it on a video.

    Attributes:
        name: as in results.
        model: in evaluation mode.
        backbones: the networks that make its features; none of a modality that the model does not look at.
        segment_seconds: length of a segment.
        windows: how long videos are cut for the model.
        decoding: how its scores become events unless a user says otherwise.
        grid: rows and columns of the parts of the picture that its attention is about, ``None`` without any.
        notices: what a user should know before reading its results.
    """

    name: str
    model: LocalizationModel
    backbones: Backbones
    segment_seconds: float
    windows: Windows
    decoding: Decoding
    grid: tuple[int, int] | None = None
    notices: Sequence[str] = ()

    @property
    def looks_at(self) -> tuple[str, ...]:
        """What the model looks at, of ``audio`` and ``visual``."""
        return tuple(m for m in MODALITIES if getattr(self.backbones, m))

    def inputs(self, batch: FeatureBatch) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs: ``visual`` (T, R, D_v) and ``audio`` (T, D_a)."""
        return {
            modality: np.concatenate([getattr(batch, modality)[b.name] for b in getattr(self.backbones, modality)], -1)
            for modality in self.looks_at
        }

    def answer(self, inputs: Arrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """What the model says of one window.

        Args:
            inputs: as `inputs` gives them.
            valid: (T,) bool, False in padding.

        Returns:
            Arrays of T rows whose averages make sense, for `scores` and `attention`.
        """
        tensors = [torch.from_numpy(np.ascontiguousarray(inputs[m]))[None] for m in ("visual", "audio")]
        with torch.inference_mode():
            output = self.model(*tensors, torch.from_numpy(valid)[None])
            return {name: tensor[0].float().numpy() for name, tensor in self._answers(output).items()}

    @abstractmethod
    def _answers(self, output: ModelOutput) -> dict[str, torch.Tensor]:
        """What `scores` and `attention` need, (1, T, ...)."""

    @abstractmethod
    def scores(self, answers: Arrays) -> SegmentScores:
        """Scores of a video, with 0.5 where a category counts as there."""

    def attention(self, answers: Arrays) -> npt.NDArray[np.float32] | None:
        """(T, rows, columns), shares of each segment that add up to 1; ``None`` when the model does not say where."""
        if self.grid is None:
            return None
        weights: npt.NDArray[np.float32] = answers["attention"].reshape(-1, *self.grid)
        return weights

    @abstractmethod
    def description(self) -> dict[str, Any]:
        """What a reader of a result has to know of how it was made, and of what it cannot find."""


class Taggers(System):
    """Two frozen taggers that agree.

    Args:
        categories: what to look for.
        segment_seconds: length of a segment.
        options: device and precision.
        audio_tagger: one of `AUDIO_TAGGERS`.

    Raises:
        CategoriesError: if the categories name classes that the taggers lack.
        WeightsError: if a tagger's weights cannot be had.
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
        self.model = Agreement(
            self.categories,
            visual_labels=[label for backbone in visual for label in backbone.labels or ()],
            audio_labels=[label for backbone in audio for label in backbone.labels or ()],
            needs=FeatureNeeds(
                visual=tuple(backbone.name for backbone in visual), audio=tuple(backbone.name for backbone in audio)
            ),
            visual_chance=[
                1 / backbone.dims if backbone.exclusive else 0.0 for backbone in visual for _ in range(backbone.dims)
            ],
        )

    def _audio_tagger(self, name: str, options: EngineOptions) -> AudioBackbone:
        if name not in AUDIO_TAGGERS:
            raise ValueError(f"Unknown audio tagger {name!r}. Supported are {', '.join(AUDIO_TAGGERS)}.")
        if name != "auto":
            return audio_backbone(name, options)
        try:
            return audio_backbone("yamnet", options)
        except WeightsError:
            self.notices = (
                "YAMNet's weights cannot be had here, so the smaller embedded audio tagger listens. "
                "`avel weights fetch yamnet` says what to do; --audio-tagger embedded chooses it without this notice.",
            )
            return audio_backbone("embedded", options)

    def _answers(self, output: ModelOutput) -> dict[str, torch.Tensor]:
        return {
            "events": torch.sigmoid(category_odds(output.logits)),
            "audio": output.shown["audio_scores"],
            "visual": output.shown["visual_scores"],
        }

    def scores(self, answers: Arrays) -> SegmentScores:
        """See `System`."""
        return SegmentScores(
            categories=self.model.categories,
            events=answers["events"],
            audio=answers["audio"],
            visual=answers["visual"],
            seen_alone=np.array([category.visual_evidence == "class" for category in self.categories]),
        )

    def description(self) -> dict[str, Any]:
        """See `System`."""
        names = self.model.categories
        return {
            "cannot_hear": [n for n, audible in zip(names, self.model.audible, strict=True) if not audible],
            "cannot_see": [n for n, visible in zip(names, self.model.visible, strict=True) if not visible],
            "notes": {category.name: category.note for category in self.categories if category.note},
        }


class Trained(System):
    """A checkpoint of ``avel train``.

    Args:
        path: the checkpoint.
        device: of the networks that make features.
        precision: of the same; as at training when ``None``.
        loader: gives the networks.

    Raises:
        ModelError: if the checkpoint cannot be read, or does not say what features it needs.
        FeaturesError: if the features that it needs cannot be made here.
        WeightsError: if weights of a network cannot be had.
    """

    decoding = ARGMAX

    def __init__(self, path: Path, *, device: str, precision: str | None, loader: Loader) -> None:
        self.path = path
        self.model, self.info = checkpoint.load(path)
        self.name = self.info.model
        self.segment_seconds = self.info.segment_seconds
        self.windows = Windows.half_overlapping(self.info.num_segments)
        modalities = registry.entry(self.info.model).modalities
        recipe = _recipe(path, self.info.features, modalities, precision)
        with _needed_by(path):
            self.backbones = loader(recipe, device, None)
        _check(path, self.info, self.backbones, modalities)
        with path.open("rb") as file:
            self.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        self.grid, self.notices = self._what_it_shows()

    def _what_it_shows(self) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
        """The grid of its attention, and what it does not show."""
        notices = []
        if len(self.looks_at) == 1:
            only, other = ("sound", "picture") if self.looks_at == ("audio",) else ("picture", "sound")
            notices.append(f"The model {self.name} judges by the {only} alone and never looks at the {other}.")
        dims = self.info.dims
        grid = None
        if "spatial_attention" in shown_by(self.model, dims):
            grids = {backbone.grid for backbone in self.backbones.visual}
            grid = next(iter(grids)) if len(grids) == 1 else None
            if grid is None:
                names = ", ".join(backbone.name for backbone in self.backbones.visual)
                notices.append(f"Regions of {names} ({dims.regions}) form no grid, so there is no map of where.")
        return grid, tuple(notices)

    def inputs(self, batch: FeatureBatch) -> dict[str, npt.NDArray[Any]]:
        """See `System`; zeros of a modality that the model does not look at, as at training."""
        count, dims = len(batch.audio_valid), self.info.dims
        shapes = {"visual": (count, dims.regions, dims.visual_dims), "audio": (count, dims.audio_dims)}
        nothing = {m: np.zeros(shape, np.float32) for m, shape in shapes.items() if m not in self.looks_at}
        return {**nothing, **super().inputs(batch)}

    def _answers(self, output: ModelOutput) -> dict[str, torch.Tensor]:
        logits = output.logits
        if self.info.multi_label:
            answers = {"probabilities": torch.sigmoid(category_odds(logits))}
        else:
            answers = {"probabilities": torch.softmax(logits, dim=-1)}
        if "spatial_attention" in output.shown:
            answers["attention"] = output.shown["spatial_attention"]
        return answers

    def scores(self, answers: Arrays) -> SegmentScores:
        """See `System`."""
        probabilities = answers["probabilities"]
        if self.info.multi_label:
            events = independent_scores(probabilities, self.info.thresholds)
        else:
            events = exclusive_scores(probabilities)
        return SegmentScores(categories=self.info.categories, events=events)

    def description(self) -> dict[str, Any]:
        """See `System`."""
        said = {
            "checkpoint": {"file": self.path.name, "sha256": self.sha256},
            "looks_at": list(self.looks_at),
            "window": {"segments": self.windows.length, "overlap": self.windows.overlap},
        }
        if self.info.multi_label:
            said["thresholds"] = dict(zip(self.info.categories, self.info.thresholds, strict=True))
        return said


def _recipe(path: Path, features: FeatureRecord, modalities: Sequence[str], precision: str | None) -> Recipe:
    """How the features of a checkpoint are made, those of the modalities that its model looks at."""
    unknown = [modality for modality in modalities if not getattr(features, modality)]
    if unknown:
        raise ModelError(
            f"{path}: does not say which networks made the {' and '.join(unknown)} features that it was trained on, "
            "since files in AVE's layout do not, and so none can be made of a video. Train it again with --features-of "
            "(ave for the published files), or on a feature store, which says it."
        )
    said = features.recipe
    try:
        return Recipe(
            visual=features.visual if "visual" in modalities else (),
            audio=features.audio if "audio" in modalities else (),
            frames_per_segment=said.get("frames_per_segment"),
            segment_seconds=features.segment_seconds,
            precision=precision or said.get("precision", Recipe().precision),  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise ModelError(f"{path}: what it says of its features cannot be: {error}") from error


@contextmanager
def _needed_by(path: Path) -> Iterator[None]:
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path} was trained on features of a network that is not here. {error}") from error
    except ValueError as error:
        raise FeaturesError(f"{path}: the features that it was trained on cannot be made here: {error}") from error


def _check(path: Path, info: CheckpointInfo, backbones: Backbones, modalities: tuple[str, ...]) -> None:
    """Refuse networks whose features are others than those that a model was trained on."""
    here = _record(info.features, backbones.entries())
    found = differences(info.features, here, modalities)
    if found:
        raise FeaturesError(
            f"{path}: the features made here are not those that it was trained on: {'; '.join(found)}. "
            "Put the weights that it was trained with in place (`avel weights path NAME` says where), use the version "
            "of avel that trained it, or train it again on features extracted here."
        )


def _record(trained: FeatureRecord, entries: Mapping[str, BackboneEntry]) -> FeatureRecord:
    """What some networks make, in place of what a model was trained on."""
    shapes = {m: [e.shape for e in entries.values() if e.modality == m] for m in MODALITIES}
    here = replace(trained, networks={name: entry.network for name, entry in entries.items()})
    if shapes["visual"]:
        regions = {shape[0] for shape in shapes["visual"]}
        here = replace(here, regions=max(regions), visual_dims=sum(shape[1] for shape in shapes["visual"]))
    if shapes["audio"]:
        here = replace(here, audio_dims=sum(shape[0] for shape in shapes["audio"]))
    return here
