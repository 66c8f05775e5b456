import io

from hypothesis import given
from hypothesis import strategies as st

from avel.cli.console import SafeConsole, printable


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
