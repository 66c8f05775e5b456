"""Pictures and sound of a segment, joined as soon as both are there."""

import math
from collections.abc import Iterator

from avel.media.demux import DecodedPacket, Demuxer
from avel.media.frames import PictureTrack
from avel.media.sound import SoundTrack
from avel.media.types import MediaSegment

MIN_TAIL_SHARE = 0.1
"""A rest at the end shorter than this share of a segment is dropped, unless it is all there is: tracks of a clip cut to
10 s commonly end a few milliseconds after it."""

MAX_SOUND_AHEAD_SECONDS = 600.0
MAX_PICTURES_AHEAD_SECONDS = 30.0
MAX_PICTURES_AHEAD_BYTES = 256 << 20
"""How far one track may run ahead of the other, in badly interleaved files, before the other is taken as missing. This
bounds memory. Sound takes 64 kB a second, pictures up to some MB."""

SPANS_TOLD = 8


class SegmentAssembly:
    """Both modalities' segments, joined as soon as both are there."""

    def __init__(self, segment_seconds: float, pictures: PictureTrack, sound: SoundTrack) -> None:
        self._segment_seconds = segment_seconds
        self._pictures = pictures
        self._sound = sound
        self._index = 0
        self._lost: dict[str, list[tuple[float, float]]] = {}

    @property
    def has_content(self) -> bool:
        """Whether anything could be decoded."""
        return self._pictures.first_seconds < math.inf or self._sound.has_content

    def add(self, item: DecodedPacket, source: Demuxer) -> None:
        """Put what a packet gave where it belongs on the timeline."""
        part = self._pictures if item.kind == "video" else self._sound
        for seconds in source.new_seams():
            self._pictures.stop(seconds)
        if item.error is not None:
            part.damage(item.error, item.error_seconds)
        for frame in item.frames:
            span = source.span(item.kind, frame)
            if span is None:
                part.damage("impossible times")
            elif item.kind == "video":
                self._pictures.show(frame, *span)
            else:
                self._sound.add(frame, *span)

    def finished(self, limit: float, source: Demuxer) -> Iterator[MediaSegment]:
        """Segments that are settled, and those for which one track has been waited for long enough."""
        while not self.is_past(limit):
            pictures, sound = self._pictures, self._sound
            has_pictures, has_sound = pictures.is_settled(self._index), sound.is_settled(self._index)
            if not (has_pictures or has_sound):
                return
            if not has_sound:
                ahead = pictures.shown_until - sound.reached_seconds
                if ahead < MAX_PICTURES_AHEAD_SECONDS and pictures.queued_bytes < MAX_PICTURES_AHEAD_BYTES:
                    return
            elif not has_pictures:
                if sound.reached_seconds - pictures.shown_until < MAX_SOUND_AHEAD_SECONDS:
                    return
                pictures.settle(self._index)
            yield self._take(min((self._index + 1) * self._segment_seconds, limit), source)

    def is_past(self, limit: float) -> bool:
        """Whether the segments so far reach a moment, but for a rest that is not worth a segment."""
        return limit - self._index * self._segment_seconds < MIN_TAIL_SHARE * self._segment_seconds and self._index > 0

    def end_tracks(self, source: Demuxer) -> None:
        """Nothing more will come: the last picture stays on screen while there is sound, unless pictures were lost."""
        self._pictures.end(source.sound.end_seconds, has_lost_end=source.has_lost_end())
        self._sound.end()

    def rest(self, end_seconds: float, source: Demuxer) -> Iterator[MediaSegment]:
        """The segments up to the end of the timeline."""
        while not self.is_past(end_seconds):
            yield self._take(min((self._index + 1) * self._segment_seconds, end_seconds), source)
        self._pictures.pass_holes(end_seconds, source.sound)

    def warnings(self) -> list[str]:
        """What could not be read, one line for each reason."""
        holes = [
            f"Nothing was recorded from {start:.1f} s to {end:.1f} s ({end - start:.1f} s)."
            for start, end in self._pictures.holes[:SPANS_TOLD]
        ]
        return holes + [f"{what} in {_told(spans)}." for what, spans in self._lost.items()]

    def _take(self, end: float, source: Demuxer) -> MediaSegment:
        index = self._index
        start = index * self._segment_seconds
        pictures, visual_valid, visual_damaged = self._pictures.take(index, start, end, source.sound)
        waveform, audio_valid, audio_damaged = self._sound.take(index, start, end)
        if self._pictures.is_read and not visual_valid:
            self._lose("Pictures", visual_damaged, self._pictures.last_error, start, end)
        if self._sound.is_read and not audio_valid:
            self._lose("Sound", audio_damaged, self._sound.last_error, start, end)
        self._index += 1
        return MediaSegment(
            index=index,
            start_seconds=start,
            end_seconds=end,
            pictures=pictures,
            waveform=waveform,
            audio_valid=audio_valid,
            visual_valid=visual_valid,
        )

    def _lose(self, modality: str, is_damaged: bool, error: str, start: float, end: float) -> None:
        reason = f"damaged ({error})" if is_damaged and error else "damaged" if is_damaged else "missing"
        spans = self._lost.setdefault(f"{modality} {reason}", [])
        if spans and abs(spans[-1][1] - start) < 1e-6:
            spans[-1] = (spans[-1][0], end)
        elif len(spans) <= SPANS_TOLD:
            spans.append((start, end))


def _told(spans: list[tuple[float, float]]) -> str:
    told = ", ".join(f"{round(start, 3):g}-{round(end, 3):g} s" for start, end in spans[:SPANS_TOLD])
    return told + (" and later" if len(spans) > SPANS_TOLD else "")
