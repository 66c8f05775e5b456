import ast
import importlib
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import typer

from avel.backbones.registry import audio_backbone
from avel.cli.main import app
from avel.data.categories import class_indices, load_categories
from avel.evaluation.papers import PAPERS
from avel.localization.naming import ALONE
from avel.models import registry
from avel.training.settings import TrainingSettings

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text(encoding="utf-8") for path in sorted(DOCS.rglob("*.md"))}
FENCE = re.compile(r"^```(\w+)(.*?)\n(.*?)^```$", flags=re.M | re.S)
NOTEBOOKS = sorted(DOCS.rglob("*.ipynb"))
PYTHON = [
    (page, code) for page, text in PAGES.items() for language, _, code in FENCE.findall(text) if language == "python"
]
COMMANDS = sorted(
    {
        (page, command.partition("#")[0].strip())
        for page, text in PAGES.items()
        for command in (
            *re.findall(r"^\$ (?:\S+=\S+ )*(avel .*)$", text, flags=re.M),
            *re.findall(r"`(avel [a-z].*?)`", text),
        )
    }
)


@pytest.fixture
def notebook_pages(monkeypatch):
    for package in ("nbconvert", "ipykernel"):
        pytest.importorskip(package, reason="the docs' packages are not installed (pip install -e '.[docs]')")
    monkeypatch.syspath_prepend(DOCS)
    return importlib.import_module("notebook_pages")


@pytest.fixture(scope="module")
def generated():
    pytest.importorskip("griffe", reason="the docs' packages are not installed (pip install -e '.[docs]')")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(DOCS)
        return importlib.import_module("generated")


@pytest.fixture(scope="module")
def sections_of_models(generated):
    return re.findall(r"^### .*?(?=^###|\Z)", generated.model_options(), flags=re.M | re.S)


def resolves(name):
    """Whether a dotted name is a module or something within one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            if not hasattr(found, part):
                return False
            found = getattr(found, part)
        return True
    return False


@pytest.mark.parametrize(("name", "there"), [("avel.events.Event", True), ("avel.events.Evemt", False)])
def test_a_name_resolves_only_if_it_is_there(name, there):
    assert resolves(name) is there


@pytest.mark.parametrize("page", PAGES)
def test_every_name_of_a_page_is_there(page):
    named = {
        *re.findall(r"^::: (\S+)", PAGES[page], flags=re.M),
        *re.findall(r"\]\[(avel\.[\w.]+)\]", PAGES[page]),
        *re.findall(r"`(avel\.[a-z_]\w*(?:\.\w+)*)(?:\(.*?\))?`", PAGES[page]),
    }
    assert [name for name in sorted(named) if not resolves(name)] == []


@pytest.mark.parametrize(("page", "code"), PYTHON, ids=[page for page, _ in PYTHON])
def test_every_import_of_a_code_block_is_there(page, code):
    names = []
    for node in ast.walk(ast.parse(textwrap.dedent(code))):
        if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "avel":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "avel":
            names.append(f"avel.{node.attr}")
    assert [name for name in names if not resolves(name)] == []


@pytest.mark.parametrize(("page", "command"), COMMANDS, ids=[f"{page}: {command}" for page, command in COMMANDS])
def test_every_command_and_its_options_are_there(page, command):
    words = shlex.split(command)[1:]
    found = typer.main.get_command(app)
    while words and hasattr(found, "commands") and words[0] in found.commands:
        found = found.commands[words.pop(0)]
    given = [word.partition("=")[0] for word in words if word.startswith("-") and word != "-"]
    known = {"--help", *(flag for param in found.params for flag in (*param.opts, *param.secondary_opts))}
    assert not (hasattr(found, "commands") and words and words[0].islower()), f"no command {words[:1]}"
    assert [flag for flag in given if flag not in known] == []


def test_every_part_is_used_and_every_part_used_is_there(generated):
    used = {name for text in PAGES.values() for name in re.findall(r"\{\{ (\w+) \}\}", text)}
    assert used == set(generated.PARTS)


def test_an_unknown_part_is_an_error(generated):
    with pytest.raises(KeyError, match="nothing"):
        generated.on_page_markdown("text\n{{ nothing }}\ntext")


def test_a_part_stands_in_place_of_its_line(generated):
    page = generated.on_page_markdown("before\n\n{{ papers }}\n\nafter")
    assert page == f"before\n\n{generated.papers()}\n\nafter"


def test_the_zoo_has_every_model_with_its_published_numbers(generated):
    rows = dict(re.findall(r"^\| \[`(\S+)`\]\(\S+\) (\|.*)$", generated.models(), flags=re.M))
    assert tuple(rows) == registry.available_models()
    supervised, weak = rows["a+v-att"].strip("|").split(" | ")[-2:]
    # Tian et al., ECCV 2018, Table 1, and what Xuan et al., AAAI 2020, report of it in their Table 2
    assert supervised.startswith("72.7 (Tian et al. 2018")
    assert "74.7 (Xuan et al. 2020)" in supervised
    assert weak.startswith("66.7, one-hot (Tian et al. 2018")
    assert "73.1, proportion (Xuan et al. 2020)" in weak


def test_numbers_of_other_options_are_not_those_of_the_model(generated):
    (row,) = re.findall(r"^\| \[`dmrn`\].*$", generated.models(), flags=re.M)
    assert "73.1" in row
    assert "68.0" not in row


@pytest.mark.parametrize("name", registry.available_models())
def test_every_option_of_a_model_is_explained(generated, sections_of_models, name):
    (section,) = (one for one in sections_of_models if one.startswith(f"### `{name}` "))
    told = dict(re.findall(r"^\| `(\w+)` \|.*\| (.*) \|$", section, flags=re.M))
    assert list(told) == list(type(registry.options_of(name)).model_fields)
    assert generated.NONE not in told.values()


def test_published_tables_have_every_row(generated):
    text = generated.published()
    for paper in PAPERS.values():
        for row in paper.rows:
            number = generated.NONE if row.paper is None else row.paper
            model = f"`{row.model}`" if row.model else generated.NONE
            assert f"| {row.name} | {number} | {model} |" in text


def test_measured_rows_are_those_of_the_result_file(generated, monkeypatch):
    row = {"paper": "tian2018", "table": 1, "row": "A+V", "accuracies": [60.0, 62.0, 64.0]}
    weak = {"paper": "tian2018", "table": 1, "row": "W-A+V", "accuracies": [50.04]}
    fusions = [{"row": f"MB, {position}", "accuracies": [61.0]} for position in ("early", "decision")]
    schedules = [{"rows": [row]}, {"rows": [row, weak]}, {"rows": fusions}]
    monkeypatch.setattr(generated, "_benchmark", lambda name: {"schedules": schedules})
    assert generated.composed().splitlines()[-1] == "| 1 | A+V | 62.0 ± 2.0 | 3 |"
    assert generated.composed_longer().splitlines()[2:] == ["| A+V | 62.0 ± 2.0 | 50.0 |"]
    assert generated.composed_fusions().splitlines()[2:] == ["| MB | 61.0 |  | 61.0 |"]


def test_every_setting_is_explained(generated):
    told = re.findall(r"^\| `(\w+)` \| .+? \| \S.+ \|$", generated.training_settings(), flags=re.M)
    assert told == list(TrainingSettings().to_dict())


def test_the_command_line_has_every_command_and_keeps_brackets(generated):
    text = generated.command_line()
    assert set(re.findall(r"^## `avel ([\w-]+)`$", text, flags=re.M)) == set(typer.main.get_command(app).commands)
    assert re.search(r"length of a segment in seconds[^`]+\[default: 1\]", text)


def test_the_example_of_own_categories_can_be_loaded(tmp_path, weight_file):
    from avel.backbones.registry import visual_backbone

    weight_file("efficientnet-lite0")
    heard, seen = audio_backbone("embedded").labels, visual_backbone("efficientnet-lite0").labels
    tables = [code for language, _, code in FENCE.findall(PAGES["howto/categories.md"]) if language == "toml"]
    assert len(tables) == 2
    for table in tables:
        (tmp_path / "categories.toml").write_text(table, encoding="utf-8")
        for category in load_categories(tmp_path / "categories.toml"):
            assert class_indices(category.audio, heard, category.name)
            assert class_indices(category.visual, seen, category.name)


@pytest.mark.slow
@pytest.mark.usefixtures("localizer_weights")
def test_the_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings_handlers.python", "markdown_exec", "nbconvert", "ipykernel"):
        pytest.importorskip(package, reason="the docs' packages are not installed (pip install -e '.[docs]')")
    nowhere = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")],
        cwd=ROOT,
        env={**os.environ, "AVEL_OFFLINE": "1", **dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere)},
        capture_output=True,
        text=True,
        timeout=1800,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    built = {str(p.relative_to(tmp_path / "site")): p.read_text("utf-8") for p in (tmp_path / "site").rglob("*.html")}
    of_models = {page for page in built if page.startswith("models/")}  # made from the modules' heads
    assert {"models/tian2018.html", "models/cman.html", "models/recommended.html"} <= of_models
    pages = {*PAGES, *(str(path.relative_to(DOCS).with_suffix(".md")) for path in NOTEBOOKS)}
    assert set(built) - of_models == {"404.html", *(page.replace(".md", ".html") for page in pages)}
    loads = r'<(?:script|link|img|iframe|source|video)\b[^>]*?\s(?:src|href)="?((?:https?:)?//[^\s">]+)'
    assert {page: found for page, text in built.items() if (found := re.findall(loads, text))} == {}
    # What the tutorials' code printed, without the colours of the code
    printed = {page: re.sub(r"<[^>]+>", "", text) for page, text in built.items()}
    assert "Male speech, man speaking  (audio-visual, 0." in printed["tutorials/localize.html"]
    assert "Summary(done=2, skipped=0, failures=())" in printed["tutorials/features.html"]
    assert "a+v on split test of FOLDER/labels.csv: 3 clips, 30 segments" in printed["tutorials/train.html"]
    assert "cannot be seen: [" in printed["tutorials/results.html"]
    # What the notebook showed, and itself
    shown = built["tutorials/notebook.html"]
    assert "<td>Male speech, man speaking</td>" in shown
    assert [shown.count(f'<source src="data:{kind};base64,') for kind in ("video/mp4", "audio/wav")] == [1, 1]
    assert 'href="notebook.ipynb"' in shown
    downloaded = (tmp_path / "site/tutorials/notebook.ipynb").read_bytes()
    assert downloaded == (DOCS / "tutorials/notebook.ipynb").read_bytes()


def test_notebooks_are_kept_without_outputs(notebook_pages):
    assert NOTEBOOKS
    for path in NOTEBOOKS:
        notebook = notebook_pages.nbformat.read(path, as_version=4)
        notebook_pages.nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


def test_no_page_is_made_of_a_notebook_that_fails(notebook_pages, tmp_path):
    from nbclient.exceptions import CellExecutionError

    cells = [notebook_pages.nbformat.v4.new_code_cell(code) for code in ("zero = 0", "1 / zero")]
    notebook_pages.nbformat.write(notebook_pages.nbformat.v4.new_notebook(cells=cells), tmp_path / "bad.ipynb")
    with pytest.raises(CellExecutionError, match=r"(?s)1 / zero.*ZeroDivisionError.*: division by zero"):
        notebook_pages.executed(tmp_path / "bad.ipynb")


def test_every_model_has_a_page_made_of_its_modules_head(generated):
    pages = generated.model_pages()
    linked = {anchor for text in pages.values() for anchor in re.findall(r"models\.md#(model-[\w-]+)\)", text)}
    assert linked == {generated._anchor(name) for name in registry.available_models()}
    assert pages["jca"].startswith("# Recursive joint co-attention (JCA) of Duan et al., WACV 2021\n")
    assert "What the paper leaves open is as the authors' code has it: l = 4" in pages["jca"]
    assert r"pictures -> spatial attention \ " in pages["cman"].replace("\n", " ")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert all(f": models/{name}.md\n" in navigation for name in pages)


@pytest.mark.parametrize("page", ["why-nothing", "categories"])
def test_pages_name_the_probability_that_one_modality_alone_needs(page):
    assert f"a probability of {ALONE}" in (DOCS / "howto" / f"{page}.md").read_text(encoding="utf-8").replace("\n", " ")
