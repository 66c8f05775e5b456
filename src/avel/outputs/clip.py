"""The video with its events burnt in and as chapters, as MP4 (H.264 and AAC)."""

from pathlib import Path

from avel.data.formats.chapters import chapters_of
from avel.errors import OutputError
from avel.events import Localization
from avel.media.rewriting import PictureLook, picture_look, rewrite
from avel.outputs.chaptered import marks_of
from avel.outputs.overlay import Overlay


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
        chapters=marks_of(chapters_of(result)),
    )


def _look(result: Localization) -> PictureLook:
    look = picture_look(result.video)
    if look is None:
        raise OutputError(
            f"{result.video}: no picture to draw the events into, so that there can be no mp4. "
            "Choose html or png, which show the sound, or json, csv, srt or vtt."
        )
    return look
