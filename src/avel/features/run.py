"""Extract the features of many videos into a store: in this process, or on a cluster with the same code.

A video that fails does not stop the others. What is done is not done again, whenever and however the last run ended.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from avel.features.choices import ENGINES, EngineName
from avel.features.digests import ReadSource
from avel.features.discovery import check_some_are_there, discover_videos
from avel.features.index import IndexRow
from avel.features.jobs import (
    Engine,
    ExtractionTask,
    Job,
    Loader,
    LocalEngine,
    Outcome,
    ReadingProgress,
    load_backbones,
)
from avel.features.journal import JOURNAL_FILE, Journal
from avel.features.keys import assign_keys
from avel.features.lookup import is_unchanged
from avel.features.recipe import Recipe
from avel.features.source import absolute_text
from avel.features.store import FeatureStore


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


OutcomeProgress = Callable[[int, int, Outcome], None]
"""Called for each video with how many are through, how many there are, and what became of it."""


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
    progress: OutcomeProgress | None = None,
    reading: ReadingProgress | None = None,
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
        reading: called while one is read, in this process.
        loader: gives the networks; replace it to use your own.

    Raises:
        ValueError: if a setting is not allowed, or there is nothing to extract.
        FeaturesError: if the store has another recipe or other networks, or cannot be written.
        MediaError: if no video is there.
        WeightsError: if a network's weights are not available.
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
    found, failures = discover_videos([videos] if isinstance(videos, str | Path) else videos)
    if not found and not failures:
        raise ValueError("There is no video to extract.")
    if not failures:
        check_some_are_there([video for video, _ in found])
    refused = [Outcome(path, "failed", reason) for path, reason in failures.items()]
    if not found:  # so no network is loaded, and nothing written
        for number, outcome in enumerate(refused, 1):
            if progress is not None:
                progress(number, len(refused), outcome)
        return Summary(0, 0, tuple(refused))
    folder = Path(store).absolute()
    if recipe is None:
        recipe = FeatureStore(folder).recipe if (folder / "store.json").exists() else Recipe()

    job = Job(str(folder), recipe, device, loader, token=os.urandom(8).hex())
    with _engine(engine, job, workers, scheduler, reading) as running:
        opened = FeatureStore.create(folder, recipe, running.describe())
        opened.clean()
        rows, _ = opened.index()
        digests = opened.digests()
        keys = assign_keys(found, rows, digests.of)
        journal = Journal(opened.folder / JOURNAL_FILE, list(keys))
        done = {row.source: row for row in rows}
        of_size: dict[int, dict[str, str]] = defaultdict(dict)
        for row in rows:
            of_size[row.source_bytes].setdefault(row.sha256, row.key)
        counts = {"done": 0, "skipped": 0, "failed": 0}
        total = len(keys) + len(refused)
        kept: list[Outcome] = []

        def through(outcome: Outcome) -> None:
            counts[outcome.status] += 1
            if outcome.read is not None:
                digests.add(outcome.read)
            if outcome.status == "failed":
                kept.append(outcome)
                journal.append(outcome)
            if progress is not None:
                progress(sum(counts.values()), total, outcome)

        for outcome in refused:
            through(outcome)
        tasks = []
        for video, key in keys.items():
            read = digests.known(video)
            if _is_done(video, done.get(absolute_text(video)), read, opened):
                through(Outcome(str(video), "skipped"))
            elif not retry_quarantined and (before := journal.quarantined.get(absolute_text(video))):
                through(before)
            else:
                is_new = key not in opened
                tasks.append(ExtractionTask(video, key, _twins(video, of_size), read, is_new))
        try:
            for outcome in running.run(tasks):
                through(outcome)
        finally:
            opened.index()
            digests.save()
    return Summary(counts["done"], counts["skipped"], tuple(kept))


def _engine(
    name: EngineName, job: Job, workers: int | None, scheduler: str | None, reading: ReadingProgress | None
) -> Engine:
    if name == "local":
        return LocalEngine(job, reading)
    from avel.features.distributed import DaskEngine

    return DaskEngine(job, workers=workers, scheduler=scheduler)


def _is_done(video: Path, row: IndexRow | None, read: ReadSource | None, store: FeatureStore) -> bool:
    """Whether a video surely has its features; if it is not sure, its content is compared."""
    if row is None or row.key not in store:
        return False
    try:
        return is_unchanged(video, row) or (read is not None and read.source.sha256 == row.sha256)
    except OSError:
        return False


def _twins(video: Path, of_size: Mapping[int, dict[str, str]]) -> dict[str, str]:
    try:
        return of_size.get(video.stat().st_size, {})
    except OSError:
        return {}
