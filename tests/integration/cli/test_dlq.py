"""`penstock dlq` and `penstock replay` as a user types them."""

import asyncio
import json
import subprocess

import pytest
from aiokafka import AIOKafkaProducer

from tests.integration.cli.conftest import CommandedHub
from tests.support.command_line import penstock
from tests.support.eventually import eventually

DEAD = "scan.requested.scanner.dead"


async def cli(
    hub: CommandedHub, *arguments: str, code: int = 0
) -> "subprocess.CompletedProcess[str]":
    told = await asyncio.to_thread(
        penstock, *arguments, state_dir=hub.state_dir, environment=hub.environment
    )
    assert told.returncode == code, told.stderr
    return told


async def send(hub: CommandedHub, *values: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=hub.environment["KAFKA_BOOTSTRAP_SERVERS"])
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait("scan.requested", value, partition=0)
    finally:
        await producer.stop()


@pytest.mark.timeout(300)  # seven processes of the command line, side by side with other tests
async def test_dead_letters_are_listed_shown_replayed_and_discarded(hub: CommandedHub) -> None:
    hostile = b'{"source": "nas", "\x1b[2J": "\xe2\x80\xae<script>"}'
    await send(hub, b'{"source": "archive"}', b"\xff\x00 no JSON", hostile, b'{"source": "lost"}')

    async def all_buried() -> bool:
        return await hub.count("meta.dead_letters") == 4

    await eventually(all_buried, timeout=30)

    listed = json.loads((await cli(hub, "dlq", "list", "--json")).stdout)
    first = min(item["offset"] for item in listed)
    by_offset = {item["offset"] - first: item for item in listed}
    assert by_offset[0]["category"] == "config_validation"
    told = json.loads((await cli(hub, "dlq", "show", by_offset[1]["id"], "--json")).stdout)
    assert (told["value_text"], told["value_base64"]) == (None, "/wAgbm8gSlNPTg==")
    counted = await cli(hub, "dlq", "replay", "--topic", "scan.requested", "--dry-run")
    assert "Would replay 4, refused 0." in counted.stdout
    assert await hub.count("meta.dead_letters where status = 'open'") == 4

    hub.sources.add("archive")
    replayed = await cli(hub, "replay", by_offset[0]["id"], "--reason", "configured now", "--wait")
    assert "Replayed 1, refused 0." in replayed.stdout
    await eventually(lambda: _one(hub, "meta.runs where target = 'archive'"), timeout=30)
    again = await cli(hub, "replay", by_offset[0]["id"], code=1)
    assert f"letter {by_offset[0]['id']} was replayed by" in again.stderr

    gone = await cli(
        hub, "dlq", "discard", "--category", "message_decode", "--since", "1h", "--reason",
        "test data", "--wait",
    )  # fmt: skip
    assert "Discarded 2, refused 0." in gone.stdout
    statuses = await hub.rows(
        'select status, decision_reason from meta.dead_letters order by "offset"'
    )
    assert [tuple(row.values()) for row in statuses] == [
        ("replayed", "configured now"),
        ("discarded", "test data"),
        ("discarded", "test data"),
        ("open", None),
    ]
    sent = await cli(hub, "dlq", "replay", "--all")
    assert sent.stdout.startswith(f"Asked for the replay of 1 dead letters of {DEAD} (command ")


async def _one(hub: CommandedHub, condition: str) -> bool:
    return await hub.count(condition) == 1
