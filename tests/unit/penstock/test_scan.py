"""What `penstock scan` asks the scanner for."""

import pytest
from typer.testing import CliRunner

from contracts.commands import ScanRequested
from penstock.cli import app
from penstock.commands import scan


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[ScanRequested]:
    commands: list[ScanRequested] = []

    async def send(command: ScanRequested) -> str:
        commands.append(command)
        return "command-1"

    monkeypatch.setattr(scan, "_send", send)
    return commands


def test_a_dry_run_is_asked_for_as_one(sent: list[ScanRequested]) -> None:
    done = CliRunner().invoke(app, ["scan", "nas", "--mode", "full", "--dry-run"])
    assert done.output == "Asked for a scan of nas (command command-1).\n"
    [command] = sent
    assert (command.source, command.mode, command.dry_run) == ("nas", "full", True)


def test_without_it_the_scan_announces(sent: list[ScanRequested]) -> None:
    CliRunner().invoke(app, ["scan", "nas"])
    assert [command.dry_run for command in sent] == [False]
