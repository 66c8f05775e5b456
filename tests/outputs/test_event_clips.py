from pathlib import Path

import av
import numpy as np
import pytest

from avel.errors import MediaError
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.outputs import WriteOptions, event_clips, write
from avel.testing.tone_and_flash import is_flash, make_clip, picture_number

EVENT = (2.2, 3.4)


def frames(path: Path) -> list[tuple[int, float]]:
    """Number and time of each picture of a clip that was made of `make_clip`'s."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [
            (picture_number(frame.to_ndarray(format="rgb24")), float(frame.pts * stream.time_base))
            for frame in container.decode(stream)
        ]


def tone_span(path: Path) -> tuple[float, float]:
    """When the tone begins and ends, on the timeline of a file."""
    with MediaReader(path, segment_seconds=10, sample_rate=16000) as reader:
        waveform = np.concatenate([segment.waveform for segment in reader])
    loud = np.flatnonzero(np.abs(waveform) > 0.15)
    return loud[0] / 16000, loud[-1] / 16000


def flash_span(path: Path) -> tuple[float, float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        start = min(float((s.start_time or 0) * s.time_base) for s in container.streams)
        lit = [
            float(frame.pts * stream.time_base) - start
            for frame in container.decode(stream)
            if is_flash(frame.to_ndarray(format="rgb24"))
        ]
    return lit[0], lit[-1] + 0.04


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.mov", "a.ts", "a.avi", "a.ogv"])
def test_sound_and_pictures_of_a_clip_are_in_step(make, tmp_path, name):
    codecs = {"a.ogv": ("libvpx", "libopus"), "a.mkv": ("libx264", "libopus")}.get(name, (None, None))
    rate = 48000 if name in ("a.mkv", "a.webm", "a.ogv") else 16000
    video = make_clip(
        *(tmp_path / name, 5.0), events=[EVENT], sample_rate=rate, video_codec=codecs[0], audio_codec=codecs[1]
    )
    start, end = flash_span(video)  # which is what the file says: in TS, the timeline starts with what primes the codec
    result = make(video, 5.0, [("Beep & flash", start, end, "audio-visual", 0.9)])
    (clip,) = event_clips.save(result, tmp_path / "clips", 0.5)
    assert clip.name == f"{start:09.3f}-{end:09.3f} Beep & flash.mp4"
    assert flash_span(clip) == pytest.approx((0.5, 0.5 + end - start), abs=0.021)
    assert tone_span(clip) == pytest.approx(tuple(s - start + 0.5 for s in tone_span(video)), abs=0.002)
    with MediaReader(clip) as reader:
        assert sum(s.end_seconds - s.start_seconds for s in reader) == pytest.approx(2.2, abs=0.05)


def pictures_of(clip: Path, rate: int = 25) -> list[int]:
    """Numbers of the pictures, after a check that they follow each other at the rate."""
    found = frames(clip)
    assert [seconds for _, seconds in found] == pytest.approx(
        [found[0][1] + n / rate for n in range(len(found))], abs=1e-3
    )
    assert found[0][1] < 0.1
    return [number for number, _ in found]


def packets_of(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(**{kind: 0}) if packet.size]


@pytest.fixture(scope="module")
def with_keys(tmp_path_factory):
    """A video with a key frame a second, and pictures that need later ones."""
    options = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "bf": "2"}
    folder = tmp_path_factory.mktemp("keys")
    return make_clip(folder / "keys.mp4", 6.0, events=[EVENT], channel_gains=(1.0, 0.25), video_options=options)


def test_a_clip_that_begins_with_a_key_frame_is_copied(make, with_keys, tmp_path):
    events = [("Bark", 2.0, 4.0, "audio-visual", 0.9), ("Bark", 2.48, 4.0, "audio-visual", 0.9)]
    copied, encoded = event_clips.save(make(with_keys, 6.0, events), tmp_path)
    numbers = pictures_of(copied)
    assert numbers[:50] == list(range(50, 100))
    assert len(numbers) <= 50 + event_clips.LATE_SECONDS * 25
    for kind in ("video", "audio"):
        assert set(packets_of(copied, kind)) < set(packets_of(with_keys, kind))
        assert not set(packets_of(encoded, kind)) <= set(packets_of(with_keys, kind))
    assert pictures_of(encoded) == list(range(62, 100))
    for clip, start in ((copied, 2.0), (encoded, 2.48)):
        assert tone_span(clip) == pytest.approx((max(EVENT[0] - start, 0), EVENT[1] - start), abs=0.03)
        with av.open(str(clip)) as container:
            assert container.streams.audio[0].codec_context.channels == 2


def test_a_matroska_file_with_pictures_that_need_later_ones_is_copied(make, tmp_path):
    options = {"g": "25", "keyint_min": "25", "sc_threshold": "0", "bf": "2"}
    video = make_clip(tmp_path / "a.mkv", 5.0, video_codec="libx264", audio_codec="aac", video_options=options)
    result = make(video, 5.0, [("Bark", n, n + 2, "audio-visual", 0.9) for n in (0.0, 2.0)])
    for clip, first in zip(event_clips.save(result, tmp_path / "out"), (0, 50), strict=True):
        assert pictures_of(clip)[:50] == list(range(first, first + 50))
        assert set(packets_of(clip, "audio")) <= set(packets_of(video, "audio"))


@pytest.mark.parametrize("name", ["a.mkv", "a.webm"])
def test_a_copy_is_in_a_container_that_holds_its_codecs(make, tmp_path, name):
    video = make_clip(tmp_path / name, 3.0, sample_rate=48000)
    (clip,) = event_clips.save(make(video, 3.0, [("Bark", 0, 1, "audio-visual", 0.9)]), tmp_path)
    assert clip.suffix == video.suffix
    assert set(packets_of(clip, "video")) <= set(packets_of(video, "video"))


def test_more_clips_than_are_encoded_at_once(make, tmp_path):
    video = make_clip(tmp_path / "a.mp4", 3.0)
    count = event_clips.MAX_OPEN + 2
    events = [("Bark", 0.5, 2.0 + n / 10, "audio-visual", 0.9) for n in range(count)]
    clips = event_clips.save(make(video, 3.0, [*events, events[0], ("Cat", 2.8, 3.0, "visual", 0.5)]), tmp_path / "out")
    assert sorted(clip.name for clip in clips) == sorted(path.name for path in (tmp_path / "out").iterdir())
    names = {clip.name for clip in clips}
    assert {
        "00000.500-00002.000 Bark.mp4",
        "00000.500-00002.000 Bark-2.mp4",
        "00002.800-00003.000 Cat (visual).mp4",
    } < names
    assert len(names) == count + 2
    assert [len(frames(clip)) for clip in clips[-2:]] == [len(range(12, 50)), 5]


def test_nothing_is_overwritten(make, tmp_path):
    video = make_clip(tmp_path / "a.mp4", 2.0)
    result = make(video, 2.0, [("Bark", 0.5, 1.0, "audio-visual", 0.9), ("Bark", 0.0, 2.0, "audio", 0.9)])
    out = tmp_path / "a.clips"
    assert write(result, out) == out
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert len(before) == 2
    assert event_clips.save(result, out) == sorted(before)  # which finds the same ones there
    first = min(before)
    first.write_bytes(b"mine")
    clips = event_clips.save(result, out)
    assert clips == [first.with_name(f"{first.stem}-2.mp4"), max(before)]
    assert first.read_bytes() == b"mine"
    assert clips[0].read_bytes() == before[first]
    write(result, out, options=WriteOptions(pad_seconds=0.5))
    assert len(list(out.iterdir())) == 4


def test_names_are_safe(make, tmp_path):
    video = make_clip(tmp_path / "a.mp4", 1.0)
    odd = ["../../up", "a\\b:c*?", "\x00\x1b[31m", "con", "ü" * 300, "dot. "]
    result = make(video, 1.0, [(name, 0.2, 0.6, "audio-visual", 0.9) for name in odd])
    out = tmp_path / "out"
    clips = event_clips.save(result, out)
    assert sorted(out.iterdir()) == sorted(clips)
    names = {clip.name.removeprefix("00000.200-00000.600 ") for clip in clips}
    assert names == {".._.._up.mp4", "a_b_c__.mp4", "��[31m.mp4", "con.mp4", f"{'ü' * 50}.mp4", "dot.mp4"}


def test_a_result_without_events_has_no_clips(make, tmp_path):
    assert event_clips.save(make(make_clip(tmp_path / "a.mp4", 1.0), 1.0, []), tmp_path / "out") == []
    assert list((tmp_path / "out").iterdir()) == []


def test_sound_alone_and_pictures_alone(make, tmp_path):
    event = ("Bark", 0.48, 1.48, "audio-visual", 0.9)
    sound = make_clip(tmp_path / "s.mp4", 2.0, events=[(0.8, 1.2)], video_span=None)
    (clip,) = event_clips.save(make(sound, 2.0, [event]), tmp_path / "out")
    assert clip.suffix == ".m4a"
    assert tone_span(clip) == pytest.approx((0.32, 0.72), abs=0.002)
    silent = make_clip(tmp_path / "p.mp4", 2.0, audio_span=None)
    (clip,) = event_clips.save(make(silent, 2.0, [event]), tmp_path / "out")
    assert pictures_of(clip) == list(range(12, 37))


def test_what_is_on_screen_when_a_clip_begins_is_in_it(make, tmp_path):
    video = make_clip(tmp_path / "slides.mp4", 9.0, frame_times=[0.0, 3.0, 6.0])
    events = [("Bark", 1.0, 2.0, "audio-visual", 0.9), ("Bark", 5.0, 7.0, "audio-visual", 0.9)]
    early, late = event_clips.save(make(video, 9.0, [*events, ("Bark", 8.0, 9.0, "audio", 0.9)]), tmp_path)[:2]
    assert frames(early)[0] == (0, 0.0)
    assert [one for one in frames(late) if one[0] != 1 or one[1] == 0] == [(1, 0.0), (2, 1.0)]


@pytest.mark.parametrize("degrees", [90, 180])
@pytest.mark.parametrize("start", [0.0, 0.5])
def test_rotation_is_kept(make, tmp_path, degrees, start):
    video = make_clip(tmp_path / "a.mp4", 2.0, width=96, rotation_degrees=degrees)
    (clip,) = event_clips.save(make(video, 2.0, [("Bark", start, 1.0, "audio-visual", 0.9)]), tmp_path / "out")
    wanted = PictureFormat(1, longest_side=96)
    pictures = []
    for path in (clip, video):
        with MediaReader(path, pictures={"p": wanted}, segment_seconds=2.0) as reader:
            pictures.append(next(reader).pictures["p"][0].astype(int))
    assert pictures[0].shape == pictures[1].shape
    if start == 0:
        assert np.abs(pictures[0] - pictures[1]).mean() < 3


@pytest.mark.parametrize(
    "name", ["no_audio.webm", "test.avi", "h265_10bits.mp4", "pancake.mkv", "corrupted.mp4", "failing_audio.mp4"]
)
def test_odd_files(odd_files, tmp_path, make, name):
    with MediaReader(odd_files / name) as reader:
        duration = list(reader)[-1].end_seconds
    result = make(odd_files / name, duration, [("Bark", duration / 4, duration / 2, "audio-visual", 0.9)])
    (clip,) = event_clips.save(result, tmp_path)
    with MediaReader(clip) as reader:
        assert list(reader)[-1].end_seconds == pytest.approx(duration / 4, abs=0.1)


def test_a_video_that_is_gone(make, tmp_path):
    with pytest.raises(MediaError, match="gone.mp4: no such file"):
        write(make(tmp_path / "gone.mp4"), tmp_path / "gone.clips")
    assert list((tmp_path / "gone.clips").iterdir()) == []
