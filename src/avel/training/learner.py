"""All that a training needs before its first step, made from settings and data: task, examples, model and optimizer."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from avel.data.annotations import Split
from avel.errors import FeaturesError, SettingsError
from avel.models import registry
from avel.models.base import LocalizationModel
from avel.training import checkpoint
from avel.training.checkpoint import CheckpointInfo
from avel.training.data import LocalizationData
from avel.training.examples import Batch, Examples
from avel.training.optimization import averaging_of, optimizer_of, precision_of
from avel.training.prediction import LabelledLogits, accuracy_of, labelled_logits, measure_of, predict, thresholds_of
from avel.training.processes import Processes
from avel.training.settings import TrainingSettings, splits_learned
from avel.training.state import Epoch
from avel.training.tasks import Task, task_of


@dataclass(frozen=True)
class Measured:
    """How good a model is, as its checkpoint says it.

    Attributes:
        on: the split that chose the epoch, or ``cross-validation``.
        accuracy: in [0, 1], the run's measure.
        thresholds: of a multi-label model, one a category.
        notes: what else a checkpoint should remember of how that was found out.
    """

    on: str
    accuracy: float
    thresholds: tuple[float, ...]
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Learner:
    """A model, what it learns from, and how.

    Attributes:
        settings: how it is trained.
        data: the data set.
        processes: this process among those that train together.
        task: target, loss and decision.
        measure: name of what the accuracy is, see `avel.training.loop.TrainingResult`.
        examples: to learn from.
        chosen_on: the split that chooses the epoch; ``None`` where none is chosen.
        choosing: the examples of that split.
        options: all of the model's options.
        precision: of the large products.
        model: with the weights that are trained.
        average: of these weights over the steps, if the settings ask for one.
        optimizer: of the weights.
    """

    settings: TrainingSettings
    data: LocalizationData
    processes: Processes
    task: Task
    measure: str
    examples: Examples
    chosen_on: Split | None
    choosing: Examples | None
    options: Mapping[str, Any]
    precision: torch.dtype
    model: LocalizationModel
    average: AveragedModel | None
    optimizer: torch.optim.Optimizer

    @property
    def kept(self) -> LocalizationModel:
        """What is measured and saved: the model with its weights, or with their average."""
        return self.model if self.average is None else cast(LocalizationModel, self.average.module)

    @property
    def modalities(self) -> tuple[str, ...]:
        """What the model looks at."""
        return registry.modalities_of(self.settings.model, self.settings.options)

    def network(self) -> nn.Module:
        """The model, with its gradients averaged over the processes where there are several."""
        return nn.parallel.DistributedDataParallel(self.model) if self.processes.count > 1 else self.model

    def batches(self, order: Sequence[Sequence[int]]) -> Iterator[Batch]:
        """Batches to learn from; ``order`` has the numbers of each batch's examples."""
        return self.data.batches(
            self.examples, order, self.modalities, dtype=self.precision, device=self.processes.device
        )

    def measured(self) -> LabelledLogits | None:
        """What the kept model says of the split that chooses; each process looks at its share of the clips."""
        if self.choosing is None or self.chosen_on is None:
            return None
        count, processes = len(self.choosing), self.processes
        part = self.choosing.of(range(processes.rank, count, processes.count))
        predicted = predict(self.kept, self.data, part, device=processes.device, modalities=self.modalities)
        parts = processes.gather((predicted.logits, predicted.valid))
        logits, valid = (np.empty((count, *array.shape[1:]), array.dtype) for array in parts[0])
        for rank, (some_logits, some_valid) in enumerate(parts):
            logits[rank :: processes.count], valid[rank :: processes.count] = some_logits, some_valid
        return labelled_logits(self.data, self.chosen_on, self.task, logits, self.choosing.labels, valid)

    def checked(self, found: LabelledLogits) -> Measured:
        """What a checkpoint says of the model, by the split that chooses its epoch."""
        assert self.chosen_on is not None
        return Measured(self.chosen_on, accuracy_of(self.task, found), thresholds_of(self.task, found))

    def save(self, path: Path, epoch: Epoch, measured: Measured, notes: Mapping[str, Any]) -> None:
        """Write the kept model as a checkpoint.

        Args:
            path: of the checkpoint.
            epoch: that has just ended.
            measured: how good it is.
            notes: what else to remember of how the model came to be.
        """
        chosen = {} if self.chosen_on is None else {"chosen_on": self.chosen_on}
        info = CheckpointInfo(
            model=self.settings.model,
            options=self.options,
            dims=self.data.dims,
            categories=self.data.categories,
            features=self.data.record,
            num_segments=self.data.num_segments,
            thresholds=measured.thresholds,
            settings=self.settings.to_dict(),
            metrics={measured.on: {self.measure: measured.accuracy}},
            notes={"epoch": epoch.epoch, **chosen, "data": self.data.name, **self.data.notes, **notes},
        )
        checkpoint.save(path, self.kept, info)


def prepare(
    settings: TrainingSettings, data: LocalizationData, processes: Processes, only: Sequence[int] | None = None
) -> Learner:
    """Make all that is needed before the first step.

    Args:
        settings: how.
        data: on what.
        processes: this one among those that train together.
        only: numbers of the clips to learn from, among those that the protocol allows; all if left out.

    Raises:
        SettingsError: if settings do not go together.
        FeaturesError: if features or a split are missing.
        ModelError: if the model or an option is unknown, or ``start_from`` does not fit.
    """
    data.hold(settings.held_bytes)
    measure = measure_of(settings, data)
    options = registry.options_of(settings.model, **settings.options).model_dump()
    precision = precision_of(settings, processes.device, registry.modalities_of(settings.model, settings.options))
    examples = learned_from(settings, data)
    if only is not None:
        examples = examples.of(only)
    if settings.task == "weak":
        examples = examples.with_more(data.backgrounds(settings.backgrounds, settings.seed))
    chosen_on = _chosen_on(settings)
    choosing = None if chosen_on is None else data.examples(chosen_on, multi_label=settings.multi_label)
    if settings.multi_label and choosing is not None and not choosing.labels.has_event.any():
        raise FeaturesError(f"{data.name}: split {chosen_on} has no event, so no epoch can be chosen on it.")
    task = _task(settings, data, examples)
    model = _model(settings, data)
    model.spec = task.spec(data.categories)
    model.to(processes.device)
    average = None
    if settings.average_weights:
        averaging = averaging_of(settings.average_weights)
        average = AveragedModel(model, multi_avg_fn=averaging, use_buffers=True)
    return Learner(
        settings=settings,
        data=data,
        processes=processes,
        task=task,
        measure=measure,
        examples=examples,
        chosen_on=chosen_on,
        choosing=choosing,
        options=options,
        precision=precision,
        model=model,
        average=average,
        optimizer=optimizer_of(settings, model),
    )


def learned_from(settings: TrainingSettings, data: LocalizationData) -> Examples:
    """The clips that a protocol allows to learn from, split after split.

    Raises:
        FeaturesError: if the data set has no such split, or no clip in it.
    """
    first, *rest = (data.examples(split, multi_label=settings.multi_label) for split in splits_learned(settings))
    for more in rest:
        first = first.with_more(more)
    return first


def _chosen_on(settings: TrainingSettings) -> Split | None:
    if settings.protocol != "cross-validation":
        return "val" if settings.protocol == "validation" else "test"
    if settings.early_stop or (settings.schedule == "plateau" and settings.plateau_of == "accuracy"):
        raise SettingsError(
            "protocol: with cross-validation no split measures the epochs. Set early_stop to 0 and plateau_of to "
            "training-loss, or take the protocol validation."
        )
    return None


def _task(settings: TrainingSettings, data: LocalizationData, examples: Examples) -> Task:
    task = task_of(settings)
    if settings.class_weights != "balanced":
        return task
    every_valid = torch.from_numpy(data.valid(examples))

    def targets() -> Iterator[tuple[Tensor, Tensor]]:
        for numbers in np.array_split(np.arange(len(examples)), 1 + len(examples) // settings.batch_size):
            valid = every_valid[numbers]
            yield task.target(torch.from_numpy(examples.labels.of(numbers).dense()).float(), valid), valid

    return task.balanced(targets())


def _model(settings: TrainingSettings, data: LocalizationData) -> LocalizationModel:
    torch.manual_seed(settings.seed)
    model = registry.build(settings.model, data.dims, **settings.options)
    has_own_loss = type(model).loss is not LocalizationModel.loss
    if settings.multi_label and has_own_loss:
        raise SettingsError(
            f"multi_label: '{settings.model}' has a loss of its own, for classes that exclude each other. "
            "Train it without multi_label, or another model."
        )
    if settings.label_smoothing and has_own_loss:
        raise SettingsError(f"label_smoothing: '{settings.model}' has a loss of its own. Leave it at 0.")
    if settings.start_from:
        checkpoint.take_over(model, settings.start_from)
    return model
