"""Clips whose sound was moved by a known time."""

import json
from pathlib import Path

import av
import numpy as np
import pytest

from avel.errors import MediaError
from avel.synchrony.offset import NATURAL_SECONDS, find_offset

RATE, FRAMES = 16000, 25
FLASHES = np.cumsum(np.random.default_rng(3).uniform(0.4, 1.3, 13))


def write_clip(
    path: Path, late_seconds: float, seconds: float = 12.0, *, moves: bool = True, clicks: bool = True
) -> Path:
    """A bar that jumps at `FLASHES` over noise, and a noise burst each time, `late_seconds` later."""
    random = np.random.default_rng(0)
    with av.open(str(path), "w") as out:
        picture = out.add_stream("ffv1", rate=FRAMES)
        picture.width, picture.height, picture.pix_fmt = 160, 128, "yuv420p"
        sound = out.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for number in range(round(seconds * FRAMES)):
            grey = random.integers(60, 70, (128, 160), np.uint8)
            jumps = int((number / FRAMES + 1e-6 >= FLASHES).sum()) if moves else 0
            row = 40 + 30 * (jumps % 2)
            grey[row : row + 16, 60:100] = 220
            out.mux(picture.encode(av.VideoFrame.from_ndarray(grey, format="gray").reformat(format="yuv420p")))
        samples = random.normal(0, 0.002, round(seconds * RATE))
        for flash in FLASHES if clicks else ():
            at = round((flash + late_seconds) * RATE)
            burst = random.normal(0, 0.3, 1600) * np.exp(-np.arange(1600) / 400)
            samples[max(at, 0) : at + 1600] += burst[: len(samples[max(at, 0) : at + 1600])]
        frame = av.AudioFrame.from_ndarray((samples.clip(-1, 1) * 32767).astype(np.int16)[None], "s16", "mono")
        frame.rate = RATE
        out.mux(sound.encode(frame))
        for stream in (picture, sound):
            out.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("late", [-0.4, -0.2, 0.0, 0.08, 0.2, 0.4])
def test_a_sound_that_was_moved(tmp_path, late):
    found = find_offset(write_clip(tmp_path / "clip.mkv", late + NATURAL_SECONDS))
    assert found.seconds == pytest.approx(late, abs=0.04)
    assert found.confidence > 0.5
    assert found.reason == ""


def test_a_picture_that_has_nothing_to_do_with_the_sound(tmp_path):
    other = write_clip(tmp_path / "clip.mkv", 0.0, moves=False)
    found = find_offset(other)
    assert found.seconds is None
    assert found.confidence < 0.5
    assert found.reason == "No shift fits clearly better than the others."


def test_what_is_missing_or_too_short_is_said(tmp_path, hello):
    assert find_offset(write_clip(tmp_path / "short.mkv", 0.0, 1.5)).reason == "It is too short: 2.0 s."
    silent = tmp_path / "silent.mkv"
    with av.open(str(hello)) as source, av.open(str(silent), "w") as out:
        stream = out.add_stream("ffv1", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for number, frame in enumerate(source.decode(video=0)):
            if number == 20:
                break
            out.mux(
                stream.encode(
                    av.VideoFrame.from_ndarray(frame.to_ndarray(width=64, height=64, format="yuv420p"), "yuv420p")
                )
            )
        out.mux(stream.encode(None))
    assert find_offset(silent).reason == "It has no sound that can be read."
    with pytest.raises(MediaError, match=r"missing\.mkv"):
        find_offset(tmp_path / "missing.mkv")


def test_the_command(tmp_path):
    from typer.testing import CliRunner

    from avel.cli.main import app

    clip = write_clip(tmp_path / "clip.mkv", 0.2 + NATURAL_SECONDS)
    done = CliRunner().invoke(app, ["sync", str(clip), str(tmp_path / "missing.mkv")])
    assert done.exit_code == 1
    assert "ms late (confidence" in done.stdout
    assert "missing.mkv" in done.stderr
    found = json.loads(CliRunner().invoke(app, ["sync", "--json", str(clip)]).stdout)
    assert found["seconds"] == pytest.approx(0.2, abs=0.04)
    assert found["video"] == str(clip)


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "late"), [("events2/pug_barking", 0.2), ("events2/podium_speech", -0.2)])
def test_real_clips_whose_sound_is_moved(shared, tmp_path, clip, late):
    original = shared / "data" / "media" / f"{clip}.mp4"
    moved = tmp_path / "moved.mkv"
    with av.open(str(original)) as pictures, av.open(str(original)) as sounds, av.open(str(moved), "w") as out:
        streams = {
            "video": out.add_stream_from_template(pictures.streams.video[0]),
            "audio": out.add_stream_from_template(sounds.streams.audio[0]),
        }
        for packet in pictures.demux(video=0):
            if packet.dts is not None:
                packet.stream = streams["video"]
                out.mux(packet)
        for packet in sounds.demux(audio=0):
            if packet.dts is not None:
                ticks = round(late / packet.time_base)
                packet.pts, packet.dts = packet.pts + ticks, packet.dts + ticks
                if packet.pts >= 0:
                    packet.stream = streams["audio"]
                    out.mux(packet)
    assert find_offset(moved).seconds == pytest.approx(late, abs=0.04)
