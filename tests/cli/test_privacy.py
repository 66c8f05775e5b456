"""Nothing is sent anywhere, and nothing is written into the user's home folder, by whatever process of a command."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from avel.backbones import weights
from avel.testing.shapes import SHAPES, make_shapes_clip

HOOK = """
import os, socket, sys
OWN = {None, "", "localhost", socket.gethostname(), "0.0.0.0", "::", "::1"}

def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if host not in OWN and not host.startswith("127."):
        with open(os.environ["HOSTS_FILE"], "a") as file:
            file.write(f"{event} {host} {sys.argv[:2]}\\n")

sys.addaudithook(note)
"""
"""Python runs it in every process: the command's own, and those that it starts."""


COMMANDS = """
import json, sys
from avel.cli.main import app

for command in json.loads(sys.argv[1]):
    app(command, standalone_mode=False)
"""
"""Of the command line, one after the other in one process: what a later one needs is loaded by then, and warm."""


class Watched:
    """Runs programs in an empty home folder, and notes which hosts they look up or connect to."""

    def __init__(self, folder: Path) -> None:
        self.home, self._hosts, hooks = folder / "home", folder / "hosts.txt", folder / "hooks"
        self.home.mkdir()
        hooks.mkdir()
        (hooks / "sitecustomize.py").write_text(HOOK)
        silent = ("CI", "TF_BUILD", "JENKINS_URL", "NNCF_CI", "NNCF_DEV", "ORT_DISABLE_TELEMETRY")
        silent += ("XDG_CACHE_HOME", "XDG_CONFIG_HOME")
        self._environment = {name: value for name, value in os.environ.items() if name not in silent} | {
            "HOME": str(self.home),
            "USERPROFILE": str(self.home),
            "AVEL_CACHE_DIR": str(weights.cache_folder().parent),  # with what the command needs
            "AVEL_OFFLINE": "1",
            "HOSTS_FILE": str(self._hosts),
            "PYTHONPATH": os.pathsep.join([str(hooks), *filter(None, [os.environ.get("PYTHONPATH")])]),
        }

    def run(self, *arguments: object) -> None:
        command = [sys.executable, *map(str, arguments)]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert self.hosts() == []
        assert sorted(self.home.rglob("*")) == []

    def hosts(self) -> list[str]:
        return self._hosts.read_text().splitlines() if self._hosts.exists() else []


@pytest.fixture
def watched(tmp_path: Path) -> Watched:
    return Watched(tmp_path)


def test_the_watch_sees_processes_that_a_command_starts(watched: Watched) -> None:
    lookup = "import socket\ntry: socket.getaddrinfo('nowhere.invalid', 80)\nexcept OSError: pass\n"
    with pytest.raises(AssertionError, match="nowhere.invalid"):
        watched.run("-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {lookup!r}])")


@pytest.mark.slow
def test_localize(watched: Watched, hello: Path, tmp_path: Path, localizer_weights: None) -> None:
    watched.run("-m", "avel", "localize", hello, "-o", tmp_path / "out")


@pytest.mark.slow
def test_extract_train_and_export(watched: Watched, tmp_path: Path) -> None:
    pytest.importorskip("dask")
    pytest.importorskip("onnxscript")
    (tmp_path / "videos").mkdir()
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["video", "start_seconds", "end_seconds", "category"])
        for i in range(6):
            name = list(SHAPES)[i % 2]
            make_shapes_clip(tmp_path / "videos" / f"{i}.mp4", 3.0, [(name, 1, 3)], seed=i, width=32, height=32)
            table.writerow([f"{i}.mp4", 1, 3, name])
    sound = ("--visual", "none", "--audio", "embedded-embedding")
    store, run = tmp_path / "store", tmp_path / "run"
    dask = ("--engine", "dask", "--workers", 1)
    quick = ("--model", "a", "--epochs", 1, "--device", "cpu", "--set", "threads=1")
    labels = (tmp_path / "labels.csv", "--videos", tmp_path / "videos")
    commands = [
        ("extract", tmp_path / "videos", "-o", store, *sound, *dask),
        ("train", *labels, "-o", run, "--store", store, *quick),
        *(("models", "export", run, "-o", tmp_path / f"model.{kind}") for kind in ("xml", "onnx")),
    ]
    watched.run("-c", COMMANDS, json.dumps([list(map(str, command)) for command in commands]))


def test_onnx_runtime(watched: Watched) -> None:
    """Its own code opens connections, which Python does not see; what it writes shows whether it reports."""
    pytest.importorskip("onnxruntime")
    watched.run("-c", "from avel import runtimes; runtimes.onnxruntime()")
    with pytest.raises(AssertionError):
        watched.run("-c", "import onnxruntime")


@pytest.mark.slow
def test_quantizing(watched: Watched) -> None:
    pytest.importorskip("nncf")
    watched.run("-c", "from avel import runtimes; runtimes.nncf().telemetry.telemetry.send_event('a', 'b', 'c')")


def test_openvinos_telemetry_is_there_to_be_stopped(watched: Watched) -> None:
    """If this no longer fails, `avel.runtimes` may have become needless."""
    pytest.importorskip("openvino_telemetry")
    with pytest.raises(AssertionError):
        watched.run("-c", "import openvino")
