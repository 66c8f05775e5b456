import json
import logging
import sys

import pytest
import typer
from typer.testing import CliRunner

from avel.cli import console, logs
from avel.cli.main import app
from avel.errors import OutputError

FIELDS = {"epoch": 1, "loss": 0.5}


def speak(video: str = "a.mp4") -> None:
    """Say one line of each kind."""
    console.detail(f"{video}: done", video=video)
    console.say("epoch [b]1[/b]", instead_of_bar=True, **FIELDS)
    console.warn("few [examples]")
    console.complain(f"{video}: no such file")
    logging.getLogger("avel.media").info("a cache is made")
    print("the result")


@pytest.fixture
def say(monkeypatch):
    """Run the command with options; the lines on standard error."""
    app = typer.Typer()
    app.command()(logs.logged(speak))

    def run(*options):
        result = CliRunner().invoke(app, [str(option) for option in options])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.stdout == "the result\n"
        return result.stderr.splitlines()

    yield run
    logs.logged(lambda: None)(
        verbose=False, quiet=False, log_file=None, log_format=logs.LogFormat.TEXT, debug=False
    )  # as it was for the other tests


USUAL = ["epoch 1", "warning: few [examples]", "error: a.mp4: no such file"]


def test_how_much_is_said(say):
    assert say() == USUAL
    assert say("-q") == ["error: a.mp4: no such file"]
    assert say("-v") == say("--verbose") == ["a.mp4: done", *USUAL, "info avel.media: a cache is made"]
    assert say() == USUAL


def test_a_log_file_goes_on_and_holds_what_quiet_leaves_out(say, tmp_path):
    path = tmp_path / "run.log"
    assert say("--log-file", path, "-q") == ["error: a.mp4: no such file"]
    say("--log-file", path, "-v", "--video", "b\nc.mp4")
    lines = [line.split(" ", 1) for line in path.read_text().splitlines()]
    assert [line for _, line in lines] == [
        "info: epoch 1",
        "warning: few [examples]",
        "error: a.mp4: no such file",
        r"debug: b\nc.mp4: done",
        "info: epoch 1",
        "warning: few [examples]",
        r"error: b\nc.mp4: no such file",
        "info: a cache is made",
    ]
    assert all(len(time) == len("2026-11-29T12:00:00.000+00:00") for time, _ in lines)


def test_json_lines_are_for_the_log_file_or_else_for_standard_error(say, tmp_path):
    path = tmp_path / "run.jsonl"
    assert say("--log-format", "json", "--log-file", path) == USUAL
    for lines in (path.read_text().splitlines(), say("--log-format", "json")):
        read = [json.loads(line) for line in lines]
        assert [entry["level"] for entry in read] == ["info", "warning", "error"]
        assert read[0].items() >= {"message": "epoch 1", "logger": "avel.cli", **FIELDS}.items()
        assert all("time" in entry for entry in read)


def test_a_loss_that_is_no_number_is_null_in_json():
    record = logging.makeLogRecord({"msg": "epoch 1", "fields": {"loss": float("nan"), "epoch": 1}})
    assert json.loads(logs.JsonLines().format(record)).items() >= {"loss": None, "epoch": 1}.items()


def test_where_a_bar_is_shown_its_lines_go_to_the_log_file_alone(say, tmp_path, monkeypatch):
    monkeypatch.setattr(console.Screen, "shows_bars", True)
    path = tmp_path / "run.log"
    assert say("--log-file", path) == USUAL[1:]
    assert "info: epoch 1" in path.read_text()


def test_a_log_file_that_cannot_be_written_is_told_before_the_work(say, tmp_path):
    with pytest.raises(OutputError, match=r"Cannot write .*none/run.log: No such file or directory"):
        say("--log-file", tmp_path / "none" / "run.log")


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_a_full_disk_ends_the_log_and_not_the_work(say):
    assert say("--log-file", "/dev/full") == [
        USUAL[0],
        "warning: /dev/full: nothing more can be written to this log file.",
        *USUAL[1:],
    ]


@pytest.fixture
def said(caplog):
    """Says how far something is at one moment after the other; what was said by then."""
    caplog.set_level(logging.INFO, "avel.cli")

    def tell(made, *moments):
        now = [0.0]
        lines = made(lambda: now[0])
        for moment, *progress in moments:
            now[0] = moment
            lines(*progress)
        return caplog.messages

    return tell


def test_progress_is_told_every_so_often(say, said):
    def made(clock):
        return console.ProgressLines("videos looked at", clock=clock)

    moments = [(0.1, 1, 9), (9.9, 2, 9), (10.0, 3, 9), (19.9, 4, 9), (25.0, 5, 9), (34.9, 6, 9), (35.0, 7, 9)]
    assert said(made, *moments) == [f"{count} of 9 videos looked at" for count in (3, 5, 7)]


def test_how_far_a_long_video_is_read_is_told_every_so_often(say, said, caplog):
    def made(clock):
        return console.ReadingLines("films/[long].mp4", clock=clock)

    moments = [
        (1.0, 16.0, 7200.0),
        (12.0, 90.4, 7200.0),
        (13.0, 99.0, 7200.0),
        (30.0, 7260.0, 7200.0),
        (40.0, 8e3, None),
    ]
    assert said(made, *moments) == [
        "films/[long].mp4: 90 of 7200 s (1 %) looked at",
        "films/[long].mp4: 7260 of 7200 s (100 %) looked at",
        "films/[long].mp4: 8000 s looked at",
    ]
    assert caplog.records[0].fields == {"video": "films/[long].mp4", "done_seconds": 90.4, "total_seconds": 7200.0}


def test_each_video_that_is_read_has_its_own_time(say, said):
    def made(clock):
        return console.ReadingLinesOfEach(clock=clock)

    moments = [(0.0, "a", 8.0, 60.0), (9.0, "b", 8.0, 60.0), (18.0, "b", 24.0, 60.0), (19.0, "b", 30.0, 60.0)]
    assert said(made, *moments) == ["b: 30 of 60 s (50 %) looked at"]


def test_every_command_has_these_options():
    def commands(group, path=()):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from commands(command, (*path, name))
            else:
                yield (*path, name), {option for parameter in command.params for option in parameter.opts}

    found = dict(commands(typer.main.get_group(app)))
    assert ("weights", "fetch") in found
    assert ("localize",) in found
    assert [name for name, options in found.items() if not {"--verbose", "--quiet", "--log-file"} <= options] == []
