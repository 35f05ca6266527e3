"""The `penstock` command: what it consists of, and how a failure is told.

A module of `penstock.commands` adds its commands in `register(app)`, and is loaded when one of them
is called. Listing them in `penstock.catalogue` is all there is to do beside that.
"""

import importlib
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from chassis.errors import PermanentError, TransientError
from penstock.catalogue import CATALOGUE
from penstock.errors import ToldError

_EXPECTED = (ToldError, PermanentError, TransientError)
"""Failures that are told in a sentence; anything else is a bug and shows its traceback."""


class _Commands(Mapping[str, Any]):
    """The commands of the catalogue, each made by its module when it is asked for."""

    def __init__(self) -> None:
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded |= commands_of(CATALOGUE[name].module)
        return self._loaded[name]

    def __contains__(self, name: object) -> bool:
        return name in CATALOGUE

    def __iter__(self) -> Iterator[str]:
        return iter(CATALOGUE)

    def __len__(self) -> int:
        return len(CATALOGUE)


class _Lazy(TyperGroup):
    """Loads the command that is called; its help loads none."""

    def __init__(self, **settings: Any) -> None:
        commands: Any = _Commands()
        super().__init__(**settings | {"commands": commands})

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names."""
        del ctx
        return list(self.commands)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help from the catalogue."""
        listed = [
            TyperCommand(name=name, help=entry.help, rich_help_panel=entry.panel)
            for name, entry in CATALOGUE.items()
        ]
        shown = TyperGroup(
            name=self.name,
            commands=listed,
            help=self.help,
            params=self.params,
            rich_markup_mode=self.rich_markup_mode,
        )
        shown.format_help(ctx, formatter)


def _typer(**settings: Any) -> typer.Typer:
    return typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False, **settings)


def commands_of(module: str) -> dict[str, Any]:
    """Load a module of `penstock.commands` and return what it registers, by name."""
    holder = _typer()
    importlib.import_module(f"penstock.commands.{module}").register(holder)
    return dict(typer.main.get_group(holder).commands)


app = _typer(
    cls=_Lazy, help="Run and operate Penstock, the always-on data hub.", no_args_is_help=True
)


@app.callback()
def _root() -> None:
    """Run and operate Penstock, the always-on data hub."""


def main() -> None:
    """Run the command line; exit code 0 means done, 1 means failed, 2 means misspelt."""
    try:
        app(prog_name="penstock")
    except _EXPECTED as error:
        # Only now: what goes well needs no colours.
        from rich.console import Console  # noqa: PLC0415

        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"penstock: {error}", style="red", markup=False
        )
        sys.exit(1)
