from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_ave import write_ave_folder

from avel.training.ave_data import open_data
from avel.training.data import LocalizationData


@pytest.fixture(scope="session")
def ave_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ave_folder(tmp_path_factory.mktemp("ave"))


@pytest.fixture
def data(ave_folder: Path) -> LocalizationData:
    return open_data(ave_folder)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    def make(name: str = "data", **arguments: object) -> Path:
        return write_ave_folder(tmp_path / name, **arguments)

    return make
