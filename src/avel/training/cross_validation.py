"""How good models of some settings are, by cross-validation over the training and the validation clips.

The videos are divided into folds, each category alike; a model that learns from all folds but one answers that one, so
that every clip is answered by a model that has not seen its video (Stone, JRSS B 1974). This is done for several
divisions, since one of a few videos is luck. No split chooses an epoch: each model's last one answers.

The interval is that of a bootstrap over videos (Efron and Tibshirani, 1993), which draws as many videos as there are
with replacement: what other videos of the same kind would have shown. It does not know of other kinds.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from avel.data.clips import Rows
from avel.data.splits import stratified_folds
from avel.errors import FeaturesError
from avel.metrics.segments import category_f1, confusion_matrix
from avel.training.data import LocalizationData
from avel.training.examples import Examples
from avel.training.learner import Measured, learned_from, prepare
from avel.training.passes import one_pass
from avel.training.prediction import LabelledLogits, accuracy_of, labelled_logits, predict, thresholds_of
from avel.training.processes import Processes
from avel.training.settings import TrainingSettings, splits_learned
from avel.training.state import Epoch
from avel.training.tasks import Task, task_of

CROSS_VALIDATION = "cross-validation"
"""The protocol, and what its numbers are called by in checkpoints."""

FOLDS = 5
"""At most; as many as there are videos where these are fewer."""

DIVISIONS, DIVIDED_CLIPS = 2, 100
"""As many divisions as take so many clips together, at most two and at least one: of many clips, one is no luck."""

RESAMPLES = 200
INTERVAL = (0.025, 0.975)


class Answers(NamedTuple):
    """What was said of all clips in one division, each by a model that did not see its video.

    Attributes:
        found: of the training clips, then of the validation clips.
        video_of: (N,) number of the video of each row of ``found``.
    """

    found: LabelledLogits
    video_of: Rows


@dataclass(frozen=True)
class CrossValidated:
    """How good models of some settings are.

    Attributes:
        measured: the run's measure, mean over the divisions, and in multi-label the thresholds.
        quality: by which settings are compared, in [0, 1], mean over the divisions:
            `avel.metrics.segments.category_f1`; in multi-label, the mean average precision.
        interval: of the quality, 95 %.
        videos: how many there are.
        folds: of each division.
        divisions: how many there were.
    """

    measured: Measured
    quality: float
    interval: tuple[float, float]
    videos: int
    folds: int
    divisions: int


def cross_validate(settings: TrainingSettings, data: LocalizationData, processes: Processes) -> CrossValidated:
    """Train models of some settings on parts of the data, and let them answer the rest.

    Args:
        settings: how they are trained.
        data: on what; its test clips are not looked at.
        processes: this one among those that train together.

    Raises:
        SettingsError: if settings do not go together.
        FeaturesError: if features or a split are missing, or there is one video only.
        ModelError: if the model or an option is unknown.
    """
    settings = _without_choosing(settings)
    clips = learned_from(settings, data)
    videos = _videos(settings, data)
    if len(videos) < 2:
        raise FeaturesError(f"{data.name}: cross-validation needs two videos to learn from; there is {len(videos)}.")
    categories = _categories(clips, videos)
    folds = min(FOLDS, len(videos))
    divisions = []
    for division in range(max(1, min(DIVISIONS, DIVIDED_CLIPS // len(clips)))):
        fold_of = stratified_folds(categories, folds, seed=(settings.seed, division))
        members = [np.flatnonzero(np.array(fold_of) == fold) for fold in range(folds)]
        held_out = [np.concatenate([videos[number] for number in fold]) for fold in members if len(fold)]
        divisions.append(_answers(settings, data, processes, clips, held_out))
    return summary(task_of(settings), divisions, settings.seed, folds)


def trivial(settings: TrainingSettings, data: LocalizationData) -> CrossValidated:
    """The same of what needs no learning: always background, or of whole videos always the most frequent class."""
    settings = _without_choosing(settings)
    clips = learned_from(settings, data)
    logits = np.zeros((len(clips), data.num_segments, data.dims.num_classes), np.float32)
    most = -1
    if not data.has_times and not settings.multi_label:
        most = int(np.bincount(clips.labels.first_classes[:, 0]).argmax())
    logits[..., most] = 1
    answers = _labelled(settings, data, clips, logits, data.valid(clips))
    return summary(task_of(settings), [answers], settings.seed, 0)


def _without_choosing(settings: TrainingSettings) -> TrainingSettings:
    """Settings by which no split chooses an epoch, whatever those of the training are that is measured."""
    return settings.with_changes(protocol=CROSS_VALIDATION, early_stop=0)


def summary(task: Task, divisions: Sequence[Answers], seed: int, folds: int) -> CrossValidated:
    """What a checkpoint and a comparison say of the answers of all divisions."""
    videos = int(divisions[0].video_of.max()) + 1
    rows = [np.flatnonzero(divisions[0].video_of == number) for number in range(videos)]
    random = np.random.default_rng(seed)
    drawn = [
        np.concatenate([rows[number] for number in random.integers(videos, size=videos)]) for _ in range(RESAMPLES)
    ]
    resampled = [np.mean([_quality(task, answers.found, chosen) for answers in divisions]) for chosen in drawn]
    everything = functools.reduce(LabelledLogits.with_more, (answers.found for answers in divisions))
    low, high = np.nanquantile(resampled, INTERVAL)
    return CrossValidated(
        measured=Measured(
            CROSS_VALIDATION,
            float(np.mean([accuracy_of(task, answers.found) for answers in divisions])),
            thresholds_of(task, everything),
        ),
        quality=float(np.mean([_quality(task, answers.found) for answers in divisions])),
        interval=(float(low), float(high)),
        videos=videos,
        folds=folds,
        divisions=len(divisions),
    )


def _answers(
    settings: TrainingSettings,
    data: LocalizationData,
    processes: Processes,
    clips: Examples,
    held_out: Sequence[Rows],
) -> Answers:
    logits = np.empty((len(clips), data.num_segments, data.dims.num_classes), np.float32)
    for held in held_out:
        rest = np.setdiff1d(np.arange(len(clips)), held)
        learner = prepare(settings, data, processes, only=rest.tolist())
        network, history = learner.network(), list[Epoch]()
        for epoch in range(1, settings.epochs + 1):
            rate, loss = one_pass(learner, network, history)
            history.append(Epoch(epoch, loss, None, rate, 0.0))
        part = clips.of(held.tolist())
        said = predict(learner.kept, data, part, device=processes.device, modalities=learner.modalities)
        logits[held] = said.logits
    return _labelled(settings, data, clips, logits, data.valid(clips))


def _labelled(
    settings: TrainingSettings,
    data: LocalizationData,
    clips: Examples,
    logits: npt.NDArray[np.float32],
    valid: npt.NDArray[np.bool_],
) -> Answers:
    """What is measured, split after split."""
    task, start, count = task_of(settings), 0, 0
    found: list[LabelledLogits] = []
    video_of: list[Rows] = []
    for split in splits_learned(settings):
        videos = data.by_video(split)
        here = slice(start, start + sum(map(len, videos)))
        found.append(
            labelled_logits(data, split, task, logits[here], clips.labels.of(np.arange(len(clips))[here]), valid[here])
        )
        numbers = count + np.arange(len(videos))
        video_of.append(np.repeat(numbers, list(map(len, videos))) if data.has_times else numbers)
        start, count = here.stop, count + len(videos)
    return Answers(functools.reduce(LabelledLogits.with_more, found), np.concatenate(video_of))


def _videos(settings: TrainingSettings, data: LocalizationData) -> list[Rows]:
    """For each video, the numbers of its clips among those that are learned from."""
    videos: list[Rows] = []
    start = 0
    for split in splits_learned(settings):
        of_split = data.by_video(split)
        videos += [rows + start for rows in of_split]
        start += sum(map(len, of_split))
    return videos


def _categories(clips: Examples, videos: Sequence[Rows]) -> list[list[str]]:
    """Which categories each video has, by their numbers."""
    background = clips.labels.num_classes - 1
    return [[str(c) for c in np.unique(clips.labels.of(rows).classes) if c < background] for rows in videos]


def _quality(task: Task, found: LabelledLogits, rows: Rows | None = None) -> float:
    if rows is not None:
        found = found.of(rows)
    if task.multi_label:
        return accuracy_of(task, found)
    classes, true = task.decide(found.logits).numpy(), found.labels.first_classes
    return category_f1(confusion_matrix(classes, true, found.logits.shape[-1], valid=found.valid.numpy()))
