"""What ``import avel`` offers."""

import pytest

import avel


def test_everything_that_it_offers_is_there_and_shown():
    assert set(avel.__all__) <= set(dir(avel))
    assert all(getattr(avel, name) is not None for name in avel.__all__)


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'avel' has no attribute 'localise'"):
        avel.localise  # noqa: B018
