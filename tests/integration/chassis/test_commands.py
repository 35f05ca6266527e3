"""Commands become runs: recorded once, refused with a reason, audited."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from chassis.bus.broker import Bus
from chassis.bus.delivery import Handler
from chassis.bus.topics import apply_topics
from chassis.commands import CommandSpec, cancel_handler, command_handler
from chassis.db import Database
from chassis.errors import PermanentError
from chassis.settings import KafkaSettings
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts
from contracts.topics import RUN_CANCEL_REQUESTED, SCAN_REQUESTED, Topic, TopicSpec
from tests.support.addresses import KafkaAddress
from tests.support.batches import bare, batch_of
from tests.support.clocks import HandClock
from tests.support.databases import opened
from tests.support.eventually import eventually
from tests.support.hub import background
from tests.support.runs import (
    events,
    fetch,
    queue,
    run_row,
    statuses,
    until_idle,
    working,
)

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)


pytestmark = pytest.mark.usefixtures("hasty")


def scans(topic: Topic = SCAN_REQUESTED, *, service: str = "scanner") -> Handler:
    spec = CommandSpec(topic, kind="scan", targets=lambda: {"nas", "archive"})
    return command_handler(spec, service=service, clock=HandClock(NOW))


async def send(database: Database, *bodies: Mapping[str, Any], first: int = 0) -> Any:
    """Hand commands to the handler in one batch."""
    deliveries = [
        bare(SCAN_REQUESTED, body, offset=first + number) for number, body in enumerate(bodies)
    ]
    batch = batch_of(database, deliveries)
    await scans()(batch)
    return batch


async def recorded(database: Database) -> list[tuple[str, str, str]]:
    rows = await fetch(database, "select * from meta.commands order by command_id")
    return [(row["command_id"], row["target"], row["outcome"]) for row in rows]


async def test_a_bare_command_becomes_a_run_with_its_parameters(database: Database) -> None:
    await send(
        database,
        {"source": "nas", "mode": "full", "requester": "mia", "reason": "audit", "dry_run": True},
    )

    (run,) = await fetch(database, "select * from meta.runs")
    assert (run["service"], run["kind"], run["target"]) == ("scanner", "scan", "nas")
    assert (run["requester"], run["reason"], run["dry_run"]) == ("mia", "audit", True)
    assert run["parameters"] == {
        "source": "nas",
        "mode": "full",
        "prefix": None,
        "release_held_deletions": False,
    }
    assert run["command_id"] == "scan.requested/0/0"
    (command,) = await fetch(database, "select * from meta.commands")
    assert command["outcome"] == "accepted"
    assert command["run_id"] == run["run_id"]
    assert command["body"]["reason"] == "audit"


async def test_a_redelivered_command_is_one_run(database: Database) -> None:
    body = {"source": "nas"}
    await send(database, body)
    await send(database, body)  # the same place in the log
    await until_idle(working(database, _nothing))
    await send(database, body)

    assert await statuses(database) == ["completed"]
    assert await recorded(database) == [("scan.requested/0/0", "nas", "accepted")]


async def test_a_command_sent_twice_under_its_own_id_is_one_run(database: Database) -> None:
    body = {"source": "nas", "command_id": "mine", "overlap": "queue"}

    await send(database, body, body)
    await send(database, body, first=7)

    assert len(await statuses(database)) == 1


async def test_another_command_while_one_waits_is_recorded_as_skipped(database: Database) -> None:
    await send(database, {"source": "nas"}, {"source": "nas"}, {"source": "archive"})

    assert await recorded(database) == [
        ("scan.requested/0/0", "nas", "accepted"),
        ("scan.requested/0/1", "nas", "skipped"),
        ("scan.requested/0/2", "archive", "accepted"),
    ]
    assert len(await statuses(database)) == 2


async def test_an_unknown_target_is_refused_and_the_rest_goes_on(database: Database) -> None:
    batch = await send(database, {"source": "nsa"}, {"source": "nas"})

    ((_, error),) = batch.rejected.values()
    assert isinstance(error, PermanentError)
    assert error.category is ErrorCategory.CONFIG_VALIDATION
    assert str(error) == "`scan.requested`: 'nsa' is not configured; known: archive, nas"
    assert [target for _, target, _ in await recorded(database)] == ["nas"]


async def test_an_expired_command_is_recorded_and_not_run(database: Database) -> None:
    await send(
        database,
        {"source": "nas", "expires_at": NOW.isoformat()},
        {"source": "archive", "expires_at": (NOW + timedelta(seconds=1)).isoformat()},
    )

    assert await recorded(database) == [
        ("scan.requested/0/0", "nas", "expired"),
        ("scan.requested/0/1", "archive", "accepted"),
    ]
    assert [event["target"] for event in await events(database)] == ["archive"]


async def test_every_command_is_audited_with_who_and_why(database: Database) -> None:
    await send(database, {"source": "nas", "requester": "mia", "reason": "audit"})

    (entry,) = await fetch(database, "select * from meta.audit")
    assert (entry["service"], entry["actor"]) == ("scanner", "mia")
    assert (entry["action"], entry["subject"]) == ("scan.requested", "nas")
    assert entry["details"]["outcome"] == "accepted"
    assert entry["details"]["reason"] == "audit"


async def test_a_command_that_postgresql_cannot_store_is_permanent(database: Database) -> None:
    with pytest.raises(PermanentError):
        await send(database, {"source": "nas", "reason": "a\x00b"})

    assert await statuses(database) == []


async def test_the_same_id_on_two_topics_and_two_services_is_not_one_command(
    database_url: str, database: Database
) -> None:
    other_topic = dataclasses.replace(SCAN_REQUESTED, name="another.requested")
    body = {"source": "nas", "command_id": "1"}
    await send(database, body)
    await scans(other_topic)(batch_of(database, [bare(other_topic, body | {"source": "archive"})]))
    async with opened(database_url, "twin") as twin:
        await scans(service="twin")(batch_of(twin, [bare(SCAN_REQUESTED, body)]))

    assert [outcome for _, _, outcome in await recorded(database)] == ["accepted"] * 3
    assert len(await statuses(database)) == 3


# --- cancelling


async def cancel(database: Database, run_id: str | None, **fields: Any) -> None:
    body = {"run_id": run_id, "requester": "mia"} | fields
    handler = cancel_handler(service="scanner", clock=HandClock(NOW))
    await handler(batch_of(database, [bare(RUN_CANCEL_REQUESTED, body)]))


async def test_a_waiting_run_is_cancelled_with_its_event_and_its_audit_entry(
    database: Database,
) -> None:
    run_id = await queue(database)

    await cancel(database, run_id, reason="wrong source")

    assert (await run_row(database, run_id))["status"] == "cancelled"
    assert [event["status"] for event in await events(database)] == ["queued", "cancelled"]
    (entry,) = await fetch(database, "select * from meta.audit")
    assert (entry["actor"], entry["action"]) == ("mia", "run.cancel-requested")
    assert entry["details"]["outcome"] == "accepted"
    assert entry["details"]["reason"] == "wrong source"


async def test_an_expired_cancellation_changes_nothing(database: Database) -> None:
    run_id = await queue(database)

    await cancel(database, run_id, expires_at=NOW.isoformat())

    assert (await run_row(database, run_id))["status"] == "queued"
    (entry,) = await fetch(database, "select * from meta.audit")
    assert entry["details"]["outcome"] == "expired"


@pytest.mark.parametrize("run_id", ["no-uuid", "00000000-0000-0000-0000-000000000000"])
async def test_a_cancellation_of_a_run_of_others_is_left_to_them(
    database: Database, run_id: str
) -> None:
    mine = await queue(database)

    await cancel(database, run_id)

    assert (await run_row(database, mine))["status"] == "queued"
    assert await fetch(database, "select * from meta.audit") == []


async def test_a_run_of_another_service_is_not_cancelled(
    database_url: str, database: Database
) -> None:
    run_id = await queue(database)
    async with opened(database_url, "ingestor") as other:
        handler = cancel_handler(service="ingestor", clock=HandClock(NOW))
        await handler(batch_of(other, [bare(RUN_CANCEL_REQUESTED, {"run_id": run_id})]))

    assert (await run_row(database, run_id))["status"] == "queued"


# --- through Kafka


async def test_one_line_from_any_kafka_client_starts_a_run(
    kafka: KafkaAddress, topic_prefix: str, database: Database
) -> None:
    topic = dataclasses.replace(SCAN_REQUESTED, name=f"{topic_prefix}scan.requested")
    settings = KafkaSettings.model_validate({**kafka.env, "KAFKA_SESSION_TIMEOUT_SECONDS": "6"})
    names = [topic.name, topic.dead_letters_of("scanner")]
    await apply_topics(settings, [TopicSpec(name, 1, {}) for name in names])
    bus = Bus(settings, service="scanner", database=database)
    bus.subscribe(topic, scans(topic))
    one = working(database, _nothing)

    async with background(bus.run), background(one.run):
        await _produce(kafka, topic.name, [b'{"source":"nas"}', b'{"source":"nsa"}', b"scan nas!"])
        await eventually(lambda: _dead(database, 2), timeout=30)
        await eventually(lambda: _all_completed(database), timeout=10)

    rows = await fetch(
        database,
        "select headers from meta.outbox where topic = $1",
        topic.dead_letters_of("scanner"),
    )
    assert sorted(row["headers"]["x-dlq-category"] for row in rows) == [
        "config_validation",
        "message_decode",
    ]
    assert await recorded(database) == [(f"{topic.name}/0/0", "nas", "accepted")]


async def _nothing(_: Any) -> RunCounts:
    return RunCounts()


async def _dead(database: Database, count: int) -> bool:
    rows = await fetch(database, "select 1 from meta.outbox where topic like '%.dead'")
    return len(rows) == count


async def _all_completed(database: Database) -> bool:
    return await statuses(database) == ["completed"]


async def _produce(kafka: KafkaAddress, topic: str, values: list[bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
    await producer.start()
    try:
        for value in values:
            await producer.send_and_wait(topic, value)
    finally:
        await producer.stop()
