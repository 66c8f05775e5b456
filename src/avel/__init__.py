"""Audio-visual event localization: what can be both seen and heard in a video, and when."""

from typing import TYPE_CHECKING, Any

from avel.errors import AvelError
from avel.events import Event, Localization, Segment
from avel.version import __version__

if TYPE_CHECKING:
    from avel.localization.localizer import Localizer, localize

__all__ = ["AvelError", "Event", "Localization", "Localizer", "Segment", "__version__", "localize"]


def __getattr__(name: str) -> Any:
    """Load what needs PyTorch only when it is asked for, so that ``avel --help`` answers at once."""
    if name in ("Localizer", "localize"):
        from avel.localization import localizer

        return getattr(localizer, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
