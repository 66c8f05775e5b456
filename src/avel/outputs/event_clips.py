"""A clip of the video for each event, with its sound.

A clip is copied, packet by packet, where a key frame lies at its start: nothing is lost, and it takes no time. Then it
begins on the frame and ends at most `LATE_SECONDS` late, since some pictures need later ones. All other clips are
encoded anew (H.264 and AAC, MP4), and begin and end on the frame. Sound is at its place under the pictures either way.
Files whose times libav only works out (AVI, TS, Ogg, ...) and those with cuts are never copied.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from avel.data.formats.naming import in_file_name, name_of
from avel.errors import OutputError
from avel.events import Localization, by_start
from avel.files import put, unique_names, workshop
from avel.media.container import choose_tracks, open_media
from avel.media.demux import Demuxer
from avel.media.rewriting import MP4, SAMPLE_RATE, PictureLook, PictureWriter, SoundWriter, picture_look
from avel.media.sound import Samples, SoundPlacer
from avel.outputs.remux import copy_track, dated

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.container import InputContainer
    from av.video.frame import VideoFrame

LATE_SECONDS = 0.2
"""How much later than the event a copied clip may end."""

MAX_OPEN = 6
"""Clips that are encoded at the same time, at most; where more events overlap, the video is read once more."""

_SEEK_SECONDS = 2.0
"""How much before a clip reading begins, since sound and pictures of one moment do not lie together in all files."""

_KEPT_SECONDS = 1.0
_EXACT_CONTAINERS = {"mp4", "matroska"}
_CONTAINERS: dict[str, tuple[set[str | None], set[str | None]]] = {
    ".mp4": ({"h264", "hevc", "av1"}, {"aac", "mp3", "ac3", "eac3", "alac", None}),
    ".webm": ({"vp8", "vp9", "av1"}, {"vorbis", "opus", None}),
}
"""Codecs of pictures and sound that players take from a file of this kind; an MKV holds all others."""


@dataclass(frozen=True)
class _Clip:
    """What a clip is to be: its file's name without suffix, and its span in seconds of the timeline."""

    name: str
    start: float
    end: float


def save(result: Localization, folder: Path, pad_seconds: float = 0.0) -> list[Path]:
    """Write a clip of each event into a folder.

    A clip is named by the event's times and category. Files that are there stay: a clip whose name is taken by another
    file gets a number.

    Args:
        result: what was found.
        folder: made when missing, also where there is no event.
        pad_seconds: how much each clip has before and after its event, as far as the video goes.

    Returns:
        The clips, by the start of their events.

    Raises:
        MediaError: if the video is no longer there.
        OutputError: if a clip cannot be written, or nothing of the video can be decoded.
    """
    clips = _planned(result, pad_seconds)
    paths: dict[str, Path] = {}
    with workshop(folder) as temporary:
        for clip, made in _made(result, clips, temporary):
            paths[clip.name] = put(made, folder / made.name)
    return [paths[clip.name] for clip in clips]


def _planned(result: Localization, pad_seconds: float) -> list[_Clip]:
    events = by_start(result.events)
    names = unique_names(f"{e.start_seconds:09.3f}-{e.end_seconds:09.3f} {in_file_name(name_of(e))}" for e in events)
    return [
        _Clip(name, max(e.start_seconds - pad_seconds, 0.0), min(e.end_seconds + pad_seconds, result.duration_seconds))
        for name, e in zip(names, events, strict=True)
    ]


def _made(result: Localization, clips: Sequence[_Clip], folder: Path) -> Iterator[tuple[_Clip, Path]]:
    """Clips, each with its file when that is finished."""
    if not clips:
        return
    track = result.model.get("audio_track")
    copies = _copies(result.video, track, clips)
    for clip, cut in copies.items():
        yield clip, _copy(result.video, track, clip, cut, folder)
    left = [clip for clip in clips if clip not in copies]
    if left:
        look = picture_look(result.video)
        for some in _passes(left):
            yield from _Encoding(result.video, track, look, folder).run(some)


# Copying


@dataclass(frozen=True)
class _Cut:
    """The packets of the video track that a copied clip has.

    Attributes:
        pts: of the key frame, when the clip begins, in the track's unit of time.
        count: how many there are from the key frame on, in the order of decoding.
        suffix: of the file.
    """

    pts: int
    count: int
    suffix: str


def _copies(video: str, track: int | None, clips: Iterable[_Clip]) -> dict[_Clip, _Cut]:
    """Which clips can be copied, and how."""
    with open_media(video) as source:
        pictures, sound, _ = choose_tracks(source, video, track)
        layout = Demuxer(source, pictures, sound, video)
        kinds: set[str] = set(source.format.name.split(","))
        is_exact = bool(_EXACT_CONTAINERS & kinds) and layout.is_one_piece()
        if pictures is None or not is_exact or not pictures.time_base:
            return {}
        suffix = _suffix(pictures, sound)
        base, zero = float(pictures.time_base), layout.zero_seconds
        half_a_frame = 0.5 / float(pictures.average_rate or 25)
        packets = [(p.pts, p.dts, bool(p.is_keyframe), p.duration or 0) for p in dated(source.demux(pictures))]
    times = [packet for packet in packets if packet[0] is not None]
    if len(times) < len(packets) or any(later[1] <= before[1] for before, later in pairwise(times)):
        return {}
    keys = [n for n, packet in enumerate(times) if packet[2]]
    starts = [times[n][0] * base - zero for n in keys]
    found = {}
    for clip in clips:
        place = bisect_left(starts, clip.start - half_a_frame)
        if place == len(keys) or starts[place] > clip.start + half_a_frame:
            continue
        first = keys[place]
        last = max(
            (n for n in range(first, len(times)) if times[n][0] * base - zero < clip.end - half_a_frame), default=first
        )
        late = max((pts + length) * base - zero - clip.end for pts, _, _, length in times[first : last + 1])
        if late <= LATE_SECONDS:
            found[clip] = _Cut(times[first][0], last - first + 1, suffix)
    return found


def _suffix(pictures: Any, sound: Any) -> str:
    """Of a container that players know and that holds the tracks as they are."""
    codecs: list[str | None] = [
        None if one is None else one.codec_context.codec.canonical_name for one in (pictures, sound)
    ]
    for suffix, allowed in _CONTAINERS.items():
        if all(codec in some for codec, some in zip(codecs, allowed, strict=True)):
            return suffix
    return ".mkv"


def _copy(video: str, track: int | None, clip: _Clip, cut: _Cut, folder: Path) -> Path:
    path = folder / f"{clip.name}{cut.suffix}"
    with open_media(video) as source, av.open(str(path), "w", options=_options(cut.suffix)) as target:
        pictures, sound, _ = choose_tracks(source, video, track)
        tracks = [stream for stream in (pictures, sound) if stream is not None]
        copied = {stream.index: copy_track(stream, target) for stream in tracks}
        assert pictures is not None
        assert pictures.time_base is not None
        begin = cut.pts * pictures.time_base
        end = begin + Fraction(clip.end - clip.start)
        source.seek(int((begin - Fraction(_SEEK_SECONDS)) * av.time_base), backward=True)
        left, open_tracks = cut.count, set(copied)
        for packet in dated(source.demux(tracks)):
            index = packet.stream.index
            if packet.pts is None or index not in open_tracks:
                continue
            if packet.stream is pictures:
                has_begun = left < cut.count or (packet.is_keyframe and packet.pts == cut.pts)
                is_part = has_begun and packet.pts >= cut.pts  # others are shown before, and need what is left out
                left -= has_begun
                is_over = not left
            else:
                seconds = packet.pts * packet.time_base
                is_part, is_over = begin <= seconds < end, seconds >= end
            if is_part:
                shift = round(begin / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = copied[index]
                target.mux_one(packet)
            if is_over:
                open_tracks.discard(index)
                if not open_tracks:
                    break
    return path


def _options(suffix: str) -> dict[str, str]:
    """Of a container, so that the same clip is the same file."""
    return {"fflags": "+bitexact", **({"movflags": "+faststart"} if suffix == ".mp4" else {})}


# Encoding anew


def _passes(clips: Iterable[_Clip]) -> list[list[_Clip]]:
    """Clips to be encoded together, of which no more than `MAX_OPEN` overlap."""
    passes: list[list[_Clip]] = []
    for clip in clips:
        for some in passes:
            if sum(other.end > clip.start for other in some) < MAX_OPEN:
                some.append(clip)
                break
        else:
            passes.append([clip])
    return passes


class _Encoding:
    """Encodes clips in one pass over the video."""

    def __init__(self, video: str, track: int | None, look: PictureLook | None, folder: Path) -> None:
        self._video = video
        self._track = track
        self._look = look
        self._folder = folder
        self._half_a_frame = 0.0 if look is None else float(0.5 / look.rate)
        self._open: list[_EncodedClip] = []

    def run(self, clips: Sequence[_Clip]) -> Iterator[tuple[_Clip, Path]]:
        """Encode clips that are ordered by their start."""
        with ExitStack() as stack:
            self._sound = _SharedSound(stack.enter_context(open_media(self._video)), self._video, self._track)
            if self._look is None and not self._sound.channels:
                raise OutputError(f"{self._video}: nothing of it can be decoded, so that there can be no clips.")
            stack.callback(self._leave)
            waiting = deque(clips)
            shown: VideoFrame | None = None
            for frame, seconds in self._pictures(stack):
                while waiting and waiting[0].start <= seconds + self._half_a_frame:
                    self._begin(waiting.popleft(), shown, seconds)
                yield from self._end(seconds)
                for one in self._open:
                    one.show(frame, seconds)
                self._sound.read_until(seconds, self._open)
                shown = frame
                if not waiting and not self._open:
                    return
            while waiting:
                self._begin(waiting.popleft(), shown, float("inf"))
                yield from self._end(waiting[0].start if waiting else float("inf"))
            yield from self._end(float("inf"))

    def _leave(self) -> None:
        for one in self._open:
            one.close()

    def _pictures(self, stack: ExitStack) -> "Iterator[tuple[VideoFrame, float]]":
        if self._look is None:
            return
        source = stack.enter_context(open_media(self._video))
        video, audio, _ = choose_tracks(source, self._video, self._track)
        assert video is not None
        video.thread_type = "AUTO"
        yield from Demuxer(source, video, audio, self._video).pictures()

    def _begin(self, clip: _Clip, shown: "VideoFrame | None", seconds: float) -> None:
        one = _EncodedClip(clip, self._folder, self._look, self._sound.channels)
        self._open.append(one)
        if shown is not None and seconds > clip.start + self._half_a_frame:
            one.show(shown, clip.start)  # what is on screen when the clip begins
        self._sound.give_kept(one)

    def _end(self, seconds: float) -> Iterator[tuple[_Clip, Path]]:
        """Finish the clips that a picture at a time is no part of."""
        for one in [one for one in self._open if one.clip.end <= seconds + self._half_a_frame]:
            self._sound.read_until(one.clip.end, self._open)
            one.finish()
            self._open.remove(one)
            yield one.clip, one.path


class _EncodedClip:
    """The file of a clip that is being encoded."""

    def __init__(self, clip: _Clip, folder: Path, look: PictureLook | None, channels: int) -> None:
        self.clip = clip
        self.path = folder / f"{clip.name}{'.m4a' if look is None else '.mp4'}"
        self._target = av.open(str(self.path), "w", format="mp4", options=_options(".mp4"))
        self._pictures = None if look is None else PictureWriter(self._target, look, MP4)
        self._sound = SoundWriter(self._target, MP4, channels) if channels else None

    def show(self, frame: "VideoFrame", seconds: float) -> None:
        if self._pictures is not None:
            self._pictures.add(frame, max(seconds - self.clip.start, 0.0))

    def play(self, position: int, samples: Samples) -> None:
        """Take samples, (C, S), at a position on the timeline; silence is put where there were none before them."""
        if self._sound is None:
            return
        first = position - round(self.clip.start * SAMPLE_RATE)
        last = min(first + samples.shape[1], self._length)
        gap = first - self._sound.samples
        if gap > 0:
            self._silence(min(gap, self._length - self._sound.samples))
        self._sound.add(samples[:, max(-gap, 0) : max(last - first, 0)])

    def finish(self) -> None:
        if self._pictures is not None:
            self._pictures.finish(self.clip.end - self.clip.start)
        if self._sound is not None:
            self._silence(self._length - self._sound.samples)
            self._sound.finish()
        self._target.close()

    def close(self) -> None:
        """Leave it unfinished."""
        self._target.close()

    @property
    def _length(self) -> int:
        return round((self.clip.end - self.clip.start) * SAMPLE_RATE)

    def _silence(self, count: int) -> None:
        assert self._sound is not None
        for first in range(0, count, SAMPLE_RATE):
            self._sound.add(np.zeros((self._sound.channels, min(SAMPLE_RATE, count - first)), np.float32))


class _SharedSound:
    """The sound of the video, one channel or two, given to the clips that are open while it is read."""

    def __init__(self, source: "InputContainer", video: str, track: int | None) -> None:
        pictures, sound, _ = choose_tracks(source, video, track)
        self.channels = 0 if sound is None else min(sound.codec_context.channels, 2) or 1
        self._pieces = self._read(Demuxer(source, pictures, sound, video))
        self._kept: deque[tuple[int, Samples]] = deque()
        self._reached = 0

    def read_until(self, seconds: float, clips: Iterable[_EncodedClip]) -> None:
        """Read on to a moment."""
        while self._reached < seconds * SAMPLE_RATE:
            piece = next(self._pieces, None)
            if piece is None:
                return
            position, samples = piece
            self._reached = position + samples.shape[1]
            self._kept.append(piece)
            while self._kept[0][0] + self._kept[0][1].shape[1] < self._reached - _KEPT_SECONDS * SAMPLE_RATE:
                self._kept.popleft()
            for clip in clips:
                clip.play(position, samples)

    def give_kept(self, clip: _EncodedClip) -> None:
        """Give a clip that is opened late what was read a little ahead."""
        for position, samples in self._kept:
            clip.play(position, samples)

    def _read(self, source: Demuxer) -> Iterator[tuple[int, Samples]]:
        if not self.channels:
            return
        source.decoded = {"audio"}
        layout = "mono" if self.channels == 1 else "stereo"
        packer, key = av.AudioResampler(format="flt", layout=layout), None
        placers = [SoundPlacer(SAMPLE_RATE) for _ in range(self.channels)]
        for item in source:
            for frame in item.frames:
                span = source.span("audio", frame)
                if span is None or frame.is_corrupt:
                    continue
                if key != (frame.format.name, frame.layout.name, frame.sample_rate):
                    key = (frame.format.name, frame.layout.name, frame.sample_rate)
                    packer = av.AudioResampler(format="flt", layout=layout)
                yield from self._place(placers, frame, packer, span[0])
        yield from _joined([placer.flush() for placer in placers])

    def _place(
        self, placers: list[SoundPlacer], frame: "AudioFrame", packer: "av.AudioResampler", start: float
    ) -> Iterator[tuple[int, Samples]]:
        rate, frame.pts = frame.sample_rate, None  # times are the demuxer's
        try:
            packed = [piece.to_ndarray().reshape(-1, self.channels) for piece in packer.resample(frame)]
        except (av.FFmpegError, ValueError, MemoryError):
            return  # a hole, as where a packet is damaged
        if packed:
            channels = np.ascontiguousarray(np.nan_to_num(np.concatenate(packed), posinf=0, neginf=0).T)
            yield from _joined([placer.push(one, rate, start) for one, placer in zip(channels, placers, strict=True)])


def _joined(pieces: list[list[tuple[int, Samples]]]) -> Iterator[tuple[int, Samples]]:
    """Pieces of each channel, which lie at the same places, as pieces of all."""
    for together in zip(*pieces, strict=True):
        yield together[0][0], np.stack([samples for _, samples in together])
