"""Dead letters without a broker: a consumer that rejects what it is given, and replays of it."""

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.bus.applier import Applier
from chassis.bus.codec import encode_event
from chassis.bus.delivery import Batch, Handler
from chassis.bus.raw_headers import RawHeaders, as_sent
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.dead_letters.replay import REPLAY, replay_jobs
from chassis.errors import PermanentError
from chassis.runs import RunWorker, submit
from contracts.envelope import Event
from contracts.topics import FILE_CHANGED, Topic
from tests.support.hub import MOMENT, file_added
from tests.support.runs import fetch, run_row, until_idle

TOPIC = dataclasses.replace(FILE_CHANGED, consumers=("reader", "other"))
DEAD = TOPIC.dead_letters_of("reader")


async def no_wait(_: float) -> None:
    """Stand in for a pause."""


async def refuse(batch: Batch[Any]) -> None:
    """Reject everything."""
    for item in batch.deliveries:
        batch.reject(item, PermanentError(f"{item.data.path} is refused"))


async def accept(batch: Batch[Any]) -> None:
    async with batch.transaction() as transaction:
        await transaction.connection.executemany(
            "insert into applied (path) values ($1)",
            [(item.data.path,) for item in batch.accepted],
        )


@dataclass(slots=True)
class Reader:
    """A consumer whose handler a test changes."""

    database: Database
    handler: Handler = refuse
    consumer: str = "reader"
    topic: Topic = TOPIC
    _offsets: Any = field(default_factory=itertools.count)

    async def read(self, *records: Record) -> None:
        """Apply records, however often it takes."""
        applier = Applier(
            self.topic,
            self.handler,
            consumer=self.consumer,
            database=self.database,
            clock=SystemClock(),
            sleep=no_wait,
        )
        await applier.drive(list(records))

    def record(self, path: str) -> Record:
        return self.raw(*encoded(path))

    def raw(
        self, value: bytes | None, headers: RawHeaders = (), *, key: bytes | None = b"k"
    ) -> Record:
        headers_of_client: Any = tuple(headers)
        return Record(self.topic.name, 0, next(self._offsets), key, value, headers_of_client, 1)

    async def refused(self, *paths: str) -> None:
        await self.read(*map(self.record, paths))

    async def sent(self) -> list[Record]:
        """Take what was sent to the topic out of the outbox, as its consumers would read it."""
        rows = await fetch(
            self.database,
            "delete from meta.outbox where topic = $1 returning id, key, value, headers",
            self.topic.name,
        )
        return [
            self.raw(row["value"], as_sent(row["headers"]), key=row["key"])
            for row in sorted(rows, key=lambda row: row["id"])
        ]

    async def replay(self, *, dry_run: bool = False, **parameters: Any) -> dict[str, Any]:
        """Execute a run `replay` to its end and return its row."""
        reason = parameters.pop("reason", None)
        async with self.database.transaction() as transaction:
            run_id = await submit(
                transaction,
                service="reader",
                kind=REPLAY,
                target=DEAD,
                parameters={"topic": DEAD} | parameters,
                requester="mia",
                reason=reason,
                dry_run=dry_run,
            )
        await until_idle(self.worker())
        return await run_row(self.database, run_id)

    def worker(self) -> RunWorker:
        clock = SystemClock()
        jobs = replay_jobs(clock, topics=[self.topic], sleep=no_wait)
        return RunWorker(self.database, jobs, clock=clock)

    async def letters(self) -> list[dict[str, Any]]:
        return await fetch(self.database, 'select * from meta.dead_letters order by "offset"')

    async def dead_messages(self) -> list[dict[str, Any]]:
        query = "select * from meta.outbox where topic = $1 order by id"
        return await fetch(self.database, query, self.topic.dead_letters_of(self.consumer))

    async def applied(self) -> list[str]:
        rows = await fetch(self.database, "select path from applied order by id")
        return [row["path"] for row in rows]


def encoded(path: str) -> tuple[bytes, Sequence[tuple[str, bytes | None]]]:
    event: Event[Any] = Event(
        id=f"event-{path}",
        type=FILE_CHANGED.name,
        source="/scanner",
        time=MOMENT,
        data=file_added(path),
    )
    value, headers = encode_event(event)
    return value, [(name, text.encode()) for name, text in headers.items()]
