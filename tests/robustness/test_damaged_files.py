"""Damaged files: nothing ends the process, nothing takes long, and nothing in the wrong place is called valid.

What is known to be left is in docs/limits.md, with the table of a longer run (benchmarks/robustness.py).
"""

from itertools import pairwise

import numpy as np
import pytest

from avel.testing.damage import DAMAGES, MAX_SOUND_SHIFT_SECONDS, Readers, Times, damaged, read_times, shifts
from avel.testing.time_code import CODECS, FRAME_RATE, make_time_coded_clip

pytestmark = pytest.mark.robustness

CASES = 2
SEED = 14
CLIP_SECONDS = 4.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return {suffix: make_time_coded_clip(folder / f"whole{suffix}", CLIP_SECONDS) for suffix in CODECS}


@pytest.fixture(scope="module")
def readers():
    with Readers() as started:
        yield started


@pytest.mark.parametrize("suffix", CODECS)
def test_a_whole_file_says_its_times_everywhere(whole, suffix):
    segments, warnings, found = read_times(whole[suffix])
    assert len(segments) == CLIP_SECONDS
    assert warnings == []
    assert np.abs(found.pictures).max() <= 1 / FRAME_RATE + 1e-6
    # AAC's priming of 21 ms is sound as good as any in MPEG-TS.
    assert np.abs(found.sound).max() <= MAX_SOUND_SHIFT_SECONDS + 0.006


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("suffix", CODECS)
def test_a_damaged_file_is_read_in_its_place_or_refused(tmp_path, whole, readers, suffix, damage):
    for number in range(CASES):
        random = np.random.default_rng([SEED, number])
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(damaged(whole[suffix].read_bytes(), damage, random))
        outcome = readers.examine(path, whole[suffix], is_joined=damage == "splice")
        assert outcome.status in ("read", "refused"), outcome
        assert outcome.shifts == [], outcome
        assert outcome.segments <= 2 * CLIP_SECONDS + 60


def test_no_picture_of_an_ogg_stays_for_those_of_several_lost_pages(tmp_path):
    path = make_time_coded_clip(tmp_path / "clip.ogg", 5.0)
    data = bytearray(path.read_bytes())
    pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
    # Pages of pictures; between them lie pages of one key frame each.
    large = [i for i, end in pairwise(pages) if end - i > 25_000]
    lone = [i for i, end in pairwise(pages) if 1_500 < end - i < 4_000]
    for page in [*large, lone[-3]]:
        data[page + 600] ^= 1
    path.write_bytes(data)
    _, warnings, found = read_times(path)
    assert shifts(found) == []
    assert "parts of the file are missing" in " ".join(warnings)


class TestJudge:
    """What the tests above would find."""

    @staticmethod
    def times(pictures=0.0, sound=0.0):
        return Times(np.full((2, 5), pictures), np.full((2, 20), sound))

    def test_nothing_is_found_in_a_whole_file(self):
        assert shifts(self.times()) == []

    @pytest.mark.parametrize("seconds", [-0.4, 0.08, 3.0])
    def test_pictures_in_the_wrong_place(self, seconds):
        assert len(shifts(self.times(pictures=seconds))) == 2

    @pytest.mark.parametrize("seconds", [-0.03, 0.5])
    def test_sound_in_the_wrong_place(self, seconds):
        assert len(shifts(self.times(sound=seconds))) == 2

    def test_pictures_and_sound_that_are_apart(self):
        assert shifts(self.times(pictures=2.0, sound=2.0), is_joined=True) == []
        assert len(shifts(self.times(pictures=2.0, sound=1.9), is_joined=True)) == 2

    def test_a_picture_that_stays_to_the_end_of_its_second_is_where_it_may_be(self):
        found = self.times()
        found.pictures[1] = [0.0, 0.0, -0.2, -0.4, -0.6]
        assert shifts(found) == []
        found.pictures[1] = [0.0, -0.2, -0.4, 0.0, 0.0]  # pictures were lost without a trace
        assert shifts(found) == []
        found.pictures[1] = [0.48, 0.28, 0.08, 0.0, 0.0]  # the first one stands for moments before it
        assert shifts(found) == []
        found.pictures[1] = [0.0, -0.2, -0.2, 0.0, 0.0]
        assert len(shifts(found)) == 1
        found.pictures[1] = [0.0, -0.2, -0.4, -0.6, 0.0]
        assert len(shifts(found)) == 1

    def test_a_process_that_dies_is_told_and_another_one_starts(self, whole):
        with Readers() as started:
            assert started.examine(whole[".mp4"], whole[".mp4"]).is_handled
            process = started._process
            process.kill()
            process.wait()
            assert started.examine(whole[".mp4"], whole[".mp4"]).status == "crashed"
            assert started.examine(whole[".mp4"], whole[".mp4"]).is_handled
