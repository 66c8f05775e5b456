"""Audio-visual event localization: what can be both seen and heard in a video, and when."""

from avel.errors import AvelError
from avel.events import Event, Localization, Segment

__all__ = ["AvelError", "Event", "Localization", "Segment"]
__version__ = "0.1.0"
