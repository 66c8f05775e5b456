import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avel.data.ave import dataset as ave
from avel.matching.base import Matcher, MatcherOptions
from avel.matching.localization import (
    MatchingAccuracy,
    evaluate,
    find_start,
    predicted_starts,
    trivial_accuracies,
    window_sums,
)
from avel.models.options import Dims


class Same(Matcher):
    """Distance of one number of the picture to one of the sound."""

    def distances(self, visual, audio):
        return (visual[..., :, None, 0] - audio[..., None, :, 0]).abs()


@pytest.fixture
def matcher():
    return Same(Dims(visual_dims=1, audio_dims=1), MatcherOptions(hidden_dims=1, embedding_dims=1))


def clips(*rows):
    return torch.tensor(rows, dtype=torch.float32)[..., None]


@given(st.integers(1, 12).flatmap(lambda t: st.tuples(st.just(t), st.integers(1, t))), st.integers(0, 99))
def test_window_sums_are_equation_8(sizes, seed):
    num_segments, length = sizes
    distances = torch.rand(num_segments, length, generator=torch.Generator().manual_seed(seed))
    expected = [
        sum(float(distances[start + s, s]) for s in range(length)) for start in range(num_segments - length + 1)
    ]
    torch.testing.assert_close(window_sums(distances), torch.tensor(expected))


@pytest.mark.parametrize("shape", [(3, 4), (3, 0)])
def test_query_must_fit(shape):
    with pytest.raises(ValueError, match=f"a query of {shape[1]} segments cannot lie in 3"):
        window_sums(torch.zeros(shape))


def test_find_start_by_hand(matcher):
    #            0  1  2  3  4
    pictures = clips([0, 5, 6, 7, 0])[0]
    sound = clips([1, 1, 6, 7, 8])[0]
    assert find_start(matcher, sound[2:4], pictures, "a2v") == 2
    assert find_start(matcher, pictures[1:4], sound, "v2a") == 2  # |5-6| + |6-7| + |7-8| is less than |5-1|
    assert find_start(matcher, sound[:1], pictures, "a2v") == 0  # 0 and 4 are equal: the first


def slow_starts(matcher, visual, audio, spans, direction):
    found = []
    for v, a, (start, end) in zip(visual, audio, spans, strict=True):
        sums = []
        for first in range(len(v) - (end - start) + 1):
            total = 0.0
            for s in range(end - start):
                i, j = (first + s, start + s) if direction == "a2v" else (start + s, first + s)
                total += float(matcher.distances(v[i : i + 1], a[j : j + 1]))
            sums.append(total)
        found.append(int(np.argmin(sums)))
    return found


@pytest.mark.parametrize("direction", ["a2v", "v2a"])
def test_predicted_starts_of_many_clips_are_those_of_each(matcher, direction):
    rng = np.random.default_rng(0)
    visual, audio = (torch.from_numpy(rng.random((150, 6, 1))).float() for _ in range(2))
    starts = rng.integers(0, 5, 150)
    spans = np.stack([starts, np.minimum(starts + rng.integers(1, 5, 150), 6)], axis=1)
    found = predicted_starts(matcher, visual, audio, spans, direction)
    assert found.tolist() == slow_starts(matcher, visual, audio, spans, direction)
    each = [
        find_start(matcher, *((a[s:e], v) if direction == "a2v" else (v[s:e], a)), direction)
        for v, a, (s, e) in zip(visual, audio, spans, strict=True)
    ]
    assert found.tolist() == each


def test_evaluate_by_hand(matcher):
    visual = clips([9, 1, 2, 9], [1, 2, 3, 3], [5, 5, 5, 5], [1, 2, 3, 4])
    audio = clips([0, 1, 2, 0], [9, 9, 2, 3], [5, 5, 5, 5], [1, 2, 3, 4])
    # right both ways; the sound of 1-2 seen again at 2-3: A2V finds it at 1, V2A at 2; the rest does not count
    spans = [(1, 3), (2, 4), (0, 4), (2, 2)]
    found = evaluate(matcher, visual, audio, spans)
    # clip 1: A2V looks for 2, 3 in 1, 2, 3, 3 and finds 1, not 2; V2A looks for 3, 3 in 9, 9, 2, 3 and finds 2
    assert found == MatchingAccuracy(a2v=0.5, v2a=1.0, clips=2, random_start=1 / 3, last_window=0.5)
    assert found.mean == 0.75


def test_evaluate_leaves_the_mode_as_it_was(matcher):
    matcher.train()
    evaluate(matcher, clips([0, 1]), clips([0, 1]), [(0, 1)])
    assert matcher.training


def test_trivial_answers_are_those_of_ave(shared):
    dataset = ave.load(shared / "data" / "ave")
    spans = dataset.spans[dataset.match_splits["test"]]
    anchors = ave.anchors(dataset)
    random_start, last_window = trivial_accuracies(spans, 10)
    assert (random_start, last_window) == pytest.approx((anchors.random_start, anchors.last_window))
    assert (round(random_start, 3), round(last_window, 3)) == (0.208, 0.468)


def test_no_short_event(matcher):
    with pytest.raises(ValueError, match="none of 1 clip has an event shorter than 2 segments"):
        evaluate(matcher, clips([0, 1]), clips([0, 1]), [(0, 2)])
    with pytest.raises(ValueError, match="no clip with an event shorter than 2 segments"):
        trivial_accuracies([(1, 1)], 2)


@pytest.mark.parametrize("spans", [[(0, 3)], [(-1, 1)], [(2, 1)]])
def test_spans_outside_the_clip(matcher, spans):
    with pytest.raises(ValueError, match="spans must be .* within 0-2"):
        evaluate(matcher, clips([0, 1]), clips([0, 1]), spans)


def test_wrong_arguments(matcher):
    with pytest.raises(ValueError, match=r"spans must have shape \(N, 2\), got \(2,\)"):
        evaluate(matcher, clips([0, 1]), clips([0, 1]), [0, 1])
    with pytest.raises(ValueError, match="of the same clips and segments"):
        predicted_starts(matcher, clips([0, 1]), clips([0, 1, 2]), np.array([(0, 1)]), "a2v")
    with pytest.raises(ValueError, match="spans must not be empty"):
        predicted_starts(matcher, clips([0, 1]), clips([0, 1]), np.array([(1, 1)]), "a2v")
    with pytest.raises(ValueError, match="Unknown direction 'a2a'. Supported directions are a2v, v2a"):
        find_start(matcher, clips([0])[0], clips([0, 1])[0], "a2a")
