"""Run the `penstock` command as a user does: another process, its own environment."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from penstock.catalogue import CATALOGUE
from tests.support.forkery import FORKERY

_PATIENCE_SECONDS = 90


def command_environment(state_dir: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a shell in which the stack lives in `state_dir`."""
    present = dict(os.environ)  # noqa: TID251 - handed on to a child
    return present | {"PENSTOCK_STATE_DIR": str(state_dir), "COLUMNS": "200"} | changes


def penstock(
    *arguments: str, state_dir: Path, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run `penstock` to its end, in a process that need not import it first."""
    command = CATALOGUE.get(arguments[0]) if arguments else None
    modules = [] if command is None else [f"penstock.commands.{command.module}"]
    return FORKERY.run(
        "penstock",
        *arguments,
        imports=["penstock.cli", "penstock.console_local", *modules],
        env=command_environment(state_dir, **(environment or {})),
        timeout=_PATIENCE_SECONDS,
    )


def executed(
    *arguments: str,
    state_dir: Path,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `penstock` to its end, started anew as a shell does."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "penstock", *arguments],
        env=command_environment(state_dir, **(environment or {})),
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE_SECONDS,
    )


def start_penstock(*arguments: str, state_dir: Path) -> "subprocess.Popen[str]":
    """Start `penstock` and return while it runs."""
    return subprocess.Popen(
        [sys.executable, "-m", "penstock", *arguments],
        env=command_environment(state_dir),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
