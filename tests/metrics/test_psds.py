import pytest

from avel.metrics.detection import TimedEvent

pytest.importorskip("sed_scores_eval", reason="sed_scores_eval is not installed (pip install 'avel[psds]')")

from avel.metrics.psds import psds

HOUR = {"v": 1800.0, "w": 1800.0}
STARTS = {"bark": 0, "bell": 100}
TRUE = [TimedEvent("v", name, start + 20 * n, start + 20 * n + 10) for name, start in STARTS.items() for n in (0, 1)]


def test_a_perfect_answer_has_1_and_none_has_0():
    perfect = [event._replace(score=-3.0) for event in TRUE]  # any scale
    assert psds(perfect, TRUE, HOUR) == {"psds1": pytest.approx(1), "psds2": pytest.approx(1)}
    assert psds([], TRUE, HOUR) == {"psds1": 0, "psds2": 0}


def test_by_hand():
    # Half of one event is enough for PSDS 2 and not for PSDS 1; before it, at a higher score, stand 50 false alarms in
    # an hour, half of the 100 at which the curve ends. So PSDS 2 has 1 / 2 throughout, and 1 / 2 more from 50 on. Both
    # categories alike, so that nothing is taken off for their differences.
    predicted = []
    for name, start in STARTS.items():
        shift = 5 if name == "bell" else 0
        predicted.append(TimedEvent("v", name, start, start + 10, 0.9))
        predicted += [TimedEvent("w", name, 10 * n + shift, 10 * n + shift + 4, 0.8) for n in range(50)]
        predicted.append(TimedEvent("v", name, start + 20, start + 25, 0.7))
    found = psds(predicted, TRUE, HOUR)
    assert found["psds1"] == pytest.approx(1 / 2)
    assert found["psds2"] == pytest.approx(1 / 2 + 1 / 2 * 1 / 2)
