"""The `penstock` command: what it consists of, and how a failure is told.

A module of `penstock.commands` adds its sub-commands in `register(app)`; listing it in `_COMMANDS`
is all there is to do here.
"""

import sys

import typer
from rich.console import Console

from chassis.errors import PermanentError, TransientError
from penstock.commands import (
    demo,
    dlq,
    doctor,
    drift,
    explain,
    flow,
    lineage,
    migrate,
    refresh,
    run,
    runs,
    scan,
    simulate,
    sources,
    stack,
    tokens,
    topics,
    transform,
    users,
    wrds,
)
from penstock.stack.errors import StackError

_COMMANDS = (
    stack,
    demo,
    migrate,
    topics,
    run,
    scan,
    transform,
    explain,
    simulate,
    flow,
    refresh,
    runs,
    lineage,
    dlq,
    drift,
    sources,
    doctor,
    wrds,
    users,
    tokens,
)

_EXPECTED = (StackError, PermanentError, TransientError)
"""Failures that are told in a sentence; anything else is a bug and shows its traceback."""

app = typer.Typer(
    help="Run and operate Penstock, the always-on data hub.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)

for module in _COMMANDS:
    module.register(app)


@app.callback()
def _root() -> None:
    """Run and operate Penstock, the always-on data hub."""


def main() -> None:
    """Run the command line; exit code 0 means done, 1 means failed, 2 means misspelt."""
    try:
        app(prog_name="penstock")
    except _EXPECTED as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(
            f"penstock: {error}", style="red", markup=False
        )
        sys.exit(1)
