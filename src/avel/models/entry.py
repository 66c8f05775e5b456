"""What the registry knows of a model. Each paper's file ends with its entries."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from avel.models.base import LocalizationModel
from avel.models.options import Dims, Options, Training

AS_RELEASED = Training()
"""As the code of Tian et al., ECCV 2018, trains."""


@dataclass(frozen=True)
class Entry:
    """A model of the registry.

    Attributes:
        description: one line.
        paper: where it is from.
        options: its class of options.
        make: builds it of its sizes and options.
        modalities: which features it looks at; others may be anything of the right shape.
        training: how its paper trained it.
    """

    description: str
    paper: str
    options: type[Options]
    make: Callable[[Dims, Any], LocalizationModel]
    modalities: tuple[str, ...] = ("audio", "visual")
    training: Training = AS_RELEASED
