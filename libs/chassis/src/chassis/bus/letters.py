"""Writes what a consumer rejects: a row for people and a message for other programs, in the
transaction of the batch (docs/decisions/0028).

What stands in the table already, because a log was read again or a replay was published twice, is
not written a second time, neither here nor in the topic.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.bus.dead_letters import dead_letter_headers
from chassis.bus.raw_headers import pack
from chassis.bus.records import Record
from chassis.db import Transaction
from chassis.logs import get_logger
from chassis.outbox import MAX_KEY_BYTES
from contracts import dead_letters as header
from contracts.topics import MAX_MESSAGE_BYTES


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that cannot be applied, and why."""

    record: Record
    error: BaseException


async def bury(
    transaction: Transaction,
    rejections: Sequence[Rejection],
    *,
    consumer: str,
    service: str,
    dead_letter_topic: str,
    attempts: int,
    failed_at: datetime,
) -> None:
    """Write all rejections of a batch; they count if and only if the transaction commits."""
    if not rejections:
        return
    rejections = sorted(rejections, key=lambda item: (item.record.partition, item.record.offset))
    rows = [
        _row(item, consumer=consumer, attempts=attempts, failed_at=failed_at) for item in rejections
    ]
    inserted = await transaction.connection.fetch(
        _INSERT, service, consumer, failed_at, *zip(*(row.values() for row in rows), strict=True)
    )
    new = {row["id"] for row in inserted}
    for item, row in zip(rejections, rows, strict=True):
        if row["id"] not in new:
            get_logger().info(
                "dead_letter_known",
                topic=item.record.topic,
                partition=item.record.partition,
                offset=item.record.offset,
            )
            continue
        transaction.publish_raw(
            dead_letter_topic,
            item.record.key or b"",
            value=item.record.value or b"",
            headers=row["headers"],
        )


def _row(item: Rejection, *, consumer: str, attempts: int, failed_at: datetime) -> dict[str, Any]:
    """Return the columns that differ between letters, in the order of `_INSERT`."""
    record = item.record
    letter_id = uuid.uuid4()
    headers = dead_letter_headers(
        record, item.error, consumer=consumer, attempts=attempts, failed_at=failed_at
    ) | {header.LETTER_ID: str(letter_id)}
    value, key = record.value, record.key
    is_cut = len(value or b"") > MAX_MESSAGE_BYTES or len(key or b"") > MAX_KEY_BYTES
    drift = headers.get(header.DRIFT_ID)
    return {
        "id": letter_id,
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "fingerprint": record.fingerprint,
        "key": key and key[:MAX_KEY_BYTES],
        "value": value and value[:MAX_MESSAGE_BYTES],
        "size": len(value or b""),
        "is_cut": is_cut,
        "original_headers": pack(record.headers),
        "headers": headers,
        "category": headers[header.CATEGORY],
        "error_class": headers[header.ERROR_CLASS],
        "message": headers[header.MESSAGE],
        "chain": headers[header.CHAIN],
        "attempts": attempts,
        "event_id": headers[header.EVENT_ID] or None,
        "drift_id": drift and uuid.UUID(drift),
        "replay_of": _uuid(record.header(header.REPLAY_OF)),
        "replays": _count(record.header(header.REPLAY_COUNT)),
    }


def _uuid(text: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if text else None
    except ValueError:
        return None  # whoever may write to the topic may write nonsense


def _count(text: str | None) -> int:
    return min(int(text), 1000) if text and text.isascii() and text.isdigit() else 0


_INSERT = """
insert into meta.dead_letters
    (service, consumer, failed_at, id, topic, partition, "offset", fingerprint, key, value, size,
     is_cut, original_headers, headers, category, error_class, message, chain, attempts, event_id,
     drift_id, replay_of, replays)
select $1, $2, $3, t.*
from unnest($4::uuid[], $5::text[], $6::int[], $7::bigint[], $8::text[], $9::bytea[], $10::bytea[],
            $11::bigint[], $12::boolean[], $13::jsonb[], $14::jsonb[], $15::text[], $16::text[],
            $17::text[], $18::text[], $19::int[], $20::text[], $21::uuid[], $22::uuid[], $23::int[])
    as t
on conflict do nothing
returning id
"""
