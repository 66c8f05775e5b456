"""Damage files of six kinds at random, read them, and count what crashes, hangs or shows something in the wrong place.

    python benchmarks/robustness.py --cases 2000 --processes 2

Each case is a clip of 5 s whose pictures and sound say what time it is (`avel.testing.time_code`), damaged at random
(`avel.testing.damage`) and read in a process apart, with 2 GB of address space and 60 s of time. The table goes
into docs/limits.md, and all numbers into robustness.json beside this script.
"""

import argparse
import json
import tempfile
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from _common import machine

from avel.testing.damage import DAMAGES, Readers, ReadingOutcome, damaged
from avel.testing.time_code import CODECS, make_time_coded_clip

CLIP_SECONDS = 5.0
CASES_BETWEEN_SAVES = 100
OUTPUT = Path(__file__).with_suffix(".json")


def run(cases: int, processes: int, seed: int, output: Path) -> dict[str, Any]:
    """Outcomes of so many cases, evenly of all containers and kinds of damage; written down every now and then."""
    kinds = [(suffix, damage) for suffix in CODECS for damage in DAMAGES]
    outcomes: dict[tuple[str, str], list[tuple[int, ReadingOutcome]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        whole = {suffix: make_time_coded_clip(Path(folder) / f"whole{suffix}", CLIP_SECONDS) for suffix in CODECS}
        readers: SimpleQueue[Readers] = SimpleQueue()
        for _ in range(processes):
            readers.put(Readers())

        def case(number: int) -> tuple[tuple[str, str], int, ReadingOutcome]:
            suffix, damage = kinds[number % len(kinds)]
            random = np.random.default_rng([seed, number])
            path = Path(folder) / f"{number}{suffix}"
            path.write_bytes(damaged(whole[suffix].read_bytes(), damage, random))
            reader = readers.get()
            try:
                outcome = reader.examine(path, whole[suffix], is_joined=damage == "splice")
            finally:
                readers.put(reader)
                path.unlink()
            return (suffix, damage), number, outcome

        with ThreadPoolExecutor(processes) as pool:
            for kind, number, outcome in pool.map(case, range(cases)):
                outcomes[kind].append((number, outcome))
                if number % CASES_BETWEEN_SAVES == CASES_BETWEEN_SAVES - 1:
                    save(results(seed, number + 1, kinds, outcomes), output)
        while not readers.empty():
            readers.get().__exit__()
    return results(seed, cases, kinds, outcomes)


def results(seed: int, cases: int, kinds: list[tuple[str, str]], outcomes: Any) -> dict[str, Any]:
    """Everything that is written down."""
    return {
        "machine": machine(),
        "seed": seed,
        "cases": cases,
        "kinds": [summary(suffix, damage, outcomes[suffix, damage]) for suffix, damage in kinds],
    }


def save(results: dict[str, Any], output: Path) -> None:
    """Write results as JSON."""
    output.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def summary(suffix: str, damage: str, outcomes: list[tuple[int, ReadingOutcome]]) -> dict[str, Any]:
    """Counts of one kind, and each case that was not handled."""
    counts = Counter(outcome.status for _, outcome in outcomes)
    left = [{"case": number, **asdict(outcome)} for number, outcome in outcomes if not outcome.is_handled]
    return {
        "container": suffix[1:],
        "damage": damage,
        "tried": len(outcomes),
        "handled": sum(outcome.is_handled for _, outcome in outcomes),
        "read": counts["read"],
        "refused": counts["refused"],
        "crashed": counts["crashed"],
        "hung": counts["hung"],
        "unexpected": counts["unexpected"],
        "shifted": sum(bool(outcome.shifts) for _, outcome in outcomes),
        "shifted_in_silence": sum(bool(outcome.shifts) and not outcome.told for _, outcome in outcomes),
        "longest_seconds": round(max((outcome.seconds for _, outcome in outcomes), default=0.0), 2),
        "left": left,
    }


def table(results: dict[str, Any]) -> str:
    """Markdown, a row for each kind."""
    names = ("tried", "handled", "read", "refused", "crashed", "hung", "shifted")
    lines = ["| container | damage | " + " | ".join(names) + " |", "|---|---|" + "---:|" * len(names)]
    for kind in results["kinds"]:
        numbers = " | ".join(str(kind[name]) for name in names)
        lines.append(f"| {kind['container']} | {kind['damage']} | {numbers} |")
    totals = " | ".join(str(sum(kind[name] for kind in results["kinds"])) for name in names)
    return "\n".join([*lines, f"| **all** | | {totals} |"])


def main() -> None:
    """Run, print the table, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=2000, help="how many damaged files to read")
    parser.add_argument("--processes", type=int, default=2, help="how many to read at once")
    parser.add_argument("--seed", type=int, default=0, help="of the damage")
    parser.add_argument("--output", type=Path, default=OUTPUT, help="where the results are written, as JSON")
    options = parser.parse_args()
    found = run(options.cases, options.processes, options.seed, options.output)
    save(found, options.output)
    print(table(found))


if __name__ == "__main__":
    main()
