"""Subtitles: SubRip (``.srt``) and WebVTT (``.vtt``), a cue for each event."""

import html
from collections.abc import Callable, Iterable

from avel.events import Event, Localization, by_start


def srt_text(result: Localization) -> str:
    """One SubRip subtitle for each event; events that overlap give subtitles that overlap."""
    # The format has no escapes: only what would end a cue or start another one is changed.
    cues = _cues(result.events, decimal=",", escape=lambda text: text.replace("-->", "→"))
    return "".join(f"{number}\n{cue}\n" for number, cue in enumerate(cues, start=1))


def vtt_text(result: Localization) -> str:
    """One WebVTT cue for each event; events that overlap give cues that overlap."""
    cues = _cues(result.events, decimal=".", escape=lambda text: html.escape(text, quote=False))
    return "WEBVTT\n\n" + "\n".join(cues)


def timestamp(milliseconds: int, decimal: str) -> str:
    """``HH:MM:SS.mmm``, with more hour digits where needed."""
    seconds, milliseconds = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{decimal}{milliseconds:03d}"


def _cues(events: Iterable[Event], decimal: str, escape: Callable[[str], str]) -> list[str]:
    cues = []
    for e in by_start(events):
        start = round(e.start_seconds * 1000)
        end = max(round(e.end_seconds * 1000), start + 1)  # a cue may not be empty
        name = escape(" ".join(e.category.split()))  # a blank line would end the cue
        times = f"{timestamp(start, decimal)} --> {timestamp(end, decimal)}"
        cues.append(f"{times}\n{name} ({e.modality}, {e.score:.2f})\n")
    return cues
