"""What it costs to find the nearest of many vectors: every one looked at, cells, and FAISS where it is installed.

Usage: ``search.py [--sizes 10000,100000,1000000] [--faiss FOLDER]``; ``FOLDER`` is where faiss-cpu was installed, if
that is not the environment.

Vectors are real ones with a perturbation: YAMNet's embeddings of recordings and VGG-19's of photographs
(``../shared/bench/bank.npz``), each by its principal 64 axes, at length 1; each row is one of these 12,010 and noise of
0.5 of its size, and so is each query. There are no more real seconds here; neighbours in footage may lie otherwise.

All in one run and one thread: build and size on disk; processor time of a query, the median and the 99th percentile of
200; the share of the
exact ten nearest that is found; and the memory of a process that only opens and searches. *Exact in NumPy* is one
product of float32 rows in memory and `argpartition`, the plainest there is.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import SHARED, save

from avel.library.vectors import CELLS, MOST_EXACT, PROBED, Vectors, stored_type, write_vectors

DIMS, NEAREST, QUERIES, NOISE = 64, 10, 200, 0.5
Floats = npt.NDArray[np.float32]
Rows = list[npt.NDArray[np.int64]]

READER = """
import re, sys, numpy as np
from pathlib import Path
from avel.library.vectors import Vectors
def peak():  # of this process alone; that of getrusage is also its parent's
    return re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]
before = peak()
folder, count, dims = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
opened = Vectors(folder, "audio", count, dims)
for query in np.load(folder / "queries.npy"):
    opened.nearest(query, 10)
print(before, peak())
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", default="10000,100000,1000000")
    parser.add_argument("--faiss", type=Path)
    args = parser.parse_args()
    if args.faiss:
        sys.path.append(str(args.faiss))
    real = real_vectors()
    rows = {size: measured(real, int(size)) for size in args.sizes.split(",")}
    save(__file__, {"dims": DIMS, "noise": NOISE, "queries": QUERIES, "nearest": NEAREST, "sizes": rows})


def real_vectors() -> Floats:
    bank = np.load(SHARED / "bench" / "bank.npz")
    pictures = bank["pool5"].astype(np.float32).mean(axis=2).reshape(-1, 512)
    return np.concatenate([principal(of.astype(np.float32)) for of in (bank["audio"], pictures)])


def principal(features: Floats) -> Floats:
    roots = np.sqrt(np.maximum(features, 0))
    roots = (roots - roots.mean(axis=0)) / (roots.std(axis=0) + 1e-3)
    _, _, axes = np.linalg.svd(roots[::3], full_matrices=False)
    found = roots @ axes[:DIMS].T
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def perturbed(real: Floats, count: int, random: np.random.Generator) -> Floats:
    made = np.empty((count, DIMS), np.float32)
    for first in range(0, count, 100_000):
        part = real[random.integers(len(real), size=min(100_000, count - first))]
        part = part + NOISE / DIMS**0.5 * random.standard_normal(part.shape, dtype=np.float32)
        made[first : first + len(part)] = part / np.linalg.norm(part, axis=1, keepdims=True)
    return made


def measured(real: Floats, count: int) -> dict[str, Any]:
    random = np.random.default_rng(count)
    vectors, queries = perturbed(real, count, random), perturbed(real, QUERIES, random)
    truth, plain = timed(queries, lambda query: top(vectors @ query))
    found: dict[str, Any] = {"exact in NumPy": plain}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        started = time.process_time()
        write_vectors(folder, "audio", vectors.astype(stored_type(count)))
        build = time.process_time() - started
        np.save(folder / "queries.npy", queries)
        opened = Vectors(folder, "audio", count, DIMS)
        rows, ours = timed(queries, lambda query: opened.nearest(query, NEAREST)[0])
        before, after = map(int, reader(folder, count).split())
        found["avel"] = {
            "how": "cells" if count > MOST_EXACT else "every vector",
            "build_cpu_seconds": round(build, 1),
            "disk_mb": round(sum(one.stat().st_size for one in folder.glob("audio*")) / 1e6, 1),
            "memory_mb": round(after / 1e3),
            "memory_before_mb": round(before / 1e3),
            **ours,
            "recall_at_10": recall(rows, truth),
            "times_as_fast_as_exact": round(plain["median_cpu_ms"] / ours["median_cpu_ms"], 1),
        }
    if faiss := by_faiss(vectors, queries, truth, plain["median_cpu_ms"]):
        found["FAISS IVF-flat"] = faiss
    print(count, json.dumps(found), flush=True)
    return found


def by_faiss(vectors: Floats, queries: Floats, truth: Rows, exact_ms: float) -> dict[str, Any] | None:
    try:
        import faiss
    except ModuleNotFoundError:
        return None
    faiss.omp_set_num_threads(1)
    started = time.process_time()
    cells = round(CELLS * len(vectors) ** 0.5)  # as many as avel has
    index = faiss.index_factory(DIMS, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (40 * cells))])
    index.add(vectors)
    build = time.process_time() - started
    index.nprobe = PROBED
    rows, times = timed(queries, lambda query: index.search(query[None], NEAREST)[1][0])
    return {
        "build_cpu_seconds": round(build, 1),
        **times,
        "recall_at_10": recall(rows, truth),
        "times_as_fast_as_exact": round(exact_ms / times["median_cpu_ms"], 1),
    }


def timed(queries: Floats, search: Callable[[Floats], npt.NDArray[np.int64]]) -> tuple[Rows, dict[str, float]]:
    rows, times = [], []
    for query in queries:
        started = time.thread_time()
        rows.append(search(query))
        times.append(1e3 * (time.thread_time() - started))
    return rows, {
        "median_cpu_ms": round(float(np.median(times)), 3),
        "p99_cpu_ms": round(float(np.quantile(times, 0.99)), 3),
    }


def top(products: Floats) -> npt.NDArray[np.int64]:
    kept = np.argpartition(-products, NEAREST)[:NEAREST]
    return kept[np.argsort(-products[kept])]


def recall(rows: Rows, truth: Rows) -> float:
    shares = [len(set(one.tolist()) & set(other.tolist())) / NEAREST for one, other in zip(rows, truth, strict=True)]
    return round(float(np.mean(shares)), 3)


def reader(folder: Path, count: int) -> str:
    command = [sys.executable, "-c", READER, str(folder), str(count), str(DIMS)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout


if __name__ == "__main__":
    main()
