"""What `penstock scan` asks the scanner for."""

import getpass

import pytest
from typer.testing import CliRunner

from chassis.settings import KafkaSettings
from contracts.commands import ScanRequested
from contracts.topics import SCAN_REQUESTED, Topic
from penstock import console_local
from penstock.cli import app


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[ScanRequested]:
    """What reaches Kafka: through the console in this process, without any database."""
    commands: list[ScanRequested] = []

    async def send(_: KafkaSettings, topic: Topic, command: ScanRequested) -> str:
        assert topic is SCAN_REQUESTED
        commands.append(command)
        return "command-1"

    monkeypatch.setattr(console_local, "send_command", send)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "none:9092")
    return commands


def test_a_dry_run_is_asked_for_as_one(sent: list[ScanRequested]) -> None:
    done = CliRunner().invoke(app, ["scan", "nas", "--mode", "full", "--dry-run"])
    assert done.output == "Asked for a scan of nas (command command-1).\n"
    [command] = sent
    assert command.requester == getpass.getuser()
    assert (command.source, command.mode, command.dry_run) == ("nas", "full", True)


def test_without_it_the_scan_announces(sent: list[ScanRequested]) -> None:
    CliRunner().invoke(app, ["scan", "nas"])
    assert [command.dry_run for command in sent] == [False]
