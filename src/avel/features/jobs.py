"""Extracting one video into a store: the same code in this process and on a cluster."""

import math
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from avel.errors import AvelError, FeaturesError, MediaError, unexpected
from avel.features.digests import ReadSource, read_source
from avel.features.recipe import Recipe
from avel.features.source import SourceFile
from avel.files import no_such_file

if TYPE_CHECKING:
    from avel.backbones.base import AudioBackbone, VisualBackbone
    from avel.features.extract import Extraction, FeatureBatch
    from avel.features.store import BackboneEntry, FeatureStore

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

    def entries(self) -> "dict[str, BackboneEntry]":
        """What a store keeps of them."""
        from avel.features.store import entries

        return entries((*self.visual, *self.audio))


ReadingProgress = Callable[[str, float, float | None], None]
"""Called while a video is read with its path, the seconds done so far, and those that it declares, if it does."""
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
        WeightsError: if weights are not available.
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
        read: the video, if it had to be read to know that its features are there.
    """

    video: str
    status: Status
    reason: str = ""
    quarantined: bool = False
    read: ReadSource | None = None


@dataclass(frozen=True)
class ExtractionTask:
    """One video to extract.

    Attributes:
        video: its path.
        key: its name in the store.
        twins: of videos of the same size, which may be the same video under another name, keys by SHA-256.
        read: the video, if it has been read.
        is_new: whether the store held nothing under the key when the run began.
    """

    video: Path
    key: str
    twins: Mapping[str, str] = field(default_factory=dict)
    read: ReadSource | None = None
    is_new: bool = False


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

    def load(self, threads: int | None) -> Backbones:
        """Load the networks; see `SharedJob`."""
        return self.loader(self.recipe, self.device, threads)

    def describe(self, loaded: Backbones) -> "dict[str, BackboneEntry]":
        """Say what the networks are; see `SharedJob`."""
        return loaded.entries()

    def do(self, task: ExtractionTask, loaded: Backbones, threads: int) -> Outcome:
        """Extract one video; see `SharedJob`."""
        return extract_one(self, task, loaded, threads=threads)

    def failed(self, task: ExtractionTask, reason: str, *, quarantined: bool = False) -> Outcome:
        """An outcome that no worker could give; see `SharedJob`."""
        return Outcome(str(task.video), "failed", f"{task.video}: {reason}", quarantined=quarantined)


class Engine(Protocol):
    """Where tasks are done."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def describe(self) -> "dict[str, BackboneEntry]":
        """Load the networks somewhere and say what they are."""
        ...

    def run(self, tasks: Iterable[ExtractionTask]) -> Iterator[Outcome]:
        """Do all tasks, in any order."""
        ...


class LocalEngine:
    """Does tasks in this process, one after the other."""

    def __init__(self, job: Job, reading: ReadingProgress | None = None) -> None:
        self._job, self._reading = job, reading

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def describe(self) -> "dict[str, BackboneEntry]":
        """Load the networks and say what they are."""
        self._backbones = self._job.loader(self._job.recipe, self._job.device, None)
        return self._backbones.entries()

    def run(self, tasks: Iterable[ExtractionTask]) -> Iterator[Outcome]:
        """Do all tasks in their order."""
        for task in tasks:
            yield extract_one(self._job, task, self._backbones, reading=self._reading)


def extract_one(
    job: Job,
    task: ExtractionTask,
    backbones: Backbones,
    threads: int = 0,
    reading: ReadingProgress | None = None,
) -> Outcome:
    """Extract one video into the store; the same code in this process and on a cluster.

    To do it twice, even at the same time, is harmless: equal bytes replace equal bytes.

    Args:
        job: what all videos have in common.
        task: the video.
        backbones: the job's networks.
        threads: for decoding; 0 is as many as the machine has.
        reading: called while the video is read.
    """
    from avel.features.extract import Extraction

    video = str(task.video)
    try:
        from avel.features.store import FeatureStore

        store = FeatureStore(job.store)
        before = _status(task.video)
        read = read_source(task.video, task.read)
        source = read.source
        candidates = (task.key, task.twins.get(source.sha256))
        twin = next((key for key in candidates if key is not None and _holds(store, key, source)), None)
        if twin is not None:
            if (twin, store.open(twin).source.path) != (task.key, source.path):
                store.copy(twin, task.key, source)
            # What this run stored itself is there where the worker that did it was lost before it could say so.
            return Outcome(video, "done" if task.is_new and twin == task.key else "skipped", read=read)
        seconds = job.recipe.segment_seconds
        with Extraction(
            task.video,
            backbones.visual,
            backbones.audio,
            segment_seconds=seconds,
            audio_track=job.recipe.audio_track,
            threads=threads,
        ) as extraction:
            _check_room(store, extraction)
            media = {name: value for name, value in asdict(extraction.info).items() if name != "path"}
            stream = _Checked(extraction, task.video, before, job.recipe, reading)
            store.write(task.key, source, stream, backbones=backbones.records, media=media)
    except AvelError as error:
        return Outcome(video, "failed", str(error))
    except OSError as error:
        return Outcome(video, "failed", f"{video}: cannot be read ({error.strerror or error}).")
    except Exception as error:  # whatever one file does to a decoder, the others go on
        return Outcome(video, "failed", unexpected(video, error))
    return Outcome(video, "done")


class _Checked:
    """The batches of an extraction; when they have all come, refuses a video that gave nothing or was changed."""

    def __init__(
        self,
        extraction: "Extraction",
        video: Path,
        before: tuple[int, ...],
        recipe: Recipe,
        reading: ReadingProgress | None,
    ) -> None:
        self._extraction, self._video, self._before, self._recipe = extraction, video, before, recipe
        self._reading = reading

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
            if self._reading is not None:
                self._reading(str(self._video), self.duration_seconds, self._extraction.info.duration_seconds)
        if not any_valid:
            raise MediaError(f"{self._video}: nothing could be read that the recipe needs. Is the file damaged?")
        if _status(self._video) != self._before:
            raise MediaError(f"{self._video}: it was changed while it was read. Run the command again.")


def _holds(store: "FeatureStore", key: str, source: SourceFile) -> bool:
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
        raise MediaError(no_such_file(video)) from None
    if not stat.S_ISREG(status.st_mode):
        raise MediaError(f"{video}: not a regular file. Features are made of files that can be read twice.")
    return status.st_size, status.st_mtime_ns, status.st_ino


def _check_room(store: "FeatureStore", extraction: "Extraction") -> None:
    """Refuse a video for which there is no room before it is extracted, rather than after hours."""
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
