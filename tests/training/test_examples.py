"""Labels of clips, held as lists of the classes that are there."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from avel.training.examples import ClipLabels


@st.composite
def labels_of_clips(draw):
    """(M, T, C) of 0 and 1, background where nothing else is, and at times beside it."""
    shape = tuple(draw(st.integers(1, 4)) for _ in range(3))
    dense = draw(arrays(np.bool_, shape))
    dense[..., -1] |= ~dense.any(axis=-1)
    return dense


def listed(dense):
    classes, counts = dense.nonzero()[2], dense.sum(axis=-1).reshape(-1)
    return ClipLabels.listed(classes, counts, *dense.shape[1:])


@given(labels_of_clips(), st.data())
def test_lists_say_what_the_array_says(dense, data):
    labels = listed(dense)
    count, num_segments, _ = dense.shape
    assert len(labels) == count
    assert np.array_equal(labels.dense(), dense)
    assert np.array_equal(labels.first_classes, dense.argmax(axis=-1))
    assert np.array_equal(labels.has_event, dense[..., :-1].any(axis=-1))
    clips = data.draw(st.lists(st.integers(0, count - 1)))
    assert np.array_equal(labels.of(clips).dense(), dense[clips])
    assert np.array_equal(labels.of(clips).with_more(labels).dense(), np.concatenate([dense[clips], dense]))
    segments = [data.draw(st.integers(0, num_segments - 1)) for _ in clips]
    assert np.array_equal(labels.of_segments(clips, segments).dense(), dense[clips, segments][:, None])


def test_many_categories_take_no_room():
    count, num_segments, num_classes = 10_000, 10, 5_001
    labels = ClipLabels.listed(np.arange(100_000) % num_classes, np.ones(100_000), num_segments, num_classes)
    assert len(labels) == count
    assert labels.classes.nbytes + labels.bounds.nbytes < 2_000_000
    assert labels.of([3]).dense()[0].nonzero()[1].tolist() == list(range(30, 40))
