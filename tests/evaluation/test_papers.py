"""What every paper's tables have to be."""

import pytest
from tiny_ave import write_ave_folder

from avel.evaluation.papers import PAPERS, Paper, Row
from avel.evaluation.papers.base import NO_MODEL, OWN_ROWS, title_of_table
from avel.evaluation.reproduce import Reproduction, reproduce, settings_of
from avel.models import registry
from avel.training.ave_data import open_data

each_paper = pytest.mark.parametrize("paper", PAPERS.values(), ids=PAPERS)


@each_paper
@pytest.mark.parametrize("released", [False, True], ids=["paper", "released"])
def test_every_row_can_be_built(paper, released):
    for row in paper.rows:
        if not row.is_matching and row.model:
            settings = settings_of(paper, row, Reproduction(released=released), 2)
            assert registry.build(settings.model, **settings.options)
            assert (settings.seed, settings.protocol) == (2, "validation")


def test_rows_share_a_folder_where_their_training_is_the_same():
    folders = {}
    for paper in PAPERS.values():
        for row in paper.rows:
            if not row.is_matching and row.model:
                settings = settings_of(paper, row, Reproduction(), 0)
                assert folders.setdefault(row.folder, settings) == settings


@each_paper
def test_rows_of_other_settings_have_other_folders(paper):
    rows = [row for row in paper.rows if row.model]
    trainings = [(row.model, str(sorted(row.settings.items()))) for row in rows]
    assert len({row.folder for row in rows}) == len(set(trainings))


@each_paper
def test_a_measured_row_says_a_percentage(paper):
    assert all(row.paper is None or 0 < row.paper < 100 for row in paper.rows)
    assert all(row.name for row in paper.rows)


@each_paper
def test_rows_that_the_paper_does_not_have_are_in_no_table_of_it(paper):
    if paper.name != "recommended":  # no paper: all rows are avel's own
        assert all((row.table == OWN_ROWS) is (row.paper is None) for row in paper.rows)
    assert title_of_table(2) == "Table 2"
    assert title_of_table(OWN_ROWS) == "Rows that avel adds"


def test_rows_without_code_have_their_numbers_and_say_why_they_are_not_measured(tmp_path):
    numbers = {row.name: row.paper for paper in PAPERS.values() for row in paper.rows if row.model == NO_MODEL}
    assert numbers == {
        "Ramaswamy et al.": 74.8,
        "W-Ramaswamy et al.": 68.9,
        "AVIN": 75.2,
        "W-AVIN": 69.4,
        "AVFB": 74.8,
    }
    data = open_data(write_ave_folder(tmp_path / "data", regions=49))
    (result,) = reproduce(Paper("x", "", (PAPERS["lin2020"].row("AVIN"),)), data, tmp_path, Reproduction(seeds=1))
    assert (result.accuracies, result.ours) == ((), "not measured")
    assert result.not_measured == "no code was published, and the paper says too little to build it"


def test_folders_name_what_is_switched():
    row = Row(1, "x", 1.0, "a+v", {"task": "weak", "options": {"gate": "visual", "deep": True, "wide": False, "k": 3}})
    assert row.folder == "av-deep-visual-k_3-weak-no_wide"
    assert Row(1, "x", 1.0, "a", {"decay_epochs": [5, 20]}).folder == "a-decay_epochs_5_20"


@pytest.mark.parametrize(
    ("name", "count"), [("tian2018", 47), ("xuan2020", 58), ("lin2020", 53), ("duan2021", 20), ("liang2024", 11)]
)
def test_every_claim_is_so_in_the_papers_own_numbers(name, count):
    """All orders that a paper states, each of which its tables have to show."""
    paper = PAPERS[name]
    assert len(paper.claims) == count
    numbers = {row.name: row.paper for row in paper.rows}
    wrong = [
        (claim.better, claim.worse)
        for claim in paper.claims
        if None not in (numbers[claim.better], numbers[claim.worse]) and numbers[claim.better] <= numbers[claim.worse]
    ]
    assert wrong == []


def test_numbers_of_lin_and_wang():
    paper = PAPERS["lin2020"]
    numbers = {row.name: row.paper for row in paper.rows}
    assert [sum(row.table == table for row in paper.rows) for table in paper.tables] == [21, 32, 20]
    assert (numbers["AVSDN"], numbers["W-AVSDN"]) == (72.6, 68.4)
    assert (numbers["AVEL+Ours"], numbers["W-AVEL+Ours"]) == (76.8, 68.9)
    assert (numbers["LSTM+AG, MLP"], numbers["Conv3d+AVOL, AVEL"], numbers["Ours, LSTM"]) == (61.2, 73.6, 71.4)
    assert (numbers["inter+audio, LSTM"], numbers["intra, AVEL"]) == (66.8, 75.0)
    by_folder = {}
    for row in paper.rows:
        by_folder.setdefault(row.folder, set()).add(row.name)
    assert {"AVEL+Ours", "Ours, AVEL", "intra+inter+audio, AVEL"} in by_folder.values()
    weak = settings_of(paper, paper.row("W-AVSDN+Ours"), Reproduction(), 0)
    assert (weak.pooling, weak.backgrounds, weak.weak_labels) == ("max", "mismatched", "one-hot")
    assert settings_of(paper, paper.row("W-AVEL"), Reproduction(), 0).pooling == "mean"


def test_numbers_of_liang():
    paper = PAPERS["liang2024"]
    numbers = {row.name: row.paper for row in paper.rows if row.paper is not None}
    assert numbers == {
        "Audio": 59.5,
        "Visual": 55.3,
        "Audio + visual": 71.4,
        "AVEL": 72.7,
        "DAM": 74.5,
        "AVSDN": 75.4,
        "AVFB": 74.8,
        "CMRAN": 77.4,
        "PSP": 77.8,
        "Ours": 78.4,
    }
    assert [sum(row.table == table for row in paper.rows) for table in paper.tables] == [3 + 11, 10]
    cmran, psp, one_hot = (
        settings_of(paper, paper.row(name), Reproduction(), 0) for name in ("W-CMRAN", "W-PSP, proportions", "W-PSP")
    )
    assert (cmran.pooling, cmran.weak_labels, cmran.options["form"]) == ("max", "one-hot", "weak")
    assert (psp.pooling, psp.weak_labels, psp.options["threshold"]) == ("mean", "proportion", 0.095)
    assert one_hot == psp.with_changes(weak_labels="one-hot")


def test_numbers_of_xuan():
    paper = PAPERS["xuan2020"]
    numbers = {row.name: row.paper for row in paper.rows}
    assert [sum(row.table == table for row in paper.rows) for table in paper.tables] == [10 + 3, 2 * 10, 2 * 6]
    assert (numbers["A"], numbers["W-A"], numbers["V"], numbers["W-V"]) == (59.5, 56.5, 55.3, 53.7)
    assert (numbers["A+V, S-att"], numbers["W-A+V, S-att, Co-att"]) == (72.4, 73.4)
    assert (numbers["CAM"], numbers["W-our model - sentinel vector"], numbers["our model"]) == (72.3, 74.9, 77.1)
    assert numbers["W-our model, one-hot"] is None
    full, same = paper.row("A+V, V-att, S-att, Co-att"), paper.row("our model")
    assert (full.folder, full.paper) == (same.folder, same.paper)


def test_weak_rows_of_xuan_are_of_one_kind_of_labels_each():
    paper = PAPERS["xuan2020"]
    for row in paper.rows:
        settings = settings_of(paper, row, Reproduction(), 0)
        assert settings.task == ("weak" if row.name.startswith("W-") else "supervised")
        if settings.task == "weak":
            assert settings.weak_labels == ("one-hot" if row.name.endswith("one-hot") else "proportion")
            assert (settings.pooling, settings.backgrounds) == ("mean", "noisy")
    assert [weak for _, _, weak in paper.leaderboard] == ["W-our model, one-hot"]


def test_numbers_of_duan():
    paper = PAPERS["duan2021"]
    numbers = {row.name: row.paper for row in paper.rows}
    assert [sum(row.table == table for row in paper.rows) for table in paper.tables] == [2, 8, 8]
    assert (numbers["Ours"], numbers["DAM"], numbers["ED-TCN"]) == (76.2, 74.5, 46.9)
    assert [numbers[f"Ours w/o {part}"] for part in ("Uni-modal Bi-LSTM", "Joint Bi-LSTM")] == [74.5, 74.9]
    assert [numbers[f"Ours w/ {part}"] for part in ("GRU", "Average Pooling", "Max Pooling")] == [75.3, 75.1, 75.0]
    assert paper.row("Ours").folder == paper.row("Ours w/ Joint Co-Attention").folder
    settings = settings_of(paper, paper.row("Ours"), Reproduction(released=True), 0)
    assert settings.options == {"variant": "code", "attention": "released"}
    assert settings.loss == "multi-label-soft-margin"


@pytest.mark.parametrize("weak", ["", "W-"])
def test_the_recommended_training_given_to_another_model_is_that_of_the_recommended_one(weak):
    paper = PAPERS["recommended"]
    own, other = (
        settings_of(paper, paper.row(f"{weak}{name}"), Reproduction(), 0).to_dict()
        for name in ("recommended", "A+V-att, trained as recommended")
    )
    assert {name for name in own if own[name] != other[name]} == {"model"}
