"""Fixtures shared by all tests."""

import gc
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from avel.backbones import weights
from avel.errors import WeightsError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import ONNX Runtime themselves

# The tests' networks are small, and other tests run beside: threads that wait for each other take longer than one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is imported and collected stays to the end. To look through it for garbage again and again would take a fourth of
# the time of collecting, and some of that of every test.
gc.disable()

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("AVEL_SHARED", ROOT.parent / "shared"))

# What is right on a busy machine is right: no test of a property fails because it took long. Each draws the same
# examples in every run; `pytest --hypothesis-profile search` draws others, and more.
settings.register_profile(
    "avel",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("search", settings.get_profile("avel"), derandomize=False, max_examples=1000)
settings.load_profile("avel")


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_runtest_setup() -> None:
    """Let a test draw the same random numbers whatever ran before it."""
    random.seed(2018)
    np.random.seed(2018)
    if torch := sys.modules.get("torch"):
        torch.manual_seed(2018)


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of third-party test data; tests that need it are skipped where it is not there."""
    if not (SHARED / "data" / "MANIFEST.md").exists():
        pytest.skip(f"no third-party test data at {SHARED} (set AVEL_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def event_clips(shared: Path) -> Path:
    return shared / "data" / "media" / "events"


@pytest.fixture(scope="session")
def odd_files(shared: Path) -> Path:
    return shared / "data" / "media" / "odd"


@pytest.fixture(scope="session")
def hello() -> Path:
    """The example clip that is part of the project."""
    return ROOT / "examples" / "hello.ogv"


@pytest.fixture(scope="session")
def weight_file() -> Callable[[str], Path]:
    """Where a pretrained network's weight file is; tests that need one that is not here are skipped.

    Nothing is fetched: `avel weights fetch NAME` does that before the tests run.
    """

    def find(name: str) -> Path:
        try:
            return weights.path(name, offline=True)
        except WeightsError as error:
            pytest.skip(f"`avel weights fetch {name}` first. {error}")

    return find


@pytest.fixture(scope="session")
def localizer_weights() -> None:
    """What every localizer needs; tests of it are skipped where they are not available."""
    for name in ("efficientnet-lite0", "blazeface-back", "face-landmark"):
        if weights.find(name) is None:
            pytest.skip(f"no weights {name} here (avel weights fetch {name})")


@pytest.fixture(scope="session")
def clips(tmp_path_factory):
    """A folder of six clips of different colours, tones and lengths, two of them with equal names."""
    from tiny_clips import make_clip

    folder = tmp_path_factory.mktemp("clips")
    for number, name in enumerate(["a.mp4", "b.mp4", "c.mkv", "d.mp4", "more/a.mp4", "more/e.mp4"]):
        colour = (40 * number, 255 - 40 * number, 128)
        make_clip(folder / name, colour, hertz=300 + 500 * number, seconds=1.5 + number / 2)
    return folder


@pytest.fixture
def clip(clips):
    return clips / "a.mp4"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a small file system can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
