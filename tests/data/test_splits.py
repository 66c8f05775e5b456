from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from avel.data.annotations import SPLITS
from avel.data.splits import stratified_folds, stratified_split


def counts(chosen, videos, category):
    return Counter(chosen[name] for name, found in videos.items() if category in found)


def test_each_category_is_spread_alike():
    videos = {f"v{i}": [("bark", "meow", "moo", "")[i % 4]] for i in range(160)}
    videos = {name: [category for category in found if category] for name, found in videos.items()}
    chosen = stratified_split(videos)
    assert list(chosen) == list(videos)
    assert Counter(chosen.values()) == {"train": 112, "val": 24, "test": 24}
    for category in ("bark", "meow", "moo"):
        assert counts(chosen, videos, category) == {"train": 28, "val": 6, "test": 6}


def test_rare_categories_come_first_to_training_then_to_test():
    videos = {"a": ["one"], **{f"b{i}": ["two"] for i in range(2)}, **{f"c{i}": ["three"] for i in range(3)}}
    for seed in range(10):
        chosen = stratified_split(videos, seed=seed)
        assert counts(chosen, videos, "one") == {"train": 1}
        assert counts(chosen, videos, "two") == {"train": 1, "test": 1}
        assert counts(chosen, videos, "three") == {"train": 1, "val": 1, "test": 1}


def test_a_rare_category_in_videos_of_a_common_one_is_spread_too():
    videos = {f"v{i}": ["speech", *(["bell"] if i < 4 else [])] for i in range(40)}
    chosen = stratified_split(videos, seed=3)
    assert set(counts(chosen, videos, "bell")) == {"train", "val", "test"}
    assert counts(chosen, videos, "speech") == {"train": 28, "val": 6, "test": 6}


def test_the_seed_alone_decides():
    videos = {f"v{i}": ["bark"] for i in range(30)}
    assert stratified_split(videos, seed=1) == stratified_split(videos, seed=1)
    assert stratified_split(videos, seed=1) != stratified_split(videos, seed=2)


@given(
    st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), min_size=3, max_size=60),
    st.integers(0, 2**32 - 1),
)
def test_every_video_has_one_split_and_every_category_is_trained(videos, seed):
    named = {f"v{i}": found for i, found in enumerate(videos)}
    chosen = stratified_split(named, seed=seed)
    assert chosen.keys() == named.keys()
    assert set(chosen.values()) <= {"train", "val", "test"}
    for category in set().union(*videos):
        assert counts(chosen, named, category)


def one_by_one(videos, shares, seed):
    """The same as the definition says it, looking at all that is left for each category."""
    order = [list(videos)[i] for i in np.random.default_rng(seed).permutation(len(videos))]
    left = {name: set(videos[name]) or {""} for name in order}
    of = {category: [name for name in order if category in left[name]] for category in set().union(*left.values())}
    wanted = [share * len(order) for share in shares]
    wanted_of = {category: [share * len(its) for share in shares] for category, its in of.items()}
    lacking = {category: ["train", "test", "val"][: len(its)] for category, its in of.items()}
    chosen = {}
    while left:
        counts = Counter(category for found in left.values() for category in found)
        rarest = min(counts, key=lambda category: (counts[category], category))
        for name in [name for name in of[rarest] if name in left]:
            most = max(range(3), key=lambda k: (wanted_of[rarest][k], wanted[k], -k))
            split = (lacking[rarest] or [SPLITS[most]])[0]
            chosen[name] = split
            for some in (wanted, *(wanted_of[category] for category in left[name])):
                some[SPLITS.index(split)] -= 1
            for category in left.pop(name):
                lacking[category] = [other for other in lacking[category] if other != split]
    for its in sorted(of.values(), key=lambda its: order.index(its[0])):
        if all(chosen[name] != "train" for name in its):
            chosen[its[0]] = "train"
    return chosen


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=4), min_size=3, max_size=30),
    st.sampled_from([(0.7, 0.15, 0.15), (0.4, 0.3, 0.3), (0.98, 0.01, 0.01)]),
    st.integers(0, 2**32 - 1),
)
def test_quickly_as_one_by_one(videos, shares, seed):
    named = {f"v{i}": found for i, found in enumerate(videos)}
    assert stratified_split(named, shares, seed=seed) == one_by_one(named, shares, seed)


def test_a_category_is_trained_though_others_took_its_videos():
    random = np.random.default_rng(1596)
    count, categories = int(random.integers(3, 14)), int(random.integers(2, 9))
    drawn = [{f"c{c}" for c in random.integers(categories, size=random.integers(5))} for _ in range(count)]
    videos = {f"v{i}": sorted(found) for i, found in enumerate(drawn)}
    assert stratified_split(videos, seed=1596) == one_by_one(videos, (0.7, 0.15, 0.15), 1596)
    assert set(stratified_split(videos, seed=1596).values()) == {"train"}


def test_shares_and_videos_that_are_not_allowed():
    with pytest.raises(ValueError, match="shares of train, val, test must be above 0 with sum 1"):
        stratified_split({"a": [], "b": [], "c": []}, (0.8, 0.2))
    with pytest.raises(ValueError, match="above 0 with sum 1"):
        stratified_split({"a": [], "b": [], "c": []}, (0.8, 0.2, 0.0))
    with pytest.raises(ValueError, match="2 videos cannot be split"):
        stratified_split({"a": [], "b": []})


def test_folds_have_each_category_alike():
    videos = [["bark"] if i < 5 else ["meow"] if i < 15 else [] for i in range(20)]
    folds = stratified_folds(videos, 5, seed=(0, 1))
    assert Counter(folds) == dict.fromkeys(range(5), 4)
    assert Counter(folds[:5]) == dict.fromkeys(range(5), 1)
    assert Counter(folds[5:15]) == dict.fromkeys(range(5), 2)
    assert folds == stratified_folds(videos, 5, seed=(0, 1)) != stratified_folds(videos, 5, seed=(0, 2))
    assert sorted(stratified_folds([["bark"], ["meow"]], 2)) == [0, 1]
    with pytest.raises(ValueError, match="1 video cannot be divided into 2 folds"):
        stratified_folds([["bark"]], 2)
