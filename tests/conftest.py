"""Fixtures shared by all tests."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from avel.backbones import weights
from avel.errors import WeightsError

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # for tests that import ONNX Runtime themselves

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("AVEL_SHARED", ROOT.parent / "shared"))

# What is right on a busy machine is right: no test of a property fails because it took long.
settings.register_profile("avel", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("avel")


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
