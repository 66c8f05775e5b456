"""Files whose times start again, jump or lie, and damage that a container does not show."""

import struct

import av
import numpy as np
import pytest

from avel.errors import MediaError
from avel.media.matroska import CLUSTER
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.testing.tone_and_flash import is_flash, make_clip, picture_number

ONE = {"one": PictureFormat(1, width=64, height=64)}


def read(path, **options):
    with MediaReader(path, pictures=ONE, **options) as reader:
        return list(reader), reader.warnings


def numbers(segments):
    return [picture_number(segment.pictures["one"][0]) for segment in segments]


def seen(segments):
    return "".join("01"[segment.visual_valid] for segment in segments)


def heard(segments):
    return "".join("01"[segment.audio_valid] for segment in segments)


def loud_seconds(segments):
    """Spans of sound, to 0.1 s."""
    samples = np.concatenate([segment.waveform for segment in segments])
    loud = np.abs(samples[: len(samples) // 1600 * 1600].reshape(-1, 1600)).max(axis=1) > 0.1
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]])))
    return [(round(a / 10, 1), round(b / 10, 1)) for a, b in edges.reshape(-1, 2)]


def remux(source, target, shift, **options):
    """Copy a file with its decoding times changed, and so its presentation times."""
    with av.open(str(source)) as old, av.open(str(target), "w", options=options) as new:
        streams = {stream.index: new.add_stream_from_template(stream) for stream in old.streams}
        for packet in old.demux():
            if packet.dts is None:
                continue
            moved = round(shift(float(packet.dts * packet.time_base)) / packet.time_base)
            packet.pts += moved
            packet.dts += moved
            packet.stream = streams[packet.stream.index]
            new.mux(packet)
    return target


def joined(path, *parts):
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


class TestParts:
    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("clip.ts", {}),
            ("clip.mpg", {"video_codec": "mpeg2video", "audio_codec": "mp2", "sample_rate": 48000}),
            ("clip.mkv", {}),  # libav stops after the second one
            ("clip.ogg", {"video_codec": "libvpx", "audio_codec": "libopus", "sample_rate": 48000}),
        ],
    )
    def test_files_one_after_the_other_are_one_timeline(self, tmp_path, name, options):
        clip = make_clip(tmp_path / name, 4.0, events=[(1.0, 2.0)], **options)
        alone, _ = read(clip)
        first = loud_seconds(alone)[0][0]
        parts = 2 if name == "clip.mkv" else 3
        segments, warnings = read(joined(tmp_path / f"joined-{name}", *[clip] * parts))
        assert 4 * parts <= len(segments) <= 4 * parts + 1
        assert heard(segments)[: 4 * parts] == seen(segments)[: 4 * parts] == "1" * 4 * parts
        starts = [start for start, _ in loud_seconds(segments)]
        assert starts == pytest.approx([first + 4.05 * part for part in range(parts)], abs=0.11)
        seams = [line for line in warnings if line.startswith("The times in the file change at ")]
        assert len(seams) == parts - 1
        # The picture flashes while the tone is heard, in all parts.
        for start, end in loud_seconds(segments):
            for segment in segments:
                if start + 0.1 <= segment.start_seconds <= end - 0.1:
                    assert is_flash(segment.pictures["one"][0])

    def test_sound_that_begins_in_the_second_part_is_with_that_parts_pictures(self, tmp_path):
        silent = make_clip(tmp_path / "silent.ts", 4.0, audio_span=None)
        clip = make_clip(tmp_path / "clip.ts", 4.0, events=[(1.0, 2.0)])
        segments, _ = read(joined(tmp_path / "both.ts", silent, clip))
        assert heard(segments) == "00001111"
        assert numbers(segments) == [0, 25, 50, 75, 0, 25, 50, 75]
        assert loud_seconds(segments)[0] == pytest.approx((5.0, 6.1), abs=0.11)
        assert is_flash(segments[5].pictures["one"][0])

    def test_times_that_wrap_around(self, tmp_path):
        clip = make_clip(tmp_path / "clip.mp4", 4.0, events=[(1.0, 2.0)])
        # 2**33 / 90000 is 95443.7 s.
        segments, warnings = read(remux(clip, tmp_path / "wrap.ts", lambda _: 95440))
        assert len(segments) == 4
        assert heard(segments) == seen(segments) == "1111"
        assert loud_seconds(segments)[0] == pytest.approx((1.0, 2.1), abs=0.11)
        assert warnings == []

    def test_a_jump_of_hours_in_a_transport_stream_is_closed_and_told(self, tmp_path):
        clip = make_clip(tmp_path / "clip.mp4", 4.0, events=[(2.5, 3.5)])
        segments, warnings = read(remux(clip, tmp_path / "jump.ts", lambda s: 90000 if s >= 2 else 0))
        assert heard(segments)[:4] == seen(segments)[:4] == "1111"
        assert loud_seconds(segments)[0] == pytest.approx((2.5, 3.6), abs=0.15)
        assert any(line.startswith("The times in the file change at 2.1") and "90002.08 s" in line for line in warnings)

    @pytest.mark.parametrize("name", ["clip.mp4", "clip.flv"])
    def test_files_of_other_kinds_end_with_the_first_and_say_so(self, tmp_path, name):
        clip = make_clip(tmp_path / name, 2.0, sample_rate=44100)
        segments, warnings = read(joined(tmp_path / f"two-{name}", clip, clip))
        assert len(segments) <= 3
        assert any(line.startswith("Another recording begins in the file") for line in warnings)
        assert read(clip)[1] == []

    def test_a_track_that_begins_late_in_the_file_is_an_error(self, tmp_path):
        # Few pictures, each of them large: a track is looked for in the first megabytes, and only then.
        large = {"width": 320, "height": 240, "frame_rate": 5, "video_codec": "mpeg2video"}
        options = {"g": "1", "qscale": "1"}
        silent = make_clip(tmp_path / "v.ts", 60.0, audio_span=None, **large, video_options=options)
        clip = make_clip(tmp_path / "clip.ts", 4.0)
        path = joined(tmp_path / "late.ts", *[silent] * 12, clip, *[silent] * 2)
        with pytest.raises(MediaError, match="a track begins in the middle of the file and cannot be read"):
            read(path)


class TestHoles:
    @pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4", "clip.ts"])
    def test_nothing_is_valid_where_picture_and_sound_stop_together(self, tmp_path, name):
        clip = make_clip(tmp_path / "whole.mp4", 4.0, events=[(0.0, 4.0)])
        segments, warnings = read(remux(clip, tmp_path / name, lambda s: 58 if s >= 2 else 0))
        assert len(segments) == 62
        for valid in (heard(segments), seen(segments)):
            assert valid[:2] == valid[-2:] == "11"
            assert valid[3:59] == "0" * 56
        assert any(line.startswith("Nothing was recorded from 2.") for line in warnings)
        # The same when only the pictures are asked for.
        assert seen(read(tmp_path / name, sample_rate=None)[0]) == seen(segments)

    @pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
    def test_the_last_picture_stays_while_there_is_sound(self, tmp_path, name):
        path = make_clip(tmp_path / name, 4.0, events=[(0.0, 4.0)], video_span=(0.0, 0.08))
        segments, warnings = read(path)
        assert heard(segments) == seen(segments) == "1111"
        assert numbers(segments) == [0, 1, 1, 1]
        assert warnings == []

    def test_the_last_picture_does_not_stand_for_pictures_that_were_lost(self, tmp_path):
        path = make_clip(tmp_path / "clip.mp4", 6.0, events=[(0.0, 6.0)], video_options={"bf": "0"})
        data = bytearray(path.read_bytes())
        with av.open(str(path)) as container:
            packets = [packet for packet in container.demux(video=0) if packet.size]
        for packet in packets[50:]:
            data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
        path.write_bytes(data)
        segments, _ = read(path)
        assert heard(segments) == "111111"
        assert seen(segments)[2:] == "0000"


class TestLies:
    @pytest.mark.parametrize("unit", [0, 1, 10, 100, 2**32 - 1])
    @pytest.mark.parametrize("kind", ["video", "audio"])
    def test_an_absurd_unit_of_time_makes_no_segments(self, tmp_path, unit, kind):
        data = bytearray(make_clip(tmp_path / "clip.mp4", 3.0, events=[(1.0, 2.0)]).read_bytes())
        position = data.index(b"mdhd")
        if kind == "audio":
            position = data.index(b"mdhd", position + 1)
        data[position + 16 : position + 20] = struct.pack(">I", unit)
        (tmp_path / "lie.mp4").write_bytes(data)
        segments, warnings = read(tmp_path / "lie.mp4")
        assert len(segments) <= 11
        assert (seen if kind == "video" else heard)(segments) == "0" * len(segments)
        assert (heard if kind == "video" else seen)(segments).startswith("111")
        assert warnings


class TestUnseenDamage:
    def test_what_follows_lost_bytes_of_an_avi_has_no_place(self, tmp_path):
        path = make_clip(tmp_path / "clip.avi", 10.0, events=[(0.0, 10.0)], width=160, height=120)
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2] + data[len(data) // 2 + 56000 :])
        segments, warnings = read(path)
        assert seen(segments)[:4] == heard(segments)[:4] == "1111"
        good = [segment for segment in segments if segment.visual_valid]
        assert all(picture_number(s.pictures["one"][0]) == 25 * s.index for s in good)
        assert heard(segments)[6:] == seen(segments)[6:] == "0" * len(segments[6:])
        assert any("The file is damaged at byte " in line for line in warnings)

    def test_a_whole_avi_and_one_that_was_cut_off_are_not_damaged(self, tmp_path):
        path = make_clip(tmp_path / "clip.avi", 4.0, events=[(0.0, 4.0)])
        assert read(path)[1] == []
        data = path.read_bytes()
        path.write_bytes(data[: len(data) * 3 // 5])
        segments, _ = read(path)
        assert seen(segments)[:2] == heard(segments)[:2] == "11"

    def test_an_avi_chunk_that_leaves_the_recording_is_damage(self, tmp_path):
        path = make_clip(tmp_path / "clip.avi", 6.0, events=[(0.0, 6.0)])
        data = bytearray(path.read_bytes())
        chunk = data.index(b"01wb", len(data) // 2)
        data[chunk + 4 : chunk + 8] = (0x30000000).to_bytes(4, "little")
        path.write_bytes(data)
        segments, warnings = read(path)
        assert seen(segments)[-2:] == heard(segments)[-2:] == "00"
        assert "no known place" in " ".join(warnings)

    def test_another_avi_within_the_first_has_no_place(self, tmp_path):
        path = make_clip(tmp_path / "clip.avi", 4.0, events=[(0.0, 4.0)])
        data = path.read_bytes()
        end = data.index(b"00dc", len(data) // 2)
        path.write_bytes(data[:end] + data)
        segments, warnings = read(path)
        assert seen(segments)[2:] == "0" * (len(segments) - 2)
        assert "no known place" in " ".join(warnings)

    def test_sound_of_an_avi_that_leaves_the_pictures_beside_it_is_told(self, tmp_path):
        path = make_clip(tmp_path / "clip.avi", 4.0, events=[(0.0, 4.0)], sample_rate=16000)
        data = path.read_bytes()
        rate = data.index(b"auds") + 24
        hertz = int.from_bytes(data[rate : rate + 4], "little")
        path.write_bytes(data[:rate] + (hertz // 2).to_bytes(4, "little") + data[rate + 4 :])
        _, warnings = read(path)
        assert "s apart at its end" in " ".join(warnings)

    def test_blocks_whose_cluster_is_lost_have_no_place(self, tmp_path):
        path = make_clip(tmp_path / "clip.mkv", 16.0, events=[(0.0, 16.0)], width=320, height=240)
        data = path.read_bytes()
        clusters = [i for i in range(len(data)) if data.startswith(CLUSTER, i)]
        assert len(clusters) > 2
        block = data.index(b"\xa3", clusters[1] + 100)
        path.write_bytes(data[: clusters[1] - 50] + data[block:])
        segments, warnings = read(path)
        for segment in segments:
            if segment.visual_valid:
                assert abs(picture_number(segment.pictures["one"][0]) - 25 * segment.index) <= 12
        assert "0" in seen(segments)
        assert "no known place" in " ".join(warnings)

    def test_a_matroska_file_that_tells_no_sizes_is_not_damaged(self, tmp_path):
        path = make_clip(tmp_path / "clip.mkv", 2.0, events=[(0.0, 2.0)])
        with av.open(str(path)) as source, av.open(str(tmp_path / "live.mkv"), "w", options={"live": "1"}) as copy:
            streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    packet.stream = streams[packet.stream.index]
                    copy.mux(packet)
        segments, warnings = read(tmp_path / "live.mkv")
        assert (seen(segments), heard(segments), warnings) == ("11", "11", [])

    def test_what_is_made_from_pictures_that_were_lost_is_damaged_up_to_the_next_key_frame(self, tmp_path):
        path = make_clip(tmp_path / "clip.ts", 9.0, events=[(0.0, 9.0)], video_options={"g": "75"})
        data = path.read_bytes()
        packets = [data[i : i + 188] for i in range(0, len(data), 188)]
        pictures = [i for i, packet in enumerate(packets) if packet[1] & 0x1F == 1 and packet[2] == 0]
        lost = pictures[len(pictures) // 2]
        path.write_bytes(b"".join(packet for i, packet in enumerate(packets) if i != lost))
        segments, warnings = read(path)
        assert seen(segments).startswith("111")
        assert seen(segments).endswith("11")
        assert "0" in seen(segments)
        assert "parts of the file are missing" in " ".join(warnings)

    def test_one_picture_of_a_stream_with_a_wrong_presentation_time_does_not_stay(self, tmp_path):
        path = make_clip(tmp_path / "clip.ts", 4.0, events=[(0.0, 4.0)])
        with av.open(str(path)) as source, av.open(str(tmp_path / "late.ts"), "w") as copy:
            streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None:
                    if packet.stream.type == "video" and 2.0 <= packet.dts * packet.time_base < 2.04:
                        packet.pts += 25 * 90000
                    packet.stream = streams[packet.stream.index]
                    copy.mux(packet)
        segments, warnings = read(tmp_path / "late.ts")
        assert len(segments) <= 5
        assert "wrong times" in " ".join(warnings)

    def test_a_hole_in_the_last_second_is_told(self, tmp_path):
        path = make_clip(tmp_path / "clip.mkv", 4.0, events=[(0.0, 4.0)])
        with av.open(str(path)) as source, av.open(str(tmp_path / "hole.mkv"), "w") as copy:
            streams = {stream.index: copy.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is not None and not 2.9 <= packet.dts * packet.time_base < 3.6:
                    packet.stream = streams[packet.stream.index]
                    copy.mux(packet)
        assert "Nothing was recorded from" in " ".join(read(tmp_path / "hole.mkv")[1])

    @pytest.mark.parametrize("page", range(7, 16))
    def test_what_follows_a_lost_page_of_an_ogg_is_in_its_place(self, tmp_path, page):
        path = make_clip(
            tmp_path / "clip.ogg",
            10.0,
            events=[(second, second + 0.5) for second in range(10)],
            video_codec="libvpx",
            audio_codec="libopus",
            sample_rate=48000,
        )
        whole, _ = read(path)
        data = bytearray(path.read_bytes())
        pages = [i for i in range(len(data)) if data[i : i + 4] == b"OggS"]
        data[pages[page] + 60] ^= 1
        path.write_bytes(data)
        segments, _ = read(path)
        for segment, wanted in zip(segments, whole, strict=False):
            if segment.visual_valid:
                assert picture_number(segment.pictures["one"][0]) == picture_number(wanted.pictures["one"][0])
            if segment.audio_valid:
                held = segment.waveform != 0
                assert np.abs(segment.waveform - wanted.waveform)[held].mean() < 0.05


@pytest.mark.parametrize(("codec", "options"), [("libx264", {"bf": "3"}), ("mpeg4", {"bf": "2"}), ("mpeg4", {})])
def test_pictures_of_an_avi_with_b_frames_are_not_late(tmp_path, codec, options):
    path = make_clip(tmp_path / "clip.avi", 3.0, video_codec=codec, video_options={"g": "50", **options})
    segments, _ = read(path)
    assert numbers(segments) == [0, 25, 50]
