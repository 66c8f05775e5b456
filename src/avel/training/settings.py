"""Every setting of a training: defaults, then the model's own, then a YAML file, then flags.

The settings that a run was made with are saved beside it as YAML, which is a file of settings again.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic
import yaml
from pydantic import Field

from avel.data.annotations import Split
from avel.data.splits import SHARES
from avel.documents import parse_yaml
from avel.errors import SettingsError
from avel.files import write_text
from avel.training.choices import (
    ClassWeights,
    LossName,
    Optimizer,
    PlateauMeasure,
    Protocol,
    Schedule,
    TaskName,
    TrainingPrecision,
    WeakPooling,
    WeakProtocol,
)

NOISY, MISMATCHED, BOTH, NO_BACKGROUNDS = "noisy", "mismatched", "noisy+mismatched", "none"

HELD_BYTES = 256 << 20
"""With the batches and what a step computes, training then takes less than 1 GB for its data, in float32, too."""

MAX_SETTINGS_BYTES = 1 << 20
FOR_FEW = "linear"
"""The model that makes the most of few examples."""

Count = Annotated[int, Field(strict=True, ge=1, le=10_000_000)]
CountOrNone = Annotated[int, Field(strict=True, ge=0, le=10_000_000)]
# Not strict, since YAML reads 1e-3, without a point, as a word.
Rate = Annotated[float, Field(gt=0, le=1000, allow_inf_nan=False)]
RateOrNone = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
ShareOrNone = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


@pydantic.dataclasses.dataclass(frozen=True, config=pydantic.ConfigDict(extra="forbid"))
class TrainingSettings:
    """How a model is trained.

    Attributes:
        model: name, as ``avel models`` lists them.
        options: of the model, those that differ from its defaults.
        task: ``supervised`` or ``weak``, see `avel.training.tasks`.
        multi_label: whether a segment may hold events of several categories. Each then has a score and a threshold of
            its own, and the loss is the binary cross entropy of each; otherwise, as in the papers, a segment has one
            class, that of the category which covers most of it.
        class_weights: of the loss: ``none``, as in the papers, or ``balanced``, so that rare classes count as much as
            frequent ones, see `avel.training.tasks.Task.balanced`.
        weak_labels: labels of the weak task, ``one-hot`` or ``proportion``.
        pooling: of segments to the video in the weak task, ``mean`` (the paper's) or ``max``.
        backgrounds: clips without event that the weak task trains on besides: ``noisy`` (those of the data set),
            ``mismatched`` (sound of one category with pictures of another; Lin and Wang, ACCV 2020),
            ``noisy+mismatched``, ``none``, or a folder in AVE's layout whose clips have no event.
        protocol: which epoch is kept. ``validation``: the best on the validation split. ``literature``: the best on
            the test split, as several published implementations do; its numbers are too good. ``cross-validation``:
            none is chosen; the model learns from the training and the validation clips, its last epoch is kept, and how
            good it is, is measured by cross-validation over the same clips, see `avel.training.cross_validation`.
        loss: ``cross-entropy``, or ``multi-label-soft-margin`` as in the released code of Tian et al.
        window_segments: T, length of the windows that videos of one's own are cut into; AVE's clips have 10.
        hop_segments: how far their training windows start apart; fewer than ``window_segments`` lets them overlap.
        split_shares: of one's own videos in training, validation and test, where the label file names no splits.
        split_seed: of that split. It is not ``seed``, so that trainings with different seeds can be compared.
        few_events: a category with fewer training events than this is warned of, and where no model is named, models
            are compared, see `avel.training.comparison`; 0 never does either.
        optimizer: ``adam``, ``adamw`` or ``sgd`` (momentum 0.9).
        learning_rate: at the start.
        weight_decay: of the optimizer.
        schedule: of the learning rate. ``step``: times ``decay_factor`` every ``decay_iterations``; ``milestones``: at
            each epoch of ``decay_epochs``; ``cosine``: down to 0 at the last epoch; ``plateau``: when ``plateau_of``
            has been no better for more than ``decay_patience`` epochs, as PyTorch's ``ReduceLROnPlateau`` counts them.
        decay_factor: see ``schedule``.
        decay_iterations: see ``schedule``.
        decay_epochs: see ``schedule``.
        decay_patience: see ``schedule``.
        plateau_of: the measure that the ``plateau`` schedule waits for: ``training-loss``, which knows nothing of the
            split that chooses the epoch, or the ``accuracy`` that does.
        batch_size: clips in a batch, over all processes.
        epochs: most passes over the training clips.
        early_stop: stop when the accuracy that chooses the epoch has not risen for so many epochs; 0 never stops. With
            ``cross-validation``, which chooses none, it has to be 0.
        clip_gradient_norm: largest norm of the gradient; 0 leaves it as it is.
        label_smoothing: share of a target that all classes get alike (Szegedy et al., CVPR 2016); in multi-label,
            presence and absence. 0, as in the papers, is none.
        average_weights: decay at each step of an exponential moving average of the weights, which is then what is
            judged and kept (Polyak and Juditsky, SIAM 1992), less at the first steps; 0, as in the papers, keeps the
            weights themselves.
        start_from: checkpoint whose weights the training starts from; ``""`` starts from random ones.
        seed: of the weights, the order of clips and everything else that is drawn.
        precision: ``bfloat16`` for the large products (autocast), ``float32``, or ``auto``: bfloat16 where the
            processor computes in it.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        threads: of the processor; 0 leaves it to PyTorch.
        held_bytes: of memory that features may take, in half precision. Those of more clips are read from their files
            for each batch, in the background. No result depends on it.
        tensorboard: write TensorBoard's event files besides ``log.csv``.
    """

    model: str = "recommended"
    options: dict[str, bool | int | float | str] = Field(default_factory=dict)
    task: TaskName = "supervised"
    multi_label: Annotated[bool, Field(strict=True)] = False
    class_weights: ClassWeights = "none"
    weak_labels: WeakProtocol = "one-hot"
    pooling: WeakPooling = "mean"
    backgrounds: str = NOISY
    protocol: Protocol = "validation"
    loss: LossName = "cross-entropy"
    window_segments: Annotated[int, Field(strict=True, ge=1, le=1000)] = 10
    hop_segments: Annotated[int, Field(strict=True, ge=1, le=1000)] = 5
    split_shares: list[Factor] = Field(default_factory=lambda: list(SHARES))
    split_seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    few_events: CountOrNone = 20
    optimizer: Optimizer = "adam"
    learning_rate: Rate = 1e-3
    weight_decay: RateOrNone = 0.0
    schedule: Schedule = "step"
    decay_factor: Factor = 0.1
    decay_iterations: Count = 15_000
    decay_epochs: list[Count] = Field(default_factory=list)
    decay_patience: Count = 10
    plateau_of: PlateauMeasure = "training-loss"
    batch_size: Count = 64
    epochs: Count = 300
    early_stop: CountOrNone = 0
    clip_gradient_norm: RateOrNone = 0.0
    label_smoothing: ShareOrNone = 0.0
    average_weights: ShareOrNone = 0.0
    start_from: str = ""
    seed: Annotated[int, Field(strict=True, ge=0, lt=2**32)] = 0
    precision: TrainingPrecision = "auto"
    device: Annotated[str, Field(pattern=r"^(auto|cpu|cuda(:\d{1,3})?)$")] = "auto"
    threads: Annotated[int, Field(strict=True, ge=0, le=1024)] = 0
    held_bytes: Annotated[int, Field(strict=True, ge=0, lt=2**63)] = HELD_BYTES
    tensorboard: Annotated[bool, Field(strict=True)] = False

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to YAML and JSON."""
        return dataclasses.asdict(self)

    def save(self, path: Path) -> None:
        """Write as YAML.

        Raises:
            OutputError: if it cannot be written.
        """
        write_text(path, yaml.safe_dump(self.to_dict(), sort_keys=False))

    def with_changes(self, **changes: Any) -> "TrainingSettings":
        """The same with other values of some settings.

        Raises:
            SettingsError: if a value is not allowed.
        """
        return from_mapping({**self.to_dict(), **changes}, "settings")

    def differences(self, other: "TrainingSettings", ignore: tuple[str, ...] = ()) -> list[str]:
        """Lines such as ``seed is 1, not 0``: first these settings, then the others."""
        mine, others = self.to_dict(), other.to_dict()
        return [
            f"{name} is {mine[name]!r}, not {others[name]!r}"
            for name in mine
            if name not in ignore and mine[name] != others[name]
        ]


def splits_learned(settings: TrainingSettings) -> tuple[Split, ...]:
    """The splits that a model learns from by its protocol; what it says of these is too good."""
    return ("train", "val") if settings.protocol == "cross-validation" else ("train",)


_ADAPTER = pydantic.TypeAdapter(TrainingSettings)


def from_mapping(values: Mapping[str, Any], origin: str) -> TrainingSettings:
    """Settings from names and values.

    Args:
        values: those that differ from the defaults.
        origin: where they come from, for the error message.

    Raises:
        SettingsError: if a name is unknown or a value is not allowed; the message lists all such.
    """
    try:
        return _ADAPTER.validate_python(dict(values))
    except pydantic.ValidationError as error:
        first_of = {error["loc"][:2]: error for error in reversed(error.errors())}  # a union complains of each part
        raise SettingsError(f"{origin}: {'; '.join(map(_complaint, reversed(first_of.values())))}") from None


def settings_for(
    model: str | None = None,
    *,
    file: str | Path | None = None,
    flags: Mapping[str, Any] | None = None,
    asked_for: Mapping[str, Any] | None = None,
) -> TrainingSettings:
    """The settings of a training: the defaults, what the model's paper recommends, what the data ask for, file, flags.

    Args:
        model: name of the model; without it, the file's, or the default one.
        file: YAML file of settings.
        flags: settings that count most. An ``options`` among them adds to the file's.
        asked_for: settings that the data ask for, such as the weak task where labels have no times.

    Raises:
        SettingsError: if the file cannot be read, a name is unknown or a value is not allowed.
        ModelError: if the model is unknown.
    """
    from avel.models import registry

    from_file = read_yaml(file) if file is not None else {}
    given = dict(flags or {})
    if model is not None:
        given["model"] = model
    if isinstance(from_file.get("options"), dict) and "options" in given:
        given["options"] = {**from_file["options"], **given["options"]}
    merged = {**from_file, **given}
    origin = f"{file} and the flags" if file is not None else "settings"
    name = merged.get("model", TrainingSettings().model)
    if not isinstance(name, str):
        raise SettingsError(f"{origin}: model must be a name, got {name!r}.")
    return from_mapping({**registry.entry(name).training, **(asked_for or {}), **merged}, origin)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Names and values of a YAML file.

    Raises:
        SettingsError: if it is missing, too large, not YAML, or no mapping.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_SETTINGS_BYTES:
            raise SettingsError(f"{path}: larger than {MAX_SETTINGS_BYTES} bytes, so it is no file of settings.")
        values = parse_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read ({error.strerror}). Give a YAML file of settings.") from error
    except ValueError as error:
        raise SettingsError(f"{path}: cannot be read as settings: {error}. Give a YAML file of settings.") from error
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise SettingsError(f"{path}: must be settings as NAME: VALUE, one a line.")
    return values


def parse_flag(text: str) -> tuple[str, Any]:
    """``NAME=VALUE`` of a command line; the value is read as YAML, so numbers and lists can be given.

    ``options.NAME=VALUE`` gives an option of the model.

    Raises:
        ValueError: if it is not of this form.
    """
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"A setting is given as NAME=VALUE, got {text!r}.")
    try:
        return name, parse_yaml(value)
    except ValueError as error:
        raise ValueError(f"The value of the setting {name!r} cannot be read: {error}.") from error


def _complaint(error: Any) -> str:
    where = ".".join(map(str, error["loc"][:2])) or "settings"
    if where.startswith("options."):
        return f"{where}: must be a number, true, false or a word, got {error['input']!r}."
    if error["type"] == "unexpected_keyword_argument":
        return f"there is no setting {where!r}. Settings are {', '.join(_NAMES)}."
    return f"{where}: {error['msg']}, got {error['input']!r}."


_NAMES = tuple(field.name for field in dataclasses.fields(TrainingSettings))
