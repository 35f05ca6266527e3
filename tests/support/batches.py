"""Batches for tests of handlers that need a database and no broker."""

import contextlib
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from chassis.bus.codec import decode_event
from chassis.bus.delivery import Batch, Delivery
from chassis.bus.records import Record
from chassis.db import Database, Transaction
from contracts.topics import Topic

MOMENT_MS = 1_767_323_045_000  # 2026-01-02T03:04:05Z


def bare(topic: Topic, body: Mapping[str, Any], *, offset: int = 0) -> Delivery[Any]:
    """Return a command as any Kafka client sends it: the JSON of its data."""
    value = json.dumps(body).encode()
    record = Record(topic.name, 0, offset, None, value, (), MOMENT_MS)
    return Delivery(decode_event(topic, record), record)


def batch_of(database: Database, deliveries: Sequence[Delivery[Any]]) -> Batch[Any]:
    """Return a batch whose one transaction is a transaction of `database`."""

    @contextlib.asynccontextmanager
    async def settle() -> AsyncGenerator[Transaction]:
        async with database.transaction() as transaction:
            yield transaction

    return Batch(deliveries, attempt=1, settle=settle)
