import json
import math
from pathlib import Path

import numpy as np
import pytest
from tiny_ave import write_ave_folder

from avel.errors import SettingsError
from avel.evaluation import reproduce as tables
from avel.evaluation.papers import Claim, Paper, Row
from avel.evaluation.papers.tian2018 import TIAN2018
from avel.evaluation.reproduce import Reproduction, RowResult, reproduce, settings_of, verdicts
from avel.models import registry
from avel.training.ave_data import open_data
from avel.training.data import LocalizationData

QUICK = {"epochs": 1, "device": "cpu", "threads": 1, "batch_size": 32}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> LocalizationData:
    return open_data(write_ave_folder(tmp_path_factory.mktemp("data"), regions=49))


def test_the_papers_numbers() -> None:
    numbers = {row.name: row.paper for row in TIAN2018.rows}
    assert len(TIAN2018.rows) == len(numbers) == 12 + 28 + 10
    assert (numbers["A+V-att"], numbers["W-A+V-att"], numbers["DMRFE, late"]) == (72.7, 66.7, 73.3)
    assert (numbers["GMU, early"], numbers["MRN, decision"], numbers["AVDLN, V2A"]) == (70.5, 63.8, 35.6)
    assert numbers["Concat, late"] == numbers["A+V-att"]
    of_table = [sum(row.table == table for row in TIAN2018.rows) for table in TIAN2018.tables]
    assert of_table == [6, 12, 28, 4]


def test_every_row_can_be_built_and_has_a_folder() -> None:
    for row in TIAN2018.rows:
        if not row.is_matching:
            settings = settings_of(TIAN2018, row, Reproduction(), 2)
            assert registry.options_of(settings.model, **settings.options)
            assert (settings.seed, settings.protocol) == (2, "validation")
    folders = [row.folder for row in TIAN2018.rows if not row.is_matching]
    assert len(set(folders)) == len(folders)


def test_released_departs_from_the_paper_where_the_code_does() -> None:
    row = next(row for row in TIAN2018.rows if row.name == "W-A+V-att")
    plain, released = (settings_of(TIAN2018, row, Reproduction(released=is_so), 0) for is_so in (False, True))
    assert (plain.pooling, plain.loss, plain.options) == ("mean", "cross-entropy", {})
    assert (released.pooling, released.loss) == ("max", "multi-label-soft-margin")
    code = {"recurrence": "bilstm", "head": "mlp"}
    assert released.options == {"attention": "released", **code}
    assert settings_of(TIAN2018, Row(1, "A", 1.0, "a"), Reproduction(released=True), 0).options == code
    assert settings_of(TIAN2018, Row(1, "SSN", 1.0, "ssn"), Reproduction(released=True), 0).options == {}
    assert (plain.epochs, released.epochs) == (300, 250)
    assert settings_of(TIAN2018, Row(1, "A", 1.0, "a"), Reproduction(released=True), 0).epochs == 300


def test_rows_measured_before_a_form_was_an_option_are_of_the_form_there_was(
    data: LocalizationData, tmp_path: Path
) -> None:
    paper = Paper("tian2018", "", tuple(row for row in TIAN2018.rows if row.name == "A"))
    code = {"recurrence": "bilstm", "head": "mlp"}
    flags = {**QUICK, "options": code}
    reproduce(paper, data, tmp_path, Reproduction(seeds=1, flags=flags))
    (path,) = tmp_path.rglob(tables.RESULT_FILE)
    kept = json.loads(path.read_text())
    kept["key"]["settings"]["options"] = {
        name: value for name, value in kept["key"]["settings"]["options"].items() if name not in code
    }
    path.write_text(json.dumps(kept))
    assert reproduce(paper, data, tmp_path, Reproduction(seeds=1, flags=flags))
    with pytest.raises(SettingsError, match=r"was measured with other settings or data \(options\)"):
        reproduce(paper, data, tmp_path, Reproduction(seeds=1, flags=QUICK))


def test_rows_are_measured_once(data: LocalizationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [row for row in TIAN2018.rows if row.name in ("A", "W-A+V", "AVDLN, A2V", "AVDLN, V2A")]
    paper = Paper("tian2018", "", tuple(rows))
    how = Reproduction(seeds=2, flags=QUICK, matching={"epochs": 1})
    told: list[str] = []
    first = reproduce(
        paper, data, tmp_path, how, progress=lambda row, seed, what: told.append(f"{row.name} {seed} {what}")
    )
    assert told[0] == "A 0 training"
    assert [len(result.accuracies) for result in first] == [2] * 4
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "tian2018.json"}
    monkeypatch.setattr(tables, "train", None)
    monkeypatch.setattr(tables, "train_matching", None)
    assert reproduce(paper, data, tmp_path, how) == first
    assert written == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.name != "tian2018.json"}
    content = json.loads((tmp_path / "tian2018.json").read_text())
    assert [row["mean"] for row in content["rows"]] == [result.mean for result in first]
    for result in first:
        assert result.clips is not None
        shares = 100 * result.clips.right.sum(1) / result.clips.segments.sum()
        assert shares.tolist() == pytest.approx(list(result.accuracies))
    assert set(first[0].trivial) == {"always background", "true category, whole video (oracle)"}
    assert set(first[2].trivial) == {"random start", "last window"}


def test_rows_of_other_settings_or_data_are_not_taken(data: LocalizationData, tmp_path: Path) -> None:
    how = Reproduction(tables=(3,), seeds=1, matching={"epochs": 1})
    reproduce(TIAN2018, data, tmp_path / "out", how)
    with pytest.raises(SettingsError, match="seed0: was measured with other settings or data .epochs"):
        reproduce(TIAN2018, data, tmp_path / "out", Reproduction(tables=(3,), seeds=1, matching={"epochs": 2}))
    other = open_data(write_ave_folder(tmp_path / "other", regions=49, seed=1))
    with pytest.raises(SettingsError, match="other settings or data .data"):
        reproduce(TIAN2018, other, tmp_path / "out", how)


def test_rows_that_lack_something_are_not_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_ave_folder(tmp_path / "data", noisy=0)
    (folder / "visual_feature.h5").unlink()
    (folder / "test_order_match.h5").unlink()
    names = ("A", "V", "W-A", "AVDLN, A2V")
    paper = Paper("tian2018", "", tuple(row for row in TIAN2018.rows if row.name in names))
    results = {
        r.row.name: r for r in reproduce(paper, open_data(folder), tmp_path / "o", Reproduction(seeds=1, flags=QUICK))
    }
    assert results["A"].ours == f"{results['A'].mean:.1f}"
    assert results["V"].ours == "not measured"
    assert results["V"].not_measured == "no visual_feature.h5"
    assert "no clips without event" in results["W-A"].not_measured
    assert results["AVDLN, A2V"].not_measured == "no visual_feature.h5; no test_order_match.h5"


def test_mean_and_deviation_by_hand() -> None:
    result = RowResult(TIAN2018.rows[0], (60.0, 62.0, 64.0))
    assert (result.mean, result.std, result.ours) == (62.0, 2.0, "62.0 ± 2.0")
    assert math.isnan(RowResult(TIAN2018.rows[0], (60.0,)).std)
    better = RowResult(next(row for row in TIAN2018.rows if row.name == "A+V"), (61.0,))
    found = verdicts(TIAN2018, [result, better])
    assert [(one.better, one.worse, one.difference) for one in found] == [("A+V", "A", -1.0)]
    assert found[0].verdict == "cannot be told"


def test_wrong_arguments(data: LocalizationData, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="seeds must be 1 or more, got 0"):
        Reproduction(seeds=0)
    with pytest.raises(ValueError, match="Tian et al., ECCV 2018 has tables 0, 1, 2, 3, got 4"):
        reproduce(TIAN2018, data, tmp_path, Reproduction(tables=(4,)))
    row = TIAN2018.rows[0]
    with pytest.raises(ValueError, match="x: rows must have different names, got A again"):
        Paper("x", "", (row, row))
    with pytest.raises(ValueError, match="x: there is no row B"):
        Paper("x", "", (row,), claims=(Claim("A", "B", ""),))


@pytest.mark.slow
def test_every_row_of_every_table_runs(data: LocalizationData, tmp_path: Path) -> None:
    how = Reproduction(seeds=1, flags=QUICK, matching={"epochs": 1})
    results = reproduce(TIAN2018, data, tmp_path / "a", how)
    assert all(len(result.accuracies) == 1 and not result.not_measured for result in results)
    assert all(0 <= result.mean <= 100 for result in results)


@pytest.mark.slow
def test_released_trains_dmrn_from_a_v_att(
    data: LocalizationData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = tuple(row for row in TIAN2018.rows if row.name in ("A+V-att", "DMRN, late"))
    results = reproduce(
        Paper("tian2018", "", rows), data, tmp_path, Reproduction(tables=(2,), seeds=1, released=True, flags=QUICK)
    )
    assert [result.row.name for result in results] == ["DMRN, late"]
    settings = (tmp_path / "dmrn-late" / "seed0" / "settings.yaml").read_text()
    assert str(tmp_path / "av-att" / "seed0" / "checkpoint.safetensors") in settings.replace("\n  ", " ")
    assert np.isfinite(results[0].mean)
