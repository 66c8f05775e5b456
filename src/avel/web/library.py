"""The videos of a page: what state each is in, what was found in it, and what people made of that."""

import contextlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from avel.batch.journal import ResultJournal, stamp_if_there
from avel.data.annotations import Annotation
from avel.data.corrections import Corrections, corrections_path, read_corrections
from avel.errors import AnnotationsError
from avel.events import Event, Localization
from avel.features.source import absolute_text
from avel.web.collection import Collection, CollectionItem

VideoState = Literal["new", "queued", "running", "done", "reviewed", "failed"]
STATES: tuple[VideoState, ...] = get_args(VideoState)
ListOrder = Literal["name", "added", "confidence"]
ORDERS: tuple[ListOrder, ...] = get_args(ListOrder)

OPEN_RESULTS = 8
"""Results that are kept in memory; one of an hour takes some 20 MB."""


class UnknownVideoError(LookupError):
    """There is no video of that id."""


class NoResultError(LookupError):
    """Nothing has been found in a video yet."""


@dataclass(frozen=True)
class Findings:
    """What a list shows of a video's events.

    Attributes:
        categories: each once, by name.
        event_count: how many events.
        lowest_score: of all events, ``None`` without any.
    """

    categories: tuple[str, ...]
    event_count: int
    lowest_score: float | None

    @classmethod
    def of(cls, events: Iterable[Event]) -> "Findings":
        """Of events."""
        found = list(events)
        return cls(tuple(sorted({e.category for e in found})), len(found), min((e.score for e in found), default=None))


@dataclass
class LibraryVideo:
    """One video of a library.

    Attributes:
        item: where it is.
        number: in the order in which videos came.
        has_result: whether there is a result.
        is_damaged: whether it cannot be read.
        job: ``"queued"`` or ``"running"``, ``None`` when nothing is being done.
        progress: share in [0, 1] that has been looked at, ``None`` when that is not known.
        seconds_left: until it is done, as far as that can be told.
        reason: why it failed, or its result cannot be read.
        duration_seconds: of its timeline, where that is known.
        findings: of its events, ``None`` until they have been read.
        corrected: whether an edit of a person stands.
        reviewed: whether a person has looked through it.
    """

    item: CollectionItem
    number: int
    has_result: bool = False
    is_damaged: bool = False
    job: Literal["queued", "running"] | None = None
    progress: float | None = None
    seconds_left: float | None = None
    reason: str | None = None
    duration_seconds: float | None = None
    findings: Findings | None = None
    corrected: bool = False
    reviewed: bool = False
    sort_name: str = field(init=False)

    def __post_init__(self) -> None:
        self.sort_name = self.item.name.casefold()

    @property
    def state(self) -> VideoState:
        """What the page shows it as."""
        if self.job is not None:
            return self.job
        if self.has_result and not self.is_damaged:
            return "reviewed" if self.reviewed else "done"
        return "failed" if self.reason else "new"

    def summary(self) -> dict[str, Any]:
        """What a list says of it."""
        found = self.findings
        return {
            "id": self.item.id,
            "name": self.item.shown,
            "folder": self.item.folder,
            "state": self.state,
            "progress": self.progress,
            "seconds_left": self.seconds_left,
            "reason": self.reason,
            "duration_seconds": self.duration_seconds,
            "categories": list(found.categories) if found else [],
            "event_count": found.event_count if found else 0,
            "lowest_score": found.lowest_score if found else None,
            "corrected": self.corrected,
            "uploaded": self.item.is_uploaded,
            "thumbnail_url": f"/api/videos/{self.item.id}/thumbnail",
        }


class Library:
    """The videos of a page.

    Several threads may use one.

    Args:
        collection: what a user opened.
        changed: called with the summary of each video that has changed.
    """

    def __init__(
        self, collection: Collection, changed: Callable[[dict[str, Any]], None] = lambda summary: None
    ) -> None:
        self.collection = collection
        self.changed = changed
        self._lock = threading.RLock()
        self._videos: dict[str, LibraryVideo] = {}
        self._results: OrderedDict[str, tuple[tuple[int, ...], Localization]] = OrderedDict()
        self._corrections: OrderedDict[str, Corrections] = OrderedDict()
        for item in collection.items:
            self._videos[item.id] = LibraryVideo(item, len(self._videos))
        self._read_states(self._videos.values())

    def _read_states(self, videos: Iterable[LibraryVideo]) -> None:
        """What the folder of the results says without any result being read."""
        journal = ResultJournal(self.collection.results) if self.collection.results is not None else None
        by_name = {entry.name: entry for entry in journal.entries()} if journal else {}
        by_path = {entry.video: entry for entry in journal.entries()} if journal else {}
        for video in videos:
            item = video.item
            video.has_result = item.result.is_file()
            entry = by_path.get(absolute_text(item.path)) if item.path else None
            if entry is not None and entry.status != "done" and not video.has_result:
                video.reason = entry.reason
            entry = by_name.get(item.name)
            if video.has_result and entry is not None and entry.status == "done":
                with contextlib.suppress(ValueError):
                    video.findings = Findings.of(entry.found())
            self._read_corrections(video)

    def _read_corrections(self, video: LibraryVideo) -> None:
        try:
            corrections = read_corrections(corrections_path(video.item.result))
        except AnnotationsError as error:
            video.reason = str(error)
            return
        if corrections is not None:
            video.corrected, video.reviewed = corrections.corrected, corrections.reviewed
            if corrections.corrected:
                video.findings = Findings.of(corrections.events)

    def read_findings(self, stopped: Callable[[], bool] = lambda: False) -> None:
        """Read the results that no journal sums up, one after the other; a list is complete after that."""
        for video in list(self._videos.values()):
            if stopped():
                return
            if video.has_result and (video.findings is None or video.duration_seconds is None):
                was_told = video.findings is not None and not video.is_damaged
                self._look_at_result(video)
                if not was_told or video.is_damaged:
                    self.changed(video.summary())

    def _look_at_result(self, video: LibraryVideo) -> None:
        """Note what is in a result, or why it cannot be read."""
        try:
            self._note_result(video, self._read_result(video))
        except NoResultError:
            return
        except AnnotationsError as error:
            video.is_damaged, video.reason = True, str(error)

    def _note_result(self, video: LibraryVideo, result: Localization) -> None:
        video.has_result, video.is_damaged = True, False
        video.duration_seconds = result.duration_seconds
        if video.findings is None or not video.corrected:
            video.findings = Findings.of(result.events)

    def _read_result(self, video: LibraryVideo) -> Localization:
        try:
            return Localization.from_json(video.item.result)
        except FileNotFoundError as error:
            raise NoResultError(f"Nothing has been found in {video.item.shown} yet. Start it first.") from error
        except (OSError, ValueError) as error:
            raise AnnotationsError(f"{video.item.result}: cannot be read as a result ({error}).") from error

    def __len__(self) -> int:
        return len(self._videos)

    def __iter__(self) -> "Iterator[LibraryVideo]":
        return iter(list(self._videos.values()))

    def add(self, item: CollectionItem) -> LibraryVideo:
        """Take one more video in."""
        with self._lock:
            video = LibraryVideo(item, len(self._videos))
            self._videos[item.id] = video
        return video

    def look_for_new(self) -> tuple[int, int]:
        """Take in videos and results that have come since; how many of each. What is gone stays listed.

        A result that was written anew in place of another is read when its video is opened.
        """
        found = self.collection.items_now()
        with self._lock:
            known = {video.item.result for video in self._videos.values()}
            fresh = [self.add(item) for item in found if item.id not in self._videos and item.result not in known]
            came = [v for v in self if v.job is None and v.has_result != v.item.result.is_file()]
            for video in came:
                self._results.pop(video.item.id, None)
                self._corrections.pop(video.item.id, None)
                video.findings = None
            changed = {video.item.id: video for video in (*fresh, *came)}
            self._read_states(changed.values())
        self.read_findings()
        for video in changed.values():
            self.changed(video.summary())
        return len(fresh), sum(video.has_result for video in came)

    def annotations(self) -> dict[str, tuple[Annotation, ...]]:
        """Labels of every video that a person has corrected or reviewed, by what label files call it.

        Raises:
            AnnotationsError: if corrections cannot be read.
        """
        folder = self.collection.videos_folder
        found: dict[str, tuple[Annotation, ...]] = {}
        for video in self:
            if not (video.has_result and (video.corrected or video.reviewed)):
                continue
            path = video.item.path
            if path is None or video.item.is_uploaded:
                name = video.item.shown
            elif folder is not None:
                name = path.absolute().relative_to(folder.absolute()).as_posix()
            else:
                name = absolute_text(path)
            read = read_corrections(corrections_path(video.item.result))
            found[name] = tuple(
                Annotation(name, e.start_seconds, e.end_seconds, e.category, modality=e.modality)
                for e in (read.events if read else ())
            )
        return found

    def video(self, id_: str) -> LibraryVideo:
        """The video of an id.

        Raises:
            UnknownVideoError: if there is none.
        """
        video = self._videos.get(id_)
        if video is None:
            raise UnknownVideoError("There is no such video here.")
        return video

    def result(self, id_: str) -> Localization:
        """What the localizer found in a video.

        Raises:
            UnknownVideoError: if there is no such video.
            NoResultError: if there is no result yet.
            AnnotationsError: if the result cannot be read.
        """
        video = self.video(id_)
        with self._lock:
            is_now = stamp_if_there(video.item.result)
            held = self._results.get(id_)
            if held is None or held[0] != is_now:  # avel localize may have written it meanwhile
                held = self._results[id_] = is_now, self._read_result(video)
                self._corrections.pop(id_, None)
                self._note_result(video, held[1])
                while len(self._results) > OPEN_RESULTS:
                    self._results.popitem(last=False)
            self._results.move_to_end(id_)
        return held[1]

    def corrections(self, id_: str) -> Corrections:
        """What people made of a video's events; raises as `result`."""
        with self._lock:
            result = self.result(id_)
            corrections = self._corrections.get(id_)
            if corrections is None:
                corrections = Corrections(corrections_path(self.video(id_).item.result), result)
                self._corrections[id_] = corrections
                while len(self._corrections) > OPEN_RESULTS:
                    self._corrections.popitem(last=False)
            self._corrections.move_to_end(id_)
        return corrections

    def correct(self, id_: str, change: Callable[[Corrections], None]) -> Corrections:
        """Change what people made of a video's events, and what lists say of it."""
        video = self.video(id_)
        with self._lock:
            corrections = self.corrections(id_)
            change(corrections)
            video.corrected, video.reviewed = corrections.corrected, corrections.reviewed
            video.findings = Findings.of(corrections.applied_to(self.result(id_)).events)
        self.changed(video.summary())
        return corrections

    def look_again(self, id_: str) -> LibraryVideo:
        """A video, whose result may have come from ``avel localize`` meanwhile, or have been taken away.

        Raises:
            UnknownVideoError: if there is no such video.
        """
        video = self.video(id_)
        if video.job is None and video.has_result != video.item.result.is_file():
            self.refresh(id_)
            self.changed(video.summary())
        return video

    def is_protected(self, id_: str) -> bool:
        """Whether a person has corrected or reviewed a video, so that no run may overwrite it."""
        return corrections_path(self.video(id_).item.result).is_file()

    def refresh(self, id_: str) -> None:
        """Look at the result of a video anew, which a run may have written."""
        video = self.video(id_)
        with self._lock:
            self._results.pop(id_, None)
            self._corrections.pop(id_, None)
            video.has_result, video.findings = video.item.result.is_file(), None
            if video.has_result:
                self._look_at_result(video)

    def listing(
        self,
        *,
        offset: int = 0,
        limit: int = 200,
        query: str = "",
        state: str = "",
        category: str = "",
        order: str = "name",
    ) -> dict[str, Any]:
        """A part of the list, and counts over all of it."""
        with self._lock:
            videos = list(self._videos.values())
        counts = Counter(video.state for video in videos)
        categories = Counter(name for video in videos if video.findings for name in video.findings.categories)
        words = query.casefold().split()
        found = [
            video
            for video in videos
            if (not state or video.state == state)
            and (not category or (video.findings is not None and category in video.findings.categories))
            and all(word in video.sort_name or word in video.item.shown.casefold() for word in words)
        ]
        found.sort(key=_sort_keys[order])
        return {
            "total": len(found),
            "counts": {name: counts[name] for name in STATES},
            "categories": dict(sorted(categories.items())),
            "videos": [video.summary() for video in found[offset : offset + limit]],
        }

    def next_unreviewed(self, after: str = "") -> str | None:
        """The video to look at next: of those that nobody has, the one with the lowest score."""
        waiting = [v for v in self._videos.values() if v.state == "done" and v.item.id != after]
        return min(waiting, key=_by_confidence).item.id if waiting else None


def _by_confidence(video: LibraryVideo) -> tuple[float, str]:
    found = video.findings
    return (2.0 if found is None or found.lowest_score is None else found.lowest_score, video.sort_name)


_sort_keys: Mapping[str, Callable[[LibraryVideo], Any]] = {
    "name": lambda video: video.sort_name,
    "added": lambda video: -video.number,
    "confidence": _by_confidence,
}


def media_path(video: LibraryVideo) -> Path:
    """The file of a video.

    Raises:
        NoResultError: if it is not there any more.
    """
    path = video.item.path
    if path is None or not path.is_file():
        raise NoResultError(
            f"The file of {video.item.shown} is not where it was. Put it back, and open the page again."
        )
    return path
