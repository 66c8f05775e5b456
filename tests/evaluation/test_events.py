from pathlib import Path

import pytest

from avel.errors import AnnotationsError
from avel.evaluation.events import evaluate_events

LABELS = "video,start_seconds,end_seconds,category\na.mp4,0,10,bark\na.mp4,20,30,bark\nb.mp4,,,\n"
HEADER = "video,start_seconds,end_seconds,category,score\n"


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    path = tmp_path / "labels.csv"
    path.write_text(LABELS)
    return path


def test_a_table_of_any_tool_is_measured(labels: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.csv"
    predictions.write_text(HEADER + "sub/a.wav,20,25,bark,0.2\na,0,10,bark,0.9\nb,1,2,bark,0.5\n")
    found = evaluate_events(predictions, labels)
    # By score: a hit, a miss, and a hit at a tIoU of up to 0.5.
    assert found.mean_average_precision["0.5"] == pytest.approx((1 + 2 / 3) / 2)
    assert found.mean_average_precision["0.6"] == pytest.approx(1 / 2)
    assert (found.event_precision, found.event_recall) == (pytest.approx(2 / 3), 1.0)


def test_what_cannot_be_measured_says_why(labels: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.csv"
    predictions.write_text(HEADER + "c,0,1,bark,0.9\n")
    with pytest.raises(AnnotationsError, match="has events of 'c', of which .* has no label"):
        evaluate_events(predictions, labels)
    predictions.write_text(HEADER + "a,0,1,bark,much\n")
    with pytest.raises(AnnotationsError, match="a score is no number"):
        evaluate_events(predictions, labels)
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(AnnotationsError, match="x.json: is no result of avel localize"):
        evaluate_events(tmp_path / "x.json", labels)
    (tmp_path / "empty").mkdir()
    with pytest.raises(AnnotationsError, match="has no .json or .csv file"):
        evaluate_events(tmp_path / "empty", labels)
