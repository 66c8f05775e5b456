"""A run of cross-modality localization: from a data set to a matcher that finds moments in videos.

The run is a folder::

    settings.yaml         every setting of the training
    matcher.safetensors   the matcher of the best epoch, with the record of the features that it was trained on
    result.json           its accuracy on the test split, beside what needs no learning

It learns from clips of one event. In AVE's layout those are the rows of ``*_order_match.h5``; elsewhere the clips of a
split, whose event is the longest run of segments with any.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import yaml

from avel.data.annotations import Split
from avel.data.ave.dataset import AveDataset
from avel.errors import FeaturesError, SettingsError
from avel.features.recipe import preset
from avel.files import write_text
from avel.matching import weights
from avel.matching.data import load_clips
from avel.matching.localization import MatchingAccuracy, evaluate
from avel.matching.training import (
    MATCHERS,
    Clips,
    MatchingProgress,
    MatchingSettings,
    TrainedMatcher,
    tell_nothing,
    train,
)
from avel.training.data import LocalizationData
from avel.training.features import FeatureRecord, check_same
from avel.training.run_folder import SETTINGS_FILE
from avel.version import __version__

MATCHER_FILE, RESULT_FILE = "matcher.safetensors", "result.json"

_BATCH = 64
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class MatcherRun:
    """What `train_matcher` gives.

    Attributes:
        path: of the matcher.
        trained: it and its history.
        test: on the test split; ``None`` where there is none.
    """

    path: Path
    trained: TrainedMatcher
    test: MatchingAccuracy | None


def matching_settings(matcher: str, given: Mapping[str, Any]) -> MatchingSettings:
    """Settings from names and values.

    Raises:
        SettingsError: if a name is unknown or a value is not allowed.
    """
    known = {field.name for field in fields(MatchingSettings)} - {"matcher"}
    unknown = [name for name in given if name not in known]
    if unknown:
        raise SettingsError(
            f"{unknown[0]}: is no setting of {matcher}, which learns to match pictures and sound. Its settings are "
            f"{', '.join(sorted(known))}."
        )
    try:
        options = MATCHERS[matcher].options_type(**given.get("options", {}))
        return MatchingSettings(**{**given, "matcher": matcher, "options": options})
    except (TypeError, ValueError) as error:
        raise SettingsError(f"{matcher}: {error}") from error


def clips_of(data: LocalizationData, split: Split) -> Clips:
    """The clips of a split, for cross-modality localization.

    Raises:
        FeaturesError: if a modality has no features, or the split no clip.
    """
    missing = data.missing(("audio", "visual"))
    if missing:
        raise FeaturesError(f"{data.name}: matching needs pictures and sound: {'; '.join(missing)}.")
    if isinstance(data.dataset, AveDataset) and not data.is_store and split in data.dataset.match_splits:
        return load_clips(data.name, split)
    examples = data.examples(split)
    order = [range(start, min(start + _BATCH, len(examples))) for start in range(0, len(examples), _BATCH)]
    batches = list(data.batches(examples, order, ("audio", "visual"), dtype=torch.float32, device=_CPU))
    whole = data.valid(examples).all(axis=1)  # clips without padding
    if not whole.any():
        longest, seconds = int(data.valid(examples).sum(axis=1).max()), data.record.segment_seconds
        raise FeaturesError(
            f"{data.name}: the clips of split {split} have up to {longest} segments of {seconds:g} s; a matcher learns "
            f"from clips of {data.num_segments}, {data.num_segments * seconds:g} s. Give videos as long as that, or "
            f"shorter segments, as of {seconds * longest / data.num_segments:.2g} s (segment_seconds)."
        )
    kept = torch.from_numpy(whole)
    visual = torch.cat([batch.visual.float().mean(dim=2) for batch in batches])[kept]
    audio = torch.cat([batch.audio.float() for batch in batches])[kept]
    is_event = examples.labels.has_event[whole]
    spans = np.array([_longest_run(of_clip) for of_clip in is_event])
    return Clips(visual, audio, spans)


def train_matcher(
    settings: MatchingSettings, data: LocalizationData, folder: Path, progress: MatchingProgress = tell_nothing
) -> MatcherRun:
    """Train a matcher and write its run.

    Args:
        settings: how.
        data: on what; the validation split chooses the epoch.
        folder: of the run.
        progress: is told of each epoch.

    Raises:
        AvelError: if features or splits are missing, or the folder cannot be written.
        ValueError: if the clips cannot give what the settings ask for.
    """
    has = {split: bool(len(data.splits.get(split, ()))) for split in ("train", "val", "test")}
    validation = clips_of(data, "val") if has["val"] else None
    trained = train(clips_of(data, "train"), settings, validation, progress)
    test = None
    if has["test"]:
        clips = clips_of(data, "test")
        test = evaluate(trained.matcher, clips.visual, clips.audio, clips.spans)
    said = {**settings.to_dict(), "misaligned": settings.pairs}
    path = folder / MATCHER_FILE
    about = {"written_by": __version__, "features": data.record.to_dict(), "settings": said, "data": data.name}
    weights.save(trained.matcher, path, about)
    write_text(folder / SETTINGS_FILE, yaml.safe_dump(said, sort_keys=False))
    result = {
        "matcher": settings.matcher,
        "epoch": trained.epoch,
        "validation": asdict(trained.validation[trained.epoch - 1]) if trained.validation else None,
        "test": None if test is None else asdict(test),
    }
    write_text(folder / RESULT_FILE, json.dumps(result, indent=2) + "\n")
    return MatcherRun(path, trained, test)


def evaluate_matcher(path: str | Path, data: LocalizationData, split: Split = "test") -> MatchingAccuracy:
    """Exact-start accuracy of a trained matcher on a split, beside the trivial answers.

    Raises:
        AvelError: if the matcher or the features cannot be read, or it was trained on others.
        ValueError: if no clip has an event shorter than it.
    """
    path = matcher_path(path)
    matcher, said = weights.load_with_metadata(path)
    features = features_of(said)
    if features is not None:
        check_same(features, data.record, modalities=("audio", "visual"), where=data.name)
    clips = clips_of(data, split)
    return evaluate(matcher, clips.visual, clips.audio, clips.spans)


def import_keras(path: str | Path, output: str | Path) -> Path:
    """Make a matcher's file of AVDLN's weights as published, for features of the preset ``ave``.

    Raises:
        ModelError: if the file is not that.
        OutputError: if the matcher cannot be written.
    """
    matcher, recipe = weights.load_keras(path), preset("ave")
    features = FeatureRecord(
        regions=matcher.dims.regions,
        visual_dims=matcher.dims.visual_dims,
        audio_dims=matcher.dims.audio_dims,
        visual=recipe.visual,
        audio=recipe.audio,
        recipe=recipe.to_dict(),
    )
    weights.save(matcher, output, {"written_by": __version__, "features": features.to_dict()})
    return Path(output)


def features_of(said: Mapping[str, Any]) -> FeatureRecord | None:
    """The features that a matcher was trained on; ``None`` of files that do not say it."""
    return FeatureRecord.from_dict(said["features"]) if "features" in said else None


def matcher_path(given: str | Path) -> Path:
    """The matcher that is meant by its path or by its run's folder; it need not be there."""
    path = Path(given)
    return path / MATCHER_FILE if path.is_dir() else path


def holds_matcher(given: str | Path) -> bool:
    """Whether a file, or a run's folder, is that of a matcher."""
    path = matcher_path(given)
    return path.is_file() and weights.is_matcher_file(path)


def is_matcher(name: str | None) -> bool:
    """Whether a model's name is that of a matcher."""
    return name in MATCHERS


def _longest_run(is_event: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Start and end of the longest run of segments with an event; the first of equal ones, (0, 0) of none."""
    edges = np.flatnonzero(np.diff(np.pad(is_event.astype(np.int64), 1))).reshape(-1, 2)
    if not len(edges):
        return 0, 0
    start, end = edges[(edges[:, 1] - edges[:, 0]).argmax()]
    return int(start), int(end)
