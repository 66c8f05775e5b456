"""The pictures that are on screen at given moments, segment by segment.

A picture is on screen until the next one, or until the sound ends; unless pictures and sound stop together. That is a
hole in the recording, where neither is valid. An empty edit of the video track takes it off the screen too.
"""

import math
from bisect import bisect_right, insort
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import av
import numpy as np

from avel.media.pictures import Orientations, Scaler, picture_size
from avel.media.timeline import MIN_HOLE_SECONDS, Coverage
from avel.media.types import CHANNELS, MIN_VALID_SHARE, Colours, Picture, PictureFormat, Scaling, SegmentPictures

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


_Kind = tuple[tuple[int, int], Scaling, Colours]
"""Size, scaling and colours: formats that have them in common have their pictures in common."""


class PictureTrack:
    """Puts frames on screen one after the other, and picks and scales those that are on screen when one is due."""

    def __init__(
        self,
        segment_seconds: float,
        formats: Mapping[str, PictureFormat],
        displayed: tuple[int, int] | None,
        is_read: bool,
        whole_interval: float,
        empty_spans: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.formats = formats
        self.sizes: dict[str, tuple[int, int]] = {
            name: picture_size(wanted, displayed) for name, wanted in formats.items()
        }
        self.is_ended: bool = not is_read
        self.is_read = is_read
        self.first_seconds: float = math.inf
        self.shown_until: float = 0.0
        """Up to here it is settled which pictures are on screen."""
        self.last_error: str = ""
        self.segments: deque[_PictureSegment] = deque()
        self.queued_bytes: int = 0
        self._first_index = 0
        self._segment_seconds = segment_seconds
        self._orientations = Orientations()
        self._kinds: dict[str, _Kind] = {
            name: (size, formats[name].scaling, formats[name].colours) for name, size in self.sizes.items()
        }
        self._scalers = {kind: Scaler(*kind) for kind in self._kinds.values()}
        self._pace = {name: 1.0 if wanted.moments == "even" else whole_interval for name, wanted in formats.items()}
        self._latest = max([1.0, *self._pace.values()])
        self._next_tick = dict.fromkeys(formats, 0)
        self._frame: VideoFrame | None = None
        self._end_seconds = 0.0
        self._stops_seconds = math.inf
        self._interval = MIN_HOLE_SECONDS
        self.holes: list[tuple[float, float]] = []
        """Holes in the recording that are over."""
        self._gaps: deque[tuple[float, float]] = deque()
        self._empty_starts = [start for start, _ in empty_spans]
        self._is_stopped_by_edit = False
        self._good_until = math.inf
        self._waits_for_key = False
        self._damaged_at = -math.inf

    def is_settled(self, index: int) -> bool:
        """Whether nothing more can come to a segment."""
        return self.is_ended or self.shown_until >= (index + 1) * self._segment_seconds * self._latest - 1e-6

    def damage(self, error: str, seconds: float = -math.inf) -> None:
        """A packet could not be decoded: what follows is not to be trusted until the next key frame.

        Args:
            error: why.
            seconds: when: key frames from before, which the decoder may still give, do not help.
        """
        self.last_error = error
        self._damaged_at = seconds
        self._waits_for_key = True
        self._good_until = self._end_seconds

    def show(self, frame: "VideoFrame", start: float, end: float) -> None:
        """A frame goes on screen, and the one before goes off."""
        # Containers round times to their unit, Matroska to milliseconds: a moment is not before a frame's time when
        # it is only so by rounding.
        start -= min(float(frame.time_base or 0) / 2, 0.0005)
        is_after_gap = False
        if self._frame is None:
            self.first_seconds = start
            index = max(self._first_index, int(max(start, 0.0) / self._segment_seconds))
            for name, wanted in self.formats.items():
                self._next_tick[name] = index * wanted.frames_per_segment
            self._interval = MIN_HOLE_SECONDS
        elif start < self.shown_until:
            return
        else:
            self._pick(start)
            is_after_gap = start - self._stops_seconds > (0.0 if self._is_stopped_by_edit else MIN_HOLE_SECONDS)
            if is_after_gap:
                self._gaps.append((self._stops_seconds, start))
            self._interval = start - self.shown_until
        if frame.is_corrupt:
            self._waits_for_key = True  # what is made from a damaged picture is damaged too
        elif frame.key_frame and start >= self._damaged_at - 0.001:
            self._waits_for_key = False
        self._frame = frame
        self._pictures: dict[_Kind, Picture] = {}
        self._end_seconds = end
        # Some containers give a picture the duration of the hole behind it: then it lasts as long as the one before.
        self._stops_seconds = min(end, start + max(self._interval, MIN_HOLE_SECONDS))
        edit = self._next_empty(start)
        self._is_stopped_by_edit = edit <= end + MIN_HOLE_SECONDS
        if self._is_stopped_by_edit:
            self._stops_seconds = edit
        self._good_until = -math.inf if self._waits_for_key else math.inf
        self.shown_until = max(start, 0.0)
        if is_after_gap:
            segment = self._segment(max(int(self.shown_until / self._segment_seconds), self._first_index))
            segment.after_gap = {name: picture for name in self.formats if (picture := self._scaled(name)) is not None}

    def stop(self, seconds: float) -> None:
        """What is on screen stays there no longer: another recording begins."""
        insort(self._empty_starts, seconds)
        if self._frame is not None and seconds >= self.shown_until:
            self._stops_seconds = seconds
            self._is_stopped_by_edit = True

    def settle(self, index: int) -> None:
        """Wait no longer for frames of a segment: the one on screen stays there."""
        end = (index + 1) * self._segment_seconds
        self._pick(end)
        for name, wanted in self.formats.items():
            self._next_tick[name] = max(self._next_tick[name], (index + 1) * wanted.frames_per_segment)
        if self._frame is not None:
            self.shown_until = max(self.shown_until, end)

    def end(self, sound_end_seconds: float, *, has_lost_end: bool) -> None:
        """Nothing more will come: the last picture stays on screen for its duration and while there is sound.

        Args:
            sound_end_seconds: where the sound ends.
            has_lost_end: pictures at the end were lost: the last one does not stand for them.
        """
        if self.is_read and self._frame is not None:
            end = self._end_seconds if has_lost_end else max(self._end_seconds, sound_end_seconds)
            # It also fills the moments up to the end of its segment; `shown_until` says how much is covered.
            count = math.ceil((end - 1e-6) / self._segment_seconds)
            self._pick(count * self._segment_seconds * self._latest - 1e-6)
            self.shown_until = max(self.shown_until, end)
        self.is_ended = True
        self._frame = None

    def take(self, index: int, start: float, end: float, sound: Coverage) -> tuple[SegmentPictures, bool, bool]:
        """The pictures of the next segment; whether they are valid; whether they are damaged.

        Args:
            index: of the segment.
            start: of the segment, in seconds.
            end: of what the file holds of it.
            sound: where there is sound: where pictures and sound stop together, the last picture does not count.
        """
        segment = self._segment(index)
        self.segments.popleft()
        self.queued_bytes -= segment.num_bytes
        self._first_index = index + 1
        holes = self._holes_in(start, end, sound)
        missing = min(sum(last - first for first, last in holes), end - start)
        covered = min(end, self.shown_until) - max(start, self.first_seconds) - missing
        self._take_out(segment, start, holes)
        is_valid = covered >= MIN_VALID_SHARE * (end - start) - 1e-6 and not segment.is_damaged and segment.is_full
        rows: dict[str, list[Picture]] = {}
        for name, wanted in self.formats.items():
            if is_valid:
                rows[name] = _without_holes(segment.pictures[name])
            else:
                width, height = self.sizes[name]
                blank = np.zeros((height, width, CHANNELS[wanted.colours]), dtype=np.uint8)
                rows[name] = [blank] * wanted.frames_per_segment
        return SegmentPictures(rows), is_valid, segment.is_damaged

    def _take_out(self, segment: "_PictureSegment", start: float, holes: list[tuple[float, float]]) -> None:
        """Put the picture after a hole in the place of the one before it, at moments of the segment in the hole."""
        for name, row in segment.pictures.items():
            for i in range(len(row)):
                seconds = start + i / len(row) * self._segment_seconds
                if self._pace[name] == 1 and any(first <= seconds < last for first, last in holes):
                    row[i] = segment.after_gap.get(name)

    def pass_holes(self, seconds: float, sound: Coverage) -> None:
        """Note the holes that are over at a moment."""
        while self._gaps and self._gaps[0][1] <= seconds:
            stop, resume = self._gaps.popleft()
            if stop not in self._empty_starts:
                self.holes += self._holes(stop, resume, sound)

    def _holes_in(self, start: float, end: float, sound: Coverage) -> list[tuple[float, float]]:
        """Spans of a segment in which pictures and sound have stopped together."""
        self.pass_holes(start, sound)
        spans: list[tuple[float, float]] = []
        for stop, resume in [*self._gaps, (self._stops_seconds, math.inf)]:
            spans += self._holes(stop, resume, sound) if stop < end else []
        inside = [(max(start, first), min(end, last)) for first, last in spans]
        return [(first, last) for first, last in inside if first < last]

    def _holes(self, stop: float, resume: float, sound: Coverage) -> list[tuple[float, float]]:
        """Spans in which pictures that stopped by an edit, or together with the sound, have not resumed."""
        if stop in self._empty_starts:
            return [(stop, resume)]
        return [(max(stop, first), resume) for first, _ in sound.holes_from(stop) if max(stop, first) < resume]

    def _next_empty(self, seconds: float) -> float:
        """Where the next span begins in which no pictures are to be shown."""
        index = bisect_right(self._empty_starts, seconds)
        return self._empty_starts[index] if index < len(self._empty_starts) else math.inf

    def _pick(self, until: float) -> None:
        """The frame on screen is the picture of all moments before ``until`` that have none."""
        if self._frame is None:
            return
        for name, wanted in self.formats.items():
            count = wanted.frames_per_segment
            tick = self._next_tick[name]
            while (seconds := tick * self._segment_seconds / count * self._pace[name]) < until:
                if tick >= self._first_index * count:
                    segment = self._segment(tick // count)
                    if seconds >= self._good_until:
                        segment.is_damaged = True
                    is_new = self._kinds[name] not in self._pictures
                    picture = self._scaled(name)
                    if picture is None:
                        segment.is_damaged = True
                    else:
                        segment.pictures[name][tick % count] = picture
                        if is_new:
                            segment.num_bytes += picture.nbytes
                            self.queued_bytes += picture.nbytes
                tick += 1
            self._next_tick[name] = tick

    def _scaled(self, name: str) -> Picture | None:
        assert self._frame is not None
        kind = self._kinds[name]
        if kind not in self._pictures:
            try:
                self._pictures[kind] = self._scalers[kind](self._frame, self._orientations.of(self._frame))
            except (av.FFmpegError, ValueError, MemoryError) as error:
                self.last_error = str(getattr(error, "strerror", None) or error)
                return None
        return self._pictures[kind]

    def _segment(self, index: int) -> "_PictureSegment":
        while len(self.segments) <= index - self._first_index:
            self.segments.append(
                _PictureSegment({name: [None] * wanted.frames_per_segment for name, wanted in self.formats.items()})
            )
        return self.segments[index - self._first_index]


@dataclass(slots=True)
class _PictureSegment:
    """The pictures picked so far; a still picture is there several times, but takes memory once."""

    pictures: dict[str, list[Picture | None]]
    after_gap: dict[str, Picture] = field(default_factory=dict)
    is_damaged: bool = False
    num_bytes: int = 0

    @property
    def is_full(self) -> bool:
        return bool(self.pictures) and all(any(p is not None for p in row) for row in self.pictures.values())


def _without_holes(row: list[Picture | None]) -> list[Picture]:
    """Moments without a picture show the one before, or else the first one."""
    latest = next(picture for picture in row if picture is not None)
    filled = []
    for picture in row:
        latest = picture if picture is not None else latest
        filled.append(latest)
    return filled
