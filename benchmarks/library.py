"""How often a search of labelled clips finds what it should, and how often it says that nothing is close.

Usage: ``library.py LIBRARY``, which ``avel index`` made of ``../shared/data/media/events`` and ``events2``.

Every event that is labelled as surely seen and heard is a query, by its sound or by its pictures, and is looked for in
the sound or in the pictures of all other clips. A clip is relevant if one of its labels is the same event category, or
a kind of it, or what it is a kind of (`Category.family`). Of queries that have a relevant clip: how often the nearest
moment is of one (precision at 1), how often it is close, and how many of the close moments of different clips are of
relevant ones. Of queries that have none: how often it is said that nothing is close.

The thresholds of the categories were chosen on these clips (`benchmarks/localization.py`), and so was how pictures are
compared with pictures (`avel.library.spaces.BETWEEN_PICTURES`).
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from _common import SHARED, save

from avel.data.categories import everyday_categories
from avel.library.library import VideoLibrary
from avel.library.query import Query
from avel.library.search import query_hits
from avel.library.spaces import MODALITIES

LABELS = ("events", "events2")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library")
    library = VideoLibrary(parser.parse_args().library)
    queries, labels = read_labels()
    generation = library.generation
    held = {Path(video.paths[0]).name for video in generation.videos}
    labels = {video: kinds for video, kinds in labels.items() if video in held}
    rows: dict[str, Any] = {}
    for asked in MODALITIES:
        for found in MODALITIES:
            counts: dict[str, int] = defaultdict(int)
            for video in generation.videos:
                name = Path(video.paths[0]).name
                for category, start, end in queries.get(name, ()):
                    first, last = int(start), min(max(int(np.ceil(end)), int(start) + 1), video.segments)
                    vectors = generation.vectors[asked][slice(video.first + first, video.first + last)]
                    usable = np.abs(vectors).sum(axis=1) > 0
                    if not usable.any():
                        continue
                    query = Query(
                        video.paths[0], 0.0, float(video.segments), len(vectors), {asked: vectors}, {asked: usable}, ()
                    )
                    hits = query_hits(generation, library.taggers, library.space, query, (found,), 50)
                    nearest = {Path(hit.video).name: hit for hit in reversed(hits) if Path(hit.video).name != name}
                    judge(counts, category, nearest, {v: kinds for v, kinds in labels.items() if v != name})
            rows[f"{asked} in {found}"] = told(counts)
            print(f"{asked} in {found}:", rows[f"{asked} in {found}"])
    save(__file__, {"clips": len(generation.videos), "segments": generation.count, "rows": rows})


def judge(counts: dict[str, int], category: str, nearest: dict[str, Any], labels: dict[str, set[str]]) -> None:
    relevant = {video for video, kinds in labels.items() if any(akin(category, kind) for kind in kinds)}
    ordered = sorted(nearest.values(), key=lambda hit: -hit.score)
    close = [hit for hit in ordered if hit.is_close]
    if not relevant:
        counts["without"] += 1
        counts["nothing_close"] += not close
        return
    counts["with"] += 1
    counts["first_right"] += bool(ordered) and Path(ordered[0].video).name in relevant
    counts["answered"] += bool(close)
    counts["close"] += len(close)
    counts["close_right"] += sum(Path(hit.video).name in relevant for hit in close)


def told(counts: dict[str, int]) -> dict[str, str]:
    return {
        "nearest is relevant": f"{counts['first_right']} of {counts['with']}",
        "something is close": f"{counts['answered']} of {counts['with']}",
        "close clips that are relevant": f"{counts['close_right']} of {counts['close']}",
        "no relevant clip: nothing is close": f"{counts['nothing_close']} of {counts['without']}",
    }


_FAMILIES = {category.name: category.family for category in everyday_categories()}


def lineage(category: str) -> list[str]:
    line = [category]
    while family := _FAMILIES.get(line[-1]):
        line.append(family)
    return line


def akin(one: str, other: str) -> bool:
    return one in lineage(other) or other in lineage(one)


def read_labels() -> tuple[dict[str, list[tuple[str, float, float]]], dict[str, set[str]]]:
    """Queries by clip, each category, start and end in seconds; and all categories of each clip."""
    queries: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    labels: dict[str, set[str]] = defaultdict(set)
    for folder in LABELS:
        for row in csv.DictReader((SHARED / "data" / "media" / folder / "labels.csv").open(encoding="utf-8")):
            categories = [name.removeprefix("other:") for name in row["category"].split("|")]
            labels[row["file"]].update(categories)
            if "start_seconds" not in row:  # of the whole clip
                if row["audio_visual"] == "yes":
                    queries[row["file"]].append((categories[0], 0.0, 10.0))
            elif row["relation"] == "audio-visual" and row["sure"] == "yes":
                queries[row["file"]].append((categories[0], float(row["start_seconds"]), float(row["end_seconds"])))
    return queries, labels


if __name__ == "__main__":
    main()
