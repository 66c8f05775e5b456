"""What a video that arrives in a watched folder costs beside those that have been done, also in an earlier checkout.

``avel localize --watch`` runs in a new process on a folder of which so many videos have been done. It looks once more
where nothing has arrived, then `ARRIVING` clips of two seconds arrive one after the other, and it is ended. CPU seconds
are those of the watching process, without its child, which loads the networks and reads the clip: that costs the same
whatever has been done. Looks follow each other at once. ``--against FOLDER`` names an earlier checkout, which does the
same in turns. The exponent is the slope of a line through the logarithms: 0 is flat, 1 is linear.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from _common import ROOT, save

SIZES = (100, 1000, 10_000, 50_000)
ARRIVING = 3


def watched(count: int, clip: Path) -> dict[str, Any]:
    """CPU seconds of each step."""
    from _done import done_batch

    from avel.batch import arrivals
    from avel.cli.main import app

    steps: list[str] = ["start", "look", *["arrival"] * ARRIVING]
    took: dict[str, list[float]] = {name: [] for name in (*steps, "end")}
    children: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        done_batch(count, Path(folder))
        last, last_children = time.process_time(), children_seconds()

        def tell(step: str) -> None:
            nonlocal last, last_children
            took[step].append(time.process_time() - last)
            if step == "arrival":
                children.append(children_seconds() - last_children)
            last, last_children = time.process_time(), children_seconds()

        def wait(seconds: float) -> None:
            nonlocal last
            tell(steps.pop(0))
            if not steps:
                raise KeyboardInterrupt
            if steps[0] == "arrival":
                Path(folder, "videos", f"new {len(steps)}.mkv").write_bytes(clip.read_bytes())
            last = time.process_time()

        original = arrivals.watch_folders
        arrivals.watch_folders = lambda *given, **more: original(  # type: ignore[assignment]
            *given, **{**more, "settled_seconds": 0.0, "wait": wait}
        )
        arguments = ["localize", "--watch", f"{folder}/videos", "-o", f"{folder}/results"]
        app(arguments, standalone_mode=False)
        tell("end")
        rows = Path(folder, "results", "summary.csv").read_text().splitlines()
        assert len({row.split(",")[0] for row in rows[1:]}) >= count
        assert len(list(Path(folder, "results").glob("new *.json"))) == ARRIVING
    found = {name: round(median(seconds), 4) for name, seconds in took.items()}
    return {**found, "child": round(median(children), 4)}


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by(checkout: Path, count: int, clip: Path) -> dict[str, Any]:
    """The same in a process of its own, with the code of a checkout."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, __file__, "--case", str(count), "--clip", str(clip)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = " ".join(done.stderr.split())
    assert done.returncode == 0, said
    assert f"0 videos localized, {count} done before, 0 failed." in said, said
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def exponent(sizes: list[int], seconds: list[float]) -> float:
    import numpy as np

    return round(float(np.polyfit(np.log(sizes), np.log(np.maximum(seconds, 1e-4)), 1)[0]), 2)


def exponents_of(sizes: list[int], rows: list[dict[str, Any]]) -> dict[str, float]:
    """Of a look, of an arrival, which is found by a look, and of what it takes beside that."""
    looks, arrivals = [row["look"] for row in rows], [row["arrival"] for row in rows]
    beside = [arrival - look for arrival, look in zip(arrivals, looks, strict=True)]
    return {
        "look": exponent(sizes, looks),
        "arrival": exponent(sizes, arrivals),
        "arrival beside its look": exponent(sizes, beside),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--against", type=Path, help="an earlier checkout of avel")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="of how many videos are done")
    parser.add_argument("--no-save", action="store_true", help="do not write the result file")
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--clip", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        print(json.dumps(watched(args.case, args.clip)))
        return
    from avel.testing.tone_and_flash import make_clip

    builds = {"now": ROOT} if args.against is None else {"before": args.against, "now": ROOT}
    rows: dict[str, dict[int, dict[str, Any]]] = {name: {} for name in builds}
    with tempfile.TemporaryDirectory() as folder:
        clip = make_clip(Path(folder) / "clip.mkv", 2.0, events=[(0, 1)], frame_rate=4, sample_rate=8000)
        for size in args.sizes:
            for name, checkout in builds.items():
                rows[name][size] = by(checkout, size, clip)
                print(name, size, rows[name][size], flush=True)
    exponents = {name: exponents_of(args.sizes, list(found.values())) for name, found in rows.items()}
    print(exponents)
    result: dict[str, Any] = {"rows": rows, "exponents": exponents, "load_average": round(os.getloadavg()[1], 1)}
    if args.against is not None:
        commit = ["git", "-C", str(args.against), "rev-parse", "--short", "HEAD"]
        result["against"] = subprocess.run(commit, capture_output=True, text=True, check=True).stdout.strip()
        before, now = rows["before"][args.sizes[-1]], rows["now"][args.sizes[-1]]
        result["ratio_at_largest"] = round(before["arrival"] / now["arrival"], 1)
        print(result["ratio_at_largest"])
    if not args.no_save:
        save(__file__, result)


if __name__ == "__main__":
    main()
