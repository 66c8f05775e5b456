"""A copy of the video with the events as chapters; nothing is encoded again.

MP4 and MOV become MP4, MKV and WebM become MKV. From one to the other is no mere copy: an MP4's edit list hides what is
before its beginning, which an MKV would show, so that all chapters would come too early.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from av.stream import Disposition

from avel.data.formats.chapters import Chapter, chapters_of
from avel.errors import OutputError
from avel.events import Localization
from avel.media.container import open_media
from avel.outputs.remux import copy_track, dated

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.container.core import Chapter as ChapterMark
    from av.stream import Stream

_SUFFIXES = {"mp4": ".mp4", "matroska": ".mkv"}
"""Of a copy, by libav's name of what the video is in."""
_ANEW = "mp4, which has chapters too and is encoded anew"
_COPIED = ("video", "audio", "subtitle", "attachment")


def save(result: Localization, path: Path, suffix: str) -> list[str]:
    """Copy the video's tracks into a new file that has a chapter for each event.

    Pictures, sound, subtitles and attachments are copied bit by bit, with their times, languages and rotation.

    Args:
        result: what was found.
        path: file to write, which is not the video itself.
        suffix: what its name will end in, in lower case.

    Returns:
        What a person should know: what could not be copied, and chapters that were there and are not any more.

    Raises:
        MediaError: if the video is no longer there.
        OutputError: if the video is in a file of another kind, or cannot be copied as it is.
        OSError: if the file cannot be written.
    """
    warnings: list[str] = []
    with ExitStack() as stack:
        source = stack.enter_context(open_media(result.video))
        container = next((kind for kind in _SUFFIXES if kind in source.format.name.split(",")), None)
        if container is None:
            raise OutputError(
                f"{result.video}: is {source.format.long_name}; MP4, MOV, MKV and WebM can be copied with chapters. "
                f"Choose {_ANEW}."
            )
        if suffix in _SUFFIXES.values() and suffix != _SUFFIXES[container]:
            raise OutputError(
                f"{result.video}: is {source.format.long_name}, so that its copy with chapters is no {suffix}. "
                f"Name it {_SUFFIXES[container]}; or choose {_ANEW}."
            )
        options = {"movflags": "+faststart+use_metadata_tags"} if container == "mp4" else {}
        target = stack.enter_context(av.open(str(path), "w", format=container, options=options))
        target.metadata.update(source.metadata)
        target.set_chapters(marks_of(chapters_of(result)))
        replaced = len(source.chapters())
        if replaced:
            warnings.append(f"The {replaced} chapters that the video has are not in the copy; those of the events are.")
        copied: dict[int, Any] = {}
        for stream in source.streams:
            if _fits(stream, target):
                copied[stream.index] = copy_track(stream, target)
            elif _is_needed(stream):
                raise OutputError(
                    f"{result.video}: its {stream.type} track {stream.index + 1} is in a format that cannot be copied. "
                    f"Choose {_ANEW}."
                )
            elif not _holds_chapters(stream, replaced):
                warnings.append(f"The {stream.type} track {stream.index + 1} cannot be copied, and is left out.")
        try:
            for packet in dated(source.demux([stream for stream in source.streams if stream.index in copied])):
                packet.stream = copied[packet.stream.index]
                target.mux_one(packet)
        except (av.error.InvalidDataError, av.error.ArgumentError, ValueError) as error:
            raise OutputError(f"{result.video}: cannot be copied as it is ({error}). Choose {_ANEW}.") from error
    return warnings


def marks_of(chapters: Iterable[Chapter]) -> list["ChapterMark"]:
    """Chapters as libav has them."""
    return [
        {
            "id": number,
            "start": round(1000 * one.start_seconds),
            "end": round(1000 * one.end_seconds),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": one.title},
        }
        for number, one in enumerate(chapters)
    ]


def _fits(stream: "Stream", target: "OutputContainer") -> bool:
    if stream.type == "attachment":
        return target.format.name == "matroska"
    context: Any = stream.codec_context
    return stream.type in _COPIED and context is not None and bool(_names(context.codec) & target.supported_codecs)


def _names(codec: Any) -> set[str]:
    return {codec.name, codec.canonical_name}


def _is_needed(stream: "Stream") -> bool:
    """Whether a track is the video's pictures or sound, and not a cover."""
    return stream.type == "audio" or (stream.type == "video" and not stream.disposition & Disposition.attached_pic)


def _holds_chapters(stream: "Stream", chapters: int) -> bool:
    """Whether a track is how an MP4 or MOV file keeps its chapters."""
    return bool(chapters) and stream.type == "data" and "mp4" in stream.container.format.name.split(",")
