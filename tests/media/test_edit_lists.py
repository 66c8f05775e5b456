"""MP4 files whose edit list leaves a track empty in its middle."""

import io
from fractions import Fraction

import numpy as np
import pytest
from mp4_edits import with_edits

from avel.media.boxes import EditList, edit_lists
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.testing.tone_and_flash import is_flash, make_clip, picture_number

GAP = [(2, 0), (2, None), (2, 2)]
PICTURES = "The file shows no pictures from 2.00 s to 4.00 s, by its edit list."
SOUND = "The file plays no sound from 2.00 s to 4.00 s, by its edit list."


@pytest.fixture(scope="module", params=["0", "2"], ids=["without-b-frames", "with-b-frames"])
def clip(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("edits") / "clip.mp4"
    options = {"bf": request.param}
    return make_clip(path, 4.0, events=[(0.0, 1.0), (2.5, 3.5)], sample_rate=48000, video_options=options)


class Read:
    """What is read of a file, in the form in which it is compared."""

    def __init__(self, path, frames=5, **options):
        with MediaReader(path, pictures={"few": PictureFormat(frames, width=64, height=64)}, **options) as reader:
            segments = list(reader)
        self.warnings = reader.warnings
        self.seen = "".join("01"[segment.visual_valid] for segment in segments)
        self.heard = "".join("01"[segment.audio_valid] for segment in segments)
        self.pictures = [list(segment.pictures["few"]) for segment in segments]
        self.numbers = [[picture_number(picture) for picture in row] for row in self.pictures]
        loud = np.abs(np.concatenate([segment.waveform for segment in segments])) > 0.05
        blocks = loud[: len(loud) // 160 * 160].reshape(-1, 160).any(axis=1)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], blocks, [0]])))
        self.loud = [(a / 100, b / 100) for a, b in edges.reshape(-1, 2)]


@pytest.mark.parametrize("version", [0, 1])
def test_an_empty_edit_is_neither_seen_nor_heard_and_what_follows_is_in_its_place(tmp_path, clip, version):
    found = Read(with_edits(clip, tmp_path / "gap.mp4", GAP, version=version))
    assert found.seen == found.heard == "110011"
    assert found.numbers[1] == [25, 30, 35, 40, 45]
    # libav puts pictures behind an edit of a stream with B-frames up to one picture late.
    assert np.array(found.numbers[4:]) == pytest.approx(np.array([[50, 55, 60, 65, 70], [75, 80, 85, 90, 95]]), abs=1)
    assert is_flash(found.pictures[4][3])
    assert np.array(found.loud) == pytest.approx(np.array([(0.0, 1.0), (4.5, 5.5)]), abs=0.02)
    assert {PICTURES, SOUND} <= set(found.warnings)
    assert not any(line.startswith("Nothing was recorded") for line in found.warnings)


@pytest.mark.parametrize("begin", [1.0, 2.0, 2.01, 2.05])
@pytest.mark.parametrize("middle", [[], [(0.5, None)]])
def test_sound_behind_an_edit_within_a_packet_is_in_its_place(tmp_path, begin, middle):
    clip = make_clip(tmp_path / "clip.mp4", 4.0, events=[(3.0, 3.5)], sample_rate=16000)  # 64 ms a packet
    edits = [(1, 0), *middle, (4 - begin, begin)]
    found = Read(with_edits(clip, tmp_path / "edited.mp4", edits))
    assert found.loud[0][0] == pytest.approx(1 + sum(seconds for seconds, _ in middle) + 3 - begin, abs=0.011)


def test_pictures_alone_may_be_empty(tmp_path, clip):
    found = Read(with_edits(clip, tmp_path / "gap.mp4", GAP, handlers=(b"vide",)))
    assert found.seen == "110011"
    assert found.heard == "111100"
    assert found.numbers[4][0] == 50
    assert PICTURES in found.warnings
    assert SOUND not in found.warnings


def test_sound_alone_may_be_empty(tmp_path, clip):
    found = Read(with_edits(clip, tmp_path / "gap.mp4", GAP, handlers=(b"soun",)))
    assert found.seen == "111111"
    assert found.heard == "110011"
    assert found.numbers[3] == [75, 80, 85, 90, 95]
    assert found.warnings[0] == SOUND


@pytest.mark.parametrize(
    ("edits", "valid"),
    [
        ([(2, 0), (2, None)], "1100"),  # nothing follows
        ([(2, 0), (30, None), (2, 2)], "11" + "0" * 30 + "11"),  # longer than the track, which libav repeats
        ([(1, 0), (1, None), (1, 1), (1, None), (1, 2)], "10101"),
        ([(1, 0), (1, None), (1, None), (1, 1)], "1001"),
        ([(1, None), (2, 0), (1, None), (2, 2)], "11011"),  # delayed: the timeline begins with the tracks
        ([(2, 0), (2, 2)], "1111"),
    ],
)
def test_any_edits(tmp_path, clip, edits, valid):
    found = Read(with_edits(clip, tmp_path / "edited.mp4", edits))
    assert found.seen == found.heard == valid
    assert bool(found.warnings) == ("0" in valid)


def test_an_empty_edit_within_a_segment_shows_no_picture_of_the_tracks_start(tmp_path, clip):
    found = Read(with_edits(clip, tmp_path / "gap.mp4", [(2.2, 0), (0.4, None), (1.4, 2.6)]), frames=10)
    assert found.seen == found.heard == "1111"
    assert found.numbers[2] == pytest.approx([50, 52, 65, 65, 65, 65, 65, 67, 70, 72], abs=1)


def test_spans_are_rounded_as_libav_rounds_each_duration():
    edits = EditList(1000, ((2010, 7), (2010, -1), (500, 9), (0, -1), (1000, -1)))
    assert edits.empty_spans(Fraction(1, 25)) == [(50, 100), (113, 138)]
    assert edits.restarts(Fraction(1, 25)) == [(100, 9)]
    assert edits.empty_spans(Fraction(1, 1000)) == [(2010, 4020), (4520, 5520)]


def durations(edits):
    return [duration for duration, _ in edits.edits]


def test_an_edit_list_that_declares_more_than_it_holds_is_read_to_its_end(tmp_path, clip):
    data = with_edits(clip, tmp_path / "gap.mp4", GAP).read_bytes()
    place = data.index(b"elst") + 8
    lying = data[:place] + b"\xff" * 4 + data[place + 4 :]
    edits = [2000, 2000, 2000]
    assert [durations(found) for found in edit_lists(io.BytesIO(lying)).values()] == [edits, edits]
    for end in range(data.rindex(b"moov"), len(data), 7):
        for found in edit_lists(io.BytesIO(data[:end])).values():
            assert durations(found) == edits[: len(found.edits)]
