"""Every model that is trained, by name: how it is built, its options, its paper, and how that paper trained it.

    model = build("dmrn", Dims(num_categories=5), position="early")

Adding a model is adding an `Entry` to the ``ENTRIES`` of its paper's file; adding a file, to `MODELS`.
"""

from collections.abc import Mapping
from typing import Any

from avel.errors import ModelError
from avel.models import (
    av_transformer,
    avsdn,
    cam,
    cman,
    cmran,
    dam,
    diia,
    fusion,
    jca,
    linear,
    psp,
    recommended,
    segmental,
    tian2018,
)
from avel.models.base import LocalizationModel
from avel.models.entry import Entry
from avel.models.options import Dims, Options

__all__ = ["MODELS", "Dims", "Entry", "Options", "available_models", "build", "entry", "modalities_of", "options_of"]

MODELS: Mapping[str, Entry] = {
    **tian2018.ENTRIES,
    **fusion.ENTRIES,
    **segmental.ENTRIES,
    **cam.ENTRIES,
    **avsdn.ENTRIES,
    **cman.ENTRIES,
    **av_transformer.ENTRIES,
    **jca.ENTRIES,
    **dam.ENTRIES,
    **cmran.ENTRIES,
    **psp.ENTRIES,
    **diia.ENTRIES,
    **recommended.ENTRIES,
    **linear.ENTRIES,
}


def available_models() -> tuple[str, ...]:
    """Names that `build` knows, in the order of their papers."""
    return tuple(MODELS)


def entry(name: str) -> Entry:
    """What the registry knows of a model.

    Raises:
        ModelError: if there is no such model.
    """
    if name not in MODELS:
        raise ModelError(f"Unknown model '{name}'. Models are {', '.join(MODELS)}.")
    return MODELS[name]


def options_of(name: str, **options: Any) -> Options:
    """A model's options with those given in place of their defaults; ``model_dump`` turns them back.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    try:
        return entry(name).options(**options)
    except ValueError as error:
        raise ModelError(f"Model '{name}': {error}") from error


def modalities_of(name: str, options: Mapping[str, Any] | None = None) -> tuple[str, ...]:
    """Which features a model looks at, of ``audio`` and ``visual``; others may be anything of the right shape.

    Args:
        name: of the model.
        options: those that differ from the defaults.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    return entry(name).modalities(options_of(name, **(options or {})))


def build(name: str, dims: Dims | None = None, **options: Any) -> LocalizationModel:
    """Build a model with random weights, which depend on torch's seed.

    Its ``spec`` is set by whoever trains or loads it.

    Args:
        name: one of `available_models`.
        dims: sizes of its input; AVE's published features if left out.
        options: by name, see the class of options of its `Entry`.

    Raises:
        ModelError: if there is no such model or option, or a value is not allowed.
    """
    checked = options_of(name, **options)
    try:
        return entry(name).make(dims or Dims(), checked)
    except ValueError as error:
        raise ModelError(f"Model '{name}' with {checked.model_dump()}: {error}") from error
