import csv
import json
from functools import partial

import make_shapes
import pytest
import typer

from avel.cli import console
from avel.cli.evaluate import evaluate
from avel.cli.train import train
from avel.errors import FeaturesError, SettingsError
from avel.features.store import FeatureStore
from avel.testing.shapes import SHAPES, make_shapes_clip

app = typer.Typer()
for command in (train, evaluate):
    app.command()(command)

QUICK = ("--model", "a", "--epochs", 2, "--device", "cpu", "--set", "threads=1", "--visual", "none")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "videos").mkdir()
    rows = []
    for i in range(6):
        name = list(SHAPES)[i % 2]
        make_shapes_clip(folder / "videos" / f"{i}.mp4", 3.0, [(name, 1, 3)], seed=i, width=32, height=32)
        rows.append([f"{i}.mp4", 1, 3, name])
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video", "start_seconds", "end_seconds", "category"], *rows])
    with (folder / "weak.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["video", "category"], *([row[0], row[3]] for row in rows)])
    return folder


@pytest.fixture
def avel(run_command):
    return partial(run_command, app)


def text(result):
    return " ".join(result.stderr.split())


def test_one_command_trains_on_labels(avel, folder, tmp_path):
    run = tmp_path / "run"
    arguments = ("--data", folder / "labels.csv", "--videos", folder / "videos")
    result = avel("train", *arguments, "-o", run, *QUICK)
    assert "6 labels of 2 categories in 6 videos" in text(result)
    assert "6 videos extracted, 0 already there, 0 failed" in text(result)
    assert "warning:" in text(result)
    assert "fewer than 20 training events: red disc (1), green square (1)" in text(result)
    assert "videos: 2 train, 2 val, 2 test" in text(result)
    assert "training a on 2 clips, for at most 2 epochs" in text(result)
    assert "where its segment accuracy is" in result.stdout
    assert "true category, whole video (oracle)" in result.stdout
    assert {path.name for path in run.iterdir()} == {
        *("checkpoint.safetensors", "features", "log.csv", "result.html", "result.json", "settings.yaml"),
        *("splits.csv", "state.safetensors", ".lock"),
    }
    with pytest.raises(SettingsError, match="holds a run already"):
        avel("train", *arguments, "-o", run, *QUICK)
    again = avel("train", *arguments, "-o", run, *QUICK[:2], "--epochs", 3, *QUICK[4:], "--resume")
    assert "0 videos extracted, 6 already there" in text(again)
    assert "epoch 3/3" in text(again)
    found = json.loads(avel("evaluate", run, *arguments, "--json", "--device", "cpu").stdout)
    assert found["metrics"] == json.loads((run / "result.json").read_text())["metrics"]


def test_the_best_of_several_models_is_taken_for_few_examples(avel, folder, tmp_path, weight_file):
    weight_file("efficientnet-lite0")
    run, quick = tmp_path / "run", ("--store", tmp_path / "store", *QUICK[2:-2])
    arguments = ("--data", folder / "labels.csv", "--videos", folder / "videos", "-o", run, *quick)
    result = avel("train", *arguments)
    assert "models are compared by cross-validation" in text(result)
    assert "4 training and validation videos, divided into 4 folds 2 times" in text(result)
    comparison = json.loads((run / "comparison.json").read_text())
    assert f"chosen: {comparison['chosen']}" in text(result)
    assert (run / "settings.yaml").read_text().startswith(f"model: {_chosen(comparison)['model']}\n")
    assert "the last one (protocol cross-validation)" in result.stdout
    again = avel("train", *arguments, "--resume")
    assert "comparing:" not in text(again)
    assert f"chosen: {comparison['chosen']}" in text(again)
    other = avel("train", *arguments[:4], "-o", tmp_path / "other", *quick, "--set", "few_events=0")
    assert "compared" not in text(other)


def _chosen(comparison):
    return next(line for line in comparison["lines"] if line["name"] == comparison["chosen"])


def test_labels_without_times_are_weak(avel, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(console, "SECONDS_BETWEEN_LINES", 0.0)
    arguments = ("--videos", folder / "videos", "-o", tmp_path / "run", *QUICK)
    result = avel("train", folder / "weak.csv", *arguments, "--segment-seconds", 1.5)
    assert f"{folder / 'videos' / '5.mp4'}: 3 of 3 s (100 %) looked at" in text(result)
    assert "The labels have no times, so the model is trained on labels of whole videos (task weak)" in text(result)
    assert "where its video accuracy is" in result.stdout
    assert "task: weak" in (tmp_path / "run" / "settings.yaml").read_text()


def test_the_features_are_of_the_audio_track_that_is_asked_for(avel, folder, tmp_path):
    arguments = ("train", folder / "weak.csv", "--videos", folder / "videos", *QUICK)
    avel(*arguments, "-o", tmp_path / "run", "--audio-track", 1)
    assert FeatureStore(tmp_path / "run" / "features").recipe.audio_track == 1
    with pytest.raises(FeaturesError, match="holds features of no video of split train"):
        avel(*arguments, "-o", tmp_path / "second", "--audio-track", 2)


def test_options_that_do_not_go_together(avel, folder, tmp_path):
    labels, videos = folder / "labels.csv", folder / "videos"
    out = ("-o", tmp_path / "run")
    assert "Give the data once" in text(avel("train", *out, code=2))
    assert "Give the data once" in text(avel("train", labels, "--data", labels, *out, code=2))
    assert "is a file. If it holds labels of your own, add --videos DIR" in text(avel("train", labels, *out, code=2))
    assert "--preset, --segment-seconds, --audio-track: only for labels of your own" in text(
        avel("train", folder, *out, "--preset", "fast", "--segment-seconds", 2, "--audio-track", 1, code=2)
    )
    assert "--annotations: for AVE's layout only" in text(
        avel("train", labels, "--videos", videos, "--annotations", folder, *out, code=2)
    )
    assert "--store: only for labels of your own" in text(
        avel("evaluate", tmp_path / "x", folder, "--store", folder, code=2)
    )


@pytest.mark.slow
def test_the_worked_example_beats_the_trivial_answers(avel, tmp_path, weight_file):
    weight_file("efficientnet-lite0")
    make_shapes.make(tmp_path, 18, 8.0)
    run = tmp_path / "run"
    settings = ("--set", "threads=1", "--device", "cpu")
    arguments = ("--data", tmp_path / "labels.csv", "--videos", tmp_path / "videos")
    avel("train", *arguments, "-o", run, "--model", "recommended", *settings)
    found = json.loads((run / "result.json").read_text())
    trivial = max(one["segment_accuracy"] for one in found["baselines"].values())
    assert found["metrics"]["segment_accuracy"] > trivial + 0.1
