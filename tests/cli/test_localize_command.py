import functools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from audio_tracks import two_sounds
from tiny_backbones import load
from tiny_checkpoints import write_checkpoint
from typer.testing import CliRunner

import avel
from avel.batch import arrivals, one
from avel.batch.run import default_settings
from avel.cli import console
from avel.cli.main import app
from avel.data.corrections import Corrections, corrections_path
from avel.errors import OutputError
from avel.events import Localization
from avel.outputs.destination import Destination
from avel.testing.tone_and_flash import make_clip
from avel.web import jobs

ROOT = Path(__file__).parents[2]
needs_weights = pytest.mark.usefixtures("localizer_weights")


def run(*arguments, stdin=None):
    """The program in its own process, as a user runs it."""
    return subprocess.run(
        [sys.executable, "-m", "avel", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=600,
        check=False,
    )


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_help_loads_no_network_library():
    code = (
        "import sys; from typer.testing import CliRunner; from avel.cli.main import app;"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0;"
        "sys.exit(bool({'torch', 'openvino', 'av', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_version():
    assert invoke("--version").stdout.strip() == f"avel {avel.__version__}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.mp4", "--format", "gif"], "Unknown format 'gif'. Supported formats are json"),
        (["a.mp4", "b.mp4", "-o", "out.json"], "out.json is one file; for several videos or formats give a folder"),
        (["a.mp4", "-o", "out.json", "--format", "csv,srt"], "out.json is one file; for several videos or formats"),
        (
            ["a.mp4", "-o", "out.json", "--format", "csv"],
            "out.json has the suffix of the format json, but csv is asked for. Leave --format out, or change the "
            "suffix to .csv.",
        ),
        (["a.mp4", "-o", "-", "--format", "png"], "Standard output takes one of json, csv, srt, vtt"),
        (["a.mp4", "-o", "-", "--format", "json,csv"], "Standard output takes one of"),
        (["-", "-"], "Standard input (-) holds one video; it is there twice."),
        (["a.mp4", "-o", "x.sttr"], "x.sttr: no format has the suffix .sttr. A file's suffix is one of .json, .csv"),
        (["a.mp4", "--format", "coco", "-o", "out", "--model", "none"], "Unknown model 'none'"),
        (["a.mp4", "-o", "out", "--pad", "1"], "--pad is of clips. Add --clips."),
        (["a.mp4", "-o", "out", "--clips", "--pad", "-1"], "pad_seconds must be 0 or more, got -1.0."),
        (["a.mp4", "--clips"], "give a folder with -o for others"),
        (["a.mp4", "--watch", "-o", "out"], "--watch looks for videos in folders. Give folders that are there"),
        ([".", "--watch", "-o", "."], ".: it is the folder of the results, in which videos count as results"),
        ([".", "--watch"], "--watch needs a folder for the results: -o FOLDER."),
        ([".", "--watch", "-o", "out", "--force"], "--force would do everything again whenever a video arrives."),
        ([".", "--watch", "-o", "out", "--workers", "2"], "--watch works in one process."),
        ([], "There is no video to localize. Name files or folders, or give --list."),
        (["a.mp4", "--engine", "local", "--scheduler", "tcp://a:1"], "A scheduler is one of Dask"),
        (["a.mp4", "--workers", "2", "--scheduler", "tcp://a:1"], "give either --workers or --scheduler"),
        (["a.mp4", "--model", "none"], "Unknown model 'none'. Available models are"),
        (["a.mp4", "--segment-seconds", "0"], "segment_seconds must be from 0.2 to 30.0, got 0.0"),
        (["a.mp4", "--precision", "float8"], "float8"),
        (["a.mp4", "--device", "tpu"], "tpu"),
    ],
)
def test_wrong_usage_ends_with_2_and_says_why(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.mp4").write_text("not a video")
    (tmp_path / "b.mp4").write_text("not a video")
    result = invoke("localize", *arguments)
    assert message in result.stderr.replace("\n", " ")
    assert result.exit_code == 2


def test_a_place_that_is_none_to_write_to_is_told_before_a_network_is_loaded(tmp_path, monkeypatch):
    monkeypatch.setattr("avel.localization.localizer.Localizer.__init__", lambda *_, **__: pytest.fail("loaded"))
    (tmp_path / "a.mp4").write_text("not a video")
    result = invoke("localize", tmp_path / "a.mp4", "-o", tmp_path / "a.mp4" / "x.json")
    assert isinstance(result.exception, OutputError)  # which main prints
    assert "a.mp4/x.json: a part of its path is a file, not a folder" in str(result.exception)


def test_a_file_of_categories_that_is_not_there(tmp_path):
    (tmp_path / "a.mp4").write_text("not a video")
    result = invoke("localize", tmp_path / "a.mp4", "--categories", tmp_path / "none.toml")
    assert result.exit_code == 1
    assert "none.toml: cannot be read" in result.stderr
    assert "Traceback" not in result.stderr


@needs_weights
def test_categories_in_words_are_told_before_the_events(hello):
    words = ("--categories", "man speaking, helicopter", "--explain")
    done = invoke("localize", hello, *words, "--audio-tagger", "embedded")
    assert done.exit_code == 0, done.output
    assert "Sound could be read in 9 of 9 segments, the picture in 9." in done.stderr
    assert re.search(r"man speaking +0\.\d\d at \d s +0\.\d\d at \d s .* found", done.stderr)
    assert "notice: helicopter: heard as Helicopter 1.00; nothing to see it by" in done.stderr
    assert "\tman speaking\taudio-visual\t" in done.stdout


@needs_weights
def test_one_video_prints_its_events(hello):
    result = invoke("localize", hello)
    assert result.exit_code == 0, result.output
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0][0] == str(hello)
    assert float(rows[0][1]) == pytest.approx(0, abs=0.2)
    assert any(row[3:5] == ["Male speech, man speaking", "audio-visual"] for row in rows)


@needs_weights
def test_the_audio_track_that_is_asked_for_is_heard_and_named(event_clips, tmp_path):
    video = two_sounds(tmp_path / "two.mkv", event_clips / "dog_bark_avsync.mp4")
    heard = {}
    for number in (1, 2):
        done = invoke("localize", video, "--audio-track", number, "--format", "json")
        assert done.exit_code == 0, done.output
        result = json.loads(done.stdout)
        assert result["model"]["audio_track"] == number
        heard[number] = [event for event in result["events"] if event["modality"] != "visual"]
    assert heard[2]
    assert not heard[1]
    done = invoke("localize", video, "--audio-track", 3)
    assert done.exit_code == 1
    assert "two.mkv: audio track 3 was asked for; the audio tracks that can be read are: 1, 2." in done.stderr


@needs_weights
def test_a_failing_video_stops_no_other(hello, tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    result = invoke("localize", text, hello, tmp_path / "none.mp4", "-o", tmp_path / "out", "--format", "json,csv")
    assert result.exit_code == 1
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == [".avel-thumbnails", ".avel.jsonl", "hello.csv", "hello.json", "index.html", "summary.csv"]
    assert json.loads((tmp_path / "out" / "hello.json").read_text())["events"]
    lines = result.stderr.splitlines()
    assert [line for line in lines if "text.mp4" in line]
    assert [line for line in lines if "none.mp4" in line]
    assert "1 video localized, 0 done before, 1 failed." in " ".join(lines)
    assert "Traceback" not in result.stderr


@needs_weights
def test_standard_input_to_standard_output(hello):
    result = run("localize", "-", "-o", "-", stdin=hello.read_bytes())
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["video"] == "-"


def test_several_videos_to_standard_output_are_json_lines(trained, minute, tmp_path):
    path, _ = trained
    second = tmp_path / "second.mkv"
    second.symlink_to(minute)
    result = invoke("localize", minute, second, "--model", path, "--format", "json")
    assert result.exit_code == 0, result.output
    videos = [json.loads(line)["video"] for line in result.stdout.splitlines()]
    assert videos == [str(minute), str(second)]


def test_one_video_to_one_file_by_its_suffix(trained, minute, tmp_path):
    path, _ = trained
    target = tmp_path / "report.html"
    result = invoke("localize", minute, "--model", path, "-o", target)
    assert result.stdout.strip() == str(target)
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_weights_list_names_every_file():
    result = invoke("weights", "list")
    assert result.exit_code == 0
    for name in ("vgg19", "yamnet", "efficientnet-lite0"):
        assert name in result.stdout


def test_weights_path_of_an_unknown_name():
    result = invoke("weights", "path", "resnet")
    assert result.exit_code == 2
    assert "resnet" in result.stderr


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """A checkpoint whose features are made by two tiny networks; calls of the visual one are counted."""
    from avel.localization import localizer

    calls = []

    def counting(recipe, device, threads):
        backbones = load(recipe, device, threads)
        visual = backbones.visual[0]

        class Counted(type(visual)):
            def __call__(self, pictures):
                calls.append(len(pictures))
                on_call = trained_hooks.get(len(calls))
                if on_call is not None:
                    on_call()
                return super().__call__(pictures)

        visual.__class__ = Counted
        return backbones

    trained_hooks = {}
    monkeypatch.setattr(localizer, "Localizer", functools.partial(localizer.Localizer, loader=counting))
    options = {"lstm_dims": 4, "attention_dims": 4, "attention_hidden_dims": 4}
    return write_checkpoint(tmp_path / "a.safetensors", **options), trained_hooks


@pytest.fixture(scope="module")
def minute(tmp_path_factory):
    return make_clip(
        tmp_path_factory.mktemp("clip") / "minute.mkv", 60, events=[(5, 30)], frame_rate=2, sample_rate=8000
    )


def test_a_checkpoint_finds_events(trained, minute, tmp_path):
    path, _ = trained
    result = invoke("localize", minute, "--model", path, "-o", tmp_path / "out", "--format", "json,csv,srt,vtt")
    assert result.exit_code == 0, result.output
    assert "notice: Regions of mean-colours (4) form no grid" in " ".join(result.stderr.split())
    written = json.loads((tmp_path / "out" / "minute.json").read_text())
    assert written["model"]["name"] == "a+v-att"
    assert written["segments"][0]["audio_scores"] is None
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        ".avel.jsonl",
        *(f"minute.{name}" for name in ("json", "csv", "srt", "vtt")),
    }


def test_how_far_a_video_is_read_is_told_where_there_is_no_terminal(trained, minute, tmp_path, monkeypatch):
    path, _ = trained
    arguments = ("localize", minute, "--model", path)
    assert "looked at" not in said(invoke(*arguments))  # it takes less than ten seconds
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)  # a line whenever something is read
    lines = [f"{minute}: {seconds} of 60 s" for seconds in (8, 16, 24, 32, 40, 48, 56, 60)]
    loud = invoke(*arguments)
    found = re.findall(r"\S+minute.mkv: \d+ of 60 s", said(loud))
    assert list(dict.fromkeys(found)) == lines
    quiet = invoke(*arguments, "-q", "--log-file", tmp_path / "log")
    assert (quiet.stderr, quiet.stdout) == ("", loud.stdout)
    assert (tmp_path / "log").read_text().count("of 60 s") == len(found)
    told = [json.loads(line) for line in invoke(*arguments, "--log-format", "json").stderr.splitlines()]
    done = [one["done_seconds"] for one in told if one.get("video") == str(minute) and "done_seconds" in one]
    assert sorted(set(done)) == pytest.approx([8, 16, 24, 32, 40, 48, 56, 60])
    monkeypatch.setattr(console.Screen, "shows_bars", True)
    assert "of 60 s" not in said(invoke(*arguments))


def test_a_checkpoint_that_cannot_be_used_is_refused_before_any_video_is_opened(tmp_path):
    path = write_checkpoint(tmp_path / "a.safetensors")
    (tmp_path / "text.mp4").write_text("not a video")
    result = invoke("localize", tmp_path / "text.mp4", "--model", path)
    assert result.exit_code == 1
    assert "no visual backbone is called 'mean-colours'" in " ".join(result.stderr.split())
    assert "text.mp4" not in result.output


def test_ctrl_c_writes_what_was_found(trained, minute, tmp_path):
    path, hooks = trained
    hooks[3] = lambda: os.kill(os.getpid(), signal.SIGINT)
    before = signal.getsignal(signal.SIGINT)
    result = invoke("localize", minute, "--model", path, "-o", tmp_path / "out", "--format", "json,html")
    assert result.exit_code == 130
    assert signal.getsignal(signal.SIGINT) is before
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["minute.json"]
    written = json.loads((tmp_path / "out" / "minute.json").read_text())
    assert len(written["segments"]) == 24
    assert "Not finished: only the first 24.0 s of 60.0 s" in written["warnings"][-1]
    assert "stopping, to write what was found so far" in result.stderr


def test_a_result_that_was_replaced_by_one_that_was_stopped_is_done_again(trained, minute, tmp_path):
    path, hooks = trained
    arguments = ("localize", minute, "--model", path, "-o", tmp_path / "out/")
    assert invoke(*arguments).exit_code == 0
    whole = (tmp_path / "out" / "minute.json").read_text()
    hooks[8 + 3] = lambda: os.kill(os.getpid(), signal.SIGINT)
    assert invoke(*arguments, "--force").exit_code == 130
    assert "Not finished" in (tmp_path / "out" / "minute.json").read_text()
    hooks.clear()
    again = invoke(*arguments)
    assert "Done before" not in said(again)
    assert (tmp_path / "out" / "minute.json").read_text() == whole
    assert "Done before: 1 of 1 video" in said(invoke(*arguments))


def test_ctrl_c_where_only_pictures_were_asked_for_leaves_the_partial_result(trained, minute, tmp_path):
    path, hooks = trained
    hooks[2] = lambda: os.kill(os.getpid(), signal.SIGINT)
    result = invoke("localize", minute, "--model", path, "-o", tmp_path / "out.png")
    assert result.exit_code == 130
    assert result.stdout.strip() == str(tmp_path / "out.partial.json")
    assert len(json.loads((tmp_path / "out.partial.json").read_text())["segments"]) == 16


def test_what_was_found_is_kept_while_a_long_video_is_read(trained, minute, tmp_path, monkeypatch):
    path, hooks = trained
    monkeypatch.setattr(one, "SECONDS_BETWEEN_SAVES", 0.0)
    seen = {}
    out = tmp_path / "out"
    hooks[5] = lambda: seen.update(json.loads((out / "minute.partial.json").read_text()))
    result = invoke("localize", minute, "--model", path, "-o", out)
    assert result.exit_code == 0, result.output
    assert 16 <= len(seen["segments"]) <= 32
    assert "Not finished" in seen["warnings"][-1]
    assert sorted(p.name for p in out.iterdir()) == [".avel.jsonl", "minute.json"]
    whole = json.loads((out / "minute.json").read_text())
    assert whole["segments"][: len(seen["segments"])] == seen["segments"]


def test_a_partial_result_that_cannot_be_kept_is_a_warning(trained, minute, tmp_path, monkeypatch):
    path, _ = trained
    monkeypatch.setattr(one, "SECONDS_BETWEEN_SAVES", 0.0)
    (tmp_path / "out" / "minute.partial.json").mkdir(parents=True)
    result = invoke("localize", minute, "--model", path, "-o", tmp_path / "out.json", "--format", "json")
    assert result.exit_code == 0, result.output
    (tmp_path / "out.partial.json").mkdir()
    result = invoke("localize", minute, "--model", path, "-o", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    said = " ".join(result.stderr.split())
    assert said.count("What was found so far could not be kept while the video was read. Cannot write") == 1
    assert "Not finished" not in (tmp_path / "out.json").read_text()


def test_an_error_that_nobody_expected_concerns_one_video(trained, minute, tmp_path):
    path, hooks = trained

    def surprise():
        raise IndexError("a stream that came late")

    hooks[1] = surprise
    other = tmp_path / "other" / "minute.mkv"
    other.parent.mkdir()
    other.symlink_to(minute)
    result = invoke("localize", minute, other, "--model", path, "-o", tmp_path / "out")
    assert result.exit_code == 1
    said = " ".join(result.stderr.split())
    assert f"{minute}: an error that avel did not expect (IndexError: a stream that came late)." in said
    assert "with the output of `avel doctor`" in said
    assert "1 video localized, 0 done before, 1 failed." in said
    assert [p.name for p in (tmp_path / "out").glob("*.json")] == ["minute-2.json"]


def test_debug_shows_where_an_unexpected_error_came_up(tmp_path):
    code = (
        "import sys\nfrom avel.cli import main, weights\n"
        "def surprise(*arguments, **settings): raise IndexError('surprise')\n"
        "from avel.localization import localizer\nlocalizer.Localizer.__init__ = surprise\n"
        "sys.argv = ['avel', 'localize', 'README.md', *sys.argv[1:]]\nmain.main()\n"
    )
    plain, debug = (
        subprocess.run([sys.executable, "-c", code, *more], capture_output=True, text=True, check=False, cwd=ROOT)
        for more in ([], ["--debug"])
    )
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert "an error that avel did not expect (IndexError: surprise)" in " ".join(plain.stderr.split())
    assert "Traceback" not in plain.stderr
    assert "in surprise\n" in debug.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")  # noqa: PTH110
def test_a_full_standard_output_is_one_clear_error():
    with open("/dev/full", "w") as full:  # noqa: PTH123
        result = subprocess.run(
            [sys.executable, "-m", "avel", "weights", "list"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=300,
            check=False,
        )
    assert result.returncode == 1
    assert " ".join(result.stderr.split()) == (
        "error: Cannot write to standard output: No space left on device. Send it somewhere else, or use -o."
    )


def test_control_characters_in_names_reach_no_terminal(trained, minute, tmp_path):
    path, _ = trained
    odd = tmp_path / "a\x1b[2J\tb\n\u202ec.mkv"
    odd.symlink_to(minute)
    result = invoke("localize", odd, tmp_path / "none\x1b]0;x\x07.mp4", "--model", path)
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert lines, result.stderr
    assert all(line.split("\t")[0].endswith(r"a\x1b[2J\tb\n\u202ec.mkv") for line in lines)
    assert {len(line.split("\t")) for line in lines} == {6}
    assert r"none\x1b]0;x\x07.mp4" in "".join(result.stderr.split())
    assert not set("\x1b\x07\u202e") & set(result.output)


def test_a_name_that_is_not_there_is_said_before_anything_is_loaded():
    code = (
        "import sys; from typer.testing import CliRunner; from avel.cli.main import app;"
        "result = CliRunner().invoke(app, ['localize', 'nosuch.mp4', 'nor/this.mp4']);"
        "assert result.exit_code == 1; sys.stderr.write(result.stderr);"
        "sys.exit(bool({'torch', 'openvino', 'av', 'matplotlib', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "nosuch.mp4: no such file. Check the name." in done.stderr
    assert "nor/this.mp4: no such file." in done.stderr


def test_what_a_model_cannot_show_is_said_before_any_video_is_read(tmp_path):
    for model in (write_checkpoint(tmp_path / "a.safetensors", model="ssn"),):
        (tmp_path / "a.mp4").write_text("not a video")
        result = invoke("localize", tmp_path / "a.mp4", "--model", model, "--format", "coco", "-o", tmp_path / "out")
        assert result.exit_code == 1
        said = " ".join(result.stderr.split())
        assert "does not say where in the picture an event is, so coco cannot be written." in said
        assert "a.mp4" not in said


@pytest.fixture
def folder(tmp_path, minute):
    """Two videos of equal content and a file that is none, in folders."""
    for name in ("one.mkv", "sub/two.mkv"):
        path = tmp_path / "videos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(minute.read_bytes())
    (tmp_path / "videos" / "broken.mp4").write_text("not a video")
    return tmp_path / "videos"


def said(result):
    return " ".join(result.stderr.split())


def test_a_folder_is_mirrored_and_what_is_done_is_not_done_again(trained, folder, tmp_path):
    path, _ = trained
    out = tmp_path / "out"
    arguments = ("localize", folder, "--model", path, "-o", out)
    first = invoke(*arguments)
    assert first.exit_code == 1
    assert "broken.mp4: not a video or audio file" in said(first)
    assert "2 videos localized, 0 done before, 1 failed. Events: " in said(first)
    assert {p.relative_to(out).as_posix() for p in out.rglob("*.json")} == {"one.json", "sub/two.json"}
    rows = (out / "summary.csv").read_text().splitlines()
    assert rows[0] == "video,category,start_seconds,end_seconds,score,modality"
    events = json.loads((out / "one.json").read_text())["events"]
    assert len(rows) == 1 + 2 * len(events)

    (out / "sub" / "two.json").unlink()  # is done again; so is what failed
    second = invoke(*arguments)
    assert "Done before: 1 of 3 videos; --force does them again." in said(second)
    assert "1 video localized, 1 done before, 1 failed." in said(second)
    assert (out / "summary.csv").read_text().splitlines() == rows

    (folder / "broken.mp4").unlink()
    (folder / "one.mkv").rename(folder / "sub" / "moved.mkv")
    third = invoke(*arguments)
    assert "1 video localized, 1 done before, 0 failed." in said(third)
    assert third.exit_code == 0
    assert "2 videos localized, 0 done before" in said(invoke(*arguments, "--force"))
    assert "2 videos localized, 0 done before" in said(invoke(*arguments, "--format", "csv"))


@pytest.fixture
def watched(monkeypatch):
    """Looks into watched folders follow each other at once; functions are called between them, and then Ctrl-C."""
    between = []

    def wait(seconds):
        if not between:
            raise KeyboardInterrupt
        between.pop(0)()

    at_once = functools.partial(arrivals.watch_folders, wait=wait)
    monkeypatch.setattr(arrivals, "watch_folders", lambda *a, **more: at_once(*a, **more | {"settled_seconds": 0.0}))
    return between


def test_what_arrives_is_localized_also_after_a_new_start(trained, folder, tmp_path, watched):
    path, _ = trained
    out = tmp_path / "out"
    arguments = ("localize", "--watch", folder, "--model", path, "-o", out)
    watched.append(lambda: None)
    watched.append(lambda: (folder / "three.mkv").write_bytes((folder / "one.mkv").read_bytes()))
    first = invoke(*arguments)
    assert first.exit_code == 0
    assert "2 videos localized, 0 done before, 1 failed." in said(first)
    assert said(first).count("broken.mp4: not a video or audio file") == 1
    assert "1 video localized, 0 done before, 0 failed." in said(first)  # the others are not looked at again
    assert "summary.csv lists the events of 3 videos" in said(first)
    # Written once more at the end, since the minute had not passed.
    assert "summary.csv lists the events of 4 videos" in said(first)
    assert said(first).endswith("stopped watching")
    assert "three.mkv" in (out / "summary.csv").read_text()
    second = invoke(*arguments)
    assert "0 videos localized, 3 done before, 1 failed." in said(second)
    assert "not a video or audio file" not in said(second)  # it has not changed
    names = {p.relative_to(out).as_posix() for p in out.rglob("*.json")}
    assert names == {"one.json", "three.json", "sub/two.json"}
    assert {p.name for p in (out / ".avel-thumbnails").rglob("*.jpg")} == {"one.jpg", "three.jpg", "two.jpg"}


def test_who_is_asked_to_end_by_a_signal_writes_the_summary_before(trained, folder, tmp_path, watched):
    path, hooks = trained
    out = tmp_path / "out"
    arguments = ("localize", "--watch", folder, "--model", path, "-o", out)
    before = signal.getsignal(signal.SIGTERM)
    watched.append(lambda: (folder / "three.mkv").write_bytes((folder / "one.mkv").read_bytes()))
    watched.append(lambda: os.kill(os.getpid(), signal.SIGTERM))
    first = invoke(*arguments)
    assert (first.exit_code, signal.getsignal(signal.SIGTERM)) == (143, before)
    assert "three.mkv" in (out / "summary.csv").read_text()
    assert "three.mkv" in (out / "index.html").read_text()

    for name in ("four.mkv", "five.mkv"):
        (folder / name).write_bytes((folder / "one.mkv").read_bytes())
    hooks[3 * 8 + 8 + 3] = lambda: os.kill(os.getpid(), signal.SIGTERM)  # a video takes eight calls of the network
    second = invoke(*arguments)
    assert second.exit_code == 143
    assert (out / "five.json").exists()
    assert not (out / "four.json").exists()
    assert "five.mkv" in (out / "summary.csv").read_text()
    assert "four.mkv" in (out / "index.html").read_text()
    hooks.clear()
    third = invoke(*arguments)
    assert "1 video localized, 4 done before, 1 failed." in said(third)


def test_clips_are_written_beside_the_other_results(trained, folder, tmp_path):
    path, _ = trained
    out = tmp_path / "out"
    arguments = ("localize", folder / "one.mkv", "--model", path, "-o", out, "--clips", "--pad", "0.2")
    first = invoke(*arguments)
    assert first.exit_code == 0, first.output
    assert first.stdout.splitlines() == [str(out / "one.json"), str(out / "one.clips")]
    events = json.loads((out / "one.json").read_text())["events"]
    assert events
    before = {clip: (clip.stat().st_ino, clip.stat().st_mtime_ns) for clip in (out / "one.clips").iterdir()}
    assert len(before) == len(events)
    assert invoke(*arguments).stdout == ""  # all is done
    assert invoke(*arguments, "--force").exit_code == 0
    # the times of reading are left out: the second run reads the clips, to see that they are its own
    assert {clip: (clip.stat().st_ino, clip.stat().st_mtime_ns) for clip in (out / "one.clips").iterdir()} == before


def test_the_configuration_that_predictions_need_is_printed(trained, folder, tmp_path):
    path, _ = trained
    out = tmp_path / "a.label-studio.json"
    done = invoke("localize", folder / "one.mkv", "--model", path, "-o", out, "--frames-per-second", 25)
    assert done.exit_code == 0, done.output
    assert "Label Studio needs this labelling configuration" in said(done)
    (label,) = {
        region["value"]["timelinelabels"][0] for region in json.loads(out.read_text())[0]["predictions"][0]["result"]
    }
    assert '<TimelineLabels name="label" toName="video">' in said(done)
    assert f'<Label value="{label}" />' in said(done)


def test_what_a_copy_lacks_is_said(trained, folder, tmp_path):
    path, _ = trained
    once = invoke("localize", folder / "one.mkv", "--model", path, "-o", tmp_path / "a.chapters.mkv")
    assert once.exit_code == 0, once.output
    again = invoke("localize", tmp_path / "a.chapters.mkv", "--model", path, "-o", tmp_path / "b.chapters.mkv")
    assert "chapters that the video has are not in the copy" in said(again)


def test_what_a_person_corrected_is_not_overwritten(trained, folder, tmp_path):
    path, _ = trained
    out = tmp_path / "out"
    arguments = ("localize", folder, "--model", path, "-o", out)
    invoke(*arguments)
    result = out / "one.json"
    before = result.read_bytes()
    mine = {"start_seconds": 0.5, "end_seconds": 1.5, "category": "Mine", "modality": "audio"}
    Corrections(corrections_path(result), Localization.from_json(result)).edit([mine], "Mine", 0)

    for more in ((), ("--force",), ("--format", "json,csv")):
        again = invoke(*arguments, *more)
        assert "Corrected or reviewed by a person (avel serve), and so left as they are: 1 of 3 videos." in said(again)
    assert result.read_bytes() == before
    assert not (out / "one.csv").exists()
    rows = (out / "summary.csv").read_text().splitlines()
    assert [row for row in rows if "one.mkv" in row] == [f"{folder / 'one.mkv'},Mine,0.5,1.5,1,audio"]
    one_file = invoke("localize", folder / "one.mkv", "--model", path, "-o", result)
    assert (one_file.exit_code, result.read_bytes()) == (0, before)

    # What is corrected while a run is under way is not overwritten either.
    written = Destination(["one"], out)
    with pytest.raises(OutputError, match=r"a person has corrected or reviewed.*move .*one.corrections.jsonl away"):
        written.save(Localization.from_json(result), 0)


def test_what_the_page_localized_is_done(trained, folder, tmp_path, monkeypatch):
    path, _ = trained
    out = tmp_path / "out"
    monkeypatch.setattr(jobs, "_loaded", {})
    settings = default_settings() | {"model": str(path)}
    video = folder / "sub" / "two.mkv"
    assert jobs.localize_item(str(video), "sub/two", str(out), settings, progress=lambda *told: None) is None
    assert "Done before: 1 of 3 videos" in said(invoke("localize", folder, "--model", path, "-o", out))


def test_results_below_the_videos_are_no_videos(trained, folder, tmp_path):
    path, _ = trained
    out = folder / "results"
    out.mkdir()
    (out / "one.mp4").write_text("an annotated video of before")
    result = invoke("localize", folder, "--model", path, "-o", out)
    assert "results/one.mp4" not in said(result)
    assert "2 videos localized" in said(result)


def test_lists_and_patterns(trained, folder, tmp_path):
    path, _ = trained
    names = tmp_path / "names"
    names.write_text("videos/one.mkv\n")
    result = invoke(
        "localize", folder / "*" / "*.mkv", "--list", names, "--model", path, "-o", tmp_path / "out", folder / "z*"
    )
    assert result.exit_code == 1
    assert "z*: no file fits this pattern." in said(result)
    assert {p.name for p in (tmp_path / "out").glob("*.json")} == {"one.json", "two.json"}
    listed = CliRunner().invoke(
        app, ["localize", "--list", "-", "--model", str(path)], input=f"{folder / 'one.mkv'}\n\n"
    )
    assert listed.exit_code == 0, listed.output
    assert listed.stdout.startswith(f"{folder / 'one.mkv'}\t")


def test_a_quarantined_video_is_left_alone_until_it_changes(trained, folder, tmp_path):
    from avel.batch.run import VideoBatch
    from avel.batch.videos import find_items
    from avel.outputs.destination import Destination

    def batch(force=False):
        items, _ = find_items([str(folder / "one.mkv"), str(folder / "sub" / "two.mkv")])
        made = VideoBatch(items, Destination([i.name for i in items], tmp_path / "out"), {"model": "x"}, force)
        made.plan()
        return made

    first = batch()
    assert first.todo == [0, 1]
    first.quarantine(1, "two.mkv: it crashed")
    assert batch().todo == [0]
    assert batch().summary().failures[str(folder / "sub" / "two.mkv")] == "two.mkv: it crashed"
    assert batch(force=True).todo == [0, 1]
    with (folder / "sub" / "two.mkv").open("ab") as file:
        file.write(b"more")
    assert batch().todo == [0, 1]


def test_printed_lines_have_a_header_on_request(trained, minute):
    path, _ = trained
    result = invoke("localize", minute, "--model", path, "--header")
    lines = [line.split("\t") for line in result.stdout.splitlines()]
    assert lines[0] == ["video", "start_seconds", "end_seconds", "category", "modality", "score"]
    assert {len(line) for line in lines} == {6}


@needs_weights
def test_no_event_is_said_where_no_table_is_printed(tmp_path):
    silent = make_clip(tmp_path / "silent.mkv", 2.0, events=[], frame_rate=4, sample_rate=8000)
    result = invoke("localize", silent)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert f"{silent}: no event found" in said(result)


@needs_weights
@pytest.mark.slow
def test_two_workers_do_what_one_does(hello, tmp_path):
    videos = tmp_path / "videos"
    for name in ("a.ogv", "sub/b.ogv"):
        (videos / name).parent.mkdir(parents=True, exist_ok=True)
        (videos / name).write_bytes(hello.read_bytes())
    (videos / "broken.mp4").write_text("not a video")
    done = run("localize", videos, "-o", tmp_path / "two", "--workers", 2, "--audio-tagger", "embedded")
    assert done.returncode == 1, done.stderr
    assert b"2 videos localized, 0 done before, 1 failed." in done.stderr
    invoke("localize", videos, "-o", tmp_path / "one", "--audio-tagger", "embedded")
    for name in ("a.json", "sub/b.json", "summary.csv"):
        assert (tmp_path / "two" / name).read_text() == (tmp_path / "one" / name).read_text()
    again = run("localize", videos, "-o", tmp_path / "two", "--workers", 2, "--audio-tagger", "embedded")
    assert b"0 videos localized, 2 done before, 1 failed." in again.stderr


def test_a_list_on_standard_input_has_names_of_any_bytes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / os.fsdecode(b"caf\xe9.mp4")).touch()
    result = CliRunner().invoke(app, ["localize", "--list", "-", "-o", "out"], input=b"caf\xe9.mp4\r\n\n")
    assert "caf\\udce9.mp4: an empty file." in result.stderr
    assert result.exit_code == 1
    result = CliRunner().invoke(app, ["localize", "--list", "-", "-o", "out"], input=b"a.mp4\0b.mp4\0")
    assert "is no list with a path a line: it holds zero bytes." in result.stderr
    assert result.exit_code == 2
