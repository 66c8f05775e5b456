"""What the registry knows of a model. Each paper's file ends with its entries."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from avel.models.base import LocalizationModel
from avel.models.options import Dims, Options

TrainingRecipe = Mapping[str, Any]
"""Values of the training's settings, by name (`avel.training.settings.TrainingSettings`), that are not the defaults."""


def both(options: Options) -> tuple[str, ...]:
    """What a model of two modalities looks at, whatever its options."""
    return ("audio", "visual")


@dataclass(frozen=True)
class Entry:
    """A model of the registry.

    Attributes:
        description: one line.
        paper: where it is from.
        options: its class of options.
        make: builds it of its sizes and options.
        modalities: which features it looks at, by its options; others may be anything of the right shape.
        training: how it was trained in its paper, or in its authors' code where the paper is silent. The defaults of
            the settings are those of the code of Tian et al., ECCV 2018.
        starts_from: the model whose trained weights its training starts from, ``None`` for random ones.
    """

    description: str
    paper: str
    options: type[Options]
    make: Callable[[Dims, Any], LocalizationModel]
    modalities: Callable[[Any], tuple[str, ...]] = both
    training: TrainingRecipe = field(default_factory=dict)
    starts_from: str | None = None
