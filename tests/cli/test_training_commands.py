import json
import re
from functools import partial

import pytest
import typer
from tiny_ave import write_ave_folder

from avel.cli.evaluate import evaluate
from avel.cli.reproduce import print_tables, reproduce
from avel.cli.train import train
from avel.errors import ModelError, OutputError, SettingsError
from avel.evaluation.papers import Paper, Row
from avel.evaluation.reproduce import RowResult

app = typer.Typer()
for command in (train, evaluate, reproduce):
    app.command()(command)

QUICK = ("--epochs", 2, "--device", "cpu", "--set", "threads=1")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_ave_folder(tmp_path_factory.mktemp("ave"))


@pytest.fixture
def avel(run_command):
    return partial(run_command, app)


def test_train_then_evaluate(avel, folder, tmp_path):
    run = tmp_path / "run"
    (tmp_path / "s.yaml").write_text("model: a+v\nbatch_size: 5\noptions: {lstm_dims: 8}\n")
    result = avel("train", folder, "-o", run, "--settings", tmp_path / "s.yaml", *QUICK, "--set", "options.head_dims=8")
    assert "of 2, chosen on val (protocol validation), where its segment accuracy is" in result.stdout
    assert "epoch 2/2: loss" in result.stderr
    assert "always background" in result.stdout
    saved = (run / "settings.yaml").read_text()
    assert "batch_size: 5" in saved
    assert "head_dims: 8" in saved
    names = {path.name for path in run.iterdir()}
    assert names == {
        ".lock",
        "settings.yaml",
        "log.csv",
        "checkpoint.safetensors",
        "state.safetensors",
        "result.json",
        "result.html",
    }
    result = avel("evaluate", run, folder, "--json", "-o", tmp_path / "report", "--device", "cpu")
    assert json.loads(result.stdout) == json.loads((run / "result.json").read_text())
    assert {path.name for path in (tmp_path / "report").iterdir()} == {"evaluation.json", "evaluation.html"}
    avel("evaluate", run / "checkpoint.safetensors", folder, "-o", tmp_path / "one.html", "--split", "val")
    assert (tmp_path / "one.html").read_text().startswith("<!doctype html>")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file"):
        avel("evaluate", run, folder, "-o", tmp_path / "file" / "one.html")
    result = avel("evaluate", run, folder, "-o", tmp_path / "one.txt", code=2)
    assert "a report is a file that ends in .html or .json, or a folder for both" in " ".join(result.stderr.split())
    assert "'all' is not one of" in avel("evaluate", run, folder, "--split", "all", code=2).stderr


def test_train_again_needs_resume(avel, folder, tmp_path):
    arguments = ("train", folder, "-o", tmp_path / "run", "--model", "a", "--set", "threads=1", "--device", "cpu")
    avel(*arguments, "--epochs", 1)
    with pytest.raises(SettingsError, match="holds a run already"):
        avel(*arguments, "--epochs", 2)
    assert "epoch 2/2" in avel(*arguments, "--epochs", 2, "--resume").stderr


def test_literature_is_said(avel, folder, tmp_path):
    result = avel("train", folder, "-o", tmp_path / "run", "--model", "a", "--protocol", "literature", *QUICK)
    assert "chosen on test (protocol literature)" in result.stdout
    assert "warning: the epoch was chosen on this same split, test" in result.stdout


def test_wrong_settings(avel, folder, tmp_path):
    result = avel("train", folder, "-o", tmp_path / "run", "--task", "x", code=2)
    assert "'x' is not one of 'supervised'" in " ".join(result.stderr.replace("│", " ").split())
    with pytest.raises(SettingsError, match="settings: loss: Input should be 'cross-entropy'"):
        avel("train", folder, "-o", tmp_path / "run", "--set", "loss=x")
    with pytest.raises(ModelError, match="Unknown model 'x'"):
        avel("train", folder, "-o", tmp_path / "run", "--model", "x")
    result = avel("train", folder, "-o", tmp_path / "run", "--set", "epochs", code=2)
    assert "A setting is given as NAME=VALUE" in result.stderr
    result = avel("train", folder, "-o", tmp_path / "run", "--features-of", "x", code=2)
    assert "Unknown preset 'x'" in result.stderr


def test_reproduce_prints_the_paper_beside_ours(avel, folder, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file is a file"):
        avel("reproduce", "tian2018", "--data", tmp_path / "none", "-o", tmp_path / "file")
    arguments = ("reproduce", "tian2018", "--data", folder, "-o", tmp_path / "out", "--table", 3, "--seeds", 2)
    result = avel(*arguments, "--matching-epochs", 1)
    lines = [line.split("│")[1:4] for line in result.stdout.splitlines() if line.startswith("│")]
    table = {name.strip(): (paper.strip(), ours.strip()) for name, paper, ours in lines}
    assert table["AVDLN, A2V"][0] == "44.8"
    assert "±" in table["DCCA, V2A"][1]
    assert "last window" in table
    assert "AVDLN, A2V, seed 1: training" in result.stderr
    assert "Unknown paper 'x'" in avel("reproduce", "x", "--data", folder, code=2).stderr
    assert "--table is for one paper" in avel("reproduce", "all", "--data", folder, "--table", 1, code=2).stderr


def test_every_table_has_its_papers_title(capsys):
    rows = [RowResult(Row(table, name, 50.0, "a"), (60.0,)) for table, name in ((1, "A"), (1, "B"), (2, "C"), (3, "D"))]
    print_tables("One, 2018", rows, "validation")
    titles = [line.split(", accuracy")[0] for line in capsys.readouterr().out.splitlines() if "accuracy in" in line]
    assert titles == ["One, 2018, Table 1", "One, 2018, Table 2", "One, 2018, Table 3"]


def test_a_long_row_is_told_about(avel, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("avel.cli.reproduce.SECONDS_BETWEEN_EPOCHS", 0.0)
    arguments = ("reproduce", "tian2018", "--data", folder, "-o", tmp_path, "--table", 1, "--seeds", 1, *QUICK)
    assert re.search(r"^A, seed 0: epoch 2 of 2, loss [\d.]+, accuracy", avel(*arguments).stderr, flags=re.M)


def test_the_leaderboard_says_what_each_number_is(avel, folder, tmp_path, monkeypatch):
    paper = Paper("one", "One, 2018", (Row(1, "A", 59.5, "a"),), leaderboard=(("Audio", "A", None),))
    monkeypatch.setattr("avel.evaluation.leaderboard.PAPERS", {"one": paper})
    result = avel("reproduce", "all", "--data", folder, "-o", tmp_path, "--seeds", 1, *QUICK)
    line = next(line for line in result.stdout.splitlines() if "Audio" in line)
    assert "59.5" in line
    assert "always" in result.stdout
    assert "epoch chosen by protocol validation" in " ".join(result.stdout.split())
    assert (tmp_path / "leaderboard.json").exists()


def test_events_of_any_tool_are_measured(avel, tmp_path):
    (tmp_path / "labels.csv").write_text("video,start_seconds,end_seconds,category\na.mp4,0,10,bark\n")
    (tmp_path / "found.csv").write_text("video,start_seconds,end_seconds,category,score\na,0,8,bark,0.9\n")
    arguments = ("evaluate", tmp_path / "found.csv", "--events", tmp_path / "labels.csv")
    assert "event F1 with collars: 100.0 %" in avel(*arguments).stdout
    found = json.loads(avel(*arguments, "--json", "-o", tmp_path / "out.json").stdout)
    assert found == json.loads((tmp_path / "out.json").read_text())
    assert found["mean_average_precision"] == {str(i / 10): float(i <= 8) for i in range(1, 10)}
