"""A trained model on a split of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from avel.data.annotations import Split
from avel.errors import ModelError
from avel.evaluation.baselines import baselines, multi_label_baselines, video_baselines
from avel.metrics.multi_label import MultiLabelMetrics, measure_multi_label
from avel.metrics.segments import Metrics, measure
from avel.models import registry
from avel.records import Record
from avel.training import checkpoint
from avel.training.comparison import ModelComparison, comparison_in
from avel.training.data import LocalizationData
from avel.training.features import check_same
from avel.training.prediction import LabelledLogits, labelled_logits, predict
from avel.training.processes import pick_device
from avel.training.settings import TrainingSettings, from_mapping, splits_learned
from avel.training.tasks import Supervised, Task, task_of
from avel.wording import counted


@dataclass(frozen=True)
class Evaluation(Record):
    """What was measured, and beside it what needs no learning.

    Attributes:
        model: its name.
        data: the folder or file that was measured on, as given.
        split: the part of it.
        metrics: of the model.
        baselines: of the trivial answers, by name.
        categories: event categories in the order of the classes.
        unit: what has a label of its own: a ``segment``, or a whole ``video`` where labels have no times.
        parameters: how many numbers the model has.
        milliseconds_per_clip: how long the model computed, in batches, on the device it was given; it is not written.
        right_segments: how many segments of each clip are right, where classes exclude each other; it is not written.
        clip_segments: how many segments each clip has; it is not written.
        about: what else to know of the model: task, protocol, epoch, seed.
        comparison: by which the model was chosen, where none was named.
        warnings: for a person to read.
    """

    model: str
    data: str
    split: str
    metrics: Metrics | MultiLabelMetrics
    baselines: Mapping[str, Metrics] | Mapping[str, MultiLabelMetrics]
    categories: tuple[str, ...]
    unit: Literal["segment", "video"] = "segment"
    parameters: int = 0
    milliseconds_per_clip: Annotated[float, Field(exclude=True)] = 0.0
    right_segments: Annotated[tuple[int, ...], Field(exclude=True)] = ()
    clip_segments: Annotated[tuple[int, ...], Field(exclude=True)] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    comparison: ModelComparison | None = None
    warnings: tuple[str, ...] = ()


def evaluate(path: str | Path, data: LocalizationData, split: Split = "test", *, device: str = "auto") -> Evaluation:
    """Measure a checkpoint.

    Args:
        path: of the checkpoint.
        data: a data set with the features and categories that the model was trained on.
        split: which of its clips.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        FeaturesError: if the features are not those that the model was trained on, or are missing.
        ModelError: if the checkpoint cannot be read, or has other categories.
    """
    path = Path(path)
    where = pick_device(device)
    model, info = checkpoint.load(path, device=where)
    modalities = registry.modalities_of(info.model, info.options)
    check_same(info.features, data.record, modalities=modalities, where=data.name)
    if info.categories != data.categories:
        different = next(
            (pair for pair in zip(info.categories, data.categories, strict=False) if pair[0] != pair[1]), None
        )
        found = counted(len(data.categories), "category")
        if different:
            found = f"'{different[1]}' in place of '{different[0]}'"
        raise ModelError(
            f"{path}: was trained on {counted(len(info.categories), 'other category')}; {data.name} has {found}. "
            "Give data with the same categories in the same order."
        )
    settings = from_mapping(info.settings, str(path)) if info.settings else None
    task = task_of(settings) if settings is not None else Supervised()
    examples = data.examples(split, multi_label=task.multi_label)
    predicted = predict(model, data, examples, device=where, modalities=modalities)
    result = labelled_logits(data, split, task, predicted.logits, examples.labels, predicted.valid)
    metrics: Metrics | MultiLabelMetrics
    trivial: Mapping[str, Metrics] | Mapping[str, MultiLabelMetrics]
    if task.multi_label:
        metrics, trivial = _several(task, result, data, split, info.thresholds)
    else:
        metrics, trivial = _one_each(task, result, data, split)
    about: dict[str, Any] = {}
    if settings is not None:
        about = {"task": settings.task, "protocol": settings.protocol, "seed": settings.seed}
        about |= {"multi_label": True} if settings.multi_label else {}
        about |= {"class_weights": settings.class_weights} if settings.class_weights != "none" else {}
    if settings is not None and settings.task == "weak":
        about |= {name: getattr(settings, name) for name in ("weak_labels", "pooling", "backgrounds")}
    return Evaluation(
        metrics=metrics,
        baselines=trivial,
        categories=data.categories,
        split=split,
        data=data.name,
        model=info.model,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        right_segments=() if task.multi_label else _right(task, result),
        clip_segments=tuple(result.valid.sum(1).tolist()),
        milliseconds_per_clip=1000 * predicted.seconds / len(examples),
        about={**about, **{name: info.notes[name] for name in ("epoch", "chosen_on") if name in info.notes}},
        warnings=data.warnings + _warnings(info.notes.get("chosen_on"), settings, split),
        comparison=comparison_in(info.notes),
        unit="segment" if data.has_times else "video",
    )


def _right(task: Task, found: LabelledLogits) -> tuple[int, ...]:
    right = (task.decide(found.logits).numpy() == found.labels.first_classes) & found.valid.numpy()
    return tuple(right.sum(1).tolist())


def _one_each(
    task: Task, found: LabelledLogits, data: LocalizationData, split: Split
) -> tuple[Metrics, Mapping[str, Metrics]]:
    """Where classes exclude each other."""
    count, seconds = data.dataset.num_classes, data.record.segment_seconds
    predicted, true = task.decide(found.logits).numpy(), found.labels.first_classes
    if not data.has_times:
        of_training = data.examples("train").labels.first_classes[:, 0]
        return measure(predicted, true, count), video_baselines(true, of_training, count)
    predicted, true = (data.as_videos(split, classes, count - 1) for classes in (predicted, true))
    valid = data.as_videos(split, found.valid.numpy(), False)
    trivial = baselines(true, data.video_classes(split), count, valid=valid, segment_seconds=seconds)
    return measure(predicted, true, count, valid=valid, segment_seconds=seconds), trivial


def _several(
    task: Task, found: LabelledLogits, data: LocalizationData, split: Split, thresholds: tuple[float, ...]
) -> tuple[MultiLabelMetrics, Mapping[str, MultiLabelMetrics]]:
    """Where a segment may hold several categories."""
    seconds = data.record.segment_seconds
    scores, true, valid = task.scores(found.logits).numpy(), found.labels.dense()[..., :-1], found.valid.numpy()
    if data.has_times:
        scores, true = data.as_videos(split, scores, 0.0), data.as_videos(split, true, False)
        valid = data.as_videos(split, valid, False)
    metrics = measure_multi_label(
        scores, scores >= np.array(thresholds), true, thresholds=thresholds, valid=valid, segment_seconds=seconds
    )
    return metrics, multi_label_baselines(true, valid=valid, segment_seconds=seconds, has_times=data.has_times)


def _warnings(chosen_on: str | None, settings: TrainingSettings | None, split: Split) -> tuple[str, ...]:
    if chosen_on == split:
        protocol = " (protocol literature)" if split == "test" else ""
        return (f"the epoch was chosen on this same split, {split}: its accuracy is too good{protocol}",)
    if settings is not None and split in splits_learned(settings):
        return (f"the model has learned from this same split, {split}: its accuracy is too good",)
    return ()
