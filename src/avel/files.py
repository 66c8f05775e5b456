"""Files that are there whole or not at all, and a first look at files from others.

One promise holds for everything that avel writes: a file is made under a temporary name, brought to the disk, and then
given its name, so that neither a full disk nor a killed process nor a power cut leaves half a file, and whatever was
there before stays until the new file is complete. What the operating system refuses is said in one wording.
"""

import contextlib
import errno
import filecmp
import json
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from avel.errors import AvelError, OutputError

MAX_HEADER_BYTES = 16 << 20
"""A header of avel's own files takes some KB; a hostile one could ask for gigabytes of memory."""

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your quota on this disk is used up",
    errno.EFBIG: "the file would be larger than is allowed here",
}
_REASONS = {
    errno.EROFS: "this place is read-only",
    errno.EACCES: "you do not have permission to write here",
    errno.EPERM: "you do not have permission to write here",
    errno.EISDIR: "it is a folder",
    errno.ENOTDIR: "a part of its path is a file, not a folder",
    errno.EEXIST: "a part of its path is a file, not a folder",
    errno.ENAMETOOLONG: "its name is too long",
}


def no_such_file(path: str | os.PathLike[str]) -> str:
    """What to tell a user of a file that is not there, and may be an address."""
    address = re.fullmatch(r"([a-z][a-z0-9+.-]+):/+(.+)", str(path), flags=re.DOTALL | re.IGNORECASE)
    if address is None:
        return f"{path}: no such file. Check the name."
    scheme, rest = address.groups()
    url = f"{scheme}://{rest}"  # a path has one slash of two
    if scheme.lower() == "file":
        return f"{path}: no such file. avel opens no addresses; give the path: {shlex.quote(f'/{rest}')}"
    if scheme.lower() not in ("http", "https", "ftp", "ftps"):
        return f"{url}: no such file. avel opens no addresses; record it into a file, and give that."
    return f"{url}: no such file. avel opens no addresses; pipe it: curl -sL {shlex.quote(url)} | avel localize -"


def cannot_write(path: Path, error: OSError, advice: str = "") -> str:
    """The message for a file or folder that the operating system refuses to write.

    Args:
        path: what was to be written.
        error: what the operating system said.
        advice: what to do, as a sentence; what usually helps when empty.
    """
    if error.errno in _FULL:
        return f"Cannot write {path}: {_FULL[error.errno]}. {advice or 'Free some room and run the command again.'}"
    reason = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return f"Cannot write {path}: {reason}. {advice or 'Choose another place.'}"


@contextmanager
def writing(path: Path, *, raises: type[AvelError] = OutputError, advice: str = "") -> Iterator[None]:
    """Turn the operating system's errors while ``path`` is written into ``raises``, worded by `cannot_write`."""
    try:
        yield
    except OSError as error:
        raise raises(cannot_write(path, error if error.errno else as_os_error(error), advice)) from error


def as_os_error(error: Exception) -> OSError:
    """The operating system's error that a library (safetensors, HDF5) tells only in words."""
    number = re.search(r"\b(?:os error|errno =) (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))


@contextmanager
def sole_writer(lock_file: Path, busy: AvelError) -> Iterator[None]:
    """Be the only process that writes where a lock file is; who holds the lock already may take it again.

    Args:
        lock_file: in a folder that is there.
        busy: raised if another process holds the lock.

    Raises:
        AvelError: ``busy``.
        OSError: if the file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file, timeout=0, is_singleton=True)
    try:
        lock.acquire()
    except Timeout as error:
        raise busy from error
    try:
        yield
    finally:
        lock.release()


def make_folder(folder: Path) -> None:
    """Make a folder where there is none, and see whether a file can be written in it.

    Raises:
        OutputError: if that is not so; the message says what is in the way.
    """
    trial = folder / ".avel-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        in_the_way = next((path for path in (folder, *folder.parents) if path.exists() and not path.is_dir()), None)
        if in_the_way is not None:
            raise OutputError(
                f"Cannot make the folder {folder}: {in_the_way} is a file. Give the name of a new or an empty folder."
            ) from error
        raise OutputError(cannot_write(folder, error)) from error


@contextmanager
def replacing(
    path: Path, *, raises: type[AvelError] = OutputError, advice: str = "", temporary: Path | None = None
) -> Iterator[Path]:
    """A temporary path, whose file replaces ``path`` when the block ends without an exception.

    Missing folders are made. Whatever was at ``path`` stays as it was until then, and no temporary file is left. When
    the block has ended, the file is on the disk and not only in memory. Exceptions of the block pass as they are, but
    for the operating system's on the temporary file.

    Args:
        path: the file to write.
        raises: the exception for what goes wrong.
        advice: what to do then, as a sentence; what usually helps when empty.
        temporary: the temporary path, on the file system of ``path``, for callers who see to it that nobody else uses
            it; a new name beside ``path`` when ``None``.

    Raises:
        AvelError: of the kind ``raises``, if the operating system refuses, or if ``path`` is not a place for a file.
    """
    temporary = temporary or _beside(path)
    try:
        with writing(path, raises=raises, advice=advice):
            # Not a test of permissions: a device or a pipe would be silently replaced by a file.
            if path.exists() and not path.is_file():
                what = "a folder" if path.is_dir() else "not a regular file"
                raise raises(f"Cannot write {path}: it is {what}. {advice or 'Choose another name or place.'}")
            path.parent.mkdir(parents=True, exist_ok=True)
        with _made_by_caller(path, temporary, raises, advice):
            yield temporary
        with writing(path, raises=raises, advice=advice):
            _bring_to_disk(temporary)
            temporary.replace(path)
            _bring_folder_to_disk(path.parent)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path, *, raises: type[AvelError] = OutputError, advice: str = "") -> Iterator[Path]:
    """A temporary folder that becomes ``path`` when the block ends without an exception.

    For folders whose content follows from their name: one that another process made meanwhile stays.

    Raises:
        AvelError: of the kind ``raises``, if the operating system refuses.
    """
    temporary = _beside(path)
    try:
        with writing(path, raises=raises, advice=advice):
            temporary.mkdir(parents=True)
        with _made_by_caller(path, temporary, raises, advice):
            yield temporary
        with writing(path, raises=raises, advice=advice):
            for file in temporary.iterdir():
                _bring_to_disk(file)
            try:
                temporary.rename(path)
            except OSError:
                if not path.is_dir():
                    raise
            _bring_folder_to_disk(path.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def workshop(folder: Path, *, raises: type[AvelError] = OutputError, advice: str = "") -> Iterator[Path]:
    """A temporary folder inside ``folder``, for files that come into ``folder`` one by one; see `put`.

    Missing folders are made. What is left in it at the end of the block is removed.

    Raises:
        AvelError: of the kind ``raises``, if the operating system refuses.
    """
    temporary = _beside(folder / "x")
    try:
        with writing(folder, raises=raises, advice=advice):
            temporary.mkdir(parents=True)
        with _made_by_caller(folder, temporary, raises, advice):
            yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def put(made: Path, path: Path, *, raises: type[AvelError] = OutputError, advice: str = "") -> Path:
    """Give a finished file its name, without replacing another one: where that is taken, a number is added to it.

    A file that is there already, byte by byte the same, stays, and is not there twice.

    Args:
        made: the file, on the file system of ``path``.
        path: the name wanted.
        raises: the exception for what goes wrong.
        advice: what to do then, as a sentence; what usually helps when empty.

    Returns:
        The name that the file has.

    Raises:
        AvelError: of the kind ``raises``, if the operating system refuses.
    """
    with writing(path, raises=raises, advice=advice):
        _bring_to_disk(made)
        candidate, number = path, 1
        while os.path.lexists(candidate):
            if candidate.is_file() and filecmp.cmp(made, candidate, shallow=False):
                made.unlink()
                return candidate
            number += 1
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}")
        made.rename(candidate)
        _bring_folder_to_disk(path.parent)
    return candidate


class UniqueNames:
    """Gives names of which no two are the same, even where upper and lower case are."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._numbers: dict[str, int] = {}  # the last one of each name, so that thousands of one name are quick

    def take(self, name: str) -> bool:
        """Give out this very name; False if it is taken."""
        is_free = name.casefold() not in self._taken
        self._taken.add(name.casefold())
        return is_free

    def give(self, names: Iterable[str]) -> list[str]:
        """Give out some names; those that are taken get a number: ``clip``, ``clip-2``, ``clip-3``."""
        given = list(names)
        wanted = {name.casefold() for name in given}
        unique = []
        for stem in given:
            name, number = stem, self._numbers.get(stem.casefold(), 1)
            while name.casefold() in self._taken or (name != stem and name.casefold() in wanted):
                number += 1
                name = f"{stem}-{number}"
            self._numbers[stem.casefold()] = number
            self._taken.add(name.casefold())
            unique.append(name)
        return unique

    def free(self, name: str) -> None:
        """Take a name back, so that it can be given out again."""
        self._taken.discard(name.casefold())


def unique_names(names: Iterable[str]) -> list[str]:
    """Names of which no two are the same, even where upper and lower case are.

    Of equal names all but the first get a number: ``clip``, ``clip-2``, ``clip-3``.
    """
    return UniqueNames().give(names)


def utf8_text(text: str) -> str:
    r"""Text that UTF-8 can hold: lone surrogates, of file names that are not UTF-8, are written as ``\udcxx``."""
    return text.encode("utf-8", "backslashreplace").decode()


def write_text(path: Path, text: str, *, raises: type[AvelError] = OutputError, advice: str = "") -> None:
    r"""Write text as UTF-8 with the line ends it has.

    A file name that is not valid UTF-8 holds lone surrogates in Python; they are written as ``\udcxx``, which is what
    JSON wants.

    Raises:
        AvelError: of the kind ``raises``, if it cannot be written.
    """
    write_bytes(path, text.encode("utf-8", errors="backslashreplace"), raises=raises, advice=advice)


def write_bytes(path: Path, content: bytes, *, raises: type[AvelError] = OutputError, advice: str = "") -> None:
    """Write a file that is in memory.

    Raises:
        AvelError: of the kind ``raises``, if it cannot be written.
    """
    with replacing(path, raises=raises, advice=advice) as temporary:
        temporary.write_bytes(content)


def _beside(path: Path) -> Path:
    return path.with_name(f".avel-{secrets.token_hex(6)}.tmp")


@contextmanager
def _made_by_caller(path: Path, temporary: Path, raises: type[AvelError], advice: str) -> Iterator[None]:
    """As `writing`, but leaves errors that are not the operating system's, or that are about another file."""
    try:
        yield
    except OSError as error:
        about_this = error.filename is None or Path(os.fsdecode(error.filename)).is_relative_to(temporary)
        if error.errno is None or not about_this:
            raise
        raise raises(cannot_write(path, error, advice)) from error


def _bring_to_disk(file: Path) -> None:
    with file.open("rb+") as opened:
        os.fsync(opened.fileno())


def _bring_folder_to_disk(folder: Path) -> None:
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    with contextlib.suppress(OSError):  # some network file systems know no such thing; the file itself is on the disk
        opened = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)


class SafetensorsError(ValueError):
    """A file is not in the safetensors format, or is damaged; the message is the reason, without the file's name."""


@dataclass(frozen=True)
class TensorPlace:
    """Where a tensor lies in a safetensors file.

    Attributes:
        dtype: as the format has it, such as ``"F32"``.
        shape: sizes of its axes.
        offset_bytes: from the start of the file.
    """

    dtype: str
    shape: tuple[int, ...]
    offset_bytes: int


@dataclass(frozen=True)
class SafetensorsHeader:
    """What a safetensors file says of itself.

    Attributes:
        metadata: texts by key.
        tensors: by name.
    """

    metadata: Mapping[str, str]
    tensors: Mapping[str, TensorPlace]


@contextmanager
def open_safetensors(path: Path, framework: Literal["numpy", "pt"]) -> Iterator[Any]:
    """A safetensors file of any origin, as ``safetensors.safe_open`` gives it.

    The header is at most `MAX_HEADER_BYTES` long, and every offset in it lies in the file.

    Raises:
        OSError: if the file cannot be read.
        SafetensorsError: if it is something else or damaged, also when that shows only within the block.
    """
    from safetensors import SafetensorError, safe_open

    with path.open("rb") as file:
        _header_bytes(file.read(8))
    try:
        with safe_open(path, framework=framework) as opened:
            yield opened
    except SafetensorError as error:
        raise SafetensorsError(str(error)) from error


def safetensors_header(path: Path) -> SafetensorsHeader:
    """The header of a safetensors file of any origin, checked against the file as `open_safetensors` does.

    Raises:
        OSError: if the file cannot be read.
        SafetensorsError: if it is something else or damaged.
    """
    with open_safetensors(path, "numpy") as opened, path.open("rb") as file:
        metadata = opened.metadata() or {}
        length = _header_bytes(file.read(8))
        header = json.loads(file.read(length))
    tensors = {
        name: TensorPlace(entry["dtype"], tuple(entry["shape"]), 8 + length + entry["data_offsets"][0])
        for name, entry in header.items()
        if name != "__metadata__"
    }
    return SafetensorsHeader(metadata, tensors)


def _header_bytes(start: bytes) -> int:
    length = int.from_bytes(start, "little")
    if len(start) < 8 or length > MAX_HEADER_BYTES:
        raise SafetensorsError(
            f"it is not a safetensors file, or its header has more than the {MAX_HEADER_BYTES:,} bytes that are allowed"
        )
    return length
