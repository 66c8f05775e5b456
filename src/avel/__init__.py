"""Audio-visual event localization: what can be both seen and heard in a video, and when.

What most programs need is here:

- `localize`: the events of one video,
- `Localizer`: the same for many videos, its networks loaded once,
- `Localization`: a result, with its `Event` and `Segment` objects,
- `plot`: a result as a figure,
- `Library`: videos that are searched,
- `AvelError`: the errors that a program may want to catch.

Everything else is imported from its module, as the page "Python API" of the documentation says.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from avel.errors import AvelError
from avel.events import Event, Localization, Segment
from avel.version import __version__

if TYPE_CHECKING:
    from avel.library.library import VideoLibrary as Library
    from avel.localization.localizer import Localizer, localize
    from avel.outputs.picture import plot

__all__ = ["AvelError", "Event", "Library", "Localization", "Localizer", "Segment", "__version__", "localize", "plot"]

_LATER = {
    "Library": "avel.library.library",
    "Localizer": "avel.localization.localizer",
    "localize": "avel.localization.localizer",
    "plot": "avel.outputs.picture",
}
"""Where to find what takes long to import, and so is imported only when it is asked for."""


def __getattr__(name: str) -> Any:
    """Import one of `_LATER` when it is asked for."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    """The names that are offered, those of `_LATER` among them, and none that is only used here."""
    return sorted(__all__)
