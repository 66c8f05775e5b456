"""What a user means by a model, told before anything heavy is loaded."""

from collections.abc import Sequence
from pathlib import Path

from avel.errors import ModelError, training_packages

DEFAULT_MODEL = "agreement"


def checkpoint_of(model: str | Path) -> Path:
    """The checkpoint that a user means by a model.

    Raises:
        ModelError: if trained models cannot be used here.
        ValueError: if there is no such file.
    """
    with training_packages("A model other than agreement"):
        from avel.models import registry
        from avel.training.checkpoint import path_of

    path = Path(model)
    if not path.exists():
        trained = str(model) in registry.available_models()
        hint = (
            f" {model} has to be trained first (avel train): give the checkpoint that comes of it." if trained else ""
        )
        raise ValueError(
            f"Unknown model {str(model)!r}. Available models are {DEFAULT_MODEL}, and any checkpoint of avel train by "
            f"its path.{hint}"
        )
    return path_of(path)


def check_attention(model: str | Path, formats: Sequence[str], open_vocabulary: str | Path | None = None) -> None:
    """Refuse formats that show where a model looks, before its networks are loaded, if it does not say that.

    Args:
        model: as for `Localizer`.
        formats: the formats, to name them.
        open_vocabulary: as for `Localizer`.

    Raises:
        ModelError: if the model does not say where in the picture it looks.
        ValueError: if there is no such model.
    """
    if open_vocabulary is not None:
        model, shows = open_vocabulary, False
    elif str(model) == DEFAULT_MODEL:
        shows = True  # where the picture changes together with the sound
    else:
        from avel.models.base import worth_showing
        from avel.training import checkpoint

        found, info = checkpoint.load(checkpoint_of(model))
        shows = "spatial_attention" in worth_showing(found, info.dims)
    if not shows:
        raise ModelError(
            f"The model {model} does not say where in the picture an event is, so {', '.join(formats)} cannot be "
            "written. Use a model with spatial attention, trained on features of several regions, such as vgg19's."
        )
