"""One timeline for a file whose times start again, jump or wrap around.

Transport streams that were put one after the other, chained Ogg files and recordings that were interrupted have several
parts, each with times of its own. Players and FFmpeg's concat protocol show the parts one after the other, and so does
this: each part has an offset, and all tracks of a part are moved by the same one, so that they stay together.

    file's times   |v 0 1 2 3|v 0 1 2 3|          offsets 0 and 4:
                   |a 0 1 2 3|a 0 1 2 3|          0 1 2 3 4 5 6 7 for both

Packets tell the parts, in the order of the file. A time that does not go on from its track's last one is believed only
when the track's next packet agrees: a damaged packet must not move the rest of the file. Times that jump ahead by no
more than `MAX_HOLE_SECONDS` are a hole in the recording and stay as they are.
"""

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_HOLE_SECONDS = 60.0
"""A jump ahead by more than this is the beginning of a part with other times."""
MAX_OVERLAP_SECONDS = 0.5
MAX_PASSED_SECONDS = 1.5
MAX_STEP_SECONDS = 1.0
"""A track's packet goes on from the one before when it begins this much before its end or after it."""
MAX_LEAD_SECONDS = 3.0
"""How far a track's first packet may lie behind the other track's packets around it."""
PARTS_KEPT = 8
"""So many of the latest parts can a packet still belong to."""
LOST_PAGE_SECONDS = 0.025
PAGES_HELD = 64
"""So many pages of an Ogg file are held; one of them has at most 64 kB."""
MIN_HOLE_SECONDS = 0.5
"""A track that stops for less than this does not stop."""
TOGETHER_SECONDS = 1.0
"""Picture and sound stop together when they do so within this time."""
MAX_PACKET_SECONDS = 0.5
"""Sound of one packet lasts no longer than this, whatever its file says."""


@dataclass(frozen=True, slots=True)
class Seam:
    """Where a part with other times begins.

    Attributes:
        at_seconds: on the timeline.
        from_seconds: the file's time that would have gone on.
        to_seconds: the file's time that came.
    """

    at_seconds: float
    from_seconds: float
    to_seconds: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A packet that may be used now.

    Attributes:
        item: as it was given.
        offset_seconds: to be added to its times; ``None`` when they cannot be right.
    """

    item: Any
    offset_seconds: float | None


@dataclass(slots=True)
class _Track:
    """What is known of one track; times are those of the timeline."""

    part: int = 0
    newest: int = 0
    end: float | None = None
    repeats_until: float | None = None
    """It has gone back a little, and repeats what it had passed up to here."""
    held: list[tuple[float | None, float, Any]] = field(default_factory=list)


class PartJoiner:
    """Finds the parts of a file and the offset of each.

    Args:
        tracks: names of the tracks.
        grid_seconds: offsets are multiples of this, the coarsest unit of the tracks' times, so that all tracks are
            moved by exactly the same.
        begins_at_zero: parts begin at 0; other times that do not go on are damaged ones, and stay. A whole track may
            come after the other.
        may_repeat: a track may repeat up to `MAX_PASSED_SECONDS` while the other goes on, as when pages of an Ogg file
            are there twice.

    Attributes:
        seams: where parts begin, in order.
    """

    def __init__(
        self,
        tracks: Iterable[str],
        grid_seconds: float = 0.0,
        *,
        begins_at_zero: bool = False,
        may_repeat: bool = False,
    ) -> None:
        self.seams: list[Seam] = []
        self._tracks = {name: _Track() for name in tracks}
        self._grid = grid_seconds
        self._begins_at_zero = begins_at_zero
        self._may_repeat = may_repeat
        self._latest_track: _Track | None = None
        self._offsets = [0.0]
        self._latest: float | None = None
        self._furthest = -math.inf
        self._trusts = dict.fromkeys(self._tracks, True)

    def distrust(self, track: str) -> list[Placed]:
        """Take a track's times as they are from now on: they jump about, and the other track tells the parts."""
        self._trusts[track] = False
        return self._released(self._tracks[track], self._tracks[track].part)

    def add(self, name: str, seconds: float | None, duration_seconds: float, item: Any) -> list[Placed]:
        """Take the next packet of a track.

        Args:
            name: of the track.
            seconds: the packet's (decoding) time in the file; ``None`` if it has none.
            duration_seconds: of the packet, 0 if it does not say.
            item: what to give back.

        Returns:
            Packets that may be used now, in order: none while this one is doubted, or it and those held back before it.
        """
        track = self._tracks[name]
        if not self._trusts[name]:
            track.part = len(self._offsets) - 1
            return [Placed(item, self._offsets[-1])]
        if seconds is None:
            if track.held:
                track.held.append((None, duration_seconds, item))
                return []
            return [Placed(item, self._offsets[track.part])]
        if self._goes_on(track, seconds):
            held = [time for time, _, _ in track.held if time is not None]
            agrees = bool(held) and 0 <= seconds - held[-1] <= MAX_STEP_SECONDS
            ready = self._released(track, track.part if agrees else None)
            self._advance(track, seconds, duration_seconds)
            return [*ready, Placed(item, self._offsets[track.part])]
        first = next((time for time, _, _ in track.held if time is not None), None)
        track.held.append((seconds, duration_seconds, item))
        if first is None:
            part = self._nearest_part(track, seconds) if self._latest is None else None
            return [] if part is None else self._released(track, part)
        last = [time for time, _, _ in track.held[:-1] if time is not None][-1]
        if not 0 <= seconds - last <= MAX_HOLE_SECONDS:
            doubted, track.held = track.held[:-1], track.held[-1:]
            return [Placed(old, None) for _, _, old in doubted]
        part = self._nearest_part(track, first)
        if part is None and self._begins_at_zero and first > MAX_STEP_SECONDS:
            part = track.part
        return self._released(track, self._begin_part(track, first) if part is None else part)

    def finish(self) -> list[Placed]:
        """What is still held back when the file ends."""
        ready = []
        for track in self._tracks.values():
            first = next((time for time, _, _ in track.held if time is not None), None)
            ready += self._released(track, None if first is None else self._nearest_part(track, first))
        return ready

    def _goes_on(self, track: _Track, seconds: float) -> bool:
        if track.end is None:
            return False
        return -MAX_OVERLAP_SECONDS <= seconds + self._offsets[track.part] - track.end <= MAX_STEP_SECONDS

    def _nearest_part(self, track: _Track, seconds: float) -> int | None:
        """The known part in which a time is nearest to where the file is; ``None`` if it can be in none of them."""
        here = self._latest
        found, nearest = None, math.inf
        for part in range(max(0, len(self._offsets) - PARTS_KEPT), len(self._offsets)):
            time = seconds + self._offsets[part]
            ahead = 0.0 if here is None else time - here
            if track.end is not None:
                # A new part may begin with what the track has passed already: players cut it.
                is_repeat = self._may_repeat and here is not None and track is not self._latest_track
                overlap = MAX_PASSED_SECONDS if part > track.newest or is_repeat else MAX_OVERLAP_SECONDS
                is_back = time < track.end - overlap
            else:
                is_back = ahead < -MAX_LEAD_SECONDS and not self._begins_at_zero
            if not is_back and ahead <= MAX_HOLE_SECONDS and abs(ahead) <= nearest:
                found, nearest = part, abs(ahead)
        return found

    def _begin_part(self, track: _Track, seconds: float) -> int:
        end = self._furthest if self._furthest > -math.inf else 0.0
        offset = end - seconds
        if self._grid:
            offset = math.ceil(offset / self._grid - 1e-6) * self._grid
        self.seams.append(Seam(seconds + offset, (track.end or end) - self._offsets[track.part], seconds))
        self._offsets.append(offset)
        part = len(self._offsets) - 1
        for other in self._tracks.values():
            # What went back a little before this track did has begun the same part.
            if other.repeats_until is not None:
                other.part = other.newest = part
                other.end = other.repeats_until = None
        return part

    def _released(self, track: _Track, part: int | None) -> list[Placed]:
        """The packets held back, as of a part; ``None`` when their times are wrong."""
        held, track.held = track.held, []
        if part is None:
            return [Placed(item, None) for _, _, item in held]
        first = next((time for time, _, _ in held if time is not None), None)
        if self._may_repeat and part == track.part and first is not None and track.end is not None:
            overlap = track.end - first - self._offsets[part]
            track.repeats_until = track.end if overlap > MAX_OVERLAP_SECONDS else None
        if part != track.part or self._may_repeat:
            track.part, track.newest, track.end = part, max(part, track.newest), None
        for seconds, duration, _ in held:
            if seconds is not None:
                self._advance(track, seconds, duration)
        return [Placed(item, self._offsets[part]) for _, _, item in held]

    def _advance(self, track: _Track, seconds: float, duration: float) -> None:
        start = seconds + self._offsets[track.part]
        track.end = max(start + duration, track.end if track.end is not None else -math.inf)
        self._furthest = max(self._furthest, start + duration)
        if track.repeats_until is not None and track.end > track.repeats_until:
            track.repeats_until = None
        self._latest, self._latest_track = start, track


LatePage = list[tuple[Any, float]]
"""Packets of a page, and by how many seconds each of them is too early."""


class PageClock:
    """Puts right the times of a page of an Ogg file before which others are lost, and keeps the pages in their order.

    A page tells the time of its end. libav lets the times go on from the page before, and learns only on the way or at
    its end how much is missing: what it gave of that page until then is too early. So each page is held until the next
    one of its track, and the pages of other tracks behind it as well: their order tells the parts of a file.
    """

    def __init__(self) -> None:
        self._queue: deque[_Page] = deque()
        self._latest: dict[str, _Page] = {}

    def add(self, track: str, page: int, seconds: float, duration_seconds: float, item: Any) -> list[LatePage]:
        """Take the next packet of a track.

        Args:
            track: its name.
            page: what tells pages apart, such as the position in the file.
            seconds: when the packet begins.
            duration_seconds: of the packet.
            item: what to give back.

        Returns:
            The pages that are known to their end, in the order of the file.
        """
        held = self._latest.get(track)
        if held is None or held.page != page:
            self._close(track, seconds)
            held = self._latest[track] = _Page(page)
            self._queue.append(held)
        late = seconds - held.end if held.items else 0.0
        if self._is_lost(late):
            held.items = [(early, lateness + late) for early, lateness in held.items]
        held.items.append((item, 0.0))
        held.end = seconds + duration_seconds
        return self._ready()

    def end(self, track: str, end_seconds: float | None = None) -> list[LatePage]:
        """A track has no more pages.

        Args:
            track: its name.
            end_seconds: where it ends, if that is known.

        Returns:
            As `add`.
        """
        self._close(track, end_seconds)
        return self._ready()

    def _close(self, track: str, next_seconds: float | None) -> None:
        held = self._latest.pop(track, None)
        if held is None:
            return
        late = next_seconds - held.end if next_seconds is not None else 0.0
        if self._is_lost(late):
            held.items = [(item, lateness + late) for item, lateness in held.items]
        held.is_known = True

    def _ready(self) -> list[LatePage]:
        ready = []
        while self._queue and (self._queue[0].is_known or len(self._queue) > PAGES_HELD):
            page = self._queue.popleft()
            for track in [track for track, latest in self._latest.items() if latest is page]:
                del self._latest[track]
            ready.append(page.items)
        return ready

    @staticmethod
    def _is_lost(late: float) -> bool:
        """Whether times jump: ahead where pages were lost, and back where another part begins."""
        return abs(late) > LOST_PAGE_SECONDS and late <= MAX_HOLE_SECONDS


@dataclass(slots=True)
class _Page:
    page: int
    items: LatePage = field(default_factory=list)
    end: float = 0.0
    is_known: bool = False


class Coverage:
    """Where a track has sound, by its packets, decoded or not.

    Attributes:
        end_seconds: where it ends so far.
    """

    def __init__(self) -> None:
        self.end_seconds: float = -math.inf
        self._holes: list[tuple[float, float]] = []

    def add(self, start_seconds: float, duration_seconds: float) -> None:
        """Sound of a packet, at its time on the timeline."""
        if self.end_seconds > -math.inf and start_seconds > self.end_seconds + MIN_HOLE_SECONDS:
            self._holes.append((self.end_seconds, start_seconds))
        end = start_seconds + min(duration_seconds, MAX_PACKET_SECONDS)
        self.end_seconds = max(self.end_seconds, end)

    def holes_from(self, seconds: float) -> list[tuple[float, float]]:
        """Spans without sound that begin together with a moment; the last one may be open."""
        spans = [*self._holes, (self.end_seconds, math.inf)] if self.end_seconds > -math.inf else []
        return [(start, end) for start, end in spans if abs(start - seconds) <= TOGETHER_SECONDS]
