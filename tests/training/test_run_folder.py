import subprocess
import sys
from pathlib import Path

import pytest

from avel.errors import OutputError, SettingsError
from avel.training.run_folder import check_folder, locked

HOLD = (
    "import sys; from pathlib import Path; from avel.training.run_folder import locked\n"
    "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()\n"
)


def test_one_training_at_a_time_writes_into_a_folder(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(SettingsError, match="another training is writing in this folder"), locked(tmp_path):
            pass
        other.communicate("")
    with locked(tmp_path), locked(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(OutputError, match=r"Cannot make the folder .*: .*file is a file. Give the name of a new"):
            check_folder(folder, resume=False)
    with pytest.raises(OutputError, match="Cannot write /proc/avel: .*Choose another place"):
        check_folder(Path("/proc/avel"), resume=False)
