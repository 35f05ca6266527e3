"""What the CronJobs say is understood by the command line, and twice the same makes one run."""

from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.commands import Command
from contracts.topics import Topic
from penstock import console_local
from penstock.cli import app
from tests.unit.deploy.rendered import render, template_of

JOB = "29384220"
"""What a Job's name ends with: minutes since 1970 of the time that was due."""


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Command]]:
    found: list[tuple[str, Command]] = []

    async def send(_: Any, topic: Topic, command: Command) -> str:
        found.append((topic.name, command))
        return command.command_id or "drawn"

    monkeypatch.setattr(console_local, "send_command", send)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return found


@pytest.mark.covers("E-02", "S3-16")
@pytest.mark.parametrize(
    ("name", "topic", "target"),
    [
        ("daily-market", "flow.requested", "daily-market"),
        ("nightly-refresh", "refresh.requested", "all"),
        ("wrds-incremental", "wrds-sync.requested", "all"),
    ],
)
def test_a_cron_job_sends_its_command_under_the_name_of_its_nominal_time(
    sent: list[tuple[str, Command]],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    topic: str,
    target: str,
) -> None:
    container = template_of(render("prod").get("CronJob", name))["spec"]["containers"][0]
    variables = {entry["name"]: entry for entry in container["env"]}
    job = f"{name}-{JOB}"
    arguments = [argument.replace("$(JOB_NAME)", job) for argument in container["args"]]
    monkeypatch.setenv("LOGNAME", variables["LOGNAME"]["value"])

    for _ in range(2):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output

    label = variables["JOB_NAME"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert label == "metadata.labels['batch.kubernetes.io/job-name']"
    assert [found for found, _ in sent] == [topic, topic]
    for _, command in sent:
        assert target in command.model_dump().values()
        assert command.command_id == f"cron/{job}"
        assert command.requester == f"cron/{name}"


def test_a_command_of_a_person_is_given_an_id_of_its_own(
    sent: list[tuple[str, Command]],
) -> None:
    assert CliRunner().invoke(app, ["flow", "daily-market"]).exit_code == 0
    assert sent[0][1].command_id is None


def test_an_id_without_the_hub_is_refused(sent: list[tuple[str, Command]]) -> None:
    result = CliRunner().invoke(app, ["wrds", "incremental", "--all", "--command-id", "a"])

    assert result.exit_code == 2
    assert sent == []
