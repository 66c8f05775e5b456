"""What ``import avel`` offers."""

import subprocess
import sys

import pytest

import avel

HEAVY = ("torch", "openvino", "scipy", "matplotlib", "av", "numpy", "rich", "typer", "pydantic", "h5py", "PIL")


def loaded_by(code):
    """Which of `HEAVY` a new process has imported after some code."""
    ask = f"{code}\nimport sys; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_it_loads_nothing_heavy():
    assert loaded_by("import avel") == set()


def test_what_localizes_without_training_needs_no_torch():
    found = loaded_by("import avel; avel.Localizer; import avel.localization.agreement_system, avel.cli.localize")
    assert "torch" not in found
    assert "numpy" in found


def test_everything_that_it_offers_is_there_and_shown():
    assert set(avel.__all__) <= set(dir(avel))
    assert all(getattr(avel, name) is not None for name in avel.__all__)


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'avel' has no attribute 'localise'"):
        avel.localise  # noqa: B018
