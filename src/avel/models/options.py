"""What a model is built from: the sizes of its input and its options. Needs no torch.

Both are plain dataclasses of numbers and words, so that they can be written into a checkpoint and checked when they
come from one, from a settings file or from a command line.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal, Self, get_args, get_origin, get_type_hints

MAX_FEATURE_DIMS = 65_536
MAX_REGIONS = 4_096
MAX_CATEGORIES = 65_536
MAX_HIDDEN_DIMS = 4_096
"""Sizes come from files that are not trusted; larger ones would only fill the memory."""


def _check_size(name: str, value: object, largest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{name} must be a whole number from 1 to {largest}, got {value!r}.")


@dataclass(frozen=True)
class Dims:
    """Sizes of what a model takes and gives; they travel in its checkpoint.

    Attributes:
        visual_dims: D_v, features of a region.
        regions: R, regions of a picture.
        audio_dims: D_a, features of a segment's sound.
        num_categories: event categories, without background.

    Raises:
        ValueError: if a size is out of range.
    """

    visual_dims: int = 512
    regions: int = 49
    audio_dims: int = 128
    num_categories: int = 28

    def __post_init__(self) -> None:
        _check_size("visual_dims", self.visual_dims, MAX_FEATURE_DIMS)
        _check_size("regions", self.regions, MAX_REGIONS)
        _check_size("audio_dims", self.audio_dims, MAX_FEATURE_DIMS)
        _check_size("num_categories", self.num_categories, MAX_CATEGORIES)

    @property
    def num_classes(self) -> int:
        """Event categories and background."""
        return self.num_categories + 1


@dataclass(frozen=True)
class Options:
    """Base of every model's options: a frozen dataclass of numbers, truth values and words.

    Whole numbers are sizes, from 1 to `MAX_HIDDEN_DIMS` unless ``limits`` names another largest; other numbers are
    shares, 0 or more and below 1, unless ``ranges`` names their smallest and largest; words are one of their `Literal`.

    Raises:
        ValueError: if a value is of another type or out of range; the message names the option and what is allowed.
    """

    limits: ClassVar[Mapping[str, int]] = {}
    ranges: ClassVar[Mapping[str, tuple[float, float]]] = {}

    def __post_init__(self) -> None:
        kinds = get_type_hints(type(self))
        for option in fields(self):
            _check(option.name, getattr(self, option.name), kinds[option.name], self.limits, self.ranges)

    @classmethod
    def from_mapping(cls, given: Mapping[str, Any]) -> Self:
        """Options from names and values; those not given have their default.

        Raises:
            ValueError: if there is no such option, or as the class.
        """
        known = [option.name for option in fields(cls)]
        unknown = [name for name in given if name not in known]
        if unknown:
            raise ValueError(f"there is no option '{unknown[0]}'. Its options are {', '.join(known) or 'none'}.")
        return cls(**given)


def _check(
    name: str, value: object, kind: Any, limits: Mapping[str, int], ranges: Mapping[str, tuple[float, float]]
) -> None:
    if get_origin(kind) is Literal:
        if not isinstance(value, str) or value not in get_args(kind):
            raise ValueError(f"option '{name}' must be one of {', '.join(get_args(kind))}, got {value!r}.")
    elif kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"option '{name}' must be true or false, got {value!r}.")
    elif kind is int:
        _check_size(f"option '{name}'", value, limits.get(name, MAX_HIDDEN_DIMS))
    elif kind is float:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        number = float(str(value)) if is_number else math.nan  # which is in no range
        if name in ranges:
            low, high = ranges[name]
            if not low <= number <= high:
                raise ValueError(f"option '{name}' must be a number from {low:g} to {high:g}, got {value!r}.")
        elif not 0 <= number < 1:
            raise ValueError(f"option '{name}' must be a number from 0 to below 1, got {value!r}.")
    else:
        raise TypeError(f"{name}: options cannot be of type {kind}.")


@dataclass(frozen=True)
class Training:
    """How a model was trained in its paper, or in its authors' code where the paper is silent.

    Attributes:
        optimizer: name in lower case.
        learning_rate: at the start.
        schedule: of the learning rate, as in `avel.training.settings.TrainingSettings`.
        decay_factor: by which the schedule multiplies it.
        decay_iterations: with ``step``, every so many iterations.
        decay_epochs: with ``milestones``, after these epochs.
        decay_patience: with ``plateau``, after so many epochs that were no better.
        batch_size: videos in a batch.
        epochs: passes over the training videos.
        weight_decay: of the optimizer.
        clip_gradient_norm: largest norm of the gradient; 0 leaves it as it is.
        label_smoothing: see `avel.training.settings.TrainingSettings`.
        average_weights: likewise.
        loss: ``cross-entropy``.
        pooling: of the weak task.
        weak_labels: of the weak task.
        backgrounds: of the weak task.
        start_from: the model whose trained weights its training starts from, ``None`` for random ones.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "step", "milestones", "cosine", "plateau"] = "step"
    decay_factor: float = 0.1
    decay_iterations: int = 15_000
    decay_epochs: tuple[int, ...] = ()
    decay_patience: int = 10
    batch_size: int = 64
    epochs: int = 300
    weight_decay: float = 0.0
    clip_gradient_norm: float = 0.0
    label_smoothing: float = 0.0
    average_weights: float = 0.0
    loss: Literal["cross-entropy"] = "cross-entropy"
    pooling: Literal["mean", "max"] = "mean"
    weak_labels: Literal["one-hot", "proportion"] = "one-hot"
    backgrounds: Literal["noisy", "mismatched", "noisy+mismatched", "none"] = "noisy"
    start_from: str | None = None

    def unusual(self) -> dict[str, Any]:
        """Names and values of what is not as by default."""
        return {
            field.name: getattr(self, field.name)
            for field in fields(self)
            if getattr(self, field.name) != field.default
        }
