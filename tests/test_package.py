"""What ``import avel`` offers."""

import pydoc
import re
import subprocess
import sys

import pytest

import avel
from avel.backbones.engine import EngineOptions
from avel.backbones.registry import audio_backbone, visual_backbone
from avel.errors import TRAINING_PACKAGES, ModelError, training_packages

HEAVY = ("torch", "scipy", "openvino", "matplotlib", "av", "numpy", "rich", "typer", "pydantic", "h5py", "PIL")


def loaded_by(code):
    """Which of `HEAVY` a new process has imported after some code."""
    ask = f"{code}\nimport sys; print(*(name for name in {HEAVY} if sys.modules.get(name)))"
    done = subprocess.run([sys.executable, "-c", ask], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_importing_it_loads_nothing_heavy():
    assert loaded_by("import avel") == set()


@pytest.mark.usefixtures("localizer_weights")
def test_localizing_without_a_trained_model_needs_neither_torch_nor_scipy(hello):
    missing = "import sys; sys.modules.update(dict.fromkeys(['torch', 'scipy']))"
    code = f"{missing}; import avel; assert avel.localize({str(hello)!r}, audio_tagger='embedded').events"
    found = loaded_by(code)
    assert found >= {"av", "numpy", "openvino"}
    assert not found & {"matplotlib", "pydantic", "rich", "typer"}  # nor does it load what it does not use


@pytest.mark.parametrize(("package", "name"), TRAINING_PACKAGES.items())
def test_what_needs_the_packages_of_training_says_so(package, name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    message = re.escape(f"It needs {name}, which is not installed. Install it with: pip install 'avel[train]'")
    with pytest.raises(ModelError, match=message), training_packages("It"):
        __import__(package)
    with pytest.raises(ModuleNotFoundError, match="nowhere"), training_packages("It"):
        import nowhere  # noqa: F401


def test_networks_that_are_written_in_torch_name_themselves(tmp_path, monkeypatch):
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModelError, match="The network vgg19 needs PyTorch"):
        visual_backbone("vgg19", EngineOptions(device="cpu"))
    with pytest.raises(ModelError, match="Running embedded on the device torch-cpu needs PyTorch"):
        audio_backbone("embedded", EngineOptions(device="torch-cpu"))


def test_everything_that_it_offers_is_there_and_shown():
    assert dir(avel) == sorted(avel.__all__)
    assert all(getattr(avel, name) is not None for name in avel.__all__)


def test_help_begins_with_what_it_offers():
    beginning = pydoc.render_doc(avel, renderer=pydoc.plaintext).split("PACKAGE CONTENTS")[0]
    assert all(f"`{name}`" in beginning for name in avel.__all__ if not name.startswith("__"))


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'avel' has no attribute 'localise'"):
        avel.localise  # noqa: B018
