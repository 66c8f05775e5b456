import math

import numpy as np
import pytest

from avel.metrics.ov_avebench import ov_avebench_f1


def row(text: str) -> np.ndarray:
    return np.array([[character == "x"] for character in text])


def test_a_video_by_hand() -> None:
    # The event: 3 of 4 segments, none besides; F1 6 / 7. Background: 6 right, 1 too many; F1 12 / 13.
    # Events of the category: 3 of 4 overlap enough; of background: 2..4 against 2..3 and 6..10 against 7..10 do.
    ours, theirs = row("xxx.......")[::-1], row("xxxx......")[::-1]
    segment, event = ov_avebench_f1([(ours, theirs)])
    assert segment == pytest.approx((6 / 7 + 12 / 13) / 2)
    assert event == 1
    # A run of one in place of one of four is no hit; what is around it, 9 to 6, is.
    segment, event = ov_avebench_f1([(row("x........."), row("xxxx......"))])
    assert segment == pytest.approx((2 / 5 + 12 / 15) / 2)
    assert event == pytest.approx((0 + 1) / 2)


def test_another_category_counts_on_both_sides() -> None:
    ours = np.array([[True, False], [False, False]])
    theirs = np.array([[False, True], [False, False]])
    assert ov_avebench_f1([(ours, theirs)]) == (pytest.approx(1 / 3), pytest.approx(1 / 3))  # background is right


def test_videos_count_alike_and_one_without_an_event_can_be_right() -> None:
    nothing = np.zeros((10, 0), bool)
    assert ov_avebench_f1([(nothing, nothing), (row("x"), row("."))]) == (0.5, 0.5)
    assert all(map(math.isnan, ov_avebench_f1([])))
