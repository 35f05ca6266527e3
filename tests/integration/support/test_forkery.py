"""A copy of a process that has the imports behaves as a process of its own."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.forkery import Forkery

FORKERY = Forkery()


def _run(*statements: str, timeout: float = 30) -> "subprocess.CompletedProcess[str]":
    """Run statements through `timeit`, which is a module that runs any."""
    once = ("-n", "1", "-r", "1", "\n".join(statements))
    return FORKERY.run("timeit", *once, imports=["json"], env={"SAID": "ä"}, timeout=timeout)


def test_it_has_its_own_arguments_environment_folder_and_exit_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    told = _run(
        "import os, sys",
        "print(sorted(os.environ), os.environ['SAID'], os.getcwd(), 'json' in sys.modules)",
        "print('wrong', file=sys.stderr)",
        "sys.stdout.flush()",
        "os._exit(7)",
    )
    assert told.returncode == 7
    assert told.stdout == f"['SAID'] ä {tmp_path} True\n"
    assert told.stderr == "wrong\n"


def test_what_one_leaves_behind_no_other_finds() -> None:
    assert _run("import json", "json.left = 1").returncode == 0
    told = _run("import json, os", "print(hasattr(json, 'left'), flush=True)", "os.abort()")
    assert (told.returncode, told.stdout) == (-signal.SIGABRT, "False\n")


def test_who_takes_too_long_is_killed(tmp_path: Path) -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        _run(
            "import os, pathlib, time",
            f"pathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))",
            "time.sleep(60)",
            timeout=2,
        )
    pid = int((tmp_path / "pid").read_text())
    assert _run(f"import os\nos.kill({pid}, 0)").returncode == 1


def test_it_is_a_program_like_the_one_that_is_started() -> None:
    command = (sys.executable, "-m", "json.tool", "--help")
    started = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    present = dict(os.environ)  # noqa: TID251 - handed on to a child
    copied = FORKERY.run("json.tool", "--help", imports=[], env=present, timeout=30)
    assert (copied.returncode, copied.stderr) == (0, "")
    assert copied.stdout.partition("[")[2] == started.stdout.partition("[")[2]
