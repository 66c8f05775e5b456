"""The video with its events burnt in and as chapters, as MP4 (H.264 and AAC)."""

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from avel.data.formats.chapters import chapters_of
from avel.errors import OutputError
from avel.events import Localization
from avel.media.rewriting import PictureLook, picture_look, rewrite
from avel.outputs.overlay import Overlay

if TYPE_CHECKING:
    from av.container.core import Chapter


def save(result: Localization, path: Path) -> None:
    """Write the video with its events; frames keep their times, and the sound, as mono, its place under them.

    Args:
        result: what was found.
        path: file to write, which is not the video itself.

    Raises:
        MediaError: if the video is no longer there, or no picture of it can be decoded.
        OutputError: if the video has no picture.
        OSError: if the file cannot be written.
    """
    look = _look(result)
    rewrite(
        result.video,
        path,
        look,
        audio_track=result.model.get("audio_track"),
        end_seconds=result.duration_seconds,
        draw=Overlay(result, (look.width, look.height)).draw,
        chapters=_chapters(result),
    )


def _chapters(result: Localization) -> list["Chapter"]:
    return [
        {
            "id": number,
            "start": round(1000 * one.start_seconds),
            "end": round(1000 * one.end_seconds),
            "time_base": Fraction(1, 1000),
            "metadata": {"title": one.title},
        }
        for number, one in enumerate(chapters_of(result))
    ]


def _look(result: Localization) -> PictureLook:
    look = picture_look(result.video)
    if look is None:
        raise OutputError(
            f"{result.video}: no picture to draw the events into, so that there can be no mp4. "
            "Choose html or png, which show the sound, or json, csv, srt or vtt."
        )
    return look
