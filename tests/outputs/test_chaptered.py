import json
import shutil
import subprocess
from pathlib import Path

import av
import numpy as np
import pytest

from avel.errors import OutputError
from avel.media.reader import MediaReader
from avel.media.types import PictureFormat
from avel.outputs import write, write_all
from avel.testing.tone_and_flash import make_clip

EVENTS = [("Bark & <b>", 1.0, 2.0, "audio-visual", 0.9), ("Häuser", 1.5, 2.5, "audio", 0.5)]
CHAPTERS = [(0.0, 1.0, "No event"), (1.0, 1.5, "Bark & <b>"), (1.5, 2.5, "Häuser"), (2.5, 4.0, "No event")]


def chapters(path: Path) -> list[tuple[float, float, str]]:
    with av.open(str(path)) as container:
        return [
            (float(c["start"] * c["time_base"]), float(c["end"] * c["time_base"]), c["metadata"]["title"])
            for c in container.chapters()
        ]


def packets(path: Path) -> dict[int, list[tuple[bytes, float]]]:
    """What is in each track, and when."""
    found: dict[int, list[tuple[bytes, float]]] = {}
    with av.open(str(path)) as container:
        for packet in container.demux():
            if packet.size and packet.pts is not None:
                place = (bytes(packet), round(float(packet.pts * packet.time_base), 3))
                found.setdefault(packet.stream.index, []).append(place)
    return found


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_all_is_copied_and_chapters_are_added(make, tmp_path, name):
    rate = 48000 if name == "a.webm" else 16000
    codec = "libx264" if name == "a.mkv" else None
    video = make_clip(tmp_path / name, 4.0, events=[(1.0, 2.0)], sample_rate=rate, video_codec=codec)
    before = video.read_bytes()
    (path,) = write_all(make(video, 4.0, EVENTS), tmp_path / "out", ["chapters"])
    assert path.name == ("a.chapters.mkv" if name in ("a.mkv", "a.webm") else "a.chapters.mp4")
    assert video.read_bytes() == before
    assert chapters(path) == CHAPTERS
    copied = packets(path)
    # An MP4 keeps its chapters' titles in a track of their own, too.
    assert {index: copied[index] for index in (0, 1)} == packets(video)
    if shutil.which("ffprobe"):
        run = ["ffprobe", "-v", "error", "-print_format", "json", "-show_chapters", str(path)]
        shown = json.loads(subprocess.run(run, check=True, capture_output=True).stdout)["chapters"]
        assert [(float(c["start_time"]), float(c["end_time"]), c["tags"]["title"]) for c in shown] == CHAPTERS


def test_rotation_languages_titles_and_other_tracks_are_kept(make, tmp_path):
    plain = make_clip(tmp_path / "plain.mp4", 4.0, width=96, rotation_degrees=90)
    video = tmp_path / "rich.mp4"
    with av.open(str(plain)) as source, av.open(str(video), "w", options={"movflags": "use_metadata_tags"}) as target:
        target.metadata.update({"title": "A dog", "com.apple.quicktime.make": "Camera"})
        pictures, sound = source.streams.video[0], source.streams.audio[0]
        made = {pictures: [target.add_stream_from_template(pictures)], sound: []}
        for language in ("deu", "fra"):
            made[sound].append(target.add_stream_from_template(sound))
            made[sound][-1].metadata["language"] = language
        for packet in source.demux(pictures, sound):
            for stream in made[packet.stream] if packet.dts is not None else []:
                packet.stream = stream
                target.mux(packet)
    warnings: list[str] = []
    path = write(make(video, 4.0, EVENTS), tmp_path / "rich.chapters.mp4", warnings=warnings)
    assert warnings == []
    with av.open(str(path)) as container:
        assert container.metadata["title"] == "A dog"
        assert container.metadata["com.apple.quicktime.make"] == "Camera"
        assert [s.metadata["language"] for s in container.streams.audio] == ["deu", "fra"]
    shown = []
    for one in (video, path):
        with MediaReader(one, pictures={"p": PictureFormat(1, longest_side=96)}) as reader:
            shown.append(next(reader).pictures["p"])
    assert shown[0].shape[1:3] == (96, 64)
    assert np.array_equal(*shown)


def test_chapters_that_were_there_are_told_of(make, tmp_path):
    video = make_clip(tmp_path / "a.mp4", 4.0)
    once = write(make(video, 4.0, EVENTS), tmp_path / "once.chapters.mp4")
    warnings: list[str] = []
    again = make(once, 4.0, [("Goat", 3.0, 4.0, "audio", 0.5)])
    twice = write(again, tmp_path / "twice.chapters.mp4", warnings=warnings)
    assert warnings == ["The 4 chapters that the video has are not in the copy; those of the events are."]
    assert chapters(twice) == [(0.0, 3.0, "No event"), (3.0, 4.0, "Goat")]


@pytest.mark.parametrize("name", ["strings_nEmU3.mp4", "speech_nasa.mp4", "dog_bark_avsync.mp4"])
def test_real_clips_are_copied_sample_by_sample(make, event_clips, tmp_path, name):
    path = write(make(event_clips / name, 4.0, EVENTS), tmp_path / "a.chapters.mp4")
    heard = []
    for one in (event_clips / name, path):
        with MediaReader(one) as reader:
            heard.append([segment.waveform for segment in reader])
    assert np.array_equal(*map(np.concatenate, heard))
    assert chapters(path)[:3] == CHAPTERS[:3]


@pytest.mark.parametrize(
    ("name", "copy", "advice"),
    [
        (
            "a.mkv",
            "a.chapters.mp4",
            "so that its copy with chapters is no .mp4. Name it .mkv; or choose mp4, which",
        ),
        (
            "a.mp4",
            "a.chapters.mkv",
            "so that its copy with chapters is no .mkv. Name it .mp4; or choose mp4, which",
        ),
        (
            "a.avi",
            "a.chapters.mp4",
            "is AVI .*MP4, MOV, MKV and WebM can be copied with chapters. Choose mp4",
        ),
    ],
)
def test_a_copy_is_of_the_same_kind(make, tmp_path, name, copy, advice):
    video = make_clip(tmp_path / name, 1.0)
    with pytest.raises(OutputError, match=advice):
        write(make(video, 1.0), tmp_path / copy)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_copy_of_any_name_is_of_the_same_kind(make, tmp_path):
    video = make_clip(tmp_path / "a.mkv", 4.0)
    assert chapters(write(make(video, 4.0, EVENTS), tmp_path / "copy", "chapters")) == CHAPTERS
