import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from avel.backbones import tidying
from avel.backbones.tidying import MAX_IDLE_DAYS, tidy, used

DAY = 86400


def entry(folder: Path, name: str, idle_days: float, size: int = 10) -> Path:
    made = folder / name
    made.mkdir(parents=True)
    (made / "model.blob").write_bytes(bytes(size))
    then = time.time() - idle_days * DAY
    os.utime(made, (then, then))
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_was_not_read_for_long_is_deleted(tmp_path: Path) -> None:
    entry(tmp_path, "old", MAX_IDLE_DAYS + 1)
    entry(tmp_path, "young", MAX_IDLE_DAYS - 1)
    used(entry(tmp_path, "old-and-used", MAX_IDLE_DAYS + 1))
    entry(tmp_path, ".gone-half-deleted", 0)
    (tmp_path / "not an entry.txt").write_text("a")
    tidy(tmp_path)
    assert names(tmp_path) == ["not an entry.txt", "old-and-used", "young"]


def test_what_was_read_longest_ago_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "MAX_BYTES", 25)
    for idle_days, name in ((3, "third"), (0, "now"), (2, "second"), (4, "fourth")):
        entry(tmp_path, name, idle_days)
    tidy(tmp_path)
    assert names(tmp_path) == ["now", "second"]


def test_what_was_just_read_stays_however_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "MAX_BYTES", 5)
    entry(tmp_path, "a", 0)
    entry(tmp_path, "b", 0)
    tidy(tmp_path)
    assert names(tmp_path) == ["a", "b"]


def test_one_process_at_a_time_tidies(tmp_path: Path) -> None:
    old = entry(tmp_path / "compiled", "old", MAX_IDLE_DAYS + 1)
    hold = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print(flush=True)\n    input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold, tmp_path / "compiled.lock"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        tidy(tmp_path / "compiled")
        assert old.exists()
        other.communicate(b"\n")
    tidy(tmp_path / "compiled")
    assert not old.exists()


def test_a_folder_that_is_not_there_is_nothing_to_tidy(tmp_path: Path) -> None:
    tidy(tmp_path / "none")
    assert not (tmp_path / "none").exists()
