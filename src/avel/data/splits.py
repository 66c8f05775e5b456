"""Videos into training, validation and test, whole videos at a time and each category alike.

Segments of one video are too much alike to be on both sides, so a video is never cut. Categories are spread by
iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), which also works where a video has several:
the category with the fewest videos left goes first, and each of its videos goes to the split that lacks it most.
"""

import heapq
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from avel.data.annotations import SPLITS, Split

SHARES = (0.7, 0.15, 0.15)


def stratified_split(
    videos: Mapping[str, Collection[str]], shares: Sequence[float] = SHARES, *, seed: int = 0
) -> dict[str, Split]:
    """A split for each video.

    Every category is in training. One of two videos is in test too, and one of three or more in all three splits, as
    far as the other categories of its videos allow.

    Args:
        videos: categories of each video; none for a video without event.
        shares: of training, validation and test; each above 0, with sum 1.
        seed: of what is drawn.

    Raises:
        ValueError: if the shares are not allowed, or there are fewer videos than splits.
    """
    if len(shares) != len(SPLITS) or min(shares, default=0) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"The shares of {', '.join(SPLITS)} must be above 0 with sum 1, got {list(shares)}.")
    if len(videos) < len(SPLITS):
        raise ValueError(f"{len(videos)} videos cannot be split into {', '.join(SPLITS)}: at least 3 are needed.")
    random = np.random.default_rng(seed)
    names = list(videos)
    order = [names[i] for i in random.permutation(len(names))]
    left = {name: frozenset(videos[name]) or frozenset({_NO_EVENT}) for name in order}
    wanted = [share * len(order) for share in shares]
    totals = Counter(category for found in left.values() for category in found)
    wanted_of = {category: [share * total for share in shares] for category, total in totals.items()}
    lacking = {category: list(_FIRST[:total]) for category, total in totals.items()}
    members: dict[str, list[str]] = {category: [] for category in totals}
    for name, found in left.items():
        for category in found:
            members[category].append(name)
    remaining = Counter(totals)
    chosen: dict[str, Split] = {}
    rarest_first = [(count, category) for category, count in remaining.items()]
    heapq.heapify(rarest_first)
    while left:
        count, rarest = heapq.heappop(rarest_first)
        if count != remaining[rarest]:
            continue  # it has become rarer since, and stands there once more
        for name in members[rarest]:
            if name not in left:
                continue
            split = (lacking[rarest] or [_most_wanted(wanted_of[rarest], wanted)])[0]
            wanted[split] -= 1
            for category in left.pop(name):
                remaining[category] -= 1
                heapq.heappush(rarest_first, (remaining[category], category))
                wanted_of[category][split] -= 1
                if split in lacking[category]:
                    lacking[category].remove(split)
            chosen[name] = SPLITS[split]
    for its in members.values():
        if not any(chosen[name] == "train" for name in its):
            chosen[its[0]] = "train"
    return {name: chosen[name] for name in names}


_NO_EVENT = ""
"""Stands for the videos without event, which are spread like a category."""

_FIRST = (0, 2, 1)
"""Splits that get a category's first videos: training, test, validation."""


def _most_wanted(of_category: Sequence[float], of_all: Sequence[float]) -> int:
    return max(range(len(SPLITS)), key=lambda split: (of_category[split], of_all[split], -split))
