"""Open a media file that nobody vouches for, and choose what to read from it."""

import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

import av
from av.stream import Discard, Disposition

from avel.errors import MediaError
from avel.files import no_such_file
from avel.media.avi import first_break
from avel.media.boxes import EditList, FileStart, edit_lists, is_box_file, whole_fragments_end
from avel.media.matroska import damaged_spans

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.stream import VideoStream

# What may be opened. Playlists and scripts (hls, dash, concat, sdp, ...) name other files or addresses, and single
# images (image2, png_pipe, ...) are no video: none of them is here.
DEMUXERS = (
    "aac,ac3,aiff,amr,ape,asf,au,av1,avi,caf,dirac,dv,eac3,flac,flv,gif,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg,mpegts,"
    "mpegvideo,mxf,nut,obu,ogg,rm,tta,vc1,vvc,w64,wav,webm,wtv,wv,yuv4mpegpipe"
)
MAX_SIDE_PIXELS = 16384
MAX_PIXELS = 64_000_000
MIN_SAMPLE_RATE = 1000
MAX_SAMPLE_RATE = 768_000
MAX_CHANNELS = 64
STILL_BRANDS = {"avif", "heic", "heix", "mif1"}

ADVICE = "Give a video or audio file, for example MP4, MKV, WebM, MOV or AVI."
REPAIR = "The file may be incomplete: download or export it again."
CUT_RECORDING = (
    "the recording was cut off before it was finished, as by a loss of power or a full card: the table of its pictures "
    "and sound, which is written last, is missing (moov atom not found). Copy the file from the camera again; "
    "if it is the same there, a repair tool such as untrunc can rebuild the table from another recording of that camera"
)
ESTIMATED = frozenset(
    ["aac", "ac3", "amr", "av1", "dirac", "dv", "eac3", "h264", "hevc", "m4v", "mpegvideo", "obu", "vc1", "vvc"]
)
"""Containers without a duration: libav guesses one from the bit rate of the beginning."""
BEGINNINGS = {"matroska": b"\x1a\x45\xdf\xa3", "flv": b"FLV\x01", "mp4": b"ftypisom"}
"""How files begin of containers that cannot be put one after the other."""
MAX_TRAILER_BYTES = 1 << 20
SIDE_TRACK = (
    Disposition.dub
    | Disposition.comment
    | Disposition.lyrics
    | Disposition.karaoke
    | Disposition.hearing_impaired
    | Disposition.visual_impaired
    | Disposition.clean_effects
    | Disposition.non_diegetic
    | Disposition.descriptions
    | Disposition.dependent
)
"""What a file says of sound that is not the video's own: audio description, comments, dubbing, ..."""


@contextmanager
def open_media(path: str | os.PathLike[str], warnings: list[str] | None = None) -> Iterator["InputContainer"]:
    """Open a file, and nothing else: no address, no playlist, no second file.

    Args:
        path: file, or named pipe.
        warnings: what is wrong with a file that is opened all the same is added here.

    Raises:
        MediaError: if it cannot be opened or is not a video or audio file.
    """
    with _open_file(path) as file:
        try:
            container = _open_whole_part(file, [] if warnings is None else warnings)
        except (av.FFmpegError, ValueError, MemoryError, OSError) as error:
            reason = _reason(file, error)
            if "moov atom not found" in reason and is_box_file(file):
                raise MediaError(f"{path}: {CUT_RECORDING}.") from error
            raise MediaError(f"{path}: not a video or audio file that can be read ({reason}). {ADVICE}") from error
        with container:
            if STILL_BRANDS & {container.metadata.get("major_brand", "").strip()}:
                raise MediaError(f"{path}: a still image, not a video. {ADVICE}")
            yield container


def choose_tracks(
    container: "InputContainer", path: str | os.PathLike[str], audio_track: int | None = None
) -> tuple["VideoStream | None", "AudioStream | None", list[str]]:
    """The tracks a player would show and play.

    Of each kind: one that the file marks as default before one that it does not, then the one with the most pixels,
    or the most channels and the highest rate, then the first. Cover art is no video track. Sound that the file says is
    not the video's own (audio description, comments, dubbing, ...) comes after all other, and what it calls original
    before.

    Args:
        container: the open file.
        path: its name, for messages.
        audio_track: the number of the audio track to take instead, 1 for the file's first one.

    Returns:
        The video track, the audio track, and a line for each kind of track that is there but cannot be read.

    Raises:
        MediaError: if there is neither, or no audio track of that number that can be read.
    """
    videos = [
        s
        for s in container.streams.video
        if not s.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
    ]
    audios = list(container.streams.audio)
    warnings = []

    readable_videos = [s for s in videos if s.codec_context is not None]
    readable_audios = [s for s in audios if s.codec_context is not None and _is_possible_sound(s)]
    if videos and not readable_videos:
        warnings.append("The video track is in a format that cannot be decoded here.")
    if audios and not readable_audios:
        warnings.append("The audio track is in a format that cannot be decoded here.")
    video = max(readable_videos, key=_video_rank, default=None)
    audio = max(readable_audios, key=_audio_rank, default=None)
    if audio_track is not None:
        audio = audios[audio_track - 1] if 1 <= audio_track <= len(audios) else None
        if audio not in readable_audios:
            numbers = ", ".join(str(n) for n, s in enumerate(audios, 1) if s in readable_audios) or "none"
            raise MediaError(
                f"{path}: audio track {audio_track} was asked for; the audio tracks that can be read are: {numbers}. "
                "Choose one of them, or leave the choice to avel."
            )
    if video is None and audio is None:
        found = ", ".join(sorted({s.type for s in container.streams})) or "none"
        raise MediaError(f"{path}: no video or audio track that can be read (tracks found: {found}). {ADVICE}")
    if video is not None:
        width, height = video.codec_context.width, video.codec_context.height
        if max(width, height) > MAX_SIDE_PIXELS or width * height > MAX_PIXELS:
            raise MediaError(
                f"{path}: pictures of {width}x{height} pixels; at most {MAX_SIDE_PIXELS} a side and "
                f"{MAX_PIXELS // 10**6} million in all are read. Scale the video down."
            )
        video.codec_context.options = {"max_pixels": str(MAX_PIXELS), "err_detect": "explode"}
    for stream in container.streams:
        if stream is not video and stream is not audio:
            stream.discard = Discard.all
    return video, audio, warnings


def unplaced_spans(path: str | os.PathLike[str], format_name: str) -> list[tuple[int, float]]:
    """Spans of bytes, half open and in order, in which a damaged file does not tell the times of its packets."""
    if not Path(path).is_file():
        return []
    with Path(path).open("rb") as file:
        if format_name == "avi":
            damaged = first_break(file)
            return [] if damaged is None else [(damaged, math.inf)]
        if "matroska" in format_name:
            return list(damaged_spans(file))
    return []


def edit_list(path: str | os.PathLike[str], stream: Any) -> EditList:
    """How an MP4 or MOV file lays out a track; without edits for other files."""
    found = None
    if "mp4" in stream.container.format.name.split(",") and stream.time_base and Path(path).is_file():
        with Path(path).open("rb") as file:
            found = edit_lists(file).get(stream.id)
    return found if found is not None else EditList(1, ())


def another_recording_follows(path: str | os.PathLike[str], format_name: str, position: int) -> bool:
    """Whether a second file of the same kind begins soon after a position, which libav does not go on with."""
    begin = next((begin for name, begin in BEGINNINGS.items() if name in format_name.split(",")), None)
    if begin is None or not Path(path).is_file():
        return False
    with Path(path).open("rb") as file:
        file.seek(position)
        return begin in file.read(MAX_TRAILER_BYTES)


def _open_file(path: str | os.PathLike[str]) -> BinaryIO:
    def fail(found: str, advice: str = ADVICE) -> NoReturn:
        raise MediaError(f"{path}: {found}. {advice}") from None

    try:
        mode = Path(path).stat().st_mode
        if stat.S_ISDIR(mode):
            fail("a folder, not a file")
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            fail("a device or socket, not a file")
        file = Path(path).open("rb")  # noqa: SIM115
    except FileNotFoundError:
        raise MediaError(no_such_file(path)) from None
    except PermissionError:
        fail("no permission to read it", "Change its permissions, or copy it.")
    except (OSError, ValueError) as error:
        fail(f"cannot be opened ({error})", "Check the name.")
    if stat.S_ISREG(mode) and os.fstat(file.fileno()).st_size == 0:
        file.close()
        fail("an empty file", REPAIR)
    return file


def _open_whole_part(file: BinaryIO, warnings: list[str]) -> "InputContainer":
    """Open a file; of an MP4 that was cut within its last fragment's table, which libav refuses, what is before."""
    end = whole_fragments_end(file) if file.seekable() else None
    if end is None:
        return _open_container(file)
    container = _open_container(cast(BinaryIO, FileStart(file, end)))
    warnings.append("The file was cut off; its last fragment is incomplete and was left out.")
    return container


def _open_container(file: BinaryIO) -> "InputContainer":
    # libav gets an open file, never a name: a name could be an address or another protocol. io_open refuses whatever a
    # demuxer wants to open besides. Without genpts it does not read ahead for missing times; see reader.best_time.
    return av.open(
        file,
        mode="r",
        options={"format_whitelist": DEMUXERS, "max_pixels": str(MAX_PIXELS), "fflags": "-genpts"},
        metadata_errors="replace",
        buffer_size=1 << 18,
        io_open=_refuse_second_file,
    )


def _refuse_second_file(url: str, flags: int, options: dict[str, str]) -> Any:
    raise PermissionError(f"the file refers to another one, {url!r}, which is not opened")


def _reason(file: BinaryIO, error: BaseException) -> str:
    """What libav logs when it opens the file once more; the log is off otherwise, as it costs and is global."""
    if not file.seekable():
        return str(getattr(error, "strerror", None) or error)
    file.seek(0)
    level, skips = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(av.logging.ERROR)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as logs:
            _open_container(file).close()
    except (av.FFmpegError, ValueError, MemoryError, OSError) as again:
        error = again
    finally:
        av.logging.set_level(level)
        av.logging.set_skip_repeated(skips)
    messages = [" ".join(message.split()) for _, _, message in logs]
    if any("not on whitelist" in message for message in messages):
        return "its content is of another kind"
    return "; ".join(dict.fromkeys(messages[-2:])) or str(getattr(error, "strerror", None) or error)


def _video_rank(stream: "VideoStream") -> tuple[bool, int, int]:
    context = stream.codec_context
    return bool(stream.disposition & Disposition.default), context.width * context.height, -stream.index


def _audio_rank(stream: "AudioStream") -> tuple[bool, bool, bool, int, int, int]:
    context, disposition = stream.codec_context, stream.disposition
    is_own = not disposition & SIDE_TRACK
    is_default, is_original = bool(disposition & Disposition.default), bool(disposition & Disposition.original)
    return is_own, is_default, is_original, context.channels, context.sample_rate or 0, -stream.index


def _is_possible_sound(stream: "AudioStream") -> bool:
    # A rate of 0 is one that only the first decoded frame tells.
    context = stream.codec_context
    rate = context.sample_rate or 0
    return (rate == 0 or MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE) and context.channels <= MAX_CHANNELS


def declared_seconds(container: "InputContainer", streams: list[Any], zero: float) -> float | None:
    """Length of the timeline that the tracks read, or else the file, declare; ``None`` if neither does."""
    if container.format.name in ESTIMATED:
        return None
    ends: list[float] = []
    for stream in streams:
        if stream.duration is None or stream.duration <= 0:
            ends = []
            break
        ends.append(float(((stream.start_time or 0) + stream.duration) * stream.time_base) - zero)
    if ends and max(ends) > 0:
        return max(ends)
    if container.duration is not None and container.duration > 0:
        # Where the tracks do not say (Matroska), this is the time of the end.
        seconds = float(container.duration / av.time_base)
        return seconds - zero if seconds > zero else seconds
    return None
