"""Run the `penstock` command as a user does: another process, its own environment."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def command_environment(state_dir: Path, **changes: str) -> dict[str, str]:
    """Return the environment of a shell in which the stack lives in `state_dir`."""
    present = dict(os.environ)  # noqa: TID251 - handed on to a child
    return present | {"PENSTOCK_STATE_DIR": str(state_dir), "COLUMNS": "200"} | changes


def penstock(
    *arguments: str,
    state_dir: Path,
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `penstock` to its end."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "penstock", *arguments],
        env=command_environment(state_dir, **(environment or {})),
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
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
