import json
import os
import subprocess
import sys

import av
import pytest

from avel import __version__
from avel.backbones import weights
from avel.doctor import DECODERS, examine, lines


@pytest.fixture(scope="module")
def found():
    return examine()


def test_it_says_what_a_report_needs(found):
    assert list(found) == ["avel", "packages", "media", "processor", "GPU", "weights", "disk"]
    assert found["avel"]["version"] == __version__
    assert found["packages"]["av"] == av.__version__
    assert f"of {os.cpu_count()}" in found["processor"]["cores"]
    assert set(weights.catalogue()) < set(found["weights"])
    assert all(value for section in found.values() for value in section.values())


def test_it_knows_which_decoders_are_there(found):
    decodes = found["media"]["decodes"].split(", ")
    assert {"h264", "aac"} <= set(decodes) <= set(DECODERS)
    assert all(av.codec.Codec(name, "r").name for name in decodes)


def test_a_file_that_is_not_the_published_one_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "none"))
    file = tmp_path / weights.lookup("yamnet").file_name
    file.write_bytes(b"something else")
    said = examine()["weights"]
    assert said["yamnet"].startswith(f"not on this machine; {file} is not used: it has 14 bytes instead of")
    assert said["vgg19"] == "not on this machine"


def test_lines_have_a_heading_for_each_section(found):
    text = lines(found)
    assert [line for line in text if not line.startswith("  ")] == list(found)


def test_the_command_prints_it():
    done = subprocess.run(
        [sys.executable, "-m", "avel", "doctor", "--json"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["avel"]["version"] == __version__
