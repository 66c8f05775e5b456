"""How well what goes with a query is found among many candidates.

Input
    Similarities of queries and candidates, and which candidates are relevant to each query: the one that it was cut
    from, or all of its event category.

Conventions
    Candidates are ranked by falling similarity; among equal ones those that are not relevant come first, so that a
    system that says the same of all is not rewarded. *Recall at k* is the share of queries with a relevant candidate
    among the first k (for one relevant candidate, the usual recall; for several, the hit rate). *Median rank* is that
    of the first relevant candidate, from 1. *nDCG at k* has gains of 1 and discounts of log2(rank + 1), over the best
    order possible.

Range
    Recall and nDCG in [0, 1]; ranks from 1. ``nan`` where there is no query.

Sources
    nDCG at 10 is the main score of MTEB's retrieval tasks (Muennighoff et al., EACL 2023), those over AVE among them,
    where a candidate is relevant that has the query's event category and no clip is query and candidate both.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from avel.records import Record

RECALLS = (1, 5, 10)
NDCG_AT = 10


@dataclass(frozen=True)
class Retrieval(Record):
    """What was found.

    Attributes:
        queries: how many.
        candidates: how many for each.
        recall: by k of `RECALLS`.
        median_rank: of the first relevant candidate.
        ndcg: at `NDCG_AT`.
        chance: recall at 1, expected of an order by chance.
    """

    queries: int
    candidates: int
    recall: Mapping[int, float]
    median_rank: float
    ndcg: float
    chance: float


def retrieval(similarities: npt.ArrayLike, relevant: npt.ArrayLike) -> Retrieval:
    """Measure a retrieval.

    Args:
        similarities: (Q, N), greater is nearer.
        relevant: (Q, N) bool; queries without a relevant candidate do not count.

    Raises:
        ValueError: if the shapes differ, or a similarity is NaN.
    """
    given, marked = np.asarray(similarities, np.float64), np.asarray(relevant, np.bool_)
    if given.ndim != 2 or given.shape != marked.shape:
        raise ValueError(f"similarities and relevant must be (Q, N) alike, got {given.shape} and {marked.shape}.")
    if np.isnan(given).any():
        raise ValueError("similarities must not be NaN.")
    kept = marked.any(axis=1)
    given, marked = given[kept], marked[kept]
    queries, candidates = given.shape
    if not queries:
        nan = float("nan")
        return Retrieval(0, candidates, dict.fromkeys(RECALLS, nan), nan, nan, nan)
    order = np.lexsort((marked, -given), axis=1)
    hits = np.take_along_axis(marked, order, axis=1)
    first = hits.argmax(axis=1)
    discounts = 1 / np.log2(np.arange(min(NDCG_AT, candidates)) + 2)
    gains = hits[:, : len(discounts)] @ discounts
    counts = marked.sum(axis=1)
    best = np.cumsum(discounts)[np.minimum(counts, len(discounts)) - 1]
    return Retrieval(
        queries=queries,
        candidates=candidates,
        recall={k: float(np.mean(first < k)) for k in RECALLS},
        median_rank=float(np.median(first + 1)),
        ndcg=float(np.mean(gains / best)),
        chance=float(np.mean(counts / candidates)),
    )
