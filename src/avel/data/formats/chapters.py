"""Chapters: parts of a video that follow each other without a gap, in files and as YouTube's lines.

A chapter starts with each event, and where the last one has ended; of events that start at once the one with the
highest score counts. The first starts at 0: YouTube wants it, and an MP4's first chapter is moved there whatever its
start (``findings/mp4_first_chapter.sh``).
"""

from typing import NamedTuple

from avel.data.formats.naming import one_line
from avel.events import Localization, by_start

WITHOUT_EVENT = "No event"


class Chapter(NamedTuple):
    """A part of a video, ``[start_seconds, end_seconds)``."""

    start_seconds: float
    end_seconds: float
    title: str


def chapters_of(result: Localization, unit_seconds: float = 0.001) -> list[Chapter]:
    """The chapters of a result, whose times are whole multiples of ``unit_seconds``."""
    titles: dict[int, str] = {}
    scores: dict[int, float] = {}
    length, last = round(result.duration_seconds / unit_seconds), 0
    for event in by_start(result.events):
        start, end = round(event.start_seconds / unit_seconds), round(event.end_seconds / unit_seconds)
        if start > last or not titles:
            titles.setdefault(last, WITHOUT_EVENT)
        if event.score > scores.get(start, -1.0):
            titles[start], scores[start] = one_line(event.category), event.score
        last = max(last, end)
    if last < length or not titles:
        titles.setdefault(last, WITHOUT_EVENT)
    starts = sorted(titles)
    ends = [*starts[1:], max(length, starts[-1] + 1)]
    return [
        Chapter(start * unit_seconds, end * unit_seconds, titles[start])
        for start, end in zip(starts, ends, strict=True)
    ]


def youtube_text(result: Localization) -> str:
    """A line for each chapter, in whole seconds; YouTube shows chapters of ten seconds or more, and at least three."""
    return "".join(f"{_clock(round(one.start_seconds))} {one.title}\n" for one in chapters_of(result, 1.0))


def _clock(second: int) -> str:
    minutes, seconds = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
