from pathlib import Path

import pytest
from hand_made_results import make_result


@pytest.fixture
def write(tmp_path):
    def write(name: str, text: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return write


@pytest.fixture
def make():
    return make_result


@pytest.fixture
def result():
    """A result that needs no video."""
    return make_result()
