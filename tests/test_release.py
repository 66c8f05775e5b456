"""What a release says about itself, in all places where it does."""

import contextlib
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
import typer
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from avel.backbones import weights
from avel.cli.main import app
from avel.version import __version__
from release import check_dist, third_party

ROOT = Path(__file__).parent.parent


def test_the_changelog_has_this_version_in_the_form_that_it_names():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    assert headings[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    assert headings[1].split(" - ")[0] == __version__
    released = text.split(f"## {headings[1]}")[1]
    kinds = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    assert set(re.findall(r"^### (.+)$", released, flags=re.M)) <= set(kinds)


def test_the_citation_file_names_this_version_and_its_day():
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert f"## {cited['version']} - {cited['date-released']}" in text
    assert cited["version"] == __version__


def listed(name):
    """The rows of a table of THIRD_PARTY.md: licences by what they are of."""
    text = third_party.LIST.read_text(encoding="utf-8")
    table = text.split(f"<!-- {name} -->")[1].split(f"<!-- end of {name} -->")[0]
    return {row[1].strip(): row[2].strip() for row in (line.split("|") for line in table.splitlines()[4:]) if row[1:]}


def test_every_package_that_avel_brings_is_in_the_list_of_licences():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    packages = listed("packages")
    assert {canonicalize_name(Requirement(text).name) for text in project["dependencies"]} <= packages.keys()
    brought = {canonicalize_name(found.name): found for found in third_party.installed(project["dependencies"])}
    assert {"av", "click", "pydantic-core"} <= brought.keys()
    assert {name: third_party.licence_of(found) for name, found in brought.items()}.items() <= packages.items()


def test_every_weight_file_is_in_the_list_of_licences():
    assert listed("weights") == {file.name: file.licence for file in weights.catalogue().values()}


def test_every_data_file_of_others_is_in_the_list_of_licences():
    text = third_party.LIST.read_text(encoding="utf-8")
    sources = (ROOT / "src/avel/data/SOURCES.md").read_text(encoding="utf-8")
    files = re.findall(r"^`([\w.]+)` has", sources, flags=re.M)
    assert len(files) >= 3
    assert all(f"`avel/data/{file}`" in text for file in files)


@pytest.mark.parametrize(
    ("stated", "licence"),
    [
        ("License-Expression: MIT OR Apache-2.0", "MIT OR Apache-2.0"),
        ("Classifier: License :: OSI Approved :: BSD License", "BSD-3-Clause"),
        ("License: ISC", "ISC"),
    ],
)
def test_a_licence_is_what_a_package_states(tmp_path, stated, licence):
    assert third_party.licence_of(package(tmp_path, stated)) == licence


@pytest.mark.parametrize("stated", ["License: All rights reserved.", "Classifier: License :: Free for home use"])
def test_a_licence_that_nobody_has_read_is_told(tmp_path, stated):
    with pytest.raises(ValueError, match="some-thing: states no licence that is known"):
        third_party.licence_of(package(tmp_path, stated))


def package(folder, stated):
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some_thing\nVersion: 1\n{stated}\n")
    return importlib.metadata.Distribution.at(folder)


WHEEL = [re.sub(r"\[\^/\]\+", "0.2.0", pattern).replace("\\", "") for pattern in check_dist.NEEDED]


def test_a_wheel_that_holds_what_it_needs_and_no_more_is_right():
    assert check_dist.problems([*WHEEL, "avel/testing/shapes.py", "avel-0.2.0.dist-info/RECORD"], 5_000_000) == []


@pytest.mark.parametrize("name", ["tests/data/clip.json", "avel/tests/a.py", "avel/web/clip.mp4", "release/x.py"])
def test_what_does_not_belong_into_a_wheel_is_told(name):
    assert check_dist.problems([*WHEEL, name], 1) == [f"holds {name}, which nobody needs who runs avel"]


def test_what_a_wheel_lacks_and_how_large_it_is_are_told():
    assert check_dist.problems(WHEEL[1:], 9_000_000) == [
        r"holds no avel/py\.typed",
        "is 9,000,000 bytes large; at most 8,000,000 are allowed",
    ]


def test_the_description_of_a_package_links_to_nothing_that_an_index_lacks():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    hook = project["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]
    text = "".join((ROOT / fragment["path"]).read_text(encoding="utf-8") for fragment in hook["fragments"])
    assert check_dist.dead_links(text)
    for one in hook["substitutions"]:
        text = re.sub(one["pattern"], one["replacement"], text)
    assert check_dist.dead_links(text) == []
    assert "This trains avel's own recommended model, which follows no paper" in " ".join(text.split())
    assert "docs/review.png" not in text


def test_what_is_pinned_installs_on_every_python_that_avel_runs_on():
    pinned = [line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line]
    too_new = []
    for name in pinned:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # a package of another system
            needs = importlib.metadata.metadata(name).get("Requires-Python", "")
            if not SpecifierSet(needs).contains("3.11.0"):
                too_new.append(f"{name} needs Python {needs}")
    assert too_new == []


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "Makefile"])
def test_what_localizing_needs_is_listed_in_the_package_alone(file):
    text = (ROOT / file).read_text(encoding="utf-8")
    assert not [name for name in weights.DEFAULT_NAMES if name in text]


def test_the_image_is_built_of_files_that_are_there_and_are_sent_to_the_builder():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = {name for line in re.findall(r"^COPY (.+) \S+$", text, flags=re.M) for name in line.split()}
    assert "src" in copied
    assert all((ROOT / name).exists() for name in copied)
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines() if line[0] == "!"}
    assert copied == sent
    assert "avel weights fetch &&" in text  # without names: those that localizing needs


def test_the_page_is_served_from_the_image_on_this_machine_only():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["avel"]
    command = typer.main.get_command(app).get_command(None, "serve")
    given = command.make_context("serve", list(service["command"][1:])).params
    assert service["command"][0] == "serve"
    assert (given["host"], f"127.0.0.1:{given['port']}:{given['port']}") == ("0.0.0.0", *service["ports"])
    mounted = {volume.removesuffix(":ro").rsplit(":", 1)[1] for volume in service["volumes"]}
    assert {str(path) for path in (given["output"], *given["videos"])} | {"/cache"} == mounted
    assert service["hostname"] == "localhost"  # the name in the link that is printed


def test_every_extra_is_in_the_documentation():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    told = re.findall(
        r"^\| `avel\[(\w+)\]` \|", (ROOT / "docs" / "installation.md").read_text(encoding="utf-8"), flags=re.M
    )
    assert set(told) == extras.keys() - {"dev", "docs"}  # those are for who works on avel
