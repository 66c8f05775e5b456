import math

import numpy as np
import pytest

from avel.metrics.retrieval import retrieval


def test_by_hand():
    # Query 0 finds its partner first; query 1 second, behind one; query 2 third.
    similarities = [[0.9, 0.1, 0.2], [0.5, 0.4, 0.3], [0.9, 0.8, 0.1]]
    found = retrieval(similarities, np.eye(3, dtype=bool))
    assert found.recall == {1: pytest.approx(1 / 3), 5: 1.0, 10: 1.0}
    assert found.median_rank == 2
    assert found.ndcg == pytest.approx((1 + 1 / math.log2(3) + 1 / math.log2(4)) / 3)
    assert found.chance == pytest.approx(1 / 3)


def test_several_relevant_candidates():
    found = retrieval([[4.0, 3.0, 2.0, 1.0]], [[False, True, False, True]])
    best = 1 + 1 / math.log2(3)
    assert found.ndcg == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / best)
    assert found.recall[1] == 0
    assert found.median_rank == 2


def test_saying_the_same_of_all_is_not_rewarded():
    found = retrieval(np.zeros((4, 20)), np.eye(20, dtype=bool)[:4])
    assert found.median_rank == 20
    assert found.recall[10] == 0


def test_queries_without_an_answer_do_not_count():
    found = retrieval([[1.0, 0.0], [0.0, 1.0]], [[True, False], [False, False]])
    assert (found.queries, found.recall[1]) == (1, 1.0)
    assert math.isnan(retrieval([[1.0]], [[False]]).ndcg)


@pytest.mark.parametrize(
    ("similarities", "relevant", "message"),
    [
        ([[1.0]], [[True, False]], r"must be \(Q, N\) alike, got \(1, 1\) and \(1, 2\)"),
        ([[math.nan]], [[True]], "must not be NaN"),
    ],
)
def test_bad_input(similarities, relevant, message):
    with pytest.raises(ValueError, match=message):
        retrieval(similarities, relevant)
