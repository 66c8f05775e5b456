"""From data as a person has them to a trained and measured model: what ``avel train`` and ``avel evaluate`` do.

    run = train_on(OwnVideos(Path("labels.csv"), Path("videos")), Path("run"), flags={"epochs": 20})
    print(run.result.accuracy, run.evaluation.metrics.segment_accuracy)

Everything that can be wrong with folders, settings and labels is found before features are extracted, which is what
takes long.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avel.data.annotations import Split
from avel.data.formats import LabelFormat
from avel.data.formats.label_file import CategoryFrom
from avel.evaluation import report
from avel.evaluation.advice import advice
from avel.evaluation.evaluate import Evaluation, evaluate
from avel.features.recipe import Recipe, preset
from avel.features.run import OutcomeProgress, extract_many
from avel.features.store import FeatureStore
from avel.files import write_text
from avel.matching.localization import MatchingAccuracy
from avel.training import loop
from avel.training.ave_data import open_data
from avel.training.checkpoint import path_of, read_info
from avel.training.comparison import (
    COMPARISON_FILE,
    MAX_COMPARED_CLIPS,
    Candidate,
    Compared,
    ModelComparison,
    compare,
    few_examples,
    read_comparison,
)
from avel.training.cross_validation import CROSS_VALIDATION
from avel.training.data import LocalizationData
from avel.training.features import FeatureRecord
from avel.training.learner import Measured
from avel.training.loop import EpochProgress, TrainingResult
from avel.training.matchers import MatcherRun, evaluate_matcher, matching_settings, train_matcher
from avel.training.own.dataset import LabelledData
from avel.training.own.labels import VideoLabelling, read_labels
from avel.training.own.opening import open_labelled
from avel.training.own.splits import split_videos, splits_csv
from avel.training.run_folder import SETTINGS_FILE, check_folder, check_same_settings, locked
from avel.training.settings import FOR_FEW, TrainingSettings, from_mapping, read_yaml, settings_for, splits_learned
from avel.wording import counted

FEATURES_FOLDER, SPLITS_FILE = "features", "splits.csv"
RESULT_JSON, RESULT_HTML = "result.json", "result.html"


@dataclass(frozen=True)
class AveFeatures:
    """Features of AVE, or of any data set in its layout.

    Attributes:
        folder: in AVE's layout, or a feature store of AVE's videos.
        annotations: folder with ``Annotations.txt`` and the splits; ``folder`` itself if left out.
        features_of: name of the preset that files in AVE's layout were made with; not known if left out.
    """

    folder: Path
    annotations: Path | None = None
    features_of: str | None = None


@dataclass(frozen=True)
class OwnVideos:
    """A person's own videos and labels.

    Attributes:
        labels: a label file, or a folder of them, see `avel.training.own.labels.read_labels`.
        videos: folder of the videos that the labels name.
        store: where the videos' features are kept; ``features`` in the run's folder if left out.
        format: of the labels; found out if left out.
        frames_per_second: of Label Studio's timelines and CVAT's tracks.
        tiers: of ELAN and Praat that are read, see `avel.data.formats.read_annotations`.
        category_from: whether a category is an annotation's text, as if left out, or its tier's name.
        annotator: whose annotations of Label Studio are read.
        recipe: how features are made; as those in the store if left out, or else by the preset ``fast``.
    """

    labels: Path
    videos: Path
    store: Path | None = None
    format: LabelFormat | None = None
    frames_per_second: float | None = None
    tiers: Sequence[str] | None = None
    category_from: CategoryFrom | None = None
    annotator: str | None = None
    recipe: Recipe | None = None


class Listener:
    """What is told while a run goes on; this one tells nothing."""

    def say(self, text: str) -> None:
        """What was found or chosen."""

    def warn(self, text: str) -> None:
        """What a person should know before believing a result."""

    def extracting(self) -> AbstractContextManager[OutcomeProgress | None]:
        """Around the extraction of features."""
        return nullcontext()

    def reading(self, video: str, done_seconds: float, total_seconds: float | None) -> None:
        """While a video is read for its features, with the seconds done so far and those that it declares, if any."""

    def matching(self, epoch: int, epochs: int, loss: float) -> None:
        """After each epoch of a matcher, with its mean loss."""

    def comparing(self, comparison: ModelComparison) -> None:
        """Once models have been compared, of which the best is trained."""

    def training(self, epochs: int) -> AbstractContextManager[EpochProgress | None]:
        """Around so many epochs."""
        return nullcontext()


@dataclass(frozen=True)
class TrainedRun:
    """What `train_on` gives.

    Attributes:
        settings: of the training.
        result: the checkpoint and its history.
        evaluation: on the test split; ``None`` where there is none.
    """

    settings: TrainingSettings
    result: TrainingResult
    evaluation: Evaluation | None


def train_on(
    source: AveFeatures | OwnVideos,
    output: Path,
    *,
    model: str | None = None,
    settings_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    resume: bool = False,
    listener: Listener | None = None,
) -> TrainedRun:
    """Train a model, keep its best epoch, measure it on the test split, and write all of it into a folder.

    Where no model is named and a category of one's own videos has few training events, the model is the best of several
    by cross-validation, see `avel.training.comparison`.

    Args:
        source: what to train on.
        output: folder of the run, see `avel.training.run_folder`.
        model: its name; the settings file's, the best of several, or the recommended one, if left out.
        settings_file: YAML file of settings.
        flags: settings that count more than those of the file.
        resume: go on with the run that is in the folder.
        listener: is told what goes on.

    Raises:
        AvelError: if the folder, settings, labels, videos or features are not as they have to be.
        ValueError: if the options of the source are not allowed.
    """
    listener = listener or Listener()
    is_main = os.environ.get("RANK", "0") == "0"
    with ExitStack() as open_files:
        if is_main:
            check_folder(output, resume=resume)
            open_files.enter_context(locked(output))
        data: LocalizationData
        measured: Measured | None = None
        if isinstance(source, OwnVideos):
            wish = _Wish(model, settings_file, flags or {}, output)
            settings, own = _own_data(source, output, wish, listener)
            data = own
            if is_main:
                write_text(output / SPLITS_FILE, splits_csv(own))
            if wish.leaves_model_open:
                settings, measured = _model_for_few(wish, settings, own, listener)
        else:
            settings = settings_for(model, file=settings_file, flags=flags)
            check_same_settings(output, settings)
            data = open_ave(source, listener)
        clips = sum(len(data.splits.get(split, ())) for split in splits_learned(settings))
        listener.say(
            f"training {settings.model} on {counted(clips, 'clip')}, for at most {counted(settings.epochs, 'epoch')}"
        )
        with listener.training(settings.epochs) as progress:
            result = loop.train(settings, data, output, resume=resume, progress=progress, measured=measured)
        evaluation = None
        if is_main and len(data.splits.get("test", ())):
            evaluation = evaluate(result.checkpoint, data, "test", device=settings.device)
            report.write_json(evaluation, output / RESULT_JSON)
            report.write_html(evaluation, output / RESULT_HTML)
            if text := advice(settings, result, evaluation, data.notes.get("training_events")):
                listener.warn(text)
    return TrainedRun(settings, result, evaluation)


def train_matcher_on(
    source: AveFeatures | OwnVideos,
    output: Path,
    matcher: str,
    flags: Mapping[str, Any] | None = None,
    *,
    listener: Listener | None = None,
) -> MatcherRun:
    """Train a matcher of pictures and sound, measure it on the test split, and write both into a folder.

    Args:
        source: what to train on.
        output: folder of the run, see `avel.training.matchers`.
        matcher: ``avdln``, ``dcca`` or ``dual-encoder``.
        flags: settings, see `avel.matching.training.MatchingSettings`.
        listener: is told what goes on.

    Raises:
        AvelError: if the folder, settings, labels, videos or features are not as they have to be.
        ValueError: if the options of the source are not allowed, or the clips cannot give what the settings ask for.
    """
    listener = listener or Listener()
    settings = matching_settings(matcher, flags or {})
    check_folder(output, resume=False)
    with locked(output):
        if isinstance(source, OwnVideos):
            data: LocalizationData = _own_data(source, output, _Wish(), listener)[1]
        else:
            data = open_ave(source, listener)
        return train_matcher(settings, data, output, listener.matching)


def evaluate_matcher_on(
    matcher: Path, source: AveFeatures | OwnVideos, split: Split = "test", *, listener: Listener | None = None
) -> MatchingAccuracy:
    """Measure a trained matcher on features in AVE's layout or in a store.

    Raises:
        AvelError: if the matcher or the features are not as they have to be.
        ValueError: if the source is labels of one's own, or no clip has an event shorter than it.
    """
    if isinstance(source, OwnVideos):
        raise ValueError(
            "A matcher is measured on features in AVE's layout or in a store of AVE's videos. What it reaches on your "
            "own videos, `avel train` said when it was trained."
        )
    return evaluate_matcher(matcher, open_ave(source, listener), split)


def evaluate_on(
    checkpoint: Path,
    source: AveFeatures | OwnVideos,
    split: Split = "test",
    *,
    device: str = "auto",
    listener: Listener | None = None,
) -> Evaluation:
    """Measure a trained model.

    Args:
        checkpoint: the file, or the folder of its run.
        source: what to measure it on; labels of one's own are cut and split as they were for the training.
        split: the part of it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        listener: is told what goes on.

    Raises:
        AvelError: if the checkpoint, labels, videos or features are not as they have to be.
        ValueError: if the options of the source are not allowed.
    """
    listener = listener or Listener()
    path = path_of(checkpoint)
    data: LocalizationData
    if isinstance(source, AveFeatures):
        data = open_ave(source, listener)
    else:
        info = read_info(path)
        settings = from_mapping(info.settings, str(path))
        store = source.store or path.parent / FEATURES_FOLDER
        labelling = _labelling(source, store, info.categories)
        _extract(labelling, store, Recipe.from_dict(info.features.recipe), listener)
        data = open_labelled(labelling, store, settings, needed=(split,))
    return evaluate(path, data, split, device=device)


def open_ave(source: AveFeatures, listener: Listener | None = None) -> LocalizationData:
    """Open features of AVE and tell its warnings.

    Raises:
        AvelError: as `avel.training.ave_data.open_data`.
        ValueError: if ``features_of`` is no preset.
    """
    declared = None
    if source.features_of is not None:
        recipe = preset(source.features_of)
        declared = FeatureRecord(0, 0, 0, visual=recipe.visual, audio=recipe.audio, recipe=recipe.to_dict())
    data = open_data(source.folder, annotations=source.annotations, declared=declared)
    for warning in data.warnings:
        (listener or Listener()).warn(f"{source.folder}: {warning}")
    return data


@dataclass(frozen=True)
class _Wish:
    """What a person has said of the settings.

    Attributes:
        model: its name.
        file: of settings.
        flags: settings that count more than those of the file.
        output: folder of the run, which may have begun.
    """

    model: str | None = None
    file: Path | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)
    output: Path | None = None

    def settings(self, asked_for: Mapping[str, Any], candidate: Candidate | Compared | None = None) -> TrainingSettings:
        """Those of a training.

        Args:
            asked_for: what the labels ask for.
            candidate: the model that is taken where none is named.
        """
        if candidate is None:
            return settings_for(self.model, file=self.file, flags=self.flags, asked_for=asked_for)
        own = {"protocol": CROSS_VALIDATION, **candidate.changes}
        if "early_stop" in self.flags:
            del own["protocol"]  # which has no epoch to stop at
        return settings_for(candidate.model, file=self.file, flags=self.flags, asked_for={**asked_for, **own})

    @property
    def leaves_model_open(self) -> bool:
        """Whether no model is named, nor anything that only one model has."""
        said = {**(read_yaml(self.file) if self.file is not None else {}), **self.flags}
        return self.model is None and not {"model", "options", "start_from"} & said.keys()

    @property
    def kept(self) -> ModelComparison | None:
        """The comparison that the run in the folder began with."""
        if self.output is None or not self.leaves_model_open or not (self.output / SETTINGS_FILE).exists():
            return None
        path = self.output / COMPARISON_FILE
        return read_comparison(path) if path.exists() else None


def _own_data(
    source: OwnVideos, output: Path, wish: _Wish, listener: Listener
) -> tuple[TrainingSettings, LabelledData]:
    """Settings that fit the labels, and the labels with the features of their videos."""
    store = source.store or output / FEATURES_FOLDER
    recipe = source.recipe or _recipe_of_store(store)
    labelling = _labelling(source, store)
    asked_for = labelling.asks_for(recipe.segment_seconds)
    kept = wish.kept
    settings = wish.settings(asked_for, None if kept is None else kept.best)
    for text in _chosen(labelling, settings, asked_for):
        listener.say(text)
    check_same_settings(output, settings)
    splits = split_videos(labelling, settings)
    _extract(labelling, store, recipe, listener)
    data = open_labelled(labelling, store, settings, splits=splits)
    for warning in data.warnings:
        listener.warn(f"{labelling.source}: {warning}")
    listener.say(f"videos: {', '.join(f'{count} {split}' for split, count in data.notes['videos'].items())}")
    return settings, data


def _model_for_few(
    wish: _Wish, settings: TrainingSettings, data: LabelledData, listener: Listener
) -> tuple[TrainingSettings, Measured | None]:
    """The settings that are best by cross-validation where a category has few training events, else those given."""
    assert wish.output is not None
    comparison, few = wish.kept, few_examples(settings, data)
    if comparison is None:
        clips = sum(len(data.splits[split]) for split in ("train", "val"))
        if not few or (wish.output / SETTINGS_FILE).exists() or int(os.environ.get("WORLD_SIZE", "1")) > 1:
            return settings, None
        if clips > MAX_COMPARED_CLIPS:
            listener.say(
                f"With {clips} clips, models are not compared, which is done for {MAX_COMPARED_CLIPS} or fewer. "
                f"--model {FOR_FEW} makes the most of few examples."
            )
            return settings, None
        listener.say(
            f"Fewer than {settings.few_events} training events of a category, and no --model: models are compared by "
            "cross-validation over the training and validation videos, and the best is trained."
        )
        asked_for = {name: getattr(settings, name) for name in ("task", "multi_label", "backgrounds")}
        comparison, settings = compare(
            lambda candidate: wish.settings(asked_for, candidate),
            data,
            progress=lambda name: listener.say(f"comparing: {name}"),
        )
        write_text(wish.output / COMPARISON_FILE, json.dumps(comparison.to_dict(), indent=2) + "\n")
    listener.comparing(comparison)
    return settings, comparison.measured()


def _recipe_of_store(store: Path) -> Recipe:
    return FeatureStore(store).recipe if (store / "store.json").exists() else preset("fast")


def _labelling(source: OwnVideos, store: Path, categories: Sequence[str] | None = None) -> VideoLabelling:
    return read_labels(
        source.labels,
        source.videos,
        format=source.format,
        frames_per_second=source.frames_per_second,
        tiers=source.tiers or (),
        category_from=source.category_from or "text",
        annotator=source.annotator,
        categories=categories,
        store=store,
    )


def _chosen(labelling: VideoLabelling, settings: TrainingSettings, asked_for: Mapping[str, Any]) -> Iterator[str]:
    """What the labels are, and which settings they asked for."""
    annotations = labelling.annotations
    yield (
        f"{labelling.source}: {counted(len(annotations.events), 'label')} of "
        f"{counted(annotations.num_categories, 'category')} in {counted(len(annotations.videos), 'video')}"
    )
    if asked_for.get("task") == settings.task == "weak":
        yield "The labels have no times, so the model is trained on labels of whole videos (task weak)."
    if asked_for.get("multi_label") and settings.multi_label:
        yield (
            "Events of several categories overlap, so each category gets a score and a threshold of its own "
            "(multi_label)."
        )


def _extract(labelling: VideoLabelling, store: Path, recipe: Recipe, listener: Listener) -> None:
    with listener.extracting() as progress:
        summary = extract_many(labelling.files.values(), store, recipe, progress=progress, reading=listener.reading)
    listener.say(
        f"features in {store}: {counted(summary.done, 'video')} extracted, {summary.skipped} already there, "
        f"{len(summary.failures)} failed"
    )
