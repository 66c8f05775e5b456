"""Commands whose modules are imported when somebody asks for them: none waits for what the others need."""

from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from avel.cli.loading import loading
from avel.cli.logs import CommandGroup


@dataclass(frozen=True)
class Later:
    """A command that has not been imported.

    Attributes:
        module: where it is.
        name: of the function, or of the `typer.Typer` of a group, in there.
        short_help: a line in the list of commands; a group has its own.
        no_args_is_help: whether it shows its help where nothing else is given.
    """

    module: str
    name: str
    short_help: str | None = None
    no_args_is_help: bool = False

    def command(self, name: str) -> TyperCommand | TyperGroup:
        """Import it and make a command of it that is called so."""
        with loading():
            found = getattr(import_module(self.module), self.name)
            return self._made(name, found)

    def _made(self, name: str, found: Any) -> TyperCommand | TyperGroup:
        app = CommandGroup(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name, no_args_is_help=self.no_args_is_help)
        else:
            app.command(name, short_help=self.short_help)(found)
        made = typer.main.get_group(app).commands[name]
        assert isinstance(made, TyperCommand | TyperGroup)
        return made


class LaterCommands(MutableMapping[str, Any]):
    """Commands by name, each made when it is first asked for.

    Args:
        places: where they are, by name.
    """

    def __init__(self, places: Mapping[str, Later]) -> None:
        self._commands: dict[str, Any] = dict(places)

    def __getitem__(self, name: str) -> Any:
        """Import it, unless that has been done."""
        command = self._commands[name]
        if isinstance(command, Later):
            command = self._commands[name] = command.command(name)
        return command

    def __setitem__(self, name: str, command: Any) -> None:
        """Add a command."""
        self._commands[name] = command

    def __delitem__(self, name: str) -> None:
        """Remove a command."""
        del self._commands[name]

    def __iter__(self) -> Iterator[str]:
        """Names in order."""
        return iter(self._commands)

    def __len__(self) -> int:
        """Number of commands."""
        return len(self._commands)
