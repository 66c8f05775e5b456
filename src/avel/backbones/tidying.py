"""The folders of the cache that networks are kept in for later starts: how many stay.

Entries of older versions of avel and OpenVINO, or of other processors on a shared disk, are never read again, and
nothing else would delete them.
"""

import contextlib
import logging
import os
import shutil
import time
from pathlib import Path

from avel.errors import OutputError
from avel.files import sole_writer

MAX_IDLE_DAYS = 60.0
"""An entry that was not read for longer is deleted."""
MAX_BYTES = 2_000_000_000
"""Entries that were read longest ago are deleted until the others are together no larger."""
MIN_IDLE_SECONDS = 3600.0
"""What was read since then stays in any case: a process may be about to read it."""

_GONE = ".gone-"
"""Beginning of what an entry is called while it is deleted."""

_log = logging.getLogger(__name__)


def used(entry: Path) -> None:
    """Note that an entry is read now; a cache that cannot be written is left as it is."""
    with contextlib.suppress(OSError):
        os.utime(entry)


def tidy(folder: Path) -> None:
    """Delete entries that were not read for long, and what is more than there is room for.

    One process at a time does so; the others go on without. An entry is renamed before it is deleted, so that it is
    whole or not there. Whatever the operating system refuses is left.

    Args:
        folder: of entries, a folder each, which `used` is called of.
    """
    if not folder.is_dir():
        return
    lock = folder.with_name(f"{folder.name}.lock")
    with contextlib.suppress(OutputError, OSError), sole_writer(lock, OutputError("another process does")):
        _tidy(folder, time.time())


def _tidy(folder: Path, now: float) -> None:
    for gone in folder.glob(f"{_GONE}*"):  # of a process that was killed
        shutil.rmtree(gone, ignore_errors=True)
    entries = [entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith(".")]
    read = {entry: entry.stat().st_mtime for entry in entries}
    room = MAX_BYTES
    for entry in sorted(entries, key=lambda entry: read[entry], reverse=True):
        room -= sum(file.stat().st_size for file in entry.iterdir())
        idle_seconds = now - read[entry]
        if idle_seconds > MIN_IDLE_SECONDS and (room < 0 or idle_seconds > MAX_IDLE_DAYS * 86400):
            gone = entry.with_name(f"{_GONE}{entry.name}")
            with contextlib.suppress(OSError):
                entry.rename(gone)
                _log.info("%s was not read for %.0f days and is deleted", entry, idle_seconds / 86400)
                shutil.rmtree(gone, ignore_errors=True)
