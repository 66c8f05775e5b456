from typer.testing import CliRunner

from avel.cli.main import app


def test_columns_are_divided_by_tabs(clip):
    done = CliRunner().invoke(app, ["sync", str(clip)])
    assert done.exit_code == 0, done.output
    video, offset, reason = done.stdout.removesuffix("\n").split("\t")
    assert (video, offset) == (str(clip), "cannot tell")
    assert reason
