"""The real kcat asks for what the command line asks for, and the same comes of it."""

import asyncio
import subprocess
from typing import Any

from chassis.bus.codec import decode_event
from chassis.settings import KafkaSettings
from contracts.topics import TOPICS
from penstock.messages import reading
from tests.integration.cli.conftest import CommandedHub
from tests.support.addresses import KafkaAddress
from tests.support.command_line import command_environment, penstock
from tests.support.command_page import examples
from tests.support.eventually import eventually
from tests.support.topics import lay_topics


def shell(command: str, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["/bin/bash", "-c", f"set -o pipefail; {command}"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, ""), command


async def kcat(hub: CommandedHub, topic: str, body: str) -> None:
    environment = command_environment(hub.state_dir, **hub.environment)
    line = f"echo '{body}' | kcat -P -b \"$KAFKA_BOOTSTRAP_SERVERS\" -t {topic}"
    await asyncio.to_thread(shell, line, environment)


async def cli(hub: CommandedHub, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return await asyncio.to_thread(
        penstock, *arguments, state_dir=hub.state_dir, environment=hub.environment
    )


async def ended(hub: CommandedHub, kind: str, count: int) -> list[dict[str, Any]]:
    condition = f"meta.runs where kind = '{kind}' and finished_at is not null"
    await eventually(lambda: _counts(hub, condition, count), timeout=30)
    return await hub.rows("select * from meta.runs where kind = $1 order by queued_at", kind)


async def _counts(hub: CommandedHub, condition: str, count: int) -> bool:
    return await hub.count(condition) == count


async def test_a_scan_and_a_replay_by_kcat_are_those_of_the_command_line(
    hub: CommandedHub,
) -> None:
    told = await cli(hub, "scan", "nas", "--mode", "full", "--reason", "x", "--wait")
    assert told.returncode == 0, told.stderr
    (by_cli,) = await hub.rows("select * from meta.commands")
    who = by_cli["requester"]
    await kcat(
        hub,
        "scan.requested",
        '{"source": "nas", "mode": "full", "reason": "x", "overlap": "queue", '
        f'"requester": "{who}"}}',
    )
    runs = await ended(hub, "scan", 2)
    own = ("run_id", "command_id", "queued_at", "available_at", "started_at", "heartbeat_at")
    assert _without(runs[1], *own, "finished_at") == _without(runs[0], *own, "finished_at")
    assert runs[1]["counts"]["processed"] == 7
    both = await hub.rows("select * from meta.commands order by received_at")
    assert both[1]["command_id"].startswith("scan.requested/")
    own_of_command = ("command_id", "run_id", "received_at", "body")
    assert _without(both[1], *own_of_command) == _without(both[0], *own_of_command)
    assert _without(both[1]["body"], "command_id") == _without(both[0]["body"], "command_id")
    audit = await hub.rows("select service, actor, action, subject from meta.audit order by id")
    assert audit[0] == audit[1]

    # A command for what is not configured yet is a dead letter; it is replayed when it is.
    await kcat(hub, "scan.requested", '{"source": "archive", "requester": "mia"}')
    await eventually(lambda: _counts(hub, "meta.dead_letters", 1), timeout=30)
    assert (
        "'archive' is not configured"
        in (await hub.rows("select * from meta.dead_letters"))[0]["message"]
    )
    hub.sources.add("archive")
    await kcat(
        hub, "replay.requested", '{"topic": "scan.requested.scanner.dead", "requester": "mia"}'
    )

    (replay,) = await ended(hub, "replay", 1)
    assert (replay["requester"], replay["counts"]["changed"]) == ("mia", 1)
    scans = await ended(hub, "scan", 3)
    (letter,) = await hub.rows("select * from meta.dead_letters")
    assert (scans[-1]["target"], scans[-1]["requester"]) == ("archive", "mia")
    assert scans[-1]["command_id"] == f"replay/{letter['id']}"
    assert (letter["status"], letter["run_id"]) == ("replayed", replay["run_id"])


def _without(row: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


async def test_every_line_of_the_page_is_a_command_that_its_topic_takes(
    kafka: KafkaAddress,
) -> None:
    await lay_topics(kafka)
    by_name = {topic.name: topic for topic in TOPICS if topic.is_command}
    environment = {"PATH": "/usr/bin:/bin", **kafka.env}
    for item in examples():
        await asyncio.to_thread(shell, item.command, environment)
    async with reading(KafkaSettings.model_validate(kafka.env), by_name) as reader:
        found = await reader.read_to_end()
    await lay_topics(kafka)

    events = [decode_event(by_name[record.topic], record) for record in found]
    assert {event.type for event in events} == set(by_name)
    assert {event.data.requester for event in events} == {"mia"}
