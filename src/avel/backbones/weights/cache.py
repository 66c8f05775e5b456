"""Weight files on this machine: looked for, checked, and fetched into the cache."""

import contextlib
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import platformdirs

from avel.backbones.weights import entries
from avel.backbones.weights.download import CHUNK_BYTES, Checksum, Incoming, RefusedError, fetch_from, shown
from avel.backbones.weights.entries import SUBSTITUTES, WeightFile, WeightSource, lookup
from avel.errors import AvelWarning, WeightsError
from avel.files import replacing, writing


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


def here_first(names: Iterable[str]) -> list[str]:
    """Weight files of which any will do, those that are on this machine first, else in the order given.

    So a source that could not be reached once is not asked again at each start. Files are not read for this: one of
    another content counts as well.

    Raises:
        ValueError: if the catalogue has no such name.
    """
    return sorted(names, key=lambda name: not _is_here(lookup(name)))


def _is_here(entry: WeightFile) -> bool:
    given = os.environ.get("AVEL_WEIGHTS_DIR")
    folders = [cache_folder(), *([Path(given).expanduser()] if given else [])]
    with contextlib.suppress(OSError):
        return any((folder / entry.file_name).exists() for folder in folders)
    return False


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
    return path_of(lookup(name), offline=offline, progress=sys.stderr.isatty())


def fetch(names: Iterable[str] | None = None, *, progress: bool = False) -> dict[str, Path]:
    """Fetch weight files that are not on this machine yet.

    Args:
        names: as in the catalogue; all that it has when ``None``.
        progress: show on stderr what is being fetched.

    Returns:
        Where each file is.

    Raises:
        ValueError: if the catalogue has no such name; nothing has been fetched then.
        WeightsError: if files are not available. All the others have been fetched by then.
    """
    return _fetch_all([(lookup(name),) for name in (entries.catalogue() if names is None else names)], progress)


def fetch_default(*, progress: bool = False) -> dict[str, Path]:
    """Fetch what localizing without a trained model uses and is not on this machine yet.

    What cannot be had is warned about (`AvelWarning`) where a substitute takes its place.

    Args:
        progress: show on stderr what is being fetched.

    Returns:
        Where each file is.

    Raises:
        WeightsError: if files are not available. All the others have been fetched by then.
    """
    names = [(name, entries.SUBSTITUTES.get(name)) for name in entries.DEFAULT_NAMES]
    return _fetch_all([tuple(lookup(name) for name in either if name) for either in names], progress)


def _fetch_all(wanted: Iterable[tuple[WeightFile, ...]], progress: bool) -> dict[str, Path]:
    """Fetch the first of each that can be had."""
    found, failures = {}, []
    for first, *others in wanted:
        failed: list[str] = []
        for entry in (first, *others):
            try:
                found[entry.name] = path_of(entry, offline=False, progress=progress)
            except WeightsError as error:
                failed.append(str(error))
                continue
            if failed:
                text = f"{entry.name} takes the place of {first.name}, which is not available. "
                warnings.warn(f"{text}`avel weights fetch {first.name}` says why.", AvelWarning, stacklevel=3)
            break
        else:
            failures += failed
    if failures:
        raise WeightsError("\n\n".join(failures))
    return found


def path_of(entry: WeightFile, *, offline: bool, progress: bool, beside: Path | None = None) -> Path:
    """As `path`, of an entry; with a folder that is looked into first."""
    found, reasons = _find(entry, beside)
    if found is not None:
        return found
    if offline or os.environ.get("AVEL_OFFLINE", "0") not in ("", "0"):
        reasons += [(str(source), "not tried: offline") for source in entry.sources]
        raise _unavailable(entry, reasons)
    target = cache_folder() / entry.file_name
    with locked(target, entry):
        if _problem(target, entry) is None:  # another process fetched it while this one waited
            return target
        for source in entry.sources:
            try:
                _fetch(source, entry, target, progress)
            except RefusedError as refusal:
                reasons.append((str(source), str(refusal)))
            else:
                return target
    raise _unavailable(entry, reasons)


def _find(entry: WeightFile, beside: Path | None = None) -> tuple[Path | None, list[tuple[str, str]]]:
    """The file where it is on this machine, or why it is not at any of the places, as (place, reason)."""
    reasons = []
    if beside is not None:
        problem = _problem(beside / entry.file_name, entry)
        if problem is None:
            return beside / entry.file_name, []
        reasons.append((str(beside / entry.file_name), problem))
    given = os.environ.get("AVEL_WEIGHTS_DIR")
    if given:
        file = Path(given).expanduser() / entry.file_name
        problem = _problem(file, entry)
        if problem is None:
            return file, []
        if file.exists():
            warnings.warn(f"{file} is not used: {problem}.", AvelWarning, stacklevel=4)
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
    checksum = Checksum(entry)
    try:
        if file.stat().st_size != entry.size_bytes:  # no need to read it
            return f"it has {file.stat().st_size:,} bytes instead of {entry.size_bytes:,}"
        with file.open("rb") as stream:
            while chunk := stream.read(CHUNK_BYTES):
                checksum.update(chunk)
    except FileNotFoundError:
        return "not there"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return checksum.problem()


def _unavailable(entry: WeightFile, reasons: list[tuple[str, str]]) -> WeightsError:
    tried = "\n".join(f"  {where}: {reason}" for where, reason in reasons)
    get = f"On a machine that reaches it, {entry.sources[0].by_hand()}; then put" if entry.sources else "Put"
    same = SUBSTITUTES.get(entry.name)
    instead = f"\n{same} is the same network, with weights from another place: name it instead." if same else ""
    return WeightsError(
        f"The weights {entry.name!r} ({entry.file_name}, {entry.size_bytes / 1e6:.1f} MB) are not available. Tried:\n"
        f"{tried}\n"
        f"{get} the file, called {entry.file_name}, into a folder and set AVEL_WEIGHTS_DIR to that folder."
        f"{instead}"
    )


def _writing(target: Path, entry: WeightFile) -> AbstractContextManager[None]:
    return writing(target, raises=WeightsError, advice=_advice(entry))


def replacing_locked(target: Path, entry: WeightFile) -> AbstractContextManager[Path]:
    """Only while `target` is locked: what a killed process left is overwritten by the next."""
    part = target.with_name(f"{target.name}.part")
    return replacing(target, raises=WeightsError, advice=_advice(entry), temporary=part)


def _advice(entry: WeightFile) -> str:
    return (
        f"The weights {entry.name!r} take {entry.size_bytes / 1e6:.1f} MB: set AVEL_CACHE_DIR to a folder that can be "
        "written and has room for them."
    )


@contextmanager
def locked(target: Path, entry: WeightFile) -> Iterator[None]:
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


def _fetch(source: WeightSource, entry: WeightFile, target: Path, progress: bool) -> None:
    with shown(source, entry, progress) as advance, replacing_locked(target, entry) as part, part.open("wb") as file:

        def write(chunk: bytes) -> None:
            with _writing(target, entry):  # here, since a downloader's own errors are OSErrors too
                file.write(chunk)

        fetch_from(source, Incoming(write, entry, advance), target.parent)
