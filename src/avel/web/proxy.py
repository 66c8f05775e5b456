"""What a browser can play, and a copy that it can of what it cannot."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avel.errors import MediaError
from avel.media.container import choose_tracks, open_media
from avel.media.reader import probe
from avel.media.rewriting import MP4, VP8, VP9, Encoding, picture_look, rewrite

if TYPE_CHECKING:
    from av.container import InputContainer

LONGEST_SIDE = 1280
"""Of the pictures of a copy, in pixels."""
KEY_SECONDS = 1.0
"""A copy has a picture of its own so often, so that a player that jumps to a moment has little to decode."""
LATEST_START_SECONDS = 0.05
"""Players begin at a file's first moment; a file whose timeline starts later than that gets a copy that starts at 0."""
_WEBM_MARK = b"webm"
_EBML_HEAD_BYTES = 64

MEDIA_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "ogg": "video/ogg", "mp3": "audio/mpeg"}
_CONTAINERS = {"mp4": "an MP4 or MOV file", "webm": "a WebM file", "ogg": "an Ogg file", "mp3": "an MP3 file"}
_PICTURES = {"mp4": {"h264", "av1", "vp9"}, "webm": {"vp8", "vp9", "av1"}, "ogg": set[str](), "mp3": set[str]()}
_SOUNDS = {
    "mp4": {"aac", "mp3", "opus", "flac"},
    "webm": {"opus", "vorbis"},
    "ogg": {"opus", "vorbis", "flac"},
    "mp3": {"mp3"},
}
"""What Chromium, Firefox and Safari of 2024 and later play all three, or where Safari alone does not (Ogg)."""
_PIXELS = {"yuv420p", "yuvj420p", "nv12"}
_NAMES = {"hevc": "HEVC (H.265)", "mpeg2video": "MPEG-2", "prores": "ProRes", "mpeg4": "MPEG-4 Part 2"}


@dataclass(frozen=True)
class MediaLook:
    """What a page has to know of a file before it plays it.

    Attributes:
        unplayable: why a browser does not play the file, ``None`` if it does.
        media_type: of the file, as browsers call it.
        width: display width in pixels, ``None`` without a picture.
        height: display height.
        frames_per_second: ``None`` when unknown.
        has_sound: whether there is an audio track.
        duration_seconds: as the file declares it.
    """

    unplayable: str | None
    media_type: str
    width: int | None
    height: int | None
    frames_per_second: float | None
    has_sound: bool
    duration_seconds: float | None

    @property
    def has_picture(self) -> bool:
        """Whether there is a video track."""
        return self.width is not None


def examine(video: str, audio_track: int | None = None) -> MediaLook:
    """Look at a file.

    Args:
        video: the file.
        audio_track: that was listened to, 1 for the file's first one; the one that a player would play when ``None``.

    Raises:
        MediaError: if it cannot be read at all.
    """
    info = probe(video, audio_track)
    with open_media(video) as source:
        unplayable = _unplayable(source, Path(video), audio_track)
        if unplayable is None and info.duration_seconds is None:
            unplayable = "files that do not say how long they are well, since they cannot jump in them"
        media_type = MEDIA_TYPES.get(_kind(source, Path(video)) or "", "application/octet-stream")
    return MediaLook(
        unplayable,
        media_type,
        info.width,
        info.height,
        info.frame_rate,
        info.sample_rate is not None,
        info.duration_seconds,
    )


def _unplayable(source: "InputContainer", video: Path, audio_track: int | None) -> str | None:
    """Why browsers do not play a file, as the end of "Browsers do not play ..."."""
    picture, sound, _ = choose_tracks(source, video, audio_track)
    kind = _kind(source, video)
    if kind is None:
        return f"files of this kind ({source.format.long_name or source.format.name})"
    if picture is not None:
        context: Any = picture.codec_context
        if context.name not in _PICTURES[kind] and _codec(context) not in _PICTURES[kind]:
            return f"{_NAMES.get(_codec(context), _codec(context))} in {_CONTAINERS[kind]}"
        if context.pix_fmt not in _PIXELS:
            return f"pictures stored as {context.pix_fmt}"
    if sound is not None:
        if _codec(sound.codec_context) not in _SOUNDS[kind]:
            return f"{_codec(sound.codec_context)} sound in {_CONTAINERS[kind]}"
        if len(source.streams.audio) > 1 and sound is not source.streams.audio[0]:
            return "the audio track that was listened to, which is not the file's first"
    starts = [
        float(stream.start_time * stream.time_base)
        for stream in (picture, sound)
        if stream is not None and stream.start_time is not None and stream.time_base
    ]
    if starts and min(starts) > LATEST_START_SECONDS:
        return f"a file whose times begin at {min(starts):.2f} s as it is meant"
    return None


def _codec(context: Any) -> str:
    return str(context.codec.canonical_name)


def _kind(source: "InputContainer", video: Path) -> str | None:
    names = source.format.name.split(",")
    if "matroska" in names:
        with video.open("rb") as file:
            return "webm" if _WEBM_MARK in file.read(_EBML_HEAD_BYTES) else None
    return next((kind for kind in _CONTAINERS if kind in names), None)


def proxy_encoding() -> Encoding | None:
    """What copies are written as: the first that libav has encoders for."""
    return next((one for one in (MP4, VP9, VP8) if one.is_available), None)


def make_proxy(
    video: str, path: Path, audio_track: int | None = None, *, progress: Callable[[float], None] = lambda seconds: None
) -> None:
    """Write a copy of a video that browsers play, with the same timeline, small enough to be sought in at once.

    Args:
        video: the file.
        path: where to write, with the suffix of `proxy_encoding`.
        audio_track: that was listened to, 1 for the file's first one.
        progress: called with the seconds that are written.

    Raises:
        MediaError: if the video cannot be read, or libav has no encoder.
    """
    encoding = proxy_encoding()
    if encoding is None:
        raise MediaError(f"{video}: cannot be played here, and this libav has no encoder to make a copy with.")
    look = picture_look(video)
    rewrite(
        video,
        path,
        None if look is None else look.within(LONGEST_SIDE),
        encoding=encoding,
        audio_track=audio_track,
        key_seconds=KEY_SECONDS,
        progress=progress,
    )
