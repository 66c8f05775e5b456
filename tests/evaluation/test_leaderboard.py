import json
from pathlib import Path

import pytest
from tiny_ave import write_ave_folder

from avel.evaluation import reproduce as tables
from avel.evaluation.leaderboard import leaderboard
from avel.evaluation.papers import Paper, Row
from avel.evaluation.reproduce import Reproduction, reproduce
from avel.models import registry
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData

WEAK = {"task": "weak"}
ONE = Paper(
    "one",
    "One, 2018",
    (Row(1, "A", 59.5, "a"), Row(1, "W-A", 53.4, "a", WEAK), Row(2, "SSN", 26.7, "ssn")),
    leaderboard=(("A", "A", "W-A"), ("SSN", "SSN", None)),
)
TWO = Paper(
    "two",
    "Two, 2020",
    (Row(1, "Audio", 60.0, "a"), Row(1, "Audio, weak", 54.0, "a", WEAK), Row(1, "W-V", 52.9, "v", WEAK)),
    leaderboard=(("Audio", "Audio", "Audio, weak"), ("V", None, "W-V")),
)
HOW = Reproduction(seeds=2, flags={"epochs": 1, "device": "cpu", "threads": 1, "batch_size": 32})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LocalizationData:
    return open_data(write_ave_folder(tmp_path_factory.mktemp("data"), regions=4))


def test_a_method_stands_once_and_its_runs_are_shared(
    data: LocalizationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_one = reproduce(ONE, data, tmp_path, HOW)
    lines = {line.method: line for line in leaderboard(data, tmp_path, HOW, papers=(ONE, TWO))}
    assert set(lines) == {"A", "SSN", "V"}
    assert (lines["A"].paper, lines["V"].paper) == ("One, 2018", "Two, 2020")
    assert (lines["A"].supervised, lines["A"].weak, lines["SSN"].supervised) == tuple(of_one)
    assert lines["SSN"].weak is lines["V"].supervised is None
    monkeypatch.setattr(tables, "train", None)
    again = leaderboard(data, tmp_path, HOW, papers=(ONE, TWO))
    assert again == list(lines.values())
    content = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [line["method"] for line in content["lines"]] == [line.method for line in again]
    assert content["seeds"] == 2


def test_the_best_stands_first_and_costs_are_said(data: LocalizationData, tmp_path: Path) -> None:
    lines = leaderboard(data, tmp_path, HOW, papers=(ONE, TWO))
    supervised = [line.supervised.mean for line in lines if line.supervised is not None]
    assert supervised == sorted(supervised, reverse=True)
    assert lines[-1].method == "V"
    model = registry.build("v", data.dims)
    assert lines[-1].costs["parameters"] == sum(parameter.numel() for parameter in model.parameters())
    assert all(line.costs["milliseconds_per_clip"] > 0 for line in lines)


def test_what_is_missing_is_not_measured(tmp_path: Path) -> None:
    folder = write_ave_folder(tmp_path / "data", regions=4)
    (folder / "visual_feature.h5").unlink()
    lines = {line.method: line for line in leaderboard(open_data(folder), tmp_path / "o", HOW, papers=(ONE,))}
    assert lines["SSN"].supervised is not None
    assert lines["SSN"].supervised.not_measured == "no visual_feature.h5"
    assert lines["SSN"].costs == {}
