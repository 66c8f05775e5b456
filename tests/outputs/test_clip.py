import itertools
import shutil
from pathlib import Path

import av
import numpy as np
import pytest

from avel.errors import MediaError, OutputError
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.outputs import write
from avel.outputs.overlay import Overlay
from avel.testing.tone_and_flash import make_clip


def read(path, seconds: float = 1.0):
    with MediaReader(
        path, segment_seconds=seconds, pictures={"p": PictureFormat(frames_per_segment=2, longest_side=4096)}
    ) as reader:
        return reader.info, list(reader)


def times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(frame.time) for frame in container.decode(video=0)]


def changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """(H,) share of each line's pixels that differ by more than an encoder makes them."""
    return (np.abs(before.astype(int) - after.astype(int)).max(axis=2) > 60).mean(axis=1)


def test_it_is_the_same_video_with_labels_during_events(dog, tmp_path):
    path = write(dog, tmp_path / "a.mp4")
    source, before = read(dog.video)
    info, after = read(path)
    assert (info.width, info.height) == (source.width // 2 * 2, source.height)
    assert after[-1].end_seconds == pytest.approx(before[-1].end_seconds, abs=1 / 30)
    assert all(segment.audio_valid for segment in after)
    labels = slice(info.height * 70 // 100, info.height * 90 // 100)  # above the bar
    rest = slice(0, info.height * 60 // 100)
    for segment, original in zip(after, before, strict=True):
        during = segment.start_seconds < 4 or 5 <= segment.start_seconds < 9
        for picture, unlabelled in zip(segment.pictures["p"], original.pictures["p"], strict=True):
            lines = changed(unlabelled, picture)
            share = lines[labels].mean()
            assert share > 0.015 if during else share < 0.005, (segment.start_seconds, share)
            assert lines[rest].mean() < 0.005
            assert lines[-12:].mean() > 0.2  # the bar is always there


def test_sound_and_pictures_keep_their_times(dog, tmp_path):
    path = write(dog, tmp_path / "a.mp4")
    assert times(path) == pytest.approx(times(Path(dog.video)), abs=1e-4)
    with MediaReader(dog.video, segment_seconds=20) as reader:
        (original,) = reader
    with MediaReader(path, segment_seconds=20) as reader:
        (written,) = reader
    a, b = original.waveform[:160_000].astype(float), written.waveform[:160_000].astype(float)
    spectrum = np.fft.rfft(a, 1 << 19) * np.conj(np.fft.rfft(b, 1 << 19))
    lag = int(np.argmax(np.fft.irfft(spectrum)))
    assert min(lag, (1 << 19) - lag) <= 16  # a millisecond
    assert np.corrcoef(a, b)[0, 1] > 0.99


@pytest.mark.parametrize(
    "name", ["no_audio.webm", "test.avi", "h265_10bits.mp4", "test_non_zero_start.mp4", "pancake.mkv", "corrupted.mp4"]
)
def test_odd_files(odd_files, tmp_path, make, name):
    source, before = read(odd_files / name)
    duration = before[-1].end_seconds
    result = make(odd_files / name, duration, [("Bark", duration / 4, duration / 2, "audio-visual", 0.9)])
    path = write(result, tmp_path / "a.mp4")
    info, after = read(path)
    assert after[-1].end_seconds == pytest.approx(duration, abs=0.1)
    assert (info.width, info.height) == (source.width // 2 * 2, source.height // 2 * 2)
    assert (info.sample_rate is None) == (source.sample_rate is None)
    seconds = times(path)
    assert all(later > earlier for earlier, later in itertools.pairwise(seconds))
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
    head = path.read_bytes()[:64_000]
    assert head.index(b"moov") < head.find(b"mdat") or b"mdat" not in head  # starts before it is all there


def test_variable_frame_times_are_kept(make, tmp_path):
    from fractions import Fraction

    moments = [0, 40, 80, 500, 520, 1900, 1940]  # milliseconds
    video = tmp_path / "variable.mkv"
    with av.open(str(video), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 100, np.uint8), format="rgb24")
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    path = write(make(video, 2.0, [("Bark", 0, 1, "audio-visual", 0.9)]), tmp_path / "a.mp4")
    assert times(path) == pytest.approx([moment / 1000 for moment in moments], abs=1e-4)


def test_a_file_without_picture_says_what_to_do(event_clips, make, tmp_path):
    sound = tmp_path / "sound.m4a"
    with av.open(str(event_clips / "dog_bark_02754.mp4")) as source, av.open(str(sound), "w", format="mp4") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(OutputError, match=r"sound.m4a: no picture to draw the events into.*Choose html or png"):
        write(make(sound), tmp_path / "a.mp4")
    assert not (tmp_path / "a.mp4").exists()


def test_a_file_whose_pictures_cannot_be_decoded(event_clips, make, tmp_path):
    broken = tmp_path / "broken.mp4"
    shutil.copy(event_clips / "dog_bark_02677.mp4", broken)
    with av.open(str(broken)) as container:
        spans = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    with broken.open("r+b") as file:
        for position, size in spans:
            file.seek(position)
            file.write(b"\xff" * size)
    with pytest.raises(MediaError, match=r"broken.mp4: no picture of it can be decoded"):
        write(make(broken, 6.0), tmp_path / "a.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["broken.mp4"]


@pytest.mark.parametrize("size", [(16, 16), (160, 120), (120, 400), (1280, 720)])
@pytest.mark.parametrize("count", [0, 1, 3, 30])
def test_labels_fit_into_any_picture(make, size, count):
    name = "a very long name of an event category, " * 3
    overlay = Overlay(make(events=[(f"{name}{i}", 0, 5, "audio-visual", 0.9) for i in range(count)]), size)
    picture = np.full((size[1], size[0], 3), 100, np.uint8)
    overlay.draw(picture, 1.0)
    untouched = (picture == 100).all(axis=2)
    assert not untouched.all()
    if size[1] >= 120:
        assert untouched[: size[1] // 4].all()  # most of the picture stays free


def test_labels_change_where_events_start_and_end(make):
    overlay = Overlay(make(), (320, 240))

    def labelled(seconds: float) -> bool:
        picture = np.full((240, 320, 3), 100, np.uint8)
        overlay.draw(picture, seconds)
        return bool((picture[170:215] != 100).any())

    moments = [0, 1.999, 2, 3, 4.999, 5, 5.5, 6, 7, 2.5]
    assert [labelled(moment) for moment in moments] == [0, 0, 1, 1, 1, 0, 0, 1, 0, 1]


def test_the_bar_shows_how_far_the_video_is(make):
    overlay = Overlay(make(events=[]), (320, 240))
    heads = []
    for seconds in (0, 5, 10):
        picture = np.zeros((240, 320, 3), np.uint8)
        overlay.draw(picture, seconds)
        heads.append(int(np.flatnonzero((picture == 255).all(axis=2).any(axis=0)).mean()))
    assert heads == sorted(heads)
    assert heads[1] == pytest.approx(160, abs=2)


def test_the_veil_lies_where_the_model_looks_and_only_during_events(make_trained):
    overlay = Overlay(make_trained(), (320, 240))

    def red(seconds: float) -> np.ndarray:
        picture = np.full((240, 320, 3), 100, np.uint8)
        overlay.draw(picture, seconds)
        return (picture[:150].astype(int) @ [1, 0, -1]) > 30

    for seconds in (0.0, 1.9, 5.0, 9.9, 20.0):
        assert not red(seconds).any(), seconds
    for seconds in (2.0, 4.9, 3.0):
        marked = red(seconds)
        assert marked[130:, 240:].all()
        assert not marked[:40].any()
        assert not marked[:, :60].any()


def test_a_trained_models_video_is_written(event_clips, make_trained, tmp_path):
    result = make_trained(event_clips / "dog_bark_02754.mp4", duration_seconds=10.031)
    _, before = read(result.video)
    _, after = read(write(result, tmp_path / "a.mp4"))
    for t, (segment, original) in enumerate(zip(after, before, strict=True)):
        added = segment.pictures["p"][1].astype(int) - original.pictures["p"][1]
        warmer = (added[..., 0] - added[..., 2])[100:150, 220:280].mean()
        assert (warmer > 60) == (2 <= t < 5), (t, warmer)


def test_events_are_chapters(make, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", 6.0)
    events = [("Bark", 2.0, 4.0, "audio-visual", 0.9), ("Goat", 3.5, 5.25, "audio", 0.6)]
    with av.open(str(write(make(clip, 6.0, events=events), tmp_path / "a.mp4"))) as container:
        found = [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]
    assert found == [(0.0, 2.0, "No event"), (2.0, 3.5, "Bark"), (3.5, 5.25, "Goat"), (5.25, 6.0, "No event")]
