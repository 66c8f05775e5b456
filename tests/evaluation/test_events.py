import sys
from pathlib import Path

import pytest
from hand_made_results import make_result

from avel.errors import AnnotationsError
from avel.evaluation.events import evaluate_events, write_events
from avel.outputs import write

OF_JSON = [("bark", 0, 10, "audio-visual", 0.9), ("bark", 12, 14, "audio", 0.9)]
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
    found = evaluate_events(predictions, labels).metrics
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
    with pytest.raises(ValueError, match="video_seconds must be above 0, got 0"):
        evaluate_events(predictions, labels, video_seconds=0)


def test_lengths_come_from_results_or_from_the_user(labels: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    write(make_result("a.mp4", 40.0, OF_JSON), predictions / "a.json")
    found = evaluate_events(predictions, labels)
    assert found.metrics.segments == 40 + 1  # of b nobody says how long it is
    assert found.metrics.predicted == 1  # what is only heard is no audio-visual event
    assert any(note.startswith("of 1 of 2 videos the length is not known") for note in found.notes)
    assert [(one.name, one.right, one.segments) for one in found.videos] == [("a", 30, 40), ("b", 1, 1)]
    known = evaluate_events(predictions, labels, video_seconds=60)
    assert known.metrics.segments == 120
    assert not any("lengths" in note for note in known.notes)


def test_where_psds_is_not_installed_it_is_said(labels: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "sed_scores_eval.base_modules.scores", None)
    monkeypatch.setitem(sys.modules, "sed_scores_eval", None)
    predictions = tmp_path / "predictions.csv"
    predictions.write_text(HEADER + "a,0,10,bark,0.9\n")
    assert "PSDS is computed for labels of two event categories or more" in evaluate_events(predictions, labels).notes
    labels.write_text(LABELS + "b.mp4,1,2,bell\n")
    found = evaluate_events(predictions, labels)
    assert found.psds == {}
    assert any("PSDS needs the package sed_scores_eval" in note for note in found.notes)


def test_the_page_shows_the_worst_videos(labels: Path, tmp_path: Path) -> None:
    predictions = tmp_path / "predictions.csv"
    predictions.write_text(HEADER + "a,0,10,<b>bark,0.9\nb,1,2,bark,0.5\n")
    write_events(evaluate_events(predictions, labels, video_seconds=40), tmp_path / "x.html")
    text = (tmp_path / "x.html").read_text()
    assert "<b>" not in text
    assert text.index("a <small>20 of 40 segments right") < text.index("b <small>39 of 40 segments right")
    assert 'class="true" style="left:50%;width:25%" title="labelled bark, 20.00 to 30.00 s"' in text
    with pytest.raises(ValueError, match="an evaluation of events is written as .html or .json"):
        write_events(evaluate_events(predictions, labels), tmp_path / "x.txt")
