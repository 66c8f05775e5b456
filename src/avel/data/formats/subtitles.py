"""Subtitles: SubRip (``.srt``) and WebVTT (``.vtt``), a cue for each event.

A cue's text is the category. What `srt_text` and `vtt_text` put behind it, modality and score, is taken off again.
"""

import html
import re
from collections.abc import Callable, Iterable

from avel.data.annotations import AnnotationSet
from avel.data.formats.label_file import LabelFile, lines_of, read_text
from avel.events import MODALITIES, Event, Localization, by_start

_DETAILS = re.compile(r"(.*\S)\s+\((audio-visual|audio|visual), [01]\.\d\d\)", re.DOTALL)
_SRT_MARKUP = re.compile(r"</?(?:[bius]|font)\b[^>\n]*>|\{\\[^}\n]*\}", re.IGNORECASE)
"""What SubRip has of HTML, and what Aegisub leaves of its own format (``{\\an8}``)."""


def read_srt(source: LabelFile) -> AnnotationSet:
    """Read SubRip subtitles."""
    import srt

    try:
        cues = list(srt.parse("\n".join(lines_of(read_text(source.path)))))
    except (srt.SRTParseError, ValueError, OverflowError) as error:
        source.fail(f"not readable as SubRip subtitles ({' '.join(str(error).split())[:200]}).")
    texts = (_SRT_MARKUP.sub("", cue.content) for cue in cues)
    times = ((cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues)
    return _read(source, [(start, end, text) for (start, end), text in zip(times, texts, strict=True)])


def read_vtt(source: LabelFile) -> AnnotationSet:
    """Read WebVTT subtitles."""
    import webvtt
    from webvtt.errors import MalformedCaptionError, MalformedFileError

    content = read_text(source.path)
    try:
        captions = webvtt.from_string(content).captions
    except (MalformedFileError, MalformedCaptionError, ValueError, AttributeError) as error:
        source.fail(f"not readable as WebVTT subtitles ({' '.join(str(error).split())[:200]}).")
    lost = sum(map(_is_cue, re.split(r"\n\n+", "\n".join(lines_of(content))))) - len(captions)
    if lost > 0:
        source.fail(f"not readable as WebVTT subtitles ({lost} cues have no valid times).")
    cues = [(source.seconds(c.start, "the start"), source.seconds(c.end, "the end"), c.text) for c in captions]
    return _read(source, [(start, end, html.unescape(text)) for start, end, text in cues])


def _read(source: LabelFile, cues: list[tuple[float, float, str]]) -> AnnotationSet:
    video = source.options.video or source.path.stem
    source.add_without_event(video)
    empty = 0
    for number, (start, end, text) in enumerate(cues, start=1):
        source.where = f"cue {number}"
        name, modality = text.strip(), None
        found = _DETAILS.fullmatch(name)
        if found is not None:
            name, modality = found[1], next(m for m in MODALITIES if m == found[2])
        if not name:
            empty += 1  # shows nothing
            continue
        source.add(video, start, end, name, modality=modality)
    source.where = ""
    if empty:
        source.warn(f"{empty} cues have no text, and are left out")
    return source.result()


def _is_cue(block: str) -> bool:
    """Whether lines of WebVTT are to be a cue, and no comment or style."""
    return "-->" in block and re.match(r"\s*(?:NOTE|STYLE|REGION|WEBVTT)\b", block) is None


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
