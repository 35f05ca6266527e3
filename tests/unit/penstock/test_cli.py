import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from penstock import cli, commands
from penstock.catalogue import CATALOGUE, Entry
from penstock.stack import StackError


@pytest.mark.parametrize("command", ["up", "down", "status", "env", "logs"])
def test_help_shows_examples(command: str) -> None:
    result = CliRunner().invoke(cli.app, [command, "--help"])
    assert result.exit_code == 0
    assert f"penstock {command}" in result.stdout.partition("Examples:")[2]


def test_an_expected_failure_is_one_sentence_and_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise StackError("Port 9092 for kafka is taken [by] another program.")

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    assert capsys.readouterr().err == (
        "penstock: Port 9092 for kafka is taken [by] another program.\n"
    )


def test_a_bug_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    with pytest.raises(ZeroDivisionError):
        cli.main()


def _told(modules: Iterable[str]) -> dict[str, Entry]:
    """Return what the modules themselves say of their commands."""
    return {
        name: Entry(
            module,
            command.rich_help_panel if isinstance(command.rich_help_panel, str) else None,
            " ".join(command.help.partition("\n\n")[0].split()),
        )
        for module in modules
        for name, command in cli.commands_of(module).items()
        if not command.hidden
    }


def _modules() -> set[str]:
    """Return the modules that register something with the command line itself."""
    found = (path.stem for path in Path(next(iter(commands.__path__))).glob("*.py"))
    return {name for name in found if _registers(name)} - {"shadow"}  # within `transform`


def _registers(module: str) -> bool:
    return hasattr(importlib.import_module(f"penstock.commands.{module}"), "register")


def test_the_catalogue_tells_of_every_command_what_its_module_does() -> None:
    assert _told(_modules()) == CATALOGUE


def test_a_catalogue_that_forgets_or_misquotes_a_command_is_noticed() -> None:
    told = _told(["runs", "dlq"])
    assert set(told) == {"runs", "dlq", "replay"}
    changed = replace(CATALOGUE["runs"], help="Something else.")
    assert told != {name: CATALOGUE[name] for name in ("runs", "dlq")}
    assert told != {name: CATALOGUE[name] for name in told} | {"runs": changed}


def test_help_lists_every_command_and_loads_none() -> None:
    script = (
        "import sys; from penstock import cli\n"
        "try: cli.app(['--help'])\n"
        "except SystemExit: pass\n"
        "print(*(name for name in sys.modules if name.startswith('penstock.commands.')), 'loaded')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=os.environ | {"COLUMNS": "200"},  # noqa: TID251 - handed on to a child
    )
    assert done.stdout.splitlines()[-1] == "loaded"
    for name, entry in CATALOGUE.items():
        assert re.search(rf"{name} +{re.escape(entry.help)}", done.stdout), name


def test_a_misspelt_command_is_told_its_neighbour() -> None:
    result = CliRunner().invoke(cli.app, ["rums"])
    assert result.exit_code == 2
    assert "Did you mean 'runs'" in result.output
