import pytest
from label_files import spans

from avel.data.formats import read_annotations
from avel.errors import AnnotationsError

COLUMNS = ["Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)"]


def table(more, *rows):
    lines = ["\t".join([*COLUMNS, *more]), *("\t".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def test_views_of_one_selection_are_one_event(write):
    content = table(
        ["Species"],
        [1, "Waveform 1", 1, 1.5, 2.5, 0, 4000, "NA"],
        [1, "Spectrogram 1", 1, 1.5, 2.5, 0, 4000, "NA"],
        [2, "Spectrogram 1", 1, 3, 4, 0, 4000, "None"],
    )
    path = write("park.Table.1.selections.txt", content)
    assert spans(read_annotations(path)) == [("park", 1.5, 2.5, "NA"), ("park", 3, 4, "None")]


def test_times_count_from_the_file_that_they_are_in(write):
    content = table(
        ["Begin File", "File Offset (s)", "Annotation"],
        [1, "Spectrogram 1", 1, 61.5, 62.5, 0, 4000, "b.wav", 1.5, "Bark"],
        [2, "Spectrogram 1", 1, 2, 3, 0, 4000, "a.wav", 2, "Bark"],
    )
    assert spans(read_annotations(write("all.txt", content))) == [("b.wav", 1.5, 2.5, "Bark"), ("a.wav", 2, 3, "Bark")]


def test_what_is_missing_is_said(write):
    with pytest.raises(AnnotationsError, match="has no column for the category; looked for annotation, species"):
        read_annotations(write("a.txt", table([])))
    with pytest.raises(AnnotationsError, match="has no column 'selection'"):
        read_annotations(write("a.txt", "x\ty\n"), "raven")
    with pytest.raises(AnnotationsError, match="line 2: Begin Time .s. is 'x', not a number"):
        read_annotations(write("a.txt", table(["Tag"], [1, "v", 1, "x", 2, 0, 1, "Bark"])))
    with pytest.raises(AnnotationsError, match="line 2: 2 values for 8 columns"):
        read_annotations(write("a.txt", table(["Tag"], [1, "v"])))
