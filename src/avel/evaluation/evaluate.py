"""A trained model on a split of a data set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avel.data.annotations import Split
from avel.errors import ModelError
from avel.evaluation.baselines import baselines
from avel.evaluation.metrics import Metrics, measure
from avel.models import registry
from avel.training import checkpoint
from avel.training.data import LocalizationData
from avel.training.features import check_same
from avel.training.loop import predict
from avel.training.processes import pick_device
from avel.training.settings import from_mapping
from avel.training.tasks import Supervised, task_of


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and beside it what needs no learning.

    Attributes:
        metrics: of the model.
        baselines: of the trivial answers, by name.
        categories: event categories in the order of the classes.
        split: which clips.
        data: the folder.
        model: name.
        parameters: of the model, how many numbers.
        milliseconds_per_clip: that the model computed, in batches, on the device it was given.
        about: what else to know of the model: task, protocol, epoch, seed.
        warnings: for a person to read.
    """

    metrics: Metrics
    baselines: Mapping[str, Metrics]
    categories: tuple[str, ...]
    split: str
    data: str
    model: str
    parameters: int = 0
    milliseconds_per_clip: float = 0.0
    about: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "model": self.model,
            "data": self.data,
            "split": self.split,
            "parameters": self.parameters,
            "about": dict(self.about),
            "categories": list(self.categories),
            "metrics": self.metrics.to_dict(),
            "baselines": {name: metrics.to_dict() for name, metrics in self.baselines.items()},
            "warnings": list(self.warnings),
        }


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
    modalities = registry.entry(info.model).modalities
    check_same(info.features, data.record, modalities=modalities, where=data.name)
    if info.categories != data.categories:
        different = next(
            (pair for pair in zip(info.categories, data.categories, strict=False) if pair[0] != pair[1]), None
        )
        found = f"'{different[1]}' in place of '{different[0]}'" if different else f"{len(data.categories)} categories"
        raise ModelError(
            f"{path}: was trained on {len(info.categories)} other categories; {data.name} has {found}. "
            "Give data with the same categories in the same order."
        )
    settings = from_mapping(info.settings, str(path)) if info.settings else None
    examples = data.examples(split)
    task = task_of(settings) if settings is not None else Supervised()
    predicted, valid, computed_seconds = predict(model, data, examples, task, device=where, modalities=modalities)
    true = examples.labels.argmax(-1)
    count, seconds = data.dataset.num_classes, data.record.segment_seconds
    about = {} if settings is None else {"task": settings.task, "protocol": settings.protocol, "seed": settings.seed}
    if settings is not None and settings.task == "weak":
        about |= {name: getattr(settings, name) for name in ("weak_labels", "pooling", "backgrounds")}
    return Evaluation(
        metrics=measure(predicted, true, count, valid=valid, segment_seconds=seconds),
        baselines=baselines(true, data.video_classes(split), count, valid=valid, segment_seconds=seconds),
        categories=data.categories,
        split=split,
        data=data.name,
        model=info.model,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        milliseconds_per_clip=1000 * computed_seconds / len(examples),
        about={**about, **{name: info.notes[name] for name in ("epoch", "chosen_on") if name in info.notes}},
        warnings=data.warnings + _warnings(info.notes.get("chosen_on"), split),
    )


def _warnings(chosen_on: str | None, split: str) -> tuple[str, ...]:
    if chosen_on != split:
        return ()
    return (f"the epoch was chosen on this same split, {split}: its accuracy is too good (protocol literature)",)
