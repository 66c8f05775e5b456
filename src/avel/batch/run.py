"""Many videos: which are to be done, what became of them, and the summary of all."""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avel.batch.journal import ItemStatus, JournalEntry, ResultJournal, content_digest, settings_digest, stamp_if_there
from avel.batch.thumbnails import thumbnail_of
from avel.batch.videos import VideoItem
from avel.data.corrections import read_corrections
from avel.data.formats.table import RESULT_COLUMNS, result_rows
from avel.errors import AnnotationsError
from avel.features.source import absolute_text
from avel.files import write_text
from avel.localization.model_choice import DEFAULT_MODEL
from avel.localization.selection import Selection
from avel.outputs.destination import Destination
from avel.wording import counted

if TYPE_CHECKING:
    from avel.batch.one import VideoOutcome, Watch
    from avel.localization.localizer import Localizer

SUMMARY_FILE = "summary.csv"
INDEX_FILE = "index.html"


def default_settings() -> dict[str, Any]:
    """Settings of a `avel.localization.localizer.Localizer` as they are unless a user says otherwise."""
    return {
        "model": DEFAULT_MODEL,
        "categories": None,
        "refine": None,
        "selection": Selection(),
        "segment_seconds": None,
        "precision": None,
        "device": "auto",
        "audio_tagger": None,
        "open_vocabulary": None,
        "audio_track": None,
        "ungated": False,
        "details": False,
    }


@dataclass(frozen=True)
class BatchSummary:
    """What became of some videos.

    Attributes:
        done: how many were localized.
        skipped: how many had been done before.
        failures: why the others failed, by what a user calls them.
        events: how many events each category has, of those that are done and those that were.
    """

    done: int
    skipped: int
    failures: Mapping[str, str]
    events: Mapping[str, int]

    def text(self, top: int = 10) -> str:
        """One or two sentences; of the categories the most frequent ones."""
        said = f"{counted(self.done, 'video')} localized, {self.skipped} done before, {len(self.failures)} failed."
        most = [f"{name} {count}" for name, count in Counter(self.events).most_common(top)]
        rest = len(self.events) - len(most)
        more = f" and {rest} more categories" if rest else ""
        return f"{said} Events: {', '.join(most)}{more}." if most else f"{said} No event was found."


@dataclass
class VideoBatch:
    """Some videos, where their results go, and what has been done of them.

    Attributes:
        items: the videos.
        destination: where results go; in a folder each has the name that the journal says, see
            `avel.batch.journal.ResultJournal.names`.
        settings: of the `avel.localization.localizer.Localizer`.
        force: do again what has been done, and what is quarantined.
        retry_failed: do again what failed.
        todo: positions of the videos that are to be done; `plan` finds them.
        before: entries of those that are not, by position.
        corrected: entries of those that a person has corrected or reviewed, by position; they are left as they are,
            whatever is forced.
        journal: of the folder of the results, read when ``None``; ``None`` when results go to no folder.
    """

    items: Sequence[VideoItem]
    destination: Destination
    settings: Mapping[str, Any]
    force: bool = False
    retry_failed: bool = True
    todo: list[int] = field(default_factory=list)
    before: dict[int, JournalEntry] = field(default_factory=dict)
    corrected: dict[int, JournalEntry] = field(default_factory=dict)
    journal: ResultJournal | None = None

    def __post_init__(self) -> None:
        folder = self.destination.output if self.destination.kind == "folder" else None
        if folder is not None:
            self.journal = self.journal or ResultJournal(folder)
            self.destination.rename(self.journal.names([(item.path, item.name) for item in self.items]))
        self._former: dict[int, JournalEntry | None] = {}  # of what is to be done, as it was before
        self._digest = settings_digest(self.settings, self.destination.signature) if self.journal else ""

    def plan(self) -> None:
        """Find out what is to be done; nothing is loaded for that."""
        self.find_corrected()
        for index, item in enumerate(self.items):
            if index in self.corrected:
                continue
            entry = None
            if self.journal is not None and not self.force:
                name, files = self.destination.names[index], self.destination.paths(index)
                entry = self.journal.left_alone(item.path, self._digest, failed=not self.retry_failed)
                entry = entry or self.journal.done(item.path, self._digest, name, files)
            if entry is None:
                self.todo.append(index)
                self._former[index] = None if self.journal is None else self.journal.latest(item.path, self._digest)
            else:
                self.before[index] = entry

    def find_corrected(self) -> None:
        """Find out which results a person has corrected or reviewed."""
        for index in range(len(self.items)):
            if self.destination.is_corrected(index):
                self.corrected[index] = self._corrected_entry(index)

    def unreached(self) -> list[VideoItem]:
        """Videos that were to be done and of which nothing became, as where no network could be loaded."""
        if self.journal is None:
            return []
        entries = self._entries()
        return [self.items[index] for index in self.todo if entries[index] is None]

    def work(
        self,
        localizer: "Localizer",
        places: Iterable[int],
        through: Callable[[int, VideoItem, "VideoOutcome"], None],
        *,
        watch: "Watch | None" = None,
    ) -> list[str]:
        """Do some of the videos.

        Args:
            localizer: what finds the events.
            places: of these videos in ``todo``.
            through: called after each, with its place first.
            watch: as for `avel.batch.one.localize_one`.

        Returns:
            What became of each, until a user wanted no more.
        """
        from avel.batch.one import localize_one

        statuses: list[str] = []
        for place in places:
            index = self.todo[place]
            item = self.items[index]
            seen = stamp_if_there(item.path)
            outcome = localize_one(localizer, item.path, self.destination, index, watch=watch)
            self._record(index, outcome, seen)
            through(place, item, outcome)
            statuses.append(outcome.status)
            if outcome.status == "stopped":
                break
        return statuses

    def work_on_cluster(
        self,
        started: Callable[[Sequence[str]], None],
        through: Callable[[VideoItem, "VideoOutcome"], None],
        *,
        workers: int | None = None,
        scheduler: str | None = None,
    ) -> list[str]:
        """Do all videos in several processes.

        Args:
            started: called with what a user should know of the localizer, when its networks are loaded somewhere.
            through: called after each video.
            workers: number of processes on this machine; one for each core when ``None``.
            scheduler: address of a running Dask scheduler whose workers see the same files, instead.

        Returns:
            What became of each.

        Raises:
            AvelError: if Dask is not installed, or the cluster cannot be reached.
        """
        from avel.batch.job import LocalizationJob, LocalizationTask
        from avel.features.distributed import DaskEngine

        job = LocalizationJob(self.settings, self.destination, os.urandom(8).hex())
        statuses: list[str] = []
        with DaskEngine(job, workers=workers, scheduler=scheduler) as engine:
            started(engine.describe())
            paths = ((index, self.items[index].path) for index in self.todo)
            tasks = (LocalizationTask(path, index, stamp_if_there(path)) for index, path in paths)
            for task, outcome in engine.run(tasks):
                self._record(task.position, outcome, task.seen)
                through(self.items[task.position], outcome)
                statuses.append(outcome.status)
        return statuses

    def quarantine(self, place: int, reason: str) -> None:
        """Leave a video alone from now on, since it took the process that read it down with it."""
        index = self.todo[place]
        name = self.destination.names[index]
        self._add(JournalEntry(*self._of(index), "", self._digest, name, "quarantined", reason))

    def summary(self) -> BatchSummary | None:
        """What became of all, as the journal has it; ``None`` when results go to no folder."""
        if self.journal is None:
            return None
        done, failures, events = 0, {}, Counter[str]()
        for index, entry in enumerate(self._entries()):
            if entry is not None and entry.status == "done":
                done += index not in self.before and index not in self.corrected
                events.update(event[0] for event in entry.events)
            else:
                failures[self.items[index].shown] = "it was not reached" if entry is None else entry.reason
        skipped = sum(entry.status == "done" for entry in (*self.before.values(), *self.corrected.values()))
        return BatchSummary(done, skipped, failures, events)

    def write_summary(self) -> Path | None:
        """Write the events of all videos as one table, `SUMMARY_FILE` in the folder of the results.

        Raises:
            OutputError: if it cannot be written.
        """
        if self.journal is None or self.destination.output is None:
            return None
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(RESULT_COLUMNS)
        for item, entry in zip(self.items, self._entries(), strict=True):
            if entry is not None and entry.status == "done":
                writer.writerows(result_rows(item.path, entry.found()))
        path = self.destination.output / SUMMARY_FILE
        write_text(path, out.getvalue())
        return path

    def write_index(self) -> Path | None:
        """Write the page with all videos, `INDEX_FILE` in the folder of the results, and missing small pictures.

        Raises:
            OutputError: if it cannot be written.
        """
        from avel.outputs.index_page import IndexedVideo, index_page

        if self.journal is None or self.destination.output is None:
            return None
        folder = self.destination.output
        videos = []
        for index, (item, entry) in enumerate(zip(self.items, self._entries(), strict=True)):
            is_done = entry is not None and entry.status == "done"
            thumbnail = thumbnail_of(self.destination, item.path, index) if is_done else None
            pages = [path.relative_to(folder) for path in self.destination.paths(index) if path.is_file()]
            videos.append(
                IndexedVideo(
                    item.name + Path(item.path).suffix,
                    [event[0] for event in entry.events] if entry is not None and is_done else [],
                    min(pages, key=lambda path: path.suffix != ".html").as_posix() if pages else None,
                    thumbnail.relative_to(folder).as_posix() if thumbnail is not None else None,
                    ""
                    if is_done
                    else "It was not reached."
                    if entry is None
                    else entry.reason.removeprefix(f"{item.path}: "),
                )
            )
        path = folder / INDEX_FILE
        if any(path in self.destination.paths(index) for index in range(len(self.items))):
            path = folder / "index-of-results.html"  # a video is called index
        write_text(path, index_page(videos))
        return path

    def _entries(self) -> list[JournalEntry | None]:
        """What became of each video, here or in other processes; ``None`` where nothing did."""
        assert self.journal is not None
        self.journal.read()
        entries: list[JournalEntry | None] = []
        for index, item in enumerate(self.items):
            entry = self.corrected.get(index) or self.journal.latest(item.path, self._digest)
            is_new = entry is not None and entry is not self._former.get(index)
            entries.append(entry if is_new else None)
        return entries

    def _corrected_entry(self, index: int) -> JournalEntry:
        path = self.destination.corrections_path(index)
        assert path is not None
        entry = JournalEntry(*self._of(index), "", self._digest, self.destination.names[index], "done")
        try:
            read = read_corrections(path)
        except AnnotationsError as error:
            return replace(entry, status="failed", reason=str(error))
        events = () if read is None else read.events
        return replace(
            entry, events=tuple((e.category, e.start_seconds, e.end_seconds, e.score, e.modality) for e in events)
        )

    def _of(self, index: int) -> tuple[str, tuple[int, ...]]:
        path = self.items[index].path
        return absolute_text(path), stamp_if_there(path)

    def _record(self, index: int, outcome: "VideoOutcome", seen: tuple[int, ...]) -> None:
        if self.journal is None:
            return
        video, now = self._of(index)
        name = self.destination.names[index]
        if outcome.status == "stopped":
            if not self.journal.has_result(name, outcome.paths):
                return
            files = tuple(path.name for path in outcome.paths)
            reason = f"{self.items[index].path}: it was stopped before its end"
            entry = JournalEntry(video, now, "", self._digest, name, "stopped", reason, files=files)
        elif outcome.result is None:
            status: ItemStatus = "quarantined" if outcome.quarantined else "failed"
            entry = JournalEntry(video, now, "", self._digest, name, status, outcome.reason)
        else:
            # A video that was changed while it was read has no content that this result is of.
            sha256 = _digest(self.items[index].path) if seen == now else ""
            found = outcome.result.events
            events = tuple((e.category, e.start_seconds, e.end_seconds, e.score, e.modality) for e in found)
            files = tuple(path.name for path in self.destination.paths(index))
            entry = JournalEntry(video, now, sha256, self._digest, name, "done", events=events, files=files)
        self._add(entry)

    def _add(self, entry: JournalEntry) -> None:
        if self.journal is not None:
            self.journal.add(entry)


def _digest(path: str) -> str:
    try:
        return content_digest(path)
    except OSError:
        return ""
