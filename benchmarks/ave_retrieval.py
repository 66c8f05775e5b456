"""Retrieval by category over AVE, as MTEB's AVEA2VRetrieval and AVEV2ARetrieval measure it.

Usage: ``ave_retrieval.py COPY LIBRARY``, the parquet files of ``mteb/AVE-Dataset`` and a library of their videos::

    avel data ave COPY --extract AVE
    avel index AVE/AVE -o LIBRARY

Queries and candidates are drawn of the test rows as MTEB draws them. A clip is the mean of its seconds' vectors in one
modality; candidates are ranked by the cosine, and those of the query's category are relevant. MTEB's main score is nDCG
at 10. Chance is recall at 1 of an order by chance.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from _common import save

from avel.data.ave.parquet import HubSample, read_hub, retrieval_split
from avel.library.library import VideoLibrary
from avel.library.spaces import MODALITIES
from avel.metrics.retrieval import retrieval


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("copy", type=Path)
    parser.add_argument("library", type=Path)
    args = parser.parse_args()
    library = VideoLibrary(args.library)
    means = clip_vectors(library)
    queries, candidates = retrieval_split(read_hub(args.copy))
    parts = [[one for one in part if one.video in means] for part in (queries, candidates)]
    missing = len(queries) + len(candidates) - sum(map(len, parts))
    rows = {
        name: measured(means, *parts, asked, found)
        for name, asked, found in (("AVEA2VRetrieval", 0, 1), ("AVEV2ARetrieval", 1, 0))
    }
    for name, row in rows.items():
        print(f"{name}:", row)
    print(f"{missing} rows have no video in the library and were left out." if missing else "All rows were measured.")
    save(__file__, {"model": library.space.name, "rows_left_out": missing, "rows": rows})


def clip_vectors(library: VideoLibrary) -> dict[str, npt.NDArray[np.float32]]:
    """(2, E) of each clip by its name: what is heard and what is seen, of length 1, or 0 where there is nothing."""
    found = library.generation
    means = {}
    for video in found.videos:
        part = slice(video.first, video.first + video.segments)
        both = np.stack([np.asarray(found.vectors[one][part]).mean(axis=0) for one in MODALITIES])
        both = both / np.maximum(np.linalg.norm(both, axis=1, keepdims=True), 1e-9)
        means |= {Path(path).stem: both for path in video.paths}
    return means


def measured(
    means: dict[str, npt.NDArray[np.float32]],
    queries: list[HubSample],
    candidates: list[HubSample],
    asked: int,
    found: int,
) -> dict[str, Any]:
    similarities = (
        np.stack([means[one.video][asked] for one in queries])
        @ np.stack([means[one.video][found] for one in candidates]).T
    )
    relevant = np.array([[one.category == other.category for other in candidates] for one in queries])
    told = retrieval(similarities, relevant)
    return {
        "queries": told.queries,
        "candidates": told.candidates,
        "nDCG at 10": round(100 * told.ndcg, 1),
        **{f"recall at {k}": round(100 * value, 1) for k, value in told.recall.items()},
        "median rank": told.median_rank,
        "chance": round(100 * told.chance, 1),
    }


if __name__ == "__main__":
    main()
