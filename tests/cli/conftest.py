import pytest
from typer.testing import CliRunner


@pytest.fixture
def run_command():
    """Run a command of an app in this process; errors of avel are raised, the exit code is compared."""

    def run(app, *arguments, code=0):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code, result.output
        return result

    return run
