"""Extract the features of many videos into a store: in this process, or on a cluster with the same code.

A video that fails does not stop the others. What is done is not done again, whenever and however the last run ended.
"""

import contextlib
import json
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, get_args

from avel.errors import AvelError, FeaturesError, MediaError, OutputError
from avel.features.recipe import Recipe
from avel.features.store import BackboneEntry, FeatureStore, IndexRow, Source, absolute_text, assign_keys, entries
from avel.files import write_text

if TYPE_CHECKING:
    from avel.backbones.base import AudioBackbone, VisualBackbone
    from avel.features.extract import Extraction, FeatureBatch

EngineName = Literal["local", "dask"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

MEDIA_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4"),
    *(".mpeg", ".mpg", ".mts", ".mxf", ".ogg", ".ogv", ".ts", ".webm", ".wmv"),
)
"""What is taken from a folder; a file that is named itself may be called anything."""
LIST_SUFFIX = ".txt"
MAX_LIST_BYTES = 256 << 20

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True)
class Backbones:
    """Networks that are ready to run.

    Attributes:
        visual: in the recipe's order.
        audio: in the recipe's order.
    """

    visual: Sequence["VisualBackbone"]
    audio: Sequence["AudioBackbone"]

    @property
    def records(self) -> dict[str, Any]:
        """The full record of each, by name."""
        return {backbone.name: backbone.record for backbone in (*self.visual, *self.audio)}

    def entries(self) -> dict[str, BackboneEntry]:
        """What a store keeps of them."""
        return entries((*self.visual, *self.audio))


Loader = Callable[[Recipe, str, int | None], Backbones]
"""Gives the networks of a recipe for a device and a number of threads."""


def load_backbones(recipe: Recipe, device: str = "auto", threads: int | None = None) -> Backbones:
    """The networks that a recipe names.

    Args:
        recipe: names and settings.
        device: as for `avel.backbones.engine.EngineOptions`.
        threads: how many each may use; all that this process may run on when ``None``.

    Raises:
        ValueError: if there is no such backbone, or it cannot run so.
        WeightsError: if weights cannot be had.
    """
    from avel.backbones.engine import EngineOptions
    from avel.backbones.registry import audio_backbone, visual_backbone

    options = EngineOptions(device=device, precision=recipe.precision, threads=threads)
    settings: dict[str, Any] = {"segment_seconds": recipe.segment_seconds}
    if recipe.frames_per_segment is not None:
        settings["frames_per_segment"] = recipe.frames_per_segment
    visual = []
    for name in recipe.visual:
        try:
            visual.append(visual_backbone(name, options, **settings))
        except TypeError as error:
            raise ValueError(f"{name} does not take the settings {', '.join(settings)} ({error}).") from error
    return Backbones(visual, [audio_backbone(name, options) for name in recipe.audio])


@dataclass(frozen=True)
class Outcome:
    """What became of one video.

    Attributes:
        video: its path.
        status: ``"skipped"`` when it had been done before.
        reason: why it failed.
        quarantined: it takes the process that reads it down with it, and is left alone from now on.
    """

    video: str
    status: Status
    reason: str = ""
    quarantined: bool = False


@dataclass(frozen=True)
class Summary:
    """What became of all videos.

    Attributes:
        done: how many were extracted.
        skipped: how many had been done before.
        failures: the others, with their reasons.
    """

    done: int
    skipped: int
    failures: tuple[Outcome, ...]


Progress = Callable[[int, int, Outcome], None]
"""Called for each video with how many are through, how many there are, and what became of it."""


@dataclass(frozen=True)
class Task:
    """One video to extract.

    Attributes:
        video: its path.
        key: its name in the store.
    """

    video: Path
    key: str


@dataclass(frozen=True)
class Job:
    """What all tasks of a run have in common; can be sent to other processes.

    Attributes:
        store: folder of the store, absolute.
        recipe: how features are made.
        device: where networks run.
        loader: gives the networks.
        token: tells this run's networks from those of others.
    """

    store: str
    recipe: Recipe
    device: str
    loader: Loader
    token: str


class Engine(Protocol):
    """Where tasks are done."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def describe(self) -> dict[str, BackboneEntry]:
        """Load the networks somewhere and say what they are."""
        ...

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do all tasks, in any order."""
        ...


class LocalEngine:
    """Does tasks in this process, one after the other."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def describe(self) -> dict[str, BackboneEntry]:
        """Load the networks and say what they are."""
        self._backbones = self._job.loader(self._job.recipe, self._job.device, None)
        return self._backbones.entries()

    def run(self, tasks: Iterable[Task]) -> Iterator[Outcome]:
        """Do all tasks in their order."""
        for task in tasks:
            yield extract_one(self._job, task, self._backbones)


def extract_many(
    videos: str | Path | Iterable[str | Path],
    store: str | Path,
    recipe: Recipe | None = None,
    *,
    engine: EngineName = "local",
    workers: int | None = None,
    scheduler: str | None = None,
    device: str = "auto",
    retry_quarantined: bool = False,
    progress: Progress | None = None,
    loader: Loader = load_backbones,
) -> Summary:
    """Extract the features of many videos into a store.

    May be stopped or killed at any moment and run again: only what is missing, or whose video has changed, is done.

    Args:
        videos: video files; folders, of which all media files are taken; text files (.txt) with one path a line,
            relative to the text file.
        store: folder of the store, which is made if it is not there.
        recipe: how features are made; the store's own, or the default one for a new store, when ``None``.
        engine: ``"local"`` for this process, ``"dask"`` for many.
        workers: number of processes that Dask starts here; one for each core when ``None``.
        scheduler: address of a running Dask scheduler whose workers see the same files, such as ``tcp://host:8786``.
        device: where networks run, as for `avel.backbones.engine.EngineOptions`.
        retry_quarantined: try videos again that took their process down with them.
        progress: called after each video.
        loader: gives the networks; replace it to use your own.

    Raises:
        ValueError: if a setting is not allowed, or there is nothing to extract.
        FeaturesError: if the store has another recipe or other networks, or cannot be written.
        WeightsError: if a network's weights cannot be had.
        AvelError: if the cluster cannot be reached.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of {', '.join(ENGINES)}; got {engine!r}.")
    if engine == "local" and (scheduler is not None or workers not in (None, 1)):
        raise ValueError("Several workers, or a scheduler, need the engine 'dask'.")
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be 1 or more, got {workers}.")
    if workers is not None and scheduler is not None:
        raise ValueError("A running scheduler has its own workers: give either workers or a scheduler.")
    found, failures = find_videos([videos] if isinstance(videos, str | Path) else videos)
    if not found and not failures:
        raise ValueError("There is no video to extract.")
    folder = Path(store).absolute()
    if recipe is None:
        recipe = FeatureStore(folder).recipe if (folder / "store.json").exists() else Recipe()

    job = Job(str(folder), recipe, device, loader, token=os.urandom(8).hex())
    with _engine(engine, job, workers, scheduler) as running:
        opened = FeatureStore.create(folder, recipe, running.describe())
        opened.clean()
        rows, _ = opened.index()
        keys = assign_keys(found, rows)
        journal = _Journal(opened.folder / "failures.jsonl", list(keys))
        done = {row.source: row for row in rows}
        counts = {"done": 0, "skipped": 0, "failed": 0}
        total = len(keys) + len(failures)
        kept: list[Outcome] = []

        def through(outcome: Outcome) -> None:
            counts[outcome.status] += 1
            if outcome.status == "failed":
                kept.append(outcome)
                journal.append(outcome)
            if progress is not None:
                progress(sum(counts.values()), total, outcome)

        for failure in failures:
            through(failure)
        tasks = []
        for video, key in keys.items():
            if _is_done(video, done.get(absolute_text(video)), opened):
                through(Outcome(str(video), "skipped"))
            elif not retry_quarantined and (before := journal.quarantined.get(absolute_text(video))):
                through(before)
            else:
                tasks.append(Task(video, key))
        try:
            for outcome in running.run(tasks):
                through(outcome)
        finally:
            opened.index()
    return Summary(counts["done"], counts["skipped"], tuple(kept))


def extract_one(job: Job, task: Task, backbones: Backbones, threads: int = 0) -> Outcome:
    """Extract one video into the store; the same code in this process and on a cluster.

    To do it twice, even at the same time, is harmless: equal bytes replace equal bytes.

    Args:
        job: what all videos have in common.
        task: the video.
        backbones: the job's networks.
        threads: for decoding; 0 is as many as the machine has.
    """
    from avel.features.extract import Extraction

    video = str(task.video)
    try:
        store = FeatureStore(job.store)
        before = _status(task.video)
        source = Source.of(task.video)
        if _holds(store, task.key, source):
            return Outcome(video, "skipped")
        seconds = job.recipe.segment_seconds
        with Extraction(
            task.video, backbones.visual, backbones.audio, segment_seconds=seconds, threads=threads
        ) as extraction:
            _check_room(store, extraction)
            media = {name: value for name, value in asdict(extraction.info).items() if name != "path"}
            stream = _Checked(extraction, task.video, before, job.recipe)
            store.write(task.key, source, stream, backbones=backbones.records, media=media)
    except AvelError as error:
        return Outcome(video, "failed", str(error))
    except OSError as error:
        return Outcome(video, "failed", f"{video}: cannot be read ({error.strerror or error}).")
    except Exception as error:  # whatever one file does to a decoder, the others go on
        return Outcome(video, "failed", f"{video}: {type(error).__name__}: {error}")
    return Outcome(video, "done")


def find_videos(inputs: Iterable[str | Path]) -> tuple[list[tuple[Path, str]], list[Outcome]]:
    """The videos that files, folders and lists name, each once, with a name for each, and what could not be found.

    A video's name is its path in the folder that was given, without suffix, or its own name without suffix.
    """
    found: dict[str, tuple[Path, str]] = {}
    failures: list[Outcome] = []

    def add(path: Path, name: str) -> None:
        found.setdefault(absolute_text(path), (path, name))

    def fail(path: str | Path, reason: str) -> None:
        failures.append(Outcome(str(path), "failed", f"{path}: {reason}"))

    for given in inputs:
        path = Path(given)
        try:
            if path.is_dir():
                before = len(found), len(failures)
                for video in _media_files(path, fail):
                    add(video, video.relative_to(path).with_suffix("").as_posix())
                if (len(found), len(failures)) == before:
                    fail(path, f"there is no video in this folder (looked for {', '.join(MEDIA_SUFFIXES)}).")
            elif path.suffix.lower() == LIST_SUFFIX:
                for video in _listed(path):
                    add(video, video.stem)
            else:
                add(path, path.stem)
        except (OSError, ValueError) as error:
            fail(path, f"cannot be read ({getattr(error, 'strerror', None) or error}).")
    return list(found.values()), failures


def _media_files(folder: Path, fail: Callable[[str | Path, str], None]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        fail(error.filename, f"this folder cannot be read ({error.strerror}). Change its permissions.")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            if Path(name).suffix.lower() in MEDIA_SUFFIXES:
                yield Path(parent, name)


def _listed(path: Path) -> Iterator[Path]:
    if path.stat().st_size > MAX_LIST_BYTES:
        raise ValueError(f"it is larger than {MAX_LIST_BYTES >> 20} MiB")
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        for line in file:
            name = line.strip()
            if "\0" in name:
                raise ValueError("it is not a text file")
            if name:
                yield path.parent / name


def _engine(name: EngineName, job: Job, workers: int | None, scheduler: str | None) -> Engine:
    if name == "local":
        return LocalEngine(job)
    from avel.features.distributed import DaskEngine

    return DaskEngine(job, workers=workers, scheduler=scheduler)


class _Checked:
    """The batches of an extraction; when they have all come, refuses a video that gave nothing or was changed."""

    def __init__(self, extraction: "Extraction", video: Path, before: tuple[int, ...], recipe: Recipe) -> None:
        self._extraction, self._video, self._before, self._recipe = extraction, video, before, recipe

    @property
    def duration_seconds(self) -> float:
        return self._extraction.duration_seconds

    @property
    def warnings(self) -> Sequence[str]:
        return self._extraction.warnings

    def __iter__(self) -> "Iterator[FeatureBatch]":
        any_valid = False
        for batch in self._extraction:
            seen = bool(self._recipe.visual) and batch.visual_valid.any()
            heard = bool(self._recipe.audio) and batch.audio_valid.any()
            any_valid = any_valid or bool(seen or heard)
            yield batch
        if not any_valid:
            raise MediaError(f"{self._video}: nothing could be read that the recipe needs. Is the file damaged?")
        if _status(self._video) != self._before:
            raise MediaError(f"{self._video}: it was changed while it was read. Run the command again.")


class _Journal:
    """The failures of the last run, and what has been quarantined in any, one JSON object a line."""

    def __init__(self, file: Path, videos: Iterable[Path]) -> None:
        self._file = file
        again = {absolute_text(video) for video in videos}
        self.quarantined = {video: outcome for video, outcome in _read_failures(file).items() if outcome.quarantined}
        others = [outcome for video, outcome in self.quarantined.items() if video not in again]
        with contextlib.suppress(OutputError):
            write_text(file, "".join(_line(outcome) for outcome in others))

    def append(self, outcome: Outcome) -> None:
        """On a full disk there is no room for this either; the summary has it."""
        with contextlib.suppress(OSError), self._file.open("a", encoding="utf-8") as file:
            file.write(_line(outcome))


def read_failures(store: str | Path) -> list[Outcome]:
    """What the last run could not extract into a store, and what any run has quarantined."""
    return list(_read_failures(Path(store) / "failures.jsonl").values())


def _read_failures(file: Path) -> dict[str, Outcome]:
    """By absolute path; the last line of each video counts, and lines that cannot be read do not."""
    found = {}
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            entry = json.loads(line)
            found[entry["video"]] = Outcome(entry["video"], "failed", entry["reason"], entry["quarantined"] is True)
    return found


def _line(outcome: Outcome) -> str:
    entry = {
        "video": absolute_text(outcome.video),
        "reason": _text(outcome.reason),
        "quarantined": outcome.quarantined,
    }
    return json.dumps(entry, ensure_ascii=False) + "\n"


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _is_done(video: Path, row: IndexRow | None, store: FeatureStore) -> bool:
    """Whether a video surely has its features; if it is not sure, its content is compared."""
    if row is None:
        return False
    try:
        status = video.stat()
        # st_ctime changes when a file is replaced, even by one that claims to be old.
        changed_ns = max(status.st_mtime_ns, status.st_ctime_ns)
        return status.st_size == row.source_bytes and changed_ns < row.file_modified_ns and row.key in store
    except OSError:
        return False


def _holds(store: FeatureStore, key: str, source: Source) -> bool:
    if key not in store:
        return False
    try:
        return store.open(key).source.sha256 == source.sha256
    except FeaturesError:
        return False


def _status(video: Path) -> tuple[int, ...]:
    """Size and time of a regular file.

    Raises:
        MediaError: if it is something else.
    """
    try:
        status = video.stat()
    except FileNotFoundError:
        raise MediaError(f"{video}: no such file. Check the name.") from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{video}: not a regular file. Features are made of files that can be read twice.")
    return status.st_size, status.st_mtime_ns, status.st_ino


def _check_room(store: FeatureStore, extraction: "Extraction") -> None:
    """Refuse a video for which there is no room before it is extracted, rather than after hours."""
    import shutil

    seconds = extraction.info.duration_seconds
    if seconds is None:
        return
    needed = store.bytes_needed(math.ceil(seconds / store.recipe.segment_seconds))
    free = shutil.disk_usage(store.folder).free
    if free < needed:
        raise FeaturesError(
            f"{extraction.info.path}: its features take about {needed / 1e6:.1f} MB while they are written, and "
            f"{store.folder} has only {free / 1e6:.1f} MB. Free some room and run the command again."
        )
