"""Videos into training, validation and test, whole videos at a time and each category alike.

Segments of one video are too much alike to be on both sides, so a video is never cut. Categories are spread by
iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), which also works where a video has several:
the category with the fewest videos left goes first, and each of its videos goes to the split that lacks it most.
"""

import heapq
import itertools
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from avel.data.annotations import SPLITS, Split
from avel.wording import counted

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
        found = counted(len(videos), "video")
        raise ValueError(f"{found} cannot be split into {', '.join(SPLITS)}: at least 3 are needed.")
    names = list(videos)
    parts = _Parts([videos[name] or (_NO_EVENT,) for name in names], shares, np.random.default_rng(seed), _FIRST)
    return {name: SPLITS[split] for name, split in zip(names, parts.choose(), strict=True)}


def stratified_folds(videos: Sequence[Collection[str]], count: int, *, seed: Sequence[int] = (0,)) -> list[int]:
    """One of so many folds for each video, for cross-validation: all of about the same size, with each category alike.

    Args:
        videos: categories of each video; none for a video without event.
        count: of folds.
        seed: of what is drawn.

    Raises:
        ValueError: if there are fewer videos than folds, or fewer than two folds.
    """
    if not 2 <= count <= len(videos):
        raise ValueError(f"{counted(len(videos), 'video')} cannot be divided into {count} folds.")
    random = np.random.default_rng(seed)
    return _Parts([found or (_NO_EVENT,) for found in videos], [1 / count] * count, random).choose()


class _Parts:
    """Numbers in place of names, and arrays: what is looked at again and again lies close together in memory.

    N videos, in the order that was drawn, have E categories altogether, each one of C in the order of their names. They
    are put into P parts. Those that ``first`` numbers get a category's first videos, whatever their shares; the first
    of them has all categories.
    """

    def __init__(
        self,
        videos: Sequence[Collection[str]],
        shares: Sequence[float],
        random: np.random.Generator,
        first: Sequence[int] = (),
    ) -> None:
        self.first = first
        number_of = {category: number for number, category in enumerate(sorted(set().union(*videos)))}
        numbered = [{number_of[category] for category in found} for found in videos]
        sizes = np.array([len(found) for found in numbered])
        categories = np.fromiter(itertools.chain.from_iterable(numbered), np.int64)
        self.drawn = random.permutation(len(videos))
        place_of = np.empty_like(self.drawn)
        place_of[self.drawn] = np.arange(len(videos))
        places = np.repeat(place_of, sizes)
        self.sizes = sizes[self.drawn]
        self.begins = np.cumsum(self.sizes) - self.sizes  # (N,) where the categories of each video begin
        self.categories = categories[np.argsort(places, kind="stable")]  # (E,) video by video
        self.left = np.bincount(categories)  # (C,) videos that no split has yet
        self.members = places[np.lexsort((places, categories))]  # (E,) category by category
        self.ends = np.cumsum(self.left)  # (C,) where the members of each category end
        self.wanted = [share * len(videos) for share in shares]
        self.wanted_of = self.left[:, None] * np.array(shares)  # (C, P)
        self.lacks = np.zeros(self.wanted_of.shape, np.bool_)  # (C, P) splits that get its first videos, and have none
        for number, split in enumerate(first):
            self.lacks[:, split] = self.left > number
        self.chosen = np.full(len(videos), -1)

    def choose(self) -> list[int]:
        """The split of each video, in the order that they were given in."""
        count = len(self.left)
        # The rarest category is first, and the first by name of those that are equally rare.
        rarest_first = (self.left * count + np.arange(count)).tolist()
        heapq.heapify(rarest_first)
        while rarest_first:
            left, category = divmod(heapq.heappop(rarest_first), count)
            if left == self.left[category]:  # otherwise it has become rarer since, and stands there once more
                for touched in set(self._spread(category).tolist()):
                    if self.left[touched]:
                        heapq.heappush(rarest_first, int(self.left[touched]) * count + touched)
        for category in self._never_first() if self.first else ():
            its = self._members_of(category)
            if not (self.chosen[its] == self.first[0]).any():  # unless one of the others' videos was one of its own
                self.chosen[its[0]] = self.first[0]
        by_name = np.empty_like(self.chosen)
        by_name[self.drawn] = self.chosen
        return by_name.tolist()

    def _spread(self, category: int) -> npt.NDArray[np.int64]:
        """Put the videos of a category that are left into splits; the categories that they have."""
        its = self._members_of(category)
        its = its[self.chosen[its] < 0]
        lacks = [split for split in self.first if self.lacks[category, split]]
        wanted_of = self.wanted_of[category].tolist()
        splits = []
        for _ in its:
            split = lacks.pop(0) if lacks else _most_wanted(wanted_of, self.wanted)
            self.wanted[split] -= 1
            wanted_of[split] -= 1
            splits.append(split)
        self.chosen[its] = splits
        sizes = self.sizes[its]
        found = self.categories[np.repeat(self.begins[its] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())]
        cells = found, np.repeat(splits, sizes)
        np.subtract.at(self.left, found, 1)
        np.subtract.at(self.wanted_of, cells, 1)  # one after the other, as ties hang on the last digit
        self.lacks[cells] = False
        return found

    def _members_of(self, category: int) -> npt.NDArray[np.int64]:
        return self.members[self.ends[category - 1] if category else 0 : self.ends[category]]

    def _never_first(self) -> list[int]:
        """Categories that the part of all categories lacks, the one whose first video was drawn first before others."""
        begins = np.concatenate([[0], self.ends[:-1]])
        never = np.flatnonzero(~np.logical_or.reduceat(self.chosen[self.members] == self.first[0], begins))
        return never[np.argsort(self.members[begins[never]], kind="stable")].tolist()


_NO_EVENT = ""
"""Stands for the videos without event, which are spread like a category."""


_FIRST = (SPLITS.index("train"), SPLITS.index("test"), SPLITS.index("val"))
"""Splits that get a category's first videos, in this order."""


def _most_wanted(of_category: Sequence[float], of_all: Sequence[float]) -> int:
    return max(range(len(of_all)), key=lambda split: (of_category[split], of_all[split], -split))
