import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from avel.media.timeline import Coverage, PageClock, PartJoiner


def placed(joiner, packets):
    """Times on the timeline of (track, time, item) packets of 0.1 s; ``None`` for those whose times are wrong."""
    ready = []
    for track, seconds, item in packets:
        ready += joiner.add(track, seconds, 0.1, (track, seconds, item))
    ready += joiner.finish()
    found = {}
    for packet in ready:
        track, seconds, item = packet.item
        known = packet.offset_seconds is not None and seconds is not None
        found[track, item] = round(seconds + packet.offset_seconds, 6) if known else None
    assert len(ready) == len(packets)
    return found


def part(first, count, number, tracks=("video", "audio"), audio_late=0.0):
    """Packets of a part of a file, interleaved: item is (number of the part, number of the packet)."""
    return [
        (track, round(first + i / 10 + (audio_late if track == "audio" else 0), 6), (number, i))
        for i in range(count)
        for track in tracks
    ]


def test_one_part_stays_as_it_is():
    joiner = PartJoiner(("video", "audio"))
    packets = part(100.0, 30, 0)
    assert placed(joiner, packets) == {(track, item): seconds for track, seconds, item in packets}
    assert joiner.seams == []


def test_parts_that_begin_again_follow_each_other_and_tracks_stay_together():
    joiner = PartJoiner(("video", "audio"))
    found = placed(joiner, part(5.0, 40, 0) + part(5.0, 40, 1) + part(0.0, 40, 2, audio_late=0.03))
    for track in ("video", "audio"):
        assert found[track, (0, 39)] == 8.9
        assert found[track, (1, 0)] == 9.0
    assert found["video", (2, 0)] == 13.0
    assert found["audio", (2, 0)] == 13.03
    assert [(seam.at_seconds, seam.from_seconds, seam.to_seconds) for seam in joiner.seams] == [
        (pytest.approx(9), pytest.approx(9), 5.0),
        (pytest.approx(13), pytest.approx(9), 0.0),
    ]


def test_a_track_that_is_in_some_parts_only_is_in_its_place():
    joiner = PartJoiner(("video", "audio"))
    silent = ("video",)
    found = placed(joiner, part(0.0, 40, 0, silent) + part(0.0, 40, 1, silent) + part(0.0, 40, 2))
    assert found["audio", (2, 0)] == found["video", (2, 0)] == 8.0
    joiner = PartJoiner(("video", "audio"))
    found = placed(joiner, part(0.0, 40, 0) + part(0.0, 40, 1, silent) + part(0.0, 40, 2))
    assert found["audio", (2, 0)] == found["video", (2, 0)] == 8.0


def test_a_track_that_ends_early_in_a_part_does_not_pull_the_next_part_forward():
    joiner = PartJoiner(("video", "audio"))
    first = [packet for packet in part(0.0, 40, 0) if packet[0] == "video" or packet[1] < 2]
    found = placed(joiner, first + part(0.0, 40, 1))
    assert found["audio", (1, 0)] == found["video", (1, 0)] == 4.0


@pytest.mark.parametrize("wrong", [-3.0, 5.0, 90000.0])
@pytest.mark.parametrize("number", [1, 7, 28])
def test_one_wrong_time_moves_nothing_else(wrong, number):
    joiner = PartJoiner(("video", "audio"))
    packets = part(10.0, 30, 0)
    expected = {(track, item): seconds for track, seconds, item in packets}
    packets[2 * number] = ("video", packets[2 * number][1] + wrong, packets[2 * number][2])
    expected["video", (0, number)] = None
    assert placed(joiner, packets) == expected
    assert joiner.seams == []


def test_a_hole_stays_and_a_jump_of_more_than_a_minute_is_a_seam():
    joiner = PartJoiner(("video", "audio"))
    found = placed(joiner, part(0.0, 20, 0) + part(60.0, 20, 1) + part(1000.0, 20, 2))
    assert found["video", (1, 0)] == found["audio", (1, 0)] == 60.0
    assert found["video", (2, 0)] == found["audio", (2, 0)] == 62.0
    assert len(joiner.seams) == 1


def test_pictures_of_a_slide_show_are_far_apart():
    joiner = PartJoiner(("video", "audio"))
    found = placed(joiner, [("video", seconds, seconds) for seconds in (0.0, 7.0, 14.0, 40.0)])
    assert found == {("video", seconds): seconds for seconds in (0.0, 7.0, 14.0, 40.0)}


def test_offsets_are_whole_units_of_the_coarsest_track():
    joiner = PartJoiner(("video", "audio"), grid_seconds=0.04)
    found = placed(joiner, part(0.0, 33, 0) + part(0.0, 33, 1))
    assert found["video", (1, 0)] == pytest.approx(3.32)


@given(
    st.lists(st.tuples(st.integers(0, 100), st.integers(20, 40)), min_size=1, max_size=6),
    st.floats(-0.3, 0.3),
)
@example([(0, 26), (2, 20)], 0.0)
def test_any_parts_keep_their_order_and_their_tracks_together(parts, audio_late):
    joiner = PartJoiner(("video", "audio"))
    packets = []
    for number, (first, count) in enumerate(parts):
        packets += part(first + 1.0, count, number, audio_late=round(audio_late, 3))
    found = placed(joiner, packets)
    before = None
    for number, (_, count) in enumerate(parts):
        for i in range(count):
            picture, sound = found["video", (number, i)], found["audio", (number, i)]
            assert sound - picture == pytest.approx(audio_late, abs=2e-3)
            if before is not None:
                assert picture >= before - 0.5
            before = picture


class TestPageClock:
    @staticmethod
    def read(packets, end_seconds=None):
        clock, pages = PageClock(), []
        for page, seconds, *track in packets:
            pages += clock.add(*track or ["audio"], page, seconds, 0.1, seconds)
        pages += clock.end("audio", end_seconds) + clock.end("video")
        return [round(seconds + late, 6) for page in pages for seconds, late in page]

    def test_times_that_go_on_stay(self):
        assert self.read([(0, 0.0), (0, 0.1), (1, 0.2), (1, 0.3)]) == [0.0, 0.1, 0.2, 0.3]

    def test_a_page_after_a_lost_one_ends_where_the_next_begins(self):
        assert self.read([(0, 0.0), (0, 0.1), (5, 0.2), (5, 0.3), (6, 1.4)]) == [0.0, 0.1, 1.2, 1.3, 1.4]

    def test_the_last_page_ends_with_the_track(self):
        assert self.read([(0, 0.0), (5, 0.1), (5, 0.2)], end_seconds=2.0) == [0.0, 1.8, 1.9]

    def test_the_first_packets_of_a_page_may_be_early(self):
        assert self.read([(0, 0.0), (5, 0.1), (5, 1.2), (5, 1.3)]) == [0.0, 1.1, 1.2, 1.3]

    def test_pages_keep_the_order_of_the_file(self):
        packets = [(0, 0.0), (1, 7.0, "video"), (2, 7.1, "video"), (3, 0.1)]
        assert self.read(packets) == [0.0, 7.0, 7.1, 0.1]

    def test_a_track_that_ends_early_does_not_hold_the_others_for_long(self):
        clock = PageClock()
        clock.add("audio", 0, 0.0, 0.1, "sound")
        pages = [page for number in range(1, 100) for page in clock.add("video", number, number / 10, 0.1, number)]
        assert [page[0][0] for page in pages] == ["sound", *range(1, 99)]
        assert len(clock.add("video", 100, 10.0, 0.1, 100)) == 1
        assert len(clock.add("audio", 101, 0.1, 0.1, "more")) == 0


def test_a_track_of_an_ogg_that_went_back_first_begins_the_part_with_the_other():
    """Pictures of two seconds follow, of which the first 0.8 s were there already; sound goes back by two seconds."""
    joiner = PartJoiner(("video", "audio"), may_repeat=True)
    before = [packet for packet in part(0.0, 30, 0) if packet[0] == "audio" or packet[1] < 2.4]
    after = [packet for packet in part(1.0, 20, 1) if packet[0] == "audio" or packet[1] >= 1.6]
    first = next(i for i, packet in enumerate(after) if packet[0] == "video")
    found = placed(joiner, [*before, *after[first : first + 2], *after[:first], *after[first + 2 :]])
    assert found["video", (1, 19)] == found["audio", (1, 19)] == pytest.approx(4.9)


def test_coverage_knows_where_sound_stops_together_with_a_moment():
    sound = Coverage()
    assert sound.holes_from(0.0) == []
    for start in (0.0, 0.5, 1.0, 60.0, 60.5):
        sound.add(start, 0.5)
    assert sound.holes_from(2.0) == [(1.5, 60.0)]
    assert sound.holes_from(30.0) == []
    assert sound.holes_from(60.8) == [(61.0, float("inf"))]


def test_coverage_does_not_believe_long_packets():
    sound = Coverage()
    sound.add(0.0, 58.0)
    assert sound.end_seconds == 0.5
