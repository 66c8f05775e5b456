"""The page is what its sources say, and its sources are right."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WEB = ROOT / "web"
STATIC = ROOT / "src" / "avel" / "web" / "static"


@pytest.fixture(scope="module")
def npm():
    """Run a script of web/package.json."""
    if shutil.which("npm") is None:
        pytest.skip("no node and npm here, which build the page (Debian: apt install npm)")
    if not (WEB / "node_modules" / "esbuild").is_dir():
        pytest.skip("what builds the page is not installed here (npm ci in web/, as make test does)")

    def run(script):
        return subprocess.run(["npm", "run", "--silent", script], cwd=WEB, capture_output=True, text=True, timeout=300)

    return run


@pytest.mark.parametrize("script", ["check", "types", "test"])
def test_sources_and_built_files_agree(npm, script):
    ended = npm(script)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_nothing_comes_from_elsewhere():
    for path in STATIC.iterdir():
        found = set(re.findall(r"(?:https?:)?//[a-z0-9.-]+\.[a-z]{2,}", path.read_text(encoding="utf-8")))
        assert found <= {"http://www.w3.org"}, f"{path.name} names {found}"


def test_markup_has_no_script_and_no_style_of_its_own():
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", page)


def test_text_from_outside_never_becomes_markup():
    for path in (WEB / "src").glob("*.ts"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|DOMParser", text), (
            path.name
        )
