import io
import os

import av
import numpy as np
import pytest
from PIL import Image

from avel.errors import MediaError
from avel.media.reader import MediaReader
from avel.media.rewriting import MP4, VP9
from avel.media.types import PictureFormat
from avel.testing.tone_and_flash import is_flash, make_clip, picture_number
from avel.web import proxy, views
from avel.web.media import MediaFiles
from avel.web.proxy import examine, make_proxy

EVENTS = [(1.0, 1.6), (2.4, 3.0)]


def read(path, per_second=10):
    """When the flash is in the picture and the tone in the sound, to a tenth of a second."""
    flashes, tones = [], []
    with MediaReader(path, pictures={"p": PictureFormat(per_second, longest_side=64)}) as reader:
        for segment in reader:
            flashes += [is_flash(picture) for picture in segment.pictures["p"]]
            tones += [bool(np.abs(part).max() > 0.1) for part in np.split(segment.waveform, per_second)]
    return flashes, tones


@pytest.mark.parametrize(
    ("name", "codecs", "why"),
    [
        ("a.mp4", {}, None),
        ("a.webm", {}, None),
        ("a.mov", {}, None),
        (
            "a.mp4",
            {"video_codec": "libx265", "video_options": {"x265-params": "log-level=none"}},
            "HEVC (H.265) in an MP4",
        ),
        (
            "a.mpg",
            {"video_codec": "mpeg2video", "audio_codec": "mp2", "sample_rate": 32000},
            "files of this kind (MPEG-PS",
        ),
        ("a.avi", {}, "files of this kind (AVI"),
        ("a.mkv", {}, "files of this kind (Matroska"),
        ("a.mp4", {"audio_codec": "ac3", "sample_rate": 32000}, "ac3 sound in an MP4"),
    ],
)
def test_what_browsers_play_and_what_not(tmp_path, name, codecs, why):
    look = examine(str(make_clip(tmp_path / name, 1.0, **codecs)))
    assert (look.unplayable or "").startswith(why) if why else look.unplayable is None
    assert (look.width, look.has_sound) == (64, True)


def test_real_files_get_copies_that_browsers_play(odd_files, tmp_path):
    reasons = {
        "no_duration.webm": "files that do not say how long they are well, since they cannot jump in them",
        "test_non_zero_start.mp4": "a file whose times begin at 8.33 s as it is meant",
        "testsrc2_444_8bit_hevc.mp4": "HEVC (H.265) in an MP4 or MOV file",
        "testsrc2_odd_height_and_width_444.mp4": "pictures stored as yuv444p",
        "testsrc2_odd_height_and_width_mpeg2.mp4": "MPEG-2 in an MP4 or MOV file",
    }
    for name, reason in reasons.items():
        look = examine(str(odd_files / name))
        assert look.unplayable == reason
        copy = tmp_path / f"{name}.copy.mp4"
        make_proxy(str(odd_files / name), copy)
        made = examine(str(copy))
        assert (made.unplayable, made.has_sound) == (None, look.has_sound)
        assert (made.width, made.height) == (look.width // 2 * 2, look.height // 2 * 2)


@pytest.mark.parametrize("encoding", [MP4, VP9])
@pytest.mark.parametrize(
    ("name", "codecs"),
    [
        ("a.mpg", {"video_codec": "mpeg2video", "audio_codec": "mp2", "sample_rate": 32000}),
        ("a.avi", {}),
        ("late.ts", {"start_seconds": 5.0, "audio_span": (0.4, 4.0)}),
    ],
)
def test_a_copy_has_the_same_timeline(tmp_path, monkeypatch, name, codecs, encoding):
    monkeypatch.setattr(proxy, "proxy_encoding", lambda: encoding)
    source = make_clip(tmp_path / name, 4.0, events=EVENTS, **codecs)
    copy = tmp_path / f"copy.{encoding.suffix}"
    told = []
    make_proxy(str(source), copy, progress=told.append)
    assert examine(str(copy)).unplayable is None
    assert [
        sum(a != b for a, b in zip(one, other, strict=True))
        for one, other in zip(read(source), read(copy), strict=True)
    ] == [0, 0]
    assert max(told) > 3.5


def test_a_copy_is_small_and_can_be_sought(tmp_path):
    source = make_clip(tmp_path / "wide.mkv", 3.0, width=1920, height=960, frame_rate=4)
    make_proxy(str(source), tmp_path / "copy.mp4")
    with av.open(str(tmp_path / "copy.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (1280, 640)
        keys = [float(p.pts * p.time_base) for p in container.demux(stream) if p.is_keyframe and p.size]
    assert keys == [0, 1, 2]


def test_the_page_plays_the_copy_when_it_is_there(open_page, tmp_path):
    folder = tmp_path / "videos"
    folder.mkdir()
    make_clip(folder / "old.avi", 1.0)
    page = open_page(folder)
    id_ = page.id_of("old.avi")
    media = page.get(f"videos/{id_}").json()["media"]
    assert media["kind"] == "preparing"
    assert media["note"].startswith("Browsers do not play files of this kind (AVI")
    thread = page.services.media.copying
    if thread is not None:
        thread.join()
    media = page.get(f"videos/{id_}").json()["media"]
    assert (media["kind"], media["note"][-38:]) == ("proxy", "so this is a copy with the same times.")
    answer = page.client.get(media["url"])
    assert (answer.status_code, answer.headers["content-type"], answer.content[4:8]) == (200, "video/mp4", b"ftyp")
    again = open_page(folder)  # it is made once
    assert again.get(f"videos/{id_}").json()["media"]["kind"] == "proxy"


def test_a_strip_has_the_frames_of_its_moments(tmp_path):
    source = make_clip(tmp_path / "a.mp4", 4.0, width=160, height=96, frame_rate=10)
    strip = np.asarray(Image.open(io.BytesIO(views.strip(str(source), 4, 4.0))))
    assert strip.shape == (90, 640, 3)
    frames = [strip[:, n * 160 + 5 : n * 160 + 155] for n in range(4)]  # 150 x 90, with black beside it
    assert [picture_number(frame) for frame in frames] == [5, 15, 25, 35]


def test_long_videos_are_sought_in(tmp_path):
    """One picture in two seconds, all of them key frames."""
    times = list(range(0, 120, 2))
    source = make_clip(
        tmp_path / "long.mp4", 120.0, width=160, height=90, frame_times=times, audio_span=None, video_options={"g": "1"}
    )
    strip = np.asarray(Image.open(io.BytesIO(views.strip(str(source), 10, 120.0))))
    assert [picture_number(strip[:, n * 160 : (n + 1) * 160]) for n in range(10)] == [
        3,
        9,
        15,
        21,
        27,
        33,
        39,
        45,
        51,
        57,
    ]
    picture = np.asarray(Image.open(io.BytesIO(views.thumbnail(str(source)))))
    assert picture_number(picture) in (19, 20)
    for at in (8.5, 90.5):  # decoded up to there, and sought
        picture = np.asarray(Image.open(io.BytesIO(views.thumbnail(str(source), at))))
        assert picture_number(picture) == at // 2


def test_sound_without_picture(tmp_path):
    source = str(make_clip(tmp_path / "a.mp4", 2.0, video_span=None, events=[(0.5, 1.0)]))
    assert not examine(source).has_picture
    with pytest.raises(MediaError, match="has no picture"):
        views.thumbnail(source)
    with pytest.raises(MediaError, match="has no picture"):
        views.strip(source, 3, 2.0)


def test_a_spectrogram_shows_a_tone_where_it_is(tmp_path):
    source = make_clip(tmp_path / "a.mkv", 2.0, events=[(0.5, 1.5)], tone_hertz=1000)
    picture = np.asarray(Image.open(io.BytesIO(views.spectrogram(str(source), 2.0)))).astype(int).sum(axis=2)
    assert picture.shape == (views.SPECTRUM_ROWS, 100)
    row = picture[:, 50].argmax()
    place = 1 - (row + 0.5) / views.SPECTRUM_ROWS
    hertz = views.LOWEST_HERTZ * (views.HIGHEST_HERTZ / views.LOWEST_HERTZ) ** place
    assert hertz == pytest.approx(1000, rel=0.06)
    loud = picture[row] > picture[row].max() / 2
    assert (np.flatnonzero(loud)[0], np.flatnonzero(loud)[-1]) == pytest.approx((25, 74), abs=2)


def test_the_cache_forgets_what_was_not_looked_at(tmp_path, pool):
    cache = tmp_path / "cache"
    cache.mkdir()
    for number in range(5):
        (cache / f"{number}.jpg").write_bytes(bytes(100))
        os.utime(cache / f"{number}.jpg", (number, number))
    files = MediaFiles(cache, pool)
    files.prune(250)
    assert sorted(path.name for path in cache.iterdir()) == ["3.jpg", "4.jpg"]
    files.close()
