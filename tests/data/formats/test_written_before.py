"""Labels and results that were written before label formats got a file each (commit 47f2ee7)."""

from pathlib import Path

import pytest
from label_files import as_accepted, spans

from avel.data.formats import read_annotations
from avel.events import Localization

FOLDER = Path(__file__).parent / "written_before"


@pytest.mark.parametrize("name", ["clip.eaf", "clip.txt"])
def test_labels_of_before_are_read(name):
    video = "clip.mp4" if name == "clip.eaf" else "clip"
    found = read_annotations(FOLDER / name)
    assert spans(found) == [(video, 2.0, 5.0, "Bark"), (video, 6.25, 7.5, "Baby cry, infant cry")]
    assert [e.modality for e in found.events] == [None, "audio"]


def test_predictions_of_before_are_read_once_accepted(tmp_path):
    path = tmp_path / "export.json"
    path.write_text(as_accepted((FOLDER / "clip.label-studio.json").read_text()))
    found = read_annotations(path)
    assert [span[1:] for span in spans(found)] == [(2.0, 5.0, "Bark"), (6.25, 7.5, "Baby cry, infant cry")]
    assert [e.modality for e in found.events] == [None, "audio"]


def test_a_result_of_before_is_read():
    found = Localization.from_json(FOLDER / "clip.json")
    assert [(e.category, e.modality) for e in found.events] == [
        ("Bark", "audio-visual"),
        ("Baby cry, infant cry", "audio"),
    ]
