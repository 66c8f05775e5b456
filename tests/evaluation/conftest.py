from pathlib import Path

import pytest
import torch
from tiny_ave import write_ave_folder


@pytest.fixture(autouse=True)
def one_thread():
    """Two threads on tiny models are slower than one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def ave_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ave_folder(tmp_path_factory.mktemp("ave"))
