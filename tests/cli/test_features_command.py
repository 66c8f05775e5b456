import json
import re
import subprocess
import sys
from functools import partial

import pytest
import typer
from audio_tracks import two_sounds
from typer.testing import CliRunner

from avel.cli import console, features
from avel.errors import AnnotationsError, FeaturesError
from avel.features.store import FeatureStore
from avel.testing.tone_and_flash import make_clip

app = typer.Typer()
app.command()(features.extract)
app.add_typer(features.app, name="features")


@pytest.fixture
def avel(weight_file, run_command):
    """Run a command with small networks that are at hand."""
    for name in ("efficientnet-lite0", "yamnet"):
        weight_file(name)
    return partial(run_command, app)


@pytest.fixture
def small():
    return ["--visual", "efficientnet-lite0", "--audio", "yamnet-embedding", "--frames-per-segment", 1]


def test_extract_info_verify_export_import(avel, small, hello, tmp_path, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    store = tmp_path / "s"
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "a.ogv").write_bytes(hello.read_bytes())
    (tmp_path / "v" / "text.mp4").write_text("This is not a video.")
    result = avel("extract", tmp_path / "v", "-o", store, *small, code=1)
    assert result.stdout == f"{store}: 1 extracted, 0 already there, 1 failed\n"
    assert f"error: {tmp_path}/v/text.mp4: not a video or audio file" in result.stderr
    assert re.search(r"v/a\.ogv: 8 of \d+ s \(\d+ %\) looked at", " ".join(result.stderr.split()))
    (tmp_path / "v" / "text.mp4").unlink()
    result = avel("extract", tmp_path / "v", "-o", store)  # as in the store
    assert result.stdout == f"{store}: 0 extracted, 1 already there, 0 failed\n"
    with pytest.raises(FeaturesError, match="Compared with the store, precision is float32, not float16"):
        avel("extract", tmp_path / "v", "-o", store, "--precision", "float32")

    shown = avel("features", "info", store).stdout
    assert "efficientnet-lite0: 1 x 1000 a segment" in shown
    known = json.loads(avel("features", "info", store, "--json").stdout)
    assert (known["videos"], known["segments"], known["failures"]) == (1, 9, [])
    assert known["recipe"]["frames_per_segment"] == 1
    assert known["backbones"]["yamnet-embedding"]["shape"] == [1024]

    result = avel("features", "export", store, tmp_path / "ave", "--segments", 10, "--dtype", "float16")
    assert "1 video filled with zeros: a" in result.stderr
    assert f"{tmp_path}/ave/visual_feature.h5" in result.stdout.splitlines()
    result = avel("features", "import", tmp_path / "ave", tmp_path / "s2", "--audio", "yamnet-embedding")
    assert result.stdout == f"{tmp_path}/s2: 1 video\n"
    assert avel("features", "verify", tmp_path / "s2").stdout == f"{tmp_path}/s2: 1 intact, 0 damaged\n"

    assert avel("features", "verify", store, "--sources").stdout == f"{store}: 1 intact, 0 damaged\n"
    (store / "videos" / "a.safetensors").write_bytes(b"nonsense")
    result = avel("features", "verify", store, code=1)
    assert result.stdout == f"{store}: 0 intact, 1 damaged\n"
    assert "a.safetensors is damaged" in result.stderr
    assert "damaged" in avel("features", "info", store).stdout


def test_features_are_of_the_audio_track_that_is_asked_for(avel, small, tmp_path):
    video = two_sounds(tmp_path / "two.mkv", make_clip(tmp_path / "clip.mp4", 4.0))
    for number, seconds_of_sound in ((1, 1), (2, 4)):
        store = tmp_path / f"s{number}"
        avel("extract", video, "-o", store, *small, "--audio-track", number)
        assert json.loads(avel("features", "info", store, "--json").stdout)["recipe"]["audio_track"] == number
        assert FeatureStore(store).open("two").audio_valid.sum() == seconds_of_sound
    with pytest.raises(FeaturesError, match="Compared with the store, audio_track is 1, not 2"):
        avel("extract", video, "-o", tmp_path / "s2", "--audio-track", 1)
    refused = avel("extract", video, "-o", tmp_path / "s3", *small, "--audio-track", 3, code=1)
    assert "two.mkv: audio track 3 was asked for" in refused.stderr


def test_the_order_of_annotations(avel, small, hello, tmp_path):
    avel("extract", hello, "-o", tmp_path / "s", *small)
    table = tmp_path / "Annotations.txt"
    table.write_text("Category&VideoID&Quality&StartTime&EndTime\nBark&hello&good&0&3\nClock&gone&good&0&10\n")
    with pytest.raises(FeaturesError, match="lacks 1 of 2 videos: gone"):
        avel("features", "export", tmp_path / "s", tmp_path / "ave", "--annotations", table)
    result = avel("features", "export", tmp_path / "s", tmp_path / "ave", "--annotations", table, "--allow-missing")
    assert "1 video missing: gone" in result.stderr
    assert (tmp_path / "ave" / "videos.txt").read_text() == "hello\ngone\n"
    table.write_text("Bark&hello&good&0&3\nnonsense&gone\n")
    with pytest.raises(AnnotationsError, match="line 2 is no row .*Without it all rows would shift"):
        avel("features", "export", tmp_path / "s", tmp_path / "ave", "--annotations", table)
    table.write_text("hello\nhello\n")
    avel("features", "export", tmp_path / "s", tmp_path / "ave", "--annotations", table)
    assert (tmp_path / "ave" / "videos.txt").read_text() == "hello\nhello\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--preset", "avee"], "Unknown preset 'avee'"),
        (["--visual", "none", "--audio", "none"], "needs at least one backbone"),
        (["--visual", "eye"], "no visual backbone is called 'eye'"),
        (["--engine", "ray"], "'ray' is not one of"),
        (["--workers", "2"], "need the engine 'dask'"),
        (["--frames-per-segment", "0"], "frames_per_segment must be a whole number from 1"),
    ],
)
def test_wrong_usage(arguments, message, hello, tmp_path):
    result = CliRunner().invoke(app, ["extract", str(hello), "-o", str(tmp_path / "s"), *arguments])
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert not (tmp_path / "s").exists()


def test_help_does_not_import_heavy_modules():
    heavy = "'torch', 'av', 'openvino', 'distributed', 'h5py', 'numpy'"
    code = f"import sys, avel.cli.features; print([m for m in ({heavy}) if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_fail_ends_the_program(capsys):
    with pytest.raises(SystemExit) as ended:
        console.fail("[no] markup", code=3)
    assert ended.value.code == 3
    assert capsys.readouterr().err == "error: [no] markup\n"
