import json
import re

import pytest
from tiny_library import clip_of, make_library
from typer.testing import CliRunner

from avel.cli.main import app
from avel.errors import LibraryError, OutputError


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("library")
    clip_of(folder / "dog.mp4", "beagle", "Bark", 2)
    clip_of(folder / "cat.mp4", "tabby", "Meow", 2)
    make_library([folder / "dog.mp4", folder / "cat.mp4"], folder / "lib")
    return folder / "lib"


def test_moments_are_printed_as_lines(run_command, library, tmp_path):
    page = tmp_path / "found.html"
    found = run_command(app, "search", library, "--category", "Bark", "-o", page)
    (line,) = found.stdout.splitlines()
    video, start, end, score, modality, why = line.split("\t")
    assert video.endswith("dog.mp4")
    assert (start, modality) == ("0.00", "audio-visual")
    assert float(end) == pytest.approx(2, abs=0.2)
    assert float(score) >= 0.5
    assert "Bark 0.90" in why
    assert "1 moment close to Bark, among 6 segments." in " ".join(found.stderr.split())
    assert "data:image/jpeg" in page.read_text()


def test_json(run_command, library):
    said = json.loads(run_command(app, "search", library, "--category", "Meow", "--json").stdout)
    assert [hit["video"].rpartition("/")[2] for hit in said["hits"]] == ["cat.mp4"]


def test_what_was_found_is_printed_where_a_file_cannot_be_written(library, tmp_path):
    place = tmp_path / "a file" / "found.json"
    place.parent.touch()
    found = CliRunner().invoke(app, ["search", str(library), "--category", "Meow", "-o", str(place)])
    assert "cat.mp4" in found.stdout
    assert isinstance(found.exception, OutputError)


def test_json_holds_nothing_that_a_terminal_obeys(run_command, tmp_path):
    clip_of(tmp_path / "\x9b31mcat.mp4", "tabby", "Meow", 2)
    make_library([tmp_path], tmp_path / "lib")
    printed = run_command(app, "search", tmp_path / "lib", "--category", "Meow", "--json").stdout
    assert "\x9b" not in printed
    assert json.loads(printed)["hits"][0]["video"].endswith("\x9b31mcat.mp4")


def test_nothing_close_is_said_and_is_the_exit_code(run_command, library):
    found = run_command(app, "search", library, "--category", "Helicopter", code=1)
    assert found.stdout == ""
    assert "Nothing close to Helicopter among 6 segments" in " ".join(found.stderr.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--category", "Bark", "--image", "x.png"], "Give one query"),
        (["--category", "Bark", "-o", "x.csv"], "what is found is written as .json or .html"),
        (["--category", "Bark", "--modality", "smell"], "modality must be audio, visual or both"),
    ],
)
def test_wrong_usage(run_command, library, arguments, message):
    assert message in " ".join(run_command(app, "search", library, *arguments, code=2).stderr.split())


def test_nothing_to_index(run_command, tmp_path):
    found = run_command(app, "index", "-o", tmp_path / "lib", code=2)
    assert "There is no video to index" in " ".join(found.stderr.split())


def test_a_folder_is_forgotten(run_command, tmp_path):
    for name in ("dogs", "cats"):
        (tmp_path / name).mkdir()
    clip_of(tmp_path / "dogs" / "dog.mp4", "beagle", "Bark", 2)
    clip_of(tmp_path / "cats" / "cat.mp4", "tabby", "Meow", 2)
    make_library([tmp_path / "dogs", tmp_path / "cats"], tmp_path / "lib")
    command = ("index", "-o", tmp_path / "lib", "--forget", tmp_path / "cats")
    assert run_command(app, *command).stdout.endswith("lib: 1 video; 1 taken out\n")
    run_command(app, "search", tmp_path / "lib", "--category", "Meow", code=1)
    refused = run_command(app, *command, tmp_path / "dogs", code=2)
    assert "does nothing else" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("command", ["index", "extract", "train-matching"])
def test_an_empty_name_is_not_the_current_folder(command, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    clip_of(tmp_path / "here" / "dog.mp4", "beagle", "Bark", 1)
    monkeypatch.chdir(tmp_path / "here")
    result = CliRunner().invoke(app, [command, "", "-o", str(tmp_path / "out")])
    assert "One of the names of videos is empty" in " ".join(result.stderr.split())
    assert result.exit_code == 1


def test_no_library(run_command, tmp_path):
    with pytest.raises(LibraryError, match="is no library"):
        run_command(app, "search", tmp_path, "--category", "Bark")


def test_real_networks(run_command, weight_file, hello, tmp_path):
    weight_file("efficientnet-lite0")
    assert "1 video, " in run_command(app, "index", hello, "-o", tmp_path / "lib").stdout
    said = json.loads(run_command(app, "search", tmp_path / "lib", "--video", f"{hello}#t=0,1", "--json").stdout)
    assert said["segments"] > 0


def test_footage_is_learned_from_and_told(run_command, clips, tmp_path, monkeypatch):
    found = run_command(app, "train-matching", "-o", tmp_path / "run", code=2)
    assert "Give footage: videos, folders or lists, or --store" in " ".join(found.stderr.split())
    from tiny_backbones import RECIPE, load

    from avel.features.run import extract_many

    extract_many(clips, tmp_path / "store", RECIPE, loader=load)
    told = run_command(
        app, "train-matching", "--store", tmp_path / "store", "-o", tmp_path / "run", "--epochs", 2, "-v"
    )
    assert re.findall(r"^epoch (\d)/2: loss \d", told.stderr, flags=re.M) == ["1", "2"]
    assert "matcher.safetensors: epoch" in told.stdout
    assert "pictures from the sound (A2V)  recall" in told.stdout
