import io
import json
import os
import subprocess
import sys

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from avel.cli.console import complain
from avel.cli.main import app
from avel.cli.printing import print_json, printable
from avel.cli.terminal import SafeConsole


@given(st.text(st.characters(codec=None, exclude_categories=[])))
def test_what_is_printable_can_be_written_and_stays_on_its_line(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert shown.splitlines() in ([], [shown])
    assert not any(ord(letter) < 0x20 or 0x7F <= ord(letter) < 0xA0 for letter in shown)


def test_plain_text_stays_as_it_is():
    assert printable("Männer · 男の人 – a\\b") == "Männer · 男の人 – a\\b"
    assert printable("a\nb\x00", keep="\n") == "a\nb\\x00"
    assert printable("\udcff") == "\\udcff"


def test_a_console_obeys_its_own_styles_alone():
    out = io.StringIO()
    SafeConsole(file=out, force_terminal=True, color_system="standard").print("[red]a[/red]\x1b[2Jb", highlight=False)
    assert "\x1b[31ma" in out.getvalue()
    assert r"\x1b[2Jb" in out.getvalue()


def commands(command, path=()):
    """All commands below one, and itself, with their names."""
    yield path, command
    for name, one in getattr(command, "commands", {}).items():
        yield from commands(one, (*path, name))


def test_help_is_whole_and_of_one_form():
    found = dict(commands(typer.main.get_command(app)))
    assert {("localize",), ("features", "export")} <= found.keys()
    for path, command in found.items():
        shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "80"}).stdout
        if hasattr(command, "commands"):
            listed = shown.split("Commands:")[1]
            assert len(listed.split("\n  ")) == len(command.commands) + 1, f"{path}: a line that is broken"
            assert "..." not in listed, f"{path}: a line that is cut off"
        usage = " ".join(shown.split("\n\n")[0].split())
        assert not set(usage.split("[OPTIONS]")[-1]) & set("abcdefghijklmnopqrstuvwxyz"), usage
        assert "[[" not in usage, usage
        assert "...]..." not in usage, usage


@pytest.mark.parametrize("arguments", [["--version"], ["localize", "none.mp4", "-o", "x", "--segment-seconds", "a"]])
def test_a_command_imports_nothing_of_the_others(arguments):
    code = (
        "import sys; from typer.testing import CliRunner; from avel.cli.main import app;"
        "CliRunner().invoke(app, sys.argv[1:]); print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    commands = {name for name in found if name.startswith("avel.cli.")}
    common = {f"avel.cli.{name}" for name in ("console", "later", "loading", "logs", "main", "printing")}
    assert commands - common == {f"avel.cli.{name}" for name in arguments[:1] if name == "localize"}
    assert not {"torch", "rich.console", "numpy", "avel.data.formats"} & found


@pytest.mark.parametrize("command", ["localize", "extract", "train", "evaluate", "reproduce"])
def test_commands_that_meet_files_can_be_debugged(command):
    assert "--debug" in CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).stdout


def test_an_error_that_nobody_expected_ends_a_command_with_one_line(tmp_path):
    code = (
        "import sys\nfrom avel.cli import main\n"
        "def surprise(video): raise KeyError('surprise')\n"
        "from avel.synchrony import offset\noffset.find_offset = surprise\n"
        "sys.argv = ['avel', 'sync', *sys.argv[1:]]\nmain.main()\n"
    )
    plain, debug = (
        subprocess.run([sys.executable, "-c", code, tmp_path, *more], capture_output=True, text=True, check=False)
        for more in ([], ["--debug"])
    )
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert "an error that avel did not expect (KeyError: 'surprise')" in plain.stderr
    assert len(plain.stderr.splitlines()) == 1
    assert "in surprise\n" in debug.stderr


def test_a_missing_pytorch_is_one_clear_line(tmp_path):
    code = "import sys; sys.modules['torch'] = None; from avel.cli import main; main.main()"
    arguments = ["models", "card", str(tmp_path / "a.safetensors")]
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert " ".join(done.stderr.split()) == (
        "error: This needs PyTorch, which is not installed. Install it with: pip install 'avel[train]'"
    )


def test_what_the_library_warns_of_is_a_line_like_other_warnings(tmp_path):
    (tmp_path / "yamnet.tflite").write_bytes(b"other")
    code = (
        "import warnings\nfrom avel.cli.console import avel_warnings\nfrom avel.cli.main import app\n"
        "with avel_warnings():\n    warnings.warn('of others')\n    app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "weights", "list"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"AVEL_WEIGHTS_DIR": str(tmp_path)},
    )
    of_others, *ours = done.stderr.splitlines()
    assert of_others == "<string>:5: UserWarning: of others"
    assert ours == [f"warning: {tmp_path}/yamnet.tflite is not used: it has 5 bytes instead of 4,126,810."]


def test_json_holds_no_character_that_a_terminal_obeys(capsys):
    print_json({"name": "a\x1b\x9b[2J\u202eMänner"})
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"name": "a\x1b\x9b[2J\u202eMänner"}
    assert "Männer" in shown
    assert not {"\x1b", "\x9b", "\u202e"} & set(shown)


def test_what_is_logged_of_a_name_that_is_no_text_can_be_written(caplog):
    complain("caf\udce9.mp4: an empty file.")
    assert [record.getMessage() for record in caplog.records] == ["caf\\udce9.mp4: an empty file."]
