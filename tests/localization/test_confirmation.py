import numpy as np

from avel.localization.confirmation import confirmed
from avel.localization.decoding import SegmentScores
from avel.synchrony.witness import Witness


def witness(*confidence):
    count = len(confidence)
    return Witness(np.array(confidence, np.float32), np.zeros(count, np.float32), np.zeros((count, 8, 8), np.float32))


def scores(**settings):
    events = np.array([[0.1, 0.1], [0.1, 0.1], [0.8, 0.1]], np.float32)
    audio = np.array([[0.9, 0.9], [0.9, 0.9], [0.8, 0.2]], np.float32)
    return SegmentScores(("Hammer", "Engine"), events, audio, np.zeros_like(events), **settings)


def test_what_is_heard_and_in_time_is_an_event():
    found = confirmed(scores(in_time=np.array([True, False])), witness(0.7, 0.2, 0.6))
    np.testing.assert_allclose(found.events, [[0.7, 0.1], [0.2, 0.1], [0.8, 0.1]])
    assert found.events.dtype == np.float32


def test_no_category_is_confirmed_that_is_not_made_by_a_motion():
    before = scores(in_time=np.array([False, False]))
    np.testing.assert_array_equal(confirmed(before, witness(1, 1, 1)).events, before.events)
    assert confirmed(scores(), witness(1, 1, 1)).events[0, 0] == np.float32(0.1)  # a model that does not say
