"""What a person made of a video's events: a journal beside the result, one JSON object a line.

The first line holds the events as the localizer found them; each further line is one step: an edit (what it took away
and what it put there), the undoing or redoing of one, or a mark that somebody has looked through the video. So nothing
is ever forgotten: undo and redo reach back over reloads and restarts to what the localizer said.

A file is made whole or not at all; a line is added with one write, and is on the disk when the step is said to be
saved. Only a line with its end counts: what a killed process left of one is cut off before the next is added.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from avel.documents import control_characters, parse_json
from avel.errors import AnnotationsError
from avel.events import BACKGROUND, MODALITIES, Event, Localization, Modality, by_start
from avel.files import replacing, writing
from avel.records import Record

CORRECTIONS_SUFFIX = ".corrections.jsonl"
"""Of a journal, in place of a result's ``.json``."""

MAX_EVENTS = 20_000
MAX_NAME_LENGTH = 200
"""Characters of a category or a label that a person gives."""
MAX_CATEGORY_LENGTH = 10_000
"""Of one that a result has."""
MAX_JOURNAL_BYTES = 1 << 30
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_SLACK_SECONDS = 0.05
"""How far an event may reach past the end of the video, since a player rounds."""


class RevisionError(ValueError):
    """A change was made to events that have been changed since, as in another window."""


@dataclass(frozen=True, slots=True)
class ReviewedEvent(Record):
    """An event that a person may change.

    Attributes:
        id: stays with the event while it is changed.
        start_seconds: first moment, inclusive.
        end_seconds: last moment, exclusive.
        category: name of the event category.
        modality: what it is: heard, seen, or both.
        score: the localizer's, in [0, 1]; ``None`` where a person says what there is.
        source: who says that it is as it is.
    """

    id: str
    start_seconds: float
    end_seconds: float
    category: str
    modality: Modality
    score: float | None = None
    source: Literal["localizer", "person"] = "localizer"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start_seconds) and 0 <= self.start_seconds < self.end_seconds < math.inf):
            raise ValueError(f"An event must end after it starts, got [{self.start_seconds}, {self.end_seconds}).")
        if not self.category or self.category == BACKGROUND or len(self.category) > MAX_CATEGORY_LENGTH:
            raise ValueError(f"Not the name of an event category: {self.category[:50]!r}.")
        if self.score is not None and not 0 <= self.score <= 1:
            raise ValueError(f"A score is from 0 to 1, got {self.score}.")

    def as_event(self) -> Event:
        """The event as results have it; a person is sure."""
        score = 1.0 if self.score is None else self.score
        return Event(self.category, self.start_seconds, self.end_seconds, score, self.modality)


@dataclass(frozen=True, slots=True)
class JournalHead(Record):
    """First line of a journal.

    Attributes:
        format: says what the file is.
        version: of the format.
        video: as the result calls it.
        events: as the localizer found them.
    """

    format: Literal["avel corrections"]
    version: Literal[1]
    video: str
    events: tuple[ReviewedEvent, ...]


@dataclass(frozen=True, slots=True)
class CorrectionStep(Record):
    """Any further line of a journal.

    Attributes:
        do: what was done.
        label: an edit in words.
        removed: events that an edit took away, and changed events as they were.
        added: events that an edit put there, and changed events as they are.
        reviewed: whether somebody has looked through the video.
    """

    do: Literal["edit", "undo", "redo", "review"]
    label: str = ""
    removed: tuple[ReviewedEvent, ...] = ()
    added: tuple[ReviewedEvent, ...] = ()
    reviewed: bool = False


@dataclass
class _State:
    """What the lines of a journal come to."""

    events: dict[str, ReviewedEvent]
    done: list[CorrectionStep] = field(default_factory=list)
    undone: list[CorrectionStep] = field(default_factory=list)
    revision: int = 0
    reviewed: bool = False

    def take(self, step: CorrectionStep) -> None:
        """Do a step.

        Raises:
            ValueError: if it does not follow from what is there.
        """
        if step.do == "review":
            self.reviewed = step.reviewed
            return
        if step.do == "edit":
            self._exchange(step.removed, step.added)
            self.done.append(step)
            self.undone.clear()
        elif step.do == "undo":
            if not self.done:
                raise ValueError("There is nothing to undo.")
            last = self.done.pop()
            self._exchange(last.added, last.removed)
            self.undone.append(last)
        else:
            if not self.undone:
                raise ValueError("There is nothing to redo.")
            next_one = self.undone.pop()
            self._exchange(next_one.removed, next_one.added)
            self.done.append(next_one)
        self.revision += 1

    def _exchange(self, removed: Iterable[ReviewedEvent], added: Iterable[ReviewedEvent]) -> None:
        for event in removed:
            if self.events.pop(event.id, None) != event:
                raise ValueError(f"The event {event.id!r} that is changed is not as it is said to be.")
        for event in added:
            if event.id in self.events:
                raise ValueError(f"The event {event.id!r} is there twice.")
            self.events[event.id] = event


class Corrections:
    """The events of a video as a person left them, and every step to there.

    Args:
        path: the journal; nothing is written there before the first change.
        result: what the localizer found. Once there is a journal, its first line says that.

    Attributes:
        path: the journal.

    Raises:
        AnnotationsError: if there is a journal that cannot be read.
    """

    def __init__(self, path: Path, result: Localization) -> None:
        self.path = path
        self._video = result.video
        self._duration_seconds = result.duration_seconds
        self._found = tuple(
            ReviewedEvent(f"e{n}", _rounded(e.start_seconds), _rounded(e.end_seconds), e.category, e.modality, e.score)
            for n, e in enumerate(by_start(result.events))
        )
        self._load()

    def _load(self) -> None:
        read = _read(self.path)
        self._bytes = 0 if read is None else read.num_bytes
        self._state = _State({e.id: e for e in self._found}) if read is None else read.state

    @property
    def events(self) -> tuple[ReviewedEvent, ...]:
        """By start."""
        return tuple(sorted(self._state.events.values(), key=lambda e: (e.start_seconds, e.end_seconds, e.id)))

    @property
    def revision(self) -> int:
        """How often the events have been changed."""
        return self._state.revision

    @property
    def reviewed(self) -> bool:
        """Whether somebody has looked through the video."""
        return self._state.reviewed

    @property
    def corrected(self) -> bool:
        """Whether an edit stands."""
        return bool(self._state.done)

    @property
    def undo_label(self) -> str | None:
        """The edit that `undo` would take back, ``None`` without one."""
        return self._state.done[-1].label if self._state.done else None

    @property
    def redo_label(self) -> str | None:
        """The edit that `redo` would do again, ``None`` without one."""
        return self._state.undone[-1].label if self._state.undone else None

    def edit(self, events: Sequence[Mapping[str, Any]], label: str, revision: int) -> None:
        """Put other events in place of those that are there.

        An event that is as it was stays the localizer's; one whose category was changed is a person's word, without
        score. Events without ``id`` get one.

        Args:
            events: all events of the video, each with ``start_seconds``, ``end_seconds``, ``category``, ``modality``
                and, if it was there before, its ``id``.
            label: the edit in words, such as ``"Move Bark"``.
            revision: of the events that were changed.

        Raises:
            RevisionError: if the events have been changed since.
            ValueError: if an event is impossible.
            AnnotationsError: if it cannot be saved.
        """
        self._check(revision)
        wanted = self._checked(events)
        removed = tuple(old for id_, old in self._state.events.items() if wanted.get(id_) != old)
        added = tuple(new for id_, new in wanted.items() if self._state.events.get(id_) != new)
        if removed or added:
            self._add(CorrectionStep("edit", _name(label, "label"), removed, added))

    def undo(self, revision: int) -> None:
        """Take the last edit back.

        Raises:
            RevisionError: if the events have been changed since.
            ValueError: if there is none.
            AnnotationsError: if it cannot be saved.
        """
        self._check(revision)
        self._add(CorrectionStep("undo"))

    def redo(self, revision: int) -> None:
        """Do the edit again that was taken back last; errors as for `undo`."""
        self._check(revision)
        self._add(CorrectionStep("redo"))

    def review(self, reviewed: bool) -> None:
        """Say whether somebody has looked through the video.

        Raises:
            AnnotationsError: if it cannot be saved.
        """
        self._check(None)
        if reviewed != self.reviewed:
            self._add(CorrectionStep("review", reviewed=reviewed))

    def applied_to(self, result: Localization) -> Localization:
        """A result with these events in place of its own; what the segments say stays the localizer's."""
        if not self.corrected:
            return result
        model = {**result.model, "corrected": {"revision": self.revision, "reviewed": self.reviewed}}
        return replace(result, events=by_start(e.as_event() for e in self.events), model=model)

    def _check(self, revision: int | None) -> None:
        """See that nobody has changed the events meanwhile, in this process or another."""
        try:
            size = self.path.stat().st_size
        except OSError:
            size = 0
        if size != self._bytes:
            before = self.revision
            self._load()
            if revision is not None and self.revision != before:
                raise RevisionError("These events were changed elsewhere. Look at them again, then change them.")
        if revision is not None and revision != self.revision:
            raise RevisionError("These events were changed in another window. Look at them again, then change them.")

    def _checked(self, events: Sequence[Mapping[str, Any]]) -> dict[str, ReviewedEvent]:
        if len(events) > MAX_EVENTS:
            raise ValueError(f"A video has at most {MAX_EVENTS} events here, got {len(events)}.")
        wanted: dict[str, ReviewedEvent] = {}
        number = 1
        taken = {str(event.get("id")) for event in events} | self._known_ids()
        for event in events:
            id_ = event.get("id")
            if id_ is None:
                while f"p{number}" in taken:
                    number += 1
                id_ = f"p{number}"
                taken.add(id_)
            if not isinstance(id_, str) or not _ID.fullmatch(id_):
                raise ValueError("The id of an event is up to 64 letters, digits, - and _.")
            if id_ in wanted:
                raise ValueError(f"The event {id_!r} is there twice.")
            wanted[id_] = self._one_checked(id_, event)
        return wanted

    def _known_ids(self) -> set[str]:
        steps = (*self._state.done, *self._state.undone)
        return {e.id for step in steps for e in (*step.removed, *step.added)} | set(self._state.events)

    def _one_checked(self, id_: str, event: Mapping[str, Any]) -> ReviewedEvent:
        category = _name(event.get("category"), "category")
        modality = event.get("modality")
        if category == BACKGROUND:
            raise ValueError(f"'{BACKGROUND}' is where no event is, not an event category. Delete the event instead.")
        if modality not in MODALITIES:
            raise ValueError(f"Invalid modality {modality!r}. Supported values are {', '.join(MODALITIES)}.")
        start, end = (_seconds(event.get(name), name) for name in ("start_seconds", "end_seconds"))
        end = min(end, self._duration_seconds) if end <= self._duration_seconds + _SLACK_SECONDS else end
        if not 0 <= start < end <= self._duration_seconds:
            raise ValueError(
                f"An event must end after it starts and lie within the {self._duration_seconds:g} s of the video, got "
                f"[{start:g}, {end:g})."
            )
        start, end = _rounded(start), _rounded(end)
        known = self._state.events.get(id_)
        score = known.score if known is not None and known.category == category else None
        new = ReviewedEvent(id_, start, end, category, modality, score, "person")
        return known if known is not None and replace(known, source="person") == new else new

    def _add(self, step: CorrectionStep) -> None:
        """Do a step and bring it to the disk: in memory first, so that what is impossible is never written."""
        state = _State(
            dict(self._state.events),
            list(self._state.done),
            list(self._state.undone),
            self._state.revision,
            self._state.reviewed,
        )
        state.take(step)
        line = _line(step)
        advice = "Nothing of the change was saved; what was saved before is still there."
        if self._bytes == 0:
            head = JournalHead("avel corrections", 1, self._video, self._found)
            content = _line(head) + line
            with replacing(self.path, raises=AnnotationsError, advice=advice) as temporary:
                temporary.write_bytes(content)
            self._bytes = len(content)
        else:
            with writing(self.path, raises=AnnotationsError, advice=advice):
                _append(self.path, self._bytes, line)
            self._bytes += len(line)
        self._state = state


@dataclass(frozen=True)
class CorrectionsSummary:
    """What a journal of corrections comes to.

    Attributes:
        events: as a person left them, by start.
        corrected: whether an edit stands.
        reviewed: whether somebody has looked through the video.
    """

    events: tuple[Event, ...]
    corrected: bool
    reviewed: bool


def corrections_path(result: Path) -> Path:
    """Where the corrections of a result are kept, by the path of its JSON file."""
    return result.with_name(result.name.removesuffix(".json") + CORRECTIONS_SUFFIX)


def read_corrections(path: Path) -> CorrectionsSummary | None:
    """What a person said of a video; ``None`` if there is no journal.

    Raises:
        AnnotationsError: if there is one that cannot be read.
    """
    read = _read(path)
    if read is None:
        return None
    state = read.state
    return CorrectionsSummary(by_start(e.as_event() for e in state.events.values()), bool(state.done), state.reviewed)


@dataclass(frozen=True)
class _Journal:
    """A journal as it was read; a line without an end is not among its bytes."""

    state: _State
    num_bytes: int


def _read(path: Path) -> _Journal | None:
    try:
        if path.stat().st_size > MAX_JOURNAL_BYTES:
            raise AnnotationsError(f"{path}: larger than the {MAX_JOURNAL_BYTES >> 20} MiB that are read.")
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise AnnotationsError(f"{path}: cannot be read ({error.strerror or error}).") from error
    whole = data[: data.rfind(b"\n") + 1]
    if not whole:
        return None
    number = 0
    try:
        lines = whole.decode("utf-8").split("\n")[:-1]
        head = JournalHead.from_dict(parse_json(lines[0]))
        state = _State({event.id: event for event in head.events})
        for number, line in enumerate(lines[1:], start=1):  # noqa: B007 - for the message
            state.take(CorrectionStep.from_dict(parse_json(line)))
    except (ValueError, KeyError, TypeError) as error:
        raise AnnotationsError(
            f"{path}: line {number + 1} is not one of avel's corrections ({error}). Nothing was changed in it; take "
            "the line and what follows away, or the file itself to begin with what the localizer found."
        ) from error
    return _Journal(state, len(whole))


def _line(record: Record) -> bytes:
    return json.dumps(record.to_dict(), allow_nan=False).encode("ascii") + b"\n"


def _append(path: Path, size: int, line: bytes) -> None:
    """Add a line at a known end, in place of what a killed process left behind it."""
    with path.open("r+b", buffering=0) as file:
        file.seek(size)
        if b"\n" in file.read():
            raise RevisionError("These events were changed elsewhere. Look at them again, then change them.")
        file.truncate(size)
        file.seek(size)
        try:
            written = 0
            while written < len(line):
                written += file.write(line[written:]) or 0
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


def _name(value: Any, what: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"The {what} of an event is a text, got {value!r}.")
    text = value.strip()
    if len(text) > MAX_NAME_LENGTH:
        raise ValueError(f"The {what} of an event has at most {MAX_NAME_LENGTH} characters, got {len(text)}.")
    if bad := control_characters(text):
        raise ValueError(f"The {what} of an event holds control characters: {', '.join(bad)}.")
    return text


def _seconds(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name} must be a number of seconds, got {value!r}.")
    return float(value)


def _rounded(seconds: float) -> float:
    """As results write it."""
    return round(seconds, 4)
