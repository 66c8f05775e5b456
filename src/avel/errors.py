"""The exceptions a user of avel may want to catch.

Each message names the file, what was found, what is allowed and what to do. A wrong argument to a function is a
plain ``ValueError``.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class AvelError(Exception):
    """Something outside the program is not as it has to be; the message says what to do."""


class AvelWarning(UserWarning):
    """Something outside the program is not as it should be, and avel goes on; the message says what to do."""


class MediaError(AvelError):
    """A video cannot be opened, or holds nothing that can be read."""


class WeightsError(AvelError):
    """A weight file is not available, or is not the file that was published."""


class CategoriesError(AvelError):
    """A file of event categories cannot be read, or names a class that no tagger has."""


class FeaturesError(AvelError):
    """Stored features are damaged, or are not the features that a model was made for."""


class AnnotationsError(AvelError):
    """A label file or a data set folder is not as its format says."""


class ModelError(AvelError):
    """A model is unknown, or cannot do what is asked of it."""


class LibraryError(AvelError):
    """A library of videos is not there, is damaged, or was made with other networks."""


class SettingsError(AvelError):
    """A file of settings, or a setting, is not as it has to be."""


class OutputError(AvelError):
    """A result cannot be written where it was asked for."""


TRAINING_PACKAGES = {"torch": "PyTorch", "scipy": "SciPy"}
"""What trained models, training and measuring need, and localizing without a trained model does not."""


def missing_package(subject: str, error: ModuleNotFoundError) -> str | None:
    """What to tell a user where one of `TRAINING_PACKAGES` is not installed; ``None`` of any other module."""
    name = TRAINING_PACKAGES.get(str(error.name).split(".")[0])
    return name and f"{subject} needs {name}, which is not installed. Install it with: pip install 'avel[train]'"


@contextmanager
def training_packages(subject: str) -> Iterator[None]:
    """What is imported within is needed by `subject`.

    Raises:
        ModelError: if one of `TRAINING_PACKAGES` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        message = missing_package(subject, error)
        if message is None:
            raise
        raise ModelError(message) from error


def unexpected(subject: object, error: Exception) -> str:
    """What to tell a user of an error that should not exist; its traceback goes to avel's log, at level DEBUG.

    Args:
        subject: what avel was working on, such as a video's path.
        error: the exception, while it is being handled.
    """
    logging.getLogger("avel").debug("unexpected error: %s", subject, exc_info=error)
    found = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    return (
        f"{subject}: an error that avel did not expect ({found}). Please report it where you got avel, with the output "
        "of `avel doctor` and of the same command with --debug."
    )
