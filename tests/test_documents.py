import pytest

from avel.documents import DocumentError, control_characters, parse_json, parse_toml, parse_yaml, read_json

DIGITS = "9" * 5000
DEEP = "[" * 100_000


def test_documents_are_read():
    assert parse_json('{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert parse_toml("a = [1, 2.5]") == {"a": [1, 2.5]}
    assert parse_yaml("a: [1, 2.5, null]") == {"a": [1, 2.5, None]}


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_json, "[", "it is not valid JSON: Expecting value"),
        (parse_json, DEEP, "it is nested too deeply to be read"),
        (parse_json, DIGITS, "it holds a number with thousands of digits"),
        (parse_toml, "a", "it is not valid TOML: "),
        (parse_toml, f"a = {DEEP}", "it is nested too deeply to be read"),
        (parse_toml, f"a = {DIGITS}", "it holds a number with thousands of digits"),
        (parse_toml, "a = 2026-02-31", "it is not valid TOML: "),
        (parse_yaml, "a: [", "it is not valid YAML: "),
        (parse_yaml, DEEP[:5000], "it is nested too deeply to be read"),
        (parse_yaml, f"a: {DIGITS}", "it holds a number with thousands of digits"),
        (parse_yaml, "a: 2026-02-31", "it is not valid YAML: "),
        (parse_yaml, "a: &x [1]\nb: *x", "it refers to another place of itself"),
        (parse_yaml, "a: !!python/name:os.system x", "it is not valid YAML: "),
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(parse, text, message):
    with pytest.raises(DocumentError) as error:
        parse(text)
    assert str(error.value).startswith(message)


def test_a_file_is_read_up_to_a_size(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    assert read_json(path, 8) == {"a": 1}
    with pytest.raises(DocumentError, match="it is larger than 7 bytes"):
        read_json(path, 7)


def test_control_characters_are_named():
    assert control_characters("Bark") == []
    assert control_characters("日本語 – é") == []
    assert control_characters("a\x00b\x1b[31m\x85\ud800\x00") == ["U+0000", "U+001B", "U+0085", "U+D800"]
