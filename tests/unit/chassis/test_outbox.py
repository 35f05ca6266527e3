"""What a transaction's events look like when they are written."""

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from chassis.errors import PermanentError
from chassis.outbox import Outbox
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.records import RecordChange, RecordChanged
from contracts.runs import RunChanged, RunStatus
from contracts.topics import MAX_MESSAGE_BYTES, RECORD_CHANGED, RUN_CHANGED


class Written:
    """Stands for the connection; hands out sequences in no order, as a server may."""

    def __init__(self) -> None:
        self.statements: list[str] = []
        self.rows: list[dict[str, Any]] = []

    async def fetchval(self, query: str, *args: Any) -> list[int]:
        self.statements.append(query)
        return list(reversed(range(101, 101 + args[0])))

    async def execute(self, query: str, *_args: Any) -> str:
        self.statements.append(query)
        return ""

    async def copy_to_table(
        self,
        table_name: str,
        *,
        source: AsyncIterator[bytes],
        columns: Sequence[str],
        **_options: str,
    ) -> str:
        self.statements.append(f"copy {table_name}")
        content = b"".join([part async for part in source])
        self.rows = [dict(zip(columns, row, strict=True)) for row in _read_copy(content)]
        for row in self.rows:
            row["id"] = int.from_bytes(row["id"])
            row["service"], row["topic"] = row["service"].decode(), row["topic"].decode()
            assert row["headers"][:1] == b"\x01", "the version of jsonb"
            row["headers"] = json.loads(row["headers"][1:])
        return ""


def _read_copy(content: bytes) -> Iterator[list[bytes | None]]:
    """Read the binary format of COPY as PostgreSQL's manual describes it."""
    assert content[:19] == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    place = 19
    while (count := int.from_bytes(content[place : place + 2], signed=True)) != -1:
        place += 2
        row: list[bytes | None] = []
        for _ in range(count):
            size = int.from_bytes(content[place : place + 4], signed=True)
            place += 4
            row.append(None if size < 0 else content[place : place + size])
            place += max(size, 0)
        yield row
    assert content[place:] == b"\xff\xff"


def run_changed(run_id: str = "r1") -> RunChanged:
    return RunChanged(
        run_id=run_id, service="scanner", kind="scan", target="nas", status=RunStatus.QUEUED
    )


def record_changed(size: int) -> RecordChanged:
    return RecordChanged(
        change=RecordChange.UPSERTED,
        source="api",
        entity_type="user",
        external_id="1",
        scan_id="s",
        record={"text": "x" * size},
    )


async def flushed(outbox: Outbox) -> Written:
    written = Written()
    await outbox.flush(written)
    return written


async def test_an_event_has_its_key_its_sequence_and_its_origin() -> None:
    outbox = Outbox("scanner")
    outbox.add(RUN_CHANGED, run_changed(), cause=None, event_id="e-1")

    (row,) = (await flushed(outbox)).rows

    event = json.loads(row["value"])
    assert (row["service"], row["topic"], row["key"], row["id"]) == (
        "scanner",
        "run.changed",
        b"r1",
        101,
    )
    assert (event["id"], event["type"], event["source"]) == ("e-1", "run.changed", "/scanner")
    assert (event["subject"], event["sequence"]) == ("r1", 101)
    assert event["dataschema"] == "run.changed.json"
    assert event["correlationid"] == "e-1", "the first event of a chain names the chain"
    assert "causationid" not in event


async def test_an_event_passes_on_the_lineage_of_its_cause() -> None:
    cause: Event[RunChanged] = Event[RunChanged].model_validate(
        {
            "id": "cause",
            "type": "run.changed",
            "source": "/x",
            "time": "2026-01-02T00:00:00Z",
            "correlationid": "chain",
            "data": run_changed(),
        }
    )
    outbox = Outbox("scanner")
    outbox.add(RUN_CHANGED, run_changed(), cause=cause, event_id=None)

    (row,) = (await flushed(outbox)).rows

    event = json.loads(row["value"])
    assert (event["correlationid"], event["causationid"]) == ("chain", "cause")
    assert event["id"] not in ("", "cause")


async def test_sequences_follow_the_order_of_publishing() -> None:
    outbox = Outbox("scanner")
    for number in range(5):
        outbox.add(RUN_CHANGED, run_changed(f"r{number}"), cause=None, event_id=None)
    outbox.add_raw("x.dead", b"k", value=b"v", headers={"a": "b"})

    rows = (await flushed(outbox)).rows

    assert [(row["id"], row["key"]) for row in rows] == [
        (101, b"r0"),
        (102, b"r1"),
        (103, b"r2"),
        (104, b"r3"),
        (105, b"r4"),
        (106, b"k"),
    ]


async def test_nothing_is_asked_of_the_database_without_an_event() -> None:
    assert (await flushed(Outbox("scanner"))).statements == []


async def test_a_second_flush_writes_only_what_came_later() -> None:
    outbox = Outbox("scanner")
    outbox.add(RUN_CHANGED, run_changed("first"), cause=None, event_id=None)
    await flushed(outbox)
    outbox.add(RUN_CHANGED, run_changed("later"), cause=None, event_id=None)

    assert [row["key"] for row in (await flushed(outbox)).rows] == [b"later"]


async def test_an_event_larger_than_its_topic_takes_fails_its_own_transaction() -> None:
    outbox = Outbox("scanner")
    outbox.add(RECORD_CHANGED, record_changed(MAX_MESSAGE_BYTES), cause=None, event_id=None)

    with pytest.raises(PermanentError, match="large bodies travel by reference") as refusal:
        await flushed(outbox)
    assert refusal.value.category is ErrorCategory.MESSAGE_TOO_LARGE


async def test_what_kafka_counts_beside_the_value_is_counted_as_well() -> None:
    outbox = Outbox("scanner")
    outbox.add(RECORD_CHANGED, record_changed(1000), cause=None, event_id="e")
    (row,) = (await flushed(outbox)).rows
    around = len(row["value"]) - 1000

    # A value that would just fit, were it alone.
    outbox.add(RECORD_CHANGED, record_changed(MAX_MESSAGE_BYTES - around), cause=None, event_id="e")

    with pytest.raises(PermanentError):
        await flushed(outbox)


async def test_a_dead_letter_keeps_its_bytes_as_long_as_a_topic_takes_them() -> None:
    outbox = Outbox("scanner")
    outbox.add_raw("x.dead", b"k", value=b"v" * MAX_MESSAGE_BYTES, headers={"a": "b"})

    (row,) = (await flushed(outbox)).rows

    assert len(row["value"]) == MAX_MESSAGE_BYTES
    assert row["headers"] == {"a": "b"}


async def test_a_dead_letter_that_no_topic_takes_is_cut_and_says_so() -> None:
    outbox = Outbox("scanner")
    outbox.add_raw("x.dead", b"k" * 9000, value=b"v" * 5_000_000, headers={"a": "b"})

    (row,) = (await flushed(outbox)).rows

    assert (len(row["key"]), len(row["value"])) == (8192, MAX_MESSAGE_BYTES)
    assert row["headers"] == {"a": "b", "x-dlq-truncated-from": "5000000"}
