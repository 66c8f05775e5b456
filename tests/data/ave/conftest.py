import pytest
from ave_copy import write_copy


@pytest.fixture
def copy(tmp_path):
    """A small, complete and sound data set in AVE's layout."""
    return write_copy(tmp_path)
