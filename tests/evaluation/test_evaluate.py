import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tiny_ave import write_ave_folder

from avel.errors import FeaturesError, ModelError
from avel.evaluation import report
from avel.evaluation.baselines import ALWAYS_BACKGROUND
from avel.evaluation.evaluate import Evaluation, evaluate
from avel.metrics.segments import Metrics, measure
from avel.training.ave_data import open_data
from avel.training.features import FeatureRecord
from avel.training.loop import train
from avel.training.settings import from_mapping

SETTINGS = {"model": "a+v", "options": {"lstm_dims": 16}, "epochs": 12, "batch_size": 5, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, ave_folder: Path) -> Path:
    settings = from_mapping({**SETTINGS, "threads": 1, "device": "cpu"}, "test")
    return train(settings, open_data(ave_folder), tmp_path_factory.mktemp("runs") / "run").checkpoint


@pytest.fixture(scope="module")
def found(checkpoint: Path, ave_folder: Path) -> Evaluation:
    return evaluate(checkpoint, open_data(ave_folder), device="cpu")


def test_a_trained_model_beats_what_needs_no_learning(found: Evaluation) -> None:
    assert found.metrics.segment_accuracy > found.baselines[ALWAYS_BACKGROUND].segment_accuracy
    assert (found.model, found.split, found.metrics.videos, found.metrics.segments) == ("a+v", "test", 8, 80)
    assert found.about["task"] == "supervised"
    assert found.about["protocol"] == "validation"
    assert found.warnings == ()


def test_validation_accuracy_is_that_of_the_training(checkpoint: Path, ave_folder: Path) -> None:
    found = evaluate(checkpoint, open_data(ave_folder), "val", device="cpu")
    rows = (checkpoint.parent / "log.csv").read_text().splitlines()[1:]
    assert found.metrics.segment_accuracy == max(float(row.split(",")[2]) for row in rows)
    assert "chosen on this same split, val" in found.warnings[0]


def test_other_features_are_refused(checkpoint: Path, tmp_path: Path) -> None:
    other = write_ave_folder(tmp_path / "other", regions=9)
    with pytest.raises(FeaturesError, match="other: not the features .* R = 4, these have 9"):
        evaluate(checkpoint, open_data(other))
    declared = FeatureRecord(0, 0, 0, visual=("vgg19-original",), audio=("vggish",))
    named = open_data(write_ave_folder(tmp_path / "named"), declared=declared)
    assert evaluate(checkpoint, named, device="cpu").metrics.videos == 8  # what the training saw is not known


def test_other_categories_are_refused(checkpoint: Path, ave_folder: Path) -> None:
    data = open_data(ave_folder)
    renamed = ("Church bells", *data.categories[1:])
    data.dataset = dataclasses.replace(data.dataset, categories=renamed)
    with pytest.raises(ModelError, match="has 'Church bells' in place of 'Church bell'"):
        evaluate(checkpoint, data)
    more = (*open_data(ave_folder).categories, "Door")
    data.dataset = dataclasses.replace(data.dataset, categories=more)
    with pytest.raises(ModelError, match="was trained on 28 other categories; .* has 29 categories"):
        evaluate(checkpoint, data)


def test_the_table_has_the_trivial_answers(found: Evaluation) -> None:
    lines = report.lines(found)
    assert "8 clips, 80 segments" in lines[0]
    assert lines[1].startswith("task supervised, protocol validation")
    assert [line.split("  ")[0].strip() for line in lines[3:]] == ["a+v", *found.baselines]
    accuracy = f"{100 * found.metrics.segment_accuracy:.1f} %"
    assert accuracy in lines[3]


def test_json_is_read_back(found: Evaluation, tmp_path: Path) -> None:
    report.write_json(found, tmp_path / "a.json")
    content = json.loads((tmp_path / "a.json").read_text())
    again = Metrics.from_dict(content["metrics"])
    assert again.to_dict() == found.metrics.to_dict()
    assert set(content["baselines"]) == set(found.baselines)


def test_the_page_needs_nothing_else_and_holds_the_numbers(found: Evaluation, tmp_path: Path) -> None:
    report.write_html(found, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert not re.search(r"(src|href)\s*=|@import|url\(|<script", page)
    cells = re.findall(r"<title>(.*?) taken for (.*?): (\d+) segments</title>", page)
    assert sum(int(count) for _, _, count in cells) == 80
    assert sum(int(count) for true, taken, count in cells if true == taken) == found.metrics.confusion.trace()
    assert page.count('class="track"') == 29
    _Balanced().feed(page)


def test_the_page_escapes_what_comes_from_outside(found: Evaluation) -> None:
    names = ("<script>alert(1)</script>", *found.categories[1:])
    page = report.page(dataclasses.replace(found, categories=names, data="<b>", warnings=("<i>",)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "&lt;i&gt;" in page


def test_what_is_not_defined_is_a_dash() -> None:
    nothing = measure([[1, 1]], [[1, 1]], 2)
    assert report.values(nothing) == ("100.0 %", "-", "-", "-", "-", "-")
    page = report.page(Evaluation("a", "data", "test", nothing, {}, ("one",)))
    assert "nan" not in page


class _Balanced(HTMLParser):
    """Every element that is opened is closed."""

    VOID = ("meta", "rect", "br")

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in self.VOID or (tag == "rect" and "cell" in dict(attrs).get("class", "")):
            self.opened.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag
