"""What an event is called in another tool."""

import unicodedata

from avel.events import Event


def name_of(event: Event) -> str:
    """The event's category; of an event that is only heard or only seen ``category (audio)`` or ``category (visual)``.

    It is on one line, and without what controls terminals or ends files.
    """
    category = " ".join(event.category.split())
    category = "".join("�" if unicodedata.category(letter) in ("Cc", "Cs", "Cn") else letter for letter in category)
    return category if event.modality == "audio-visual" else f"{category} ({event.modality})"


def last_moment(event: Event, step_seconds: float) -> float:
    """The event's end in seconds, at least a step after its start, so that it has a length also when it is rounded."""
    return max(event.end_seconds, event.start_seconds + step_seconds)
