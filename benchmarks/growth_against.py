"""CPU time and memory of work on many videos, categories and hours, beside an earlier checkout of avel.

``--against FOLDER`` names that checkout. Each case is done by a new process of this script for each of the two, one
after the other, with that checkout's ``src`` before this one's, `MEMORY_LIMIT_BYTES` of address space and
`SECONDS_LIMIT`. A case that the earlier one cannot do so is done by both at a tenth of its size, and again at
smaller ones. Data are made up, with seed 0; CPU seconds are those of the work alone, without making the data, and
memory is how much the largest resident set grew meanwhile (Linux).
"""

import argparse
import importlib
import inspect
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from _common import ROOT, SHARED, save

MEMORY_LIMIT_BYTES = 6 << 30
SECONDS_LIMIT = 240
SMALLER = 10
CLIP = SHARED / "data" / "media" / "events2"

Action = Callable[[], object]
CASES: dict[str, tuple[int, Callable[[int, Path], Action]]] = {}
"""Makes, for a size and an empty folder, what is to be measured."""


def case(name: str, size: int) -> Callable[[Callable[[int, Path], Action]], Callable[[int, Path], Action]]:
    def register(function: Callable[[int, Path], Action]) -> Callable[[int, Path], Action]:
        CASES[name] = (size, function)
        return function

    return register


# Modules are imported where they are used: both checkouts have to be able to read this file.


def either(*places: str) -> Any:
    """What a checkout has at the first of some places, such as ``"avel.files:unique_names"``, that it knows."""
    for place in places:
        module, name = place.split(":")
        try:
            return getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            continue
    raise ImportError(f"None of {', '.join(places)} is there.")


def some_events(video: str, count: int, seconds: float, categories: int, seed: int) -> tuple[Any, ...]:
    from avel.data.annotations import Annotation

    random = np.random.default_rng(seed)
    starts, chosen = random.uniform(0, seconds - 2, count), random.integers(categories, size=count)
    return tuple(
        Annotation(video, float(s), float(s) + 1.5, f"category {c}") for s, c in zip(starts, chosen, strict=True)
    )


def labelled(videos: list[tuple[int, int]], categories: int, folder: Path) -> Any:
    """Data of videos of so many segments and events, all of which share one file of features."""
    from avel.data.clips import LabelledVideo, WindowedVideos

    labelled_data = either("avel.training.own.dataset:LabelledData", "avel.training.own:LabelledData")
    store_source = either("avel.training.sources:StoreSource", "avel.training.data:StoreSource")
    record = either("avel.training.sources:store_record", "avel.training.data:store_record")
    store = a_store(folder, [])
    made = tuple(
        LabelledVideo(str(i), seconds, some_events(str(i), events, seconds, categories, i), "train")
        for i, (seconds, events) in enumerate(videos)
    )
    windows = WindowedVideos(made, tuple(f"category {c}" for c in range(categories)))
    source = store_source(store, store.keys() * len(windows), 10, record(store))
    return labelled_data(source, windows, "", True, ())


def a_store(folder: Path, videos: list[Path]) -> Any:
    """A store with small features of some videos, or of one that is no video."""
    from avel.features.extract import FeatureBatch
    from avel.features.recipe import Recipe
    from avel.features.store import BackboneEntry, FeatureStore

    source = either("avel.features.source:SourceFile", "avel.features.store:Source")

    class Stream:
        duration_seconds = 10.0
        warnings = ()

        def __iter__(self) -> Any:
            valid = np.ones(10, np.bool_)
            visual, audio = np.zeros((10, 1, 4), np.float32), np.zeros((10, 4), np.float32)
            yield FeatureBatch({"pictures": visual}, {"sounds": audio}, valid, valid)

    networks = {
        "pictures": BackboneEntry("visual", (1, 4), {"name": "pictures"}),
        "sounds": BackboneEntry("audio", (4,), {"name": "sounds"}),
    }
    store = FeatureStore.create(folder / "store", Recipe(visual=("pictures",), audio=("sounds",)), networks)
    if not videos:
        (folder / "one.mp4").write_bytes(b"1")
    for video in videos or [folder / "one.mp4"]:
        store.write(video.stem, source.of(video), Stream(), backbones={})
    store.index()
    return store


@case("labels for training, 5,000 categories: videos", 10_000)
def dense_labels(count: int, folder: Path) -> Action:
    data = labelled([(10, 3)] * count, 5000, folder)
    return lambda: (data.examples("train"), data.examples("train", multi_label=True))


@case("multi-label evaluation, 500 categories: videos", 3000)
def evaluation(count: int, folder: Path) -> Action:
    measure = either("avel.metrics.multi_label:measure_multi_label", "avel.evaluation.multi_label:measure_multi_label")
    random = np.random.default_rng(0)
    shape = (count, 10, 500)
    scores, true = random.random(shape, np.float32), random.random(shape, np.float32) < 0.02
    return lambda: measure(scores, scores > 0.5, true)


@case("a split, 500 categories: videos", 100_000)
def split(count: int, folder: Path) -> Action:
    from avel.data.splits import stratified_split

    found = np.random.default_rng(0).integers(500, size=(count, 2)).tolist()
    videos = {f"video {i}": {f"category {c}" for c in pair} for i, pair in enumerate(found)}
    return lambda: stratified_split(videos)


@case("segment labels of one video: its seconds", 36_000)
def long_video(seconds: int, folder: Path) -> Action:
    from avel.data.labels import segment_labels

    events, names = some_events("v", seconds // 5, seconds, 20, 0), [f"category {c}" for c in range(20)]
    return lambda: segment_labels(events, names, seconds)


@case("windows of one video with their classes: its seconds", 36_000)
def windows_of_a_long_video(seconds: int, folder: Path) -> Action:
    data = labelled([(seconds, seconds // 5)], 20, folder)

    def look() -> None:
        fresh = type(data.windows)(data.windows.videos, data.windows.categories)
        assert len(fresh.classes) == sum(1 for row in range(len(fresh)) if fresh.events_of(row) is not None)

    return look


@case("scores of 100 videos of 10 s and a long one, joined to videos: seconds of the long one", 36_000)
def among_short_ones(seconds: int, folder: Path) -> Action:
    data = labelled([(10, 3)] * 100 + [(seconds, 3)], 20, folder)
    scores = np.zeros((len(data.windows), 10, 20), np.float32)
    join = data.joined if hasattr(data, "joined") else data.as_videos  # as it was called before
    return lambda: join("train", scores, 0.0)


@case("names that are equal: videos", 20_000)
def equal_names(count: int, folder: Path) -> Action:
    names = either("avel.files:unique_names", "avel.outputs:unique_names", "avel.outputs:unique_stems")
    return lambda: names(["clip"] * count)


@case("a folder of label files, with the durations of their videos: files", 10_000)
def label_files(count: int, folder: Path) -> Action:
    read = either("avel.data.formats:read_annotations", "avel.data.annotations:read_annotations")
    for i in range(count):
        rows = "".join(f"{k}\t{k + 1}\tcategory {(i + k) % 40}\n" for k in range(3))
        (folder / f"{i:06}.txt").write_text(rows)
    durations = {f"{i:06}": 10.0 for i in range(count)}
    return lambda: read(folder, "audacity", durations=durations)


READ_LABELS = ("avel.training.own.labels:read_labels", "avel.training.own:read_labels")


def some_videos(count: int, folder: Path) -> tuple[Path, Path, Any]:
    """Labels, a folder with copies of one video under so many names, and a store with their features."""
    either(*READ_LABELS)  # what is imported once is not measured
    content = min(CLIP.glob("*.mp4"), key=lambda path: path.stat().st_size).read_bytes()
    videos = folder / "videos"
    videos.mkdir()
    rows = ["video,start_seconds,end_seconds,category"]
    for i in range(count):
        (videos / f"{i:06}.mp4").write_bytes(content)
        rows.append(f"{i:06}.mp4,0,1,category {i % 20}")
    labels = folder / "labels.csv"
    labels.write_text("\n".join(rows) + "\n")
    return labels, videos, a_store(folder, sorted(videos.iterdir()))


@case("labels with the durations of videos in a store: videos", 1500)
def durations(count: int, folder: Path) -> Action:
    labels, videos, store = some_videos(count, folder)
    read = either(*READ_LABELS)
    knows_store = "store" in inspect.signature(read).parameters
    return lambda: read(labels, videos, **({"store": store.folder} if knows_store else {}))


@case("avel train into the folder of a run, until it is refused: videos", 1500)
def refused(count: int, folder: Path) -> Action:
    labels, videos, store = some_videos(count, folder)
    run = folder / "run"
    run.mkdir()
    (run / "settings.yaml").write_text("model: linear\n")
    command = [sys.executable, "-m", "avel", "train", labels, "--videos", videos, "--store", store.folder, "-o", run]

    def refuse() -> None:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode, done.stdout
        assert "holds a run already" in " ".join(done.stderr.split()), done.stderr

    return refuse


# Measuring ------------------------------------------------------------------------------------------


def measured(name: str, size: int) -> dict[str, float]:
    """CPU seconds of this process and its children, and memory, for one case."""
    _, function = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        action = function(size, Path(folder))
        Path("/proc/self/clear_refs").write_text("5")  # the largest resident set begins anew
        before, start = memory_kb("VmRSS"), cpu_seconds()
        action()
        return {
            "cpu_seconds": round(cpu_seconds() - start, 4),
            "memory_mb": round(max(memory_kb("VmHWM") - before, 0) / 1024, 1),
        }


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def memory_kb(what: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(what))
    return int(line.split()[1])


def by(checkout: Path, name: str, size: int) -> dict[str, float] | str:
    """What a case costs in a checkout, or why it could not be done."""
    command = [sys.executable, __file__, "--case", name, "--size", str(size)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))

    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            text=True,
            timeout=SECONDS_LIMIT,
            preexec_fn=limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"more than {SECONDS_LIMIT} s"
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        return "more than the memory" if "memory" in last[0].lower() else last[0]
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=Path, help="an earlier checkout of avel")
    parser.add_argument("--only", default="", help="only cases with this in their names")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    parser.add_argument("--size", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(measured(args.case, args.size)))
        return
    if args.against is None:
        parser.error("--against is needed")
    commit = subprocess.run(
        ["git", "-C", args.against, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    rows: dict[str, Any] = {}
    for name, (largest, _) in CASES.items():
        if args.only not in name:
            continue
        started, size, could_not = time.perf_counter(), largest, {}
        while True:
            before, now = by(args.against, name, size), by(ROOT, name, size)
            if not isinstance(before, str) or size < SMALLER**2:
                break
            could_not[size] = {"before": before, "now": now}
            size //= SMALLER
        row: dict[str, Any] = {"size": size, "before": before, "now": now, "larger": could_not}
        if not isinstance(before, str) and not isinstance(now, str):
            # Times below a hundredth of a second and memory below a megabyte are noise.
            row["time_ratio"] = round(max(before["cpu_seconds"], 0.01) / max(now["cpu_seconds"], 0.01), 1)
            row["memory_ratio"] = round(max(before["memory_mb"], 1) / max(now["memory_mb"], 1), 1)
        rows[name] = row
        print(f"{name}: {row} ({time.perf_counter() - started:.0f} s)", flush=True)
    if not args.no_save and not args.only:
        save(__file__, {"against": commit, "memory_limit_gb": MEMORY_LIMIT_BYTES >> 30, "rows": rows})


if __name__ == "__main__":
    main()
