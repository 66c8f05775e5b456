"""What a release says about itself, in all places where it does."""

import re
from pathlib import Path

import yaml

from avel.version import __version__

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
