"""How CPU time grows with the number of videos, of categories, and with the length of one video.

Each row is timed at three sizes, each three times as large as the one before, and its exponent is the slope of a line
through the logarithms: 1 is linear. Each time is the smallest of three. Data are made up, with seed 0: files of a few
bytes for videos, features of one region and four dimensions, events of random categories and times. An exponent above
1.1 is written as too large, and makes the script end with exit code 1. Then how much memory training holds for each
video of a store.
"""

import argparse
import gc
import itertools
import os
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _common import save
from _done import done_batch

from avel.batch.arrivals import watch_folders
from avel.batch.run import VideoBatch
from avel.batch.videos import VideoItem
from avel.data.annotations import SPLITS, Annotation
from avel.data.clips import LabelledVideo, WindowedVideos
from avel.data.formats import read_annotations
from avel.data.labels import segment_labels
from avel.data.splits import stratified_split
from avel.features.extract import FeatureBatch
from avel.features.recipe import Recipe
from avel.features.source import SourceFile
from avel.features.store import BackboneEntry, FeatureStore
from avel.files import unique_names
from avel.metrics.multi_label import measure_multi_label
from avel.training.own.dataset import LabelledData
from avel.training.own.labels import read_labels
from avel.training.own.opening import open_labelled
from avel.training.settings import TrainingSettings
from avel.training.sources import StoreSource, store_record

LARGEST_EXPONENT = 1.1
REPEATS = 3
FACTOR = 3
SECONDS = 10

Action = Callable[[], object]
Case = Callable[[int, Path], Iterator[Action]]
"""Gives, for a size and an empty folder, what is to be timed, once for each repeat."""

CASES: dict[str, tuple[int, Case]] = {}


def case(name: str, smallest: int) -> Callable[[Case], Case]:
    def register(function: Case) -> Case:
        CASES[name] = (smallest, function)
        return function

    return register


def again(action: Action) -> Iterator[Action]:
    return itertools.repeat(action)


# Many videos to results ---------------------------------------------------------------------------------


def plan(batch: VideoBatch) -> VideoBatch:
    batch.plan()
    assert not batch.todo
    return batch


@case("planning a batch that is all done: videos", 300)
def plan_done(count: int, folder: Path) -> Iterator[Action]:
    batch = done_batch(count, folder)
    return again(lambda: plan(batch("videos")).summary())


@case("planning it again after the videos moved: videos", 300)
def plan_moved(count: int, folder: Path) -> Iterator[Action]:
    batch = done_batch(count, folder)
    (folder / "videos").rename(folder / "moved")
    plan(batch("moved"))
    return again(lambda: plan(batch("moved")))


@case("summary.csv and index.html: videos", 300)
def summaries(count: int, folder: Path) -> Iterator[Action]:
    batch = plan(done_batch(count, folder)("videos"))
    return again(lambda: (batch.write_summary(), batch.write_index()))


@case("a look at a watched folder: videos", 500)
def watched(count: int, folder: Path) -> Iterator[Action]:
    done_batch(count, folder)

    def look() -> None:
        found: list[int] = []

        def through(items: list[VideoItem], gone: list[str]) -> bool:
            found.append(len(items))
            return False

        watch_folders([str(folder / "videos")], folder / "results", through, settled_seconds=0)
        assert found == [count]

    return again(look)


@case("names that are equal: videos", 10000)
def equal_names(count: int, folder: Path) -> Iterator[Action]:
    return again(lambda: unique_names(["clip"] * count))


# Labels ------------------------------------------------------------------------------------------


def some_events(video: str, count: int, seconds: float, categories: list[str], seed: int) -> tuple[Annotation, ...]:
    random = np.random.default_rng(seed)
    starts = random.uniform(0, seconds - 2, count)
    chosen = random.integers(len(categories), size=count)
    return tuple(
        Annotation(video, float(s), float(s) + 1.5, categories[c]) for s, c in zip(starts, chosen, strict=True)
    )


def names(count: int) -> list[str]:
    return [f"category {i}" for i in range(count)]


@case("a folder of label files: files", 200)
def label_files(count: int, folder: Path) -> Iterator[Action]:
    for i in range(count):
        rows = "".join(f"{k}\t{k + 1}\tcategory {(i + k) % 40}\n" for k in range(3))
        (folder / f"{i:06}.txt").write_text(rows)
    return again(lambda: read_annotations(folder, "audacity"))


@case("splits: videos", 3000)
def splits_of_videos(count: int, folder: Path) -> Iterator[Action]:
    videos = some_videos(count, 100)
    return again(lambda: stratified_split(videos))


@case("splits: categories", 1000)
def splits_of_categories(count: int, folder: Path) -> Iterator[Action]:
    videos = some_videos(4 * count, count)
    return again(lambda: stratified_split(videos))


def some_videos(count: int, categories: int) -> dict[str, set[str]]:
    """Two categories of each video."""
    found = np.random.default_rng(0).integers(categories, size=(count, 2)).tolist()
    return {f"video {i}": {f"category {c}" for c in pair} for i, pair in enumerate(found)}


@case("segment labels of one video: its length", 3000)
def labels_of_a_long_video(count: int, folder: Path) -> Iterator[Action]:
    events = some_events("v", count // 5, count, names(20), 0)
    return again(lambda: segment_labels(events, names(20), count))


@case("windows of one video: its length", 1000)
def windows_of_a_long_video(count: int, folder: Path) -> Iterator[Action]:
    video = LabelledVideo("v", count, some_events("v", count // 5, count, names(20), 0), "train")

    def look() -> None:
        windows = WindowedVideos((video,), tuple(names(20)))
        assert len(windows.classes) == len(windows)
        assert sum(len(windows.events_of(row)) for row in range(len(windows)))

    return again(look)


# Training and evaluation --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """Of the features of a segment."""

    regions: int
    visual_dims: int
    audio_dims: int


TINY = Shape(1, 4, 4)
KINDS = {"preset `fast`, 1 region": Shape(1, 1000, 1024), "preset `default`, 49 regions": Shape(49, 512, 1024)}


@dataclass(frozen=True)
class Stream:
    """Features of a video of `SECONDS` segments."""

    shape: Shape
    duration_seconds = float(SECONDS)
    warnings = ()

    def __iter__(self) -> Iterator[FeatureBatch]:
        valid = np.ones(SECONDS, np.bool_)
        visual = np.zeros((SECONDS, self.shape.regions, self.shape.visual_dims), np.float32)
        audio = np.zeros((SECONDS, self.shape.audio_dims), np.float32)
        yield FeatureBatch({"pictures": visual}, {"sounds": audio}, valid, valid)


def labelled_store(count: int, folder: Path, categories: int, shape: Shape = TINY) -> tuple[Path, Path, Path]:
    """Labels, videos and a store with their features."""
    videos = folder / "videos"
    videos.mkdir()
    recipe = Recipe(visual=("pictures",), audio=("sounds",))
    networks = {
        "pictures": BackboneEntry("visual", (shape.regions, shape.visual_dims), {"name": "pictures"}),
        "sounds": BackboneEntry("audio", (shape.audio_dims,), {"name": "sounds"}),
    }
    store = FeatureStore.create(folder / "store", recipe, networks)
    rows = ["video,start_seconds,end_seconds,category"]
    for i in range(count):
        video = videos / f"{i:06}.mp4"
        video.write_bytes(str(i).encode())
        store.write(video.stem, SourceFile.of(video), Stream(shape), backbones={})
        rows += [f"{video.name},{k},{k + 2},category {(i + 7 * k) % categories}" for k in (0, 5)]
    store.index()
    labels = folder / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    return labels, videos, folder / "store"


@case("reading labels with durations from a store, and opening it: videos", 150)
def opening(count: int, folder: Path) -> Iterator[Action]:
    labels, videos, store = labelled_store(count, folder, 20)
    settings = TrainingSettings(device="cpu")
    return again(lambda: open_labelled(read_labels(labels, videos, store=store), store, settings))


def windowed(videos: int, categories: int, folder: Path) -> LabelledData:
    """So many videos of one file of features."""
    *_, path = labelled_store(1, folder, categories)
    store = FeatureStore(path)
    made = tuple(
        LabelledVideo(str(i), SECONDS, some_events(str(i), 3, SECONDS, names(categories), i), "train")
        for i in range(videos)
    )
    windows = WindowedVideos(made, tuple(names(categories)))
    source = StoreSource(store, store.keys() * videos, SECONDS, store_record(store))
    return LabelledData(source, windows, "", True, ())


@case("dense labels: categories", 1000)
def dense_labels_of_categories(count: int, folder: Path) -> Iterator[Action]:
    return dense_labels(windowed(500, count, folder))


@case("dense labels: videos", 300)
def dense_labels_of_videos(count: int, folder: Path) -> Iterator[Action]:
    return dense_labels(windowed(count, 500, folder))


def dense_labels(data: LabelledData) -> Iterator[Action]:
    return again(lambda: (data.examples("train"), data.examples("train", multi_label=True)))


@case("main categories of clips and videos: categories", 500)
def classes_of_categories(count: int, folder: Path) -> Iterator[Action]:
    return main_classes(windowed(300, count, folder))


@case("main categories of clips and videos: videos", 1000)
def classes_of_videos(count: int, folder: Path) -> Iterator[Action]:
    return main_classes(windowed(count, 100, folder))


def main_classes(data: LabelledData) -> Iterator[Action]:
    windows = data.windows

    def look() -> None:
        fresh = WindowedVideos(windows.videos, windows.categories)
        assert len(fresh.classes) == len(data.video_classes("train")) == len(data.by_video("train"))

    return again(look)


@case("multi-label evaluation: categories", 100)
def evaluation_of_categories(count: int, folder: Path) -> Iterator[Action]:
    return evaluation(300, count)


@case("multi-label evaluation: videos", 300)
def evaluation_of_videos(count: int, folder: Path) -> Iterator[Action]:
    return evaluation(count, 100)


def evaluation(videos: int, categories: int) -> Iterator[Action]:
    random = np.random.default_rng(0)
    shape = (videos, SECONDS, categories)
    scores, true = random.random(shape, np.float32), random.random(shape) < 0.02
    return again(lambda: measure_multi_label(scores, scores > 0.5, true))


# Measuring ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Growth:
    """CPU seconds at some sizes."""

    sizes: tuple[int, ...]
    seconds: tuple[float, ...]

    @property
    def exponent(self) -> float:
        """Slope of a line through the logarithms."""
        return float(np.polyfit(np.log(self.sizes), np.log(self.seconds), 1)[0])


def measure(smallest: int, function: Case) -> Growth:
    sizes = tuple(smallest * FACTOR**i for i in range(3))
    seconds = []
    for size in sizes:
        with tempfile.TemporaryDirectory() as folder:
            actions = function(size, Path(folder))
            seconds.append(min(cpu_seconds(next(actions)) for _ in range(REPEATS)))
    return Growth(sizes, tuple(seconds))


def cpu_seconds(action: Action) -> float:
    gc.collect()
    start = time.process_time()
    action()
    return time.process_time() - start


def bytes_held_a_video(shape: Shape) -> float:
    """Memory that training on a store takes for each video more, of 20 categories."""
    held = []
    counts = (50, 200)
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            labels, videos, store = labelled_store(count, Path(folder), 20, shape)
            settings = TrainingSettings(device="cpu")
            gc.collect()
            tracemalloc.start()
            data = open_labelled(read_labels(labels, videos, store=store), store, settings)
            examples = [data.examples(split) for split in SPLITS]
            for some in examples:
                for _ in data.batches(some, np.array_split(np.arange(len(some.labels)), 1 + len(some.labels) // 16)):
                    pass
            gc.collect()
            held.append(tracemalloc.get_traced_memory()[0])
            tracemalloc.stop()
            del data, examples
    return (held[1] - held[0]) / (counts[1] - counts[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="only rows with this in their names")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    args = parser.parse_args()
    rows: dict[str, Any] = {}
    for name, (smallest, function) in CASES.items():
        if args.only in name:
            found = measure(smallest, function)
            rows[name] = {
                "sizes": found.sizes,
                "cpu_seconds": [round(seconds, 4) for seconds in found.seconds],
                "exponent": round(found.exponent, 2),
            }
            too_large = "  TOO LARGE" if found.exponent > LARGEST_EXPONENT else ""
            print(f"{found.exponent:5.2f}  {name} {found.sizes}: {rows[name]['cpu_seconds']}{too_large}", flush=True)
    memory = {kind: {"bytes_a_video": round(bytes_held_a_video(shape))} for kind, shape in KINDS.items()}
    print(f"held by training: {memory}")
    if not args.no_save and not args.only:
        save(__file__, {"load_average": round(os.getloadavg()[1], 1), "rows": rows, "training_memory": memory})
    if any(row["exponent"] > LARGEST_EXPONENT for row in rows.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
