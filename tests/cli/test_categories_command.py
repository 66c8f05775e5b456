import pytest
from typer.testing import CliRunner

from avel.backbones.text import TOKENIZER, WEIGHTS
from avel.cli.main import app
from avel.data.categories import ave_categories, everyday_categories, load_categories


def invoke(*arguments):
    return CliRunner().invoke(app, ["categories", *map(str, arguments)])


def test_all_tables_are_listed_with_how_each_category_is_heard_and_seen():
    done = invoke()
    assert done.exit_code == 0, done.output
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    names = {table: [row[1] for row in rows if row[0] == table] for table in ("everyday", "ave", "audioset")}
    assert names["everyday"] == [category.name for category in everyday_categories()]
    assert names["ave"] == [category.name for category in ave_categories()]
    assert "Jackhammer" in names["audioset"]
    assert not set(names["audioset"]) & set(names["everyday"])
    assert ["everyday", "Helicopter", "Aircraft", "Helicopter", "nothing"] in rows


def test_one_table_is_listed_or_written(tmp_path):
    assert len(invoke("ave").stdout.splitlines()) == 28
    path = tmp_path / "mine.toml"
    path.write_text(invoke("ave", "--toml").stdout, encoding="utf-8")
    assert load_categories(path) == ave_categories()
    listed = [line.removeprefix(str(path)) for line in invoke(path).stdout.splitlines()]
    assert listed == [line.removeprefix("ave") for line in invoke("ave").stdout.splitlines()]


def test_a_file_that_cannot_be_read_and_a_table_that_is_not_named():
    done = invoke("none.toml")
    assert done.exit_code != 0
    assert "none.toml: cannot be read" in str(done.exception) + done.stderr
    done = invoke("evryday")
    assert "Did you mean 'everyday'?" in str(done.exception) + done.stderr
    done = invoke("--toml")
    assert done.exit_code == 2
    assert "Say which table to write: everyday, ave, or a file." in done.stderr


def test_words_become_a_table(tmp_path):
    done = invoke("helicopter, slam, doors")
    assert done.exit_code == 0, done.output
    path = tmp_path / "mine.toml"
    path.write_text(done.stdout, encoding="utf-8")
    assert [category.name for category in load_categories(path)] == ["helicopter", "slam", "doors"]
    assert "notice: helicopter: heard as Helicopter 1.00; nothing to see it by" in done.stderr


def test_what_is_not_clear_is_left_out_with_a_comment_and_an_error(tmp_path, weight_file):
    weight_file(WEIGHTS)
    weight_file(TOKENIZER)
    done = invoke("rain, puppy barking, knocking on a door")
    assert done.exit_code == 1
    assert "# Left out: 'knocking on a door' may mean Door 0.82 or Knock 0.80." in done.stdout
    assert "# Nearest names: Bark 0.95" in done.stdout
    assert "error: 'knocking on a door' may mean Door 0.82 or Knock 0.80. Use one of these names" in done.stderr
    path = tmp_path / "mine.toml"
    path.write_text(done.stdout, encoding="utf-8")
    assert [category.name for category in load_categories(path)] == ["rain", "puppy barking"]
    with pytest.raises(SystemExit, match="1"):
        raise invoke("knocking on a door").exception
