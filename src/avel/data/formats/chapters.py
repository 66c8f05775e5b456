"""Chapters: the lines of a description that YouTube makes chapters of."""

from avel.data.formats.naming import one_line
from avel.events import Localization, by_start

WITHOUT_EVENT = "No event"


def youtube_text(result: Localization) -> str:
    """A line for each moment at which an event starts or the last one has ended, from 0:00 on, as YouTube wants it.

    Times are whole seconds; of events that start in the same second the one with the highest score counts. YouTube
    shows chapters of ten seconds or more, and at least three.
    """
    chapters: dict[int, str] = {}
    last = 0.0
    for event in by_start(result.events):
        if round(event.start_seconds) > round(last) or not chapters:
            chapters.setdefault(round(last), WITHOUT_EVENT)
        if chapters.get(round(event.start_seconds), WITHOUT_EVENT) == WITHOUT_EVENT:
            chapters[round(event.start_seconds)] = one_line(event.category)
        last = max(last, event.end_seconds)
    if round(last) < round(result.duration_seconds) or not chapters:
        chapters.setdefault(round(last), WITHOUT_EVENT)
    return "".join(f"{_clock(second)} {name}\n" for second, name in sorted(chapters.items()))


def _clock(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
