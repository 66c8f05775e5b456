"""Compiled networks in the cache: read when they are asked for, made again when they are not what they should be."""

import json
import logging
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avel.backbones import compilation
from avel.backbones.engine import EngineOptions, Network, from_frozen
from avel.backbones.operations import FrozenNetwork
from avel.backbones.tidying import MAX_IDLE_DAYS

WEIGHT = np.arange(6, dtype=np.float32).reshape(2, 3)
ITEMS = np.arange(12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def made() -> list[str]:
    """Names of the networks whose weights were asked for."""
    return []


def network(made: list[str], name: str = "tiny", digest: str = "sha256:0", threads: int | None = None) -> Network:
    def tensors() -> dict[str, Any]:
        made.append(name)
        return {"a.weight": WEIGHT}

    return from_frozen(
        FrozenNetwork(lambda ops, x: ops.linear(x, "a"), tensors, (3,), np.float32),
        name=name,
        digest=digest,
        options=EngineOptions(device="cpu", precision="float32", threads=threads),
    )


def check(found: Network) -> None:
    np.testing.assert_array_equal(found(ITEMS)[0], ITEMS @ WEIGHT.T)


def test_a_network_is_compiled_once_and_read_when_it_is_asked_for(
    made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = network(made)
    check(first)
    core, imported = compilation.core(), []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(core, name)

        def compile_model(self, *_: Any) -> None:
            pytest.fail("it was in the cache")

        def import_model(self, *arguments: Any) -> Any:
            imported.append(1)
            return core.import_model(*arguments)

    monkeypatch.setattr(compilation, "core", Watched)
    again = network(made, threads=1)
    assert again.record == first.record
    assert not imported
    check(again)
    check(again)
    assert imported == [1]
    assert made == ["tiny"]


@pytest.mark.parametrize("other", [{"digest": "sha256:1"}, {"name": "other"}])
def test_another_network_is_not_taken_for_it(made: list[str], other: dict[str, str]) -> None:
    network(made)
    check(network(made, **other))  # type: ignore[arg-type]
    assert len(made) == 2


@pytest.mark.parametrize(
    "change", [("__version__", "9.9"), ("openvino_version", lambda: "9.9"), ("_INSTRUCTION_LIMITS", ("PATH",))]
)
def test_another_avel_openvino_or_machine_makes_its_own(
    made: list[str], change: tuple[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network(made)
    monkeypatch.setattr(compilation, *change)
    compilation._machine.cache_clear()
    check(network(made))
    monkeypatch.undo()
    compilation._machine.cache_clear()
    assert len(made) == 2


def entry(cache_folder: Path) -> Path:
    (found,) = (cache_folder / "compiled").iterdir()
    return found


def cut(folder: Path) -> None:
    (folder / "model.blob").write_bytes((folder / "model.blob").read_bytes()[:-1])


def flip(folder: Path) -> None:
    content = bytearray((folder / "model.blob").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "model.blob").write_bytes(content)


def foreign(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "network": "0" * 64}))


def garbage(folder: Path) -> None:
    """A file that says itself that it is right, and is none of OpenVINO's."""
    import hashlib

    content = b"not a network at all" * 100
    about = json.loads((folder / "about.json").read_text())
    about |= {"bytes": len(content), "content": hashlib.sha256(content).hexdigest()}
    (folder / "model.blob").write_bytes(content)
    (folder / "about.json").write_text(json.dumps(about))


def no_json(folder: Path) -> None:
    (folder / "about.json").write_text("[" * 100_000)


def no_traits(folder: Path) -> None:
    about = json.loads((folder / "about.json").read_text())
    (folder / "about.json").write_text(json.dumps({**about, "traits": {"arithmetic": "f32"}}))


def no_model(folder: Path) -> None:
    (folder / "model.blob").unlink()


def no_description(folder: Path) -> None:
    (folder / "about.json").unlink()


@pytest.mark.parametrize("spoil", [cut, flip, foreign, garbage, no_json, no_traits, no_model, no_description])
def test_an_entry_that_is_not_as_it_should_be_is_made_again(
    spoil: Callable[[Path], None], made: list[str], cache_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    network(made)
    spoil(entry(cache_folder))
    with caplog.at_level(logging.WARNING):
        check(network(made))
    assert "cannot be used and is made again" in caplog.text
    check(network(made))
    assert len(made) == 2


def test_an_entry_that_goes_before_it_is_read_is_made_again(made: list[str], cache_folder: Path) -> None:
    network(made)
    again = network(made)
    shutil.rmtree(cache_folder / "compiled")
    check(again)
    assert len(made) == 2


def test_a_cache_that_cannot_be_written_is_no_error(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "file"))
    check(network(made))


def test_a_new_entry_takes_the_place_of_those_that_nobody_reads(made: list[str], cache_folder: Path) -> None:
    check(network(made))
    (first,) = (cache_folder / "compiled").glob("tiny-*")
    long_ago = time.time() - (MAX_IDLE_DAYS + 1) * 86400
    os.utime(first, (long_ago, long_ago))
    check(network(made))  # which reads it
    check(network(made, "second"))
    assert first.exists()
    os.utime(first, (long_ago, long_ago))
    check(network(made, "third"))
    assert sorted(path.name.partition("-")[0] for path in (cache_folder / "compiled").glob("[!.]*")) == [
        "second",
        "third",
    ]
