from dataclasses import replace

import numpy as np
import pytest

from avel.errors import MediaError
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.outputs import evidence
from avel.outputs.evidence import gather, sight_segments


def test_frames_are_those_on_screen_in_the_middle_of_their_part(dog):
    found = gather(dog)
    assert len(found.frames) == 9
    assert found.aspect == pytest.approx(299 / 224)  # 298 pixels that are a little wide
    moments = [(i + 0.5) * dog.duration_seconds / 9 for i in range(9)]
    assert [frame.seconds for frame in found.frames] == pytest.approx(moments)
    form = PictureFormat(frames_per_segment=2, longest_side=evidence.FRAME_SIDE)
    with MediaReader(dog.video, segment_seconds=dog.duration_seconds / 9, pictures={"p": form}) as reader:
        expected = [segment.pictures["p"][1] for segment in reader]
    for frame, pixels in zip(found.frames, expected, strict=True):
        np.testing.assert_array_equal(frame.pixels, pixels)


def test_the_envelope_holds_every_sample(dog):
    found = gather(dog)
    assert len(found.low) == evidence.ENVELOPE_POINTS
    assert found.has_sound
    with MediaReader(dog.video, segment_seconds=20, sample_rate=evidence.SAMPLE_RATE) as reader:
        (segment,) = reader
    samples = segment.waveform[: round(dog.duration_seconds * evidence.SAMPLE_RATE)]
    assert np.nanmax(found.high) == pytest.approx(samples.max(), abs=1e-3)
    assert np.nanmin(found.low) == pytest.approx(samples.min(), abs=1e-3)
    loudest = int(np.argmax(np.abs(samples))) / evidence.SAMPLE_RATE
    at = int(np.nanargmax(np.fmax(found.high, -found.low))) * dog.duration_seconds / evidence.ENVELOPE_POINTS
    assert at == pytest.approx(loudest, abs=0.01)


def test_a_file_without_picture(odd_files, event_clips, make, tmp_path):
    import av

    sound = tmp_path / "sound.m4a"
    with av.open(str(event_clips / "dog_bark_02754.mp4")) as source, av.open(str(sound), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    found = gather(make(sound, unseen=tuple(range(10))))
    assert (found.frames, found.aspect, found.has_picture, found.kinds) == ((), None, False, ("audio",))
    assert found.peak > 0.1


def test_a_file_without_sound(odd_files, make):
    found = gather(make(odd_files / "h264_10bits.mp4", duration_seconds=1.0, events=[]))
    assert (found.has_sound, found.peak, found.kinds) == (False, 0.0, ("visual",))
    assert all(frame.pixels is not None for frame in found.frames)


def test_a_vanished_video_is_named(make):
    with pytest.raises(MediaError, match=r"gone.mp4: the video is no longer there.*json, csv, srt or vtt"):
        gather(make("gone.mp4"))


def test_sights_are_the_pictures_in_the_middle_of_events(event_clips, make_trained):
    result = make_trained(event_clips / "dog_bark_02754.mp4", duration_seconds=10.031)
    found = gather(result)
    assert [sight.segment for sight in found.sights] == [2, 3, 4]
    form = PictureFormat(frames_per_segment=1, longest_side=evidence.FRAME_SIDE)
    for sight in found.sights:
        assert sight.frame.seconds == pytest.approx(sight.segment + 0.5, abs=0.13)
        with MediaReader(result.video, segment_seconds=sight.frame.seconds, pictures={"p": form}) as reader:
            _, segment = next(reader), next(reader)
        np.testing.assert_array_equal(sight.frame.pixels, segment.pictures["p"][0])
    assert gather(replace(result, attention=None)).sights == ()


def test_sights_of_many_events_are_the_best_of_each_and_some_more(make_trained):
    events = [("Bark", 100.0, 130.0, "audio-visual", 0.8), ("Bark", 500.0, 501.0, "audio-visual", 0.9)]
    result = make_trained(duration_seconds=3600.0, events=events)
    chosen = sight_segments(result, 6)
    assert len(chosen) == 6
    assert chosen == sorted(set(chosen))
    assert {100, 500} <= set(chosen)
    many = [("Bark", float(t), t + 2.0, "audio-visual", 0.5 + t / 10_000) for t in range(0, 1000, 10)]
    assert sight_segments(make_trained(duration_seconds=1000.0, events=many), 3) == [970, 980, 990]
