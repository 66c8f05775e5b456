"""Fixtures shared by all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("AVEL_SHARED", ROOT.parent / "shared"))


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
