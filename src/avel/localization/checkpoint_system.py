"""The system of a trained checkpoint of any model: the features that it was trained on, and no others."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from avel.errors import FeaturesError, ModelError, WeightsError
from avel.features.extract import FeatureBatch
from avel.features.jobs import Backbones, Loader
from avel.features.recipe import Recipe
from avel.features.store import BackboneEntry
from avel.localization.decoding import ARGMAX, SegmentScores, exclusive_scores, independent_scores
from avel.localization.system import MODALITIES, System
from avel.localization.windows import SegmentArrays, Windows
from avel.models import registry
from avel.models.base import LocalizationModel, category_odds, shown_by
from avel.models.details import DETAILS, Detail, by_distance
from avel.training import checkpoint
from avel.training.features import FeatureRecord, differences

_DETAIL = "detail: "
"""Before the names of details among predictions."""


class CheckpointSystem(System):
    """A checkpoint of ``avel train``.

    Attributes:
        model: in evaluation mode.

    Args:
        path: the checkpoint.
        device: of the networks that make features.
        precision: of the same; as at training when ``None``.
        loader: gives the networks.
        threads: how many each may use; as many as the machine has when ``None``.
        details: whether predictions hold what the model knows beside its scores.

    Raises:
        ModelError: if the checkpoint cannot be read, or does not say what features it needs.
        FeaturesError: if the features that it needs cannot be made here.
        WeightsError: if a network's weights are not available.
    """

    decoding = ARGMAX

    def __init__(
        self,
        path: Path,
        *,
        device: str,
        precision: str | None,
        loader: Loader,
        threads: int | None = None,
        details: bool = False,
    ) -> None:
        self.path = path
        self._wants_details = details
        self.model: LocalizationModel
        self.info: checkpoint.CheckpointInfo
        self.model, self.info = checkpoint.load(path)
        self.name: str = self.info.model
        self.categories: tuple[str, ...] = self.info.categories
        self.segment_seconds: float = self.info.segment_seconds
        self.windows: Windows = Windows.half_overlapping(self.info.num_segments)
        modalities = registry.modalities_of(self.info.model, self.info.options)
        recipe = recipe_of(path, self.info.features, modalities, precision)
        with needed_by(path):
            self.backbones: Backbones = loader(recipe, device, threads)
        check_networks(path, self.info.features, self.backbones, modalities)
        self.audio_track: int | None = recipe.audio_track
        with path.open("rb") as file:
            self.sha256: str = hashlib.file_digest(file, "sha256").hexdigest()
        self.grid, self.notices = self._what_it_shows()

    def _what_it_shows(self) -> tuple[tuple[int, int] | None, tuple[str, ...]]:
        """The grid of its attention, and what it does not show."""
        notices = []
        if len(self.looks_at) == 1:
            only, other = ("sound", "picture") if self.looks_at == ("audio",) else ("picture", "sound")
            notices.append(f"The model {self.name} judges by the {only} alone and never looks at the {other}.")
        dims = self.info.dims
        grid = None
        is_spatial = "spatial_attention" in shown_by(self.model, dims)
        if is_spatial and dims.regions == 1:
            notices.append("The model looks at each picture as a whole, so there is no map of where.")
        elif is_spatial:
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

    def predict(self, inputs: SegmentArrays, valid: npt.NDArray[np.bool_]) -> dict[str, npt.NDArray[Any]]:
        """See `System`."""
        visual, audio = (torch.from_numpy(np.ascontiguousarray(inputs[m]))[None] for m in ("visual", "audio"))
        with torch.inference_mode():
            output = self.model(visual, audio, torch.from_numpy(valid)[None])
            if self.info.multi_label:
                predictions = {"probabilities": torch.sigmoid(category_odds(output.logits))}
            else:
                predictions = {"probabilities": torch.softmax(output.logits, dim=-1)}
            if "spatial_attention" in output.shown:
                predictions["attention"] = output.shown["spatial_attention"]
            found = {name: tensor[0].float().numpy() for name, tensor in predictions.items()}
            return found | (self._details(output.shown, len(valid)) if self._wants_details else {})

    def scores(self, predictions: SegmentArrays) -> SegmentScores:
        """See `System`."""
        probabilities = predictions["probabilities"]
        if self.info.multi_label:
            events = independent_scores(probabilities, self.info.thresholds)
        else:
            events = exclusive_scores(probabilities)
        return SegmentScores(categories=self.categories, events=events)

    def details(self, predictions: SegmentArrays) -> dict[str, npt.NDArray[np.float32]]:
        """See `System`."""
        found = {name.removeprefix(_DETAIL): rows for name, rows in predictions.items() if name.startswith(_DETAIL)}
        if self._wants_details and self.info.dims.regions > 1 and "attention" in predictions:
            shape = self.grid or (1, self.info.dims.regions)
            found = {"spatial_attention": predictions["attention"].reshape(-1, *shape), **found}
        return found

    def _details(self, shown: Mapping[str, torch.Tensor], length: int) -> dict[str, npt.NDArray[np.float32]]:
        """Of a window, but for where it looks, in a form that may be averaged where windows overlap."""
        found = {}
        for name in DETAILS:
            if name in shown and name != "spatial_attention":
                found[_DETAIL + name] = _detail_rows(DETAILS[name], shown[name][0].float(), length)
        return found

    def description(self) -> dict[str, Any]:
        """See `System`."""
        said = {
            "checkpoint": {"file": self.path.name, "sha256": self.sha256},
            "looks_at": list(self.looks_at),
            "window": {"segments": self.windows.length, "overlap": self.windows.overlap},
        }
        if self.info.multi_label:
            said["thresholds"] = dict(zip(self.categories, self.info.thresholds, strict=True))
        return said


def _detail_rows(detail: Detail, shown: torch.Tensor, length: int) -> npt.NDArray[np.float32]:
    """What a model shows of one window as rows of its segments."""
    if detail.is_logit:
        shown = torch.softmax(shown, dim=-1) if detail.kind == "categories" else torch.sigmoid(shown)
    rows: npt.NDArray[np.float32] = shown.numpy()
    if detail.kind == "categories":
        return np.tile(rows, (length, 1))
    return by_distance(rows) if detail.kind == "between" else rows


def recipe_of(path: Path, features: FeatureRecord, modalities: Sequence[str], precision: str | None) -> Recipe:
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
            audio_track=said.get("audio_track") if "audio" in modalities else None,
            precision=precision or said.get("precision", Recipe().precision),  # type: ignore[arg-type]
        )
    except ValueError as error:
        raise ModelError(
            f"{path}: what it says of the features that it was trained on is not possible: {error}"
        ) from error


@contextmanager
def needed_by(path: Path) -> Iterator[None]:
    """Says of which file a network is needed where it cannot be loaded."""
    try:
        yield
    except WeightsError as error:
        raise WeightsError(f"{path} was trained on features of a network that is not here. {error}") from error
    except ValueError as error:
        raise FeaturesError(f"{path}: the features that it was trained on cannot be made here: {error}") from error


def check_networks(path: Path, features: FeatureRecord, backbones: Backbones, modalities: tuple[str, ...]) -> None:
    """Refuse networks whose features are others than those that a model was trained on."""
    here = _record(features, backbones.entries())
    found = differences(features, here, modalities)
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
