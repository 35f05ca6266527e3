"""How far a consumer has applied each partition: stored with its effects, so that it wins over
Kafka's own offsets.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chassis.bus.records import Record
from chassis.db import Connection
from chassis.errors import TransientError


class StalePositionError(TransientError):
    """Another consumer has applied these records; this one lost the partition."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where a partition stands."""

    next_offset: int
    anchor: str | None
    """Fingerprint of the record at `next_offset - 1`; None when nothing was applied yet."""


async def load(
    connection: Connection, consumer: str, topic: str, *, partitions: Iterable[int]
) -> dict[int, Position]:
    """Return the stored positions; partitions never consumed are missing."""
    rows = await connection.fetch(
        "select partition, next_offset, anchor from meta.consumer_positions "
        "where consumer = $1 and topic = $2 and partition = any($3::int[])",
        consumer,
        topic,
        list(partitions),
    )
    return {row["partition"]: Position(row["next_offset"], row["anchor"]) for row in rows}


async def reset(
    connection: Connection, consumer: str, topic: str, *, partition: int, next_offset: int
) -> None:
    """Set a position without a comparison: for new partitions and re-created topics."""
    await connection.execute(
        "insert into meta.consumer_positions as p (consumer, topic, partition, next_offset) "
        "values ($1, $2, $3, $4) on conflict (consumer, topic, partition) do update "
        "set next_offset = $4, anchor = null, updated_at = clock_timestamp()",
        consumer,
        topic,
        partition,
        next_offset,
    )


async def advance(
    connection: Connection, consumer: str, topic: str, *, records: Mapping[int, Sequence[Record]]
) -> None:
    """Move the positions past these records; the first statement of a batch's transaction.

    The rows stay locked until the commit: a consumer that lost a partition waits, compares, fails.

    Raises:
        StalePositionError: a stored position is already beyond the first record.
    """
    partitions = sorted(records)
    last = [records[partition][-1] for partition in partitions]
    arguments = (
        partitions,
        [records[partition][0].offset for partition in partitions],
        [record.offset + 1 for record in last],
        [record.fingerprint for record in last],
    )
    rows = await connection.fetch(_ADVANCE, consumer, topic, *arguments)
    if len(rows) < len(partitions):
        # A partition that was never consumed has no row yet.
        rows += await connection.fetch(_BEGIN, consumer, topic, *arguments)
    stale = set(partitions) - {row["partition"] for row in rows}
    if stale:
        raise StalePositionError(topic=topic, partitions=sorted(stale))


# One round trip a batch. The rows are locked in order first, so that two consumers that both
# believe to own the same partitions never wait for each other in a circle.
_ADVANCE = """
with locked as materialized (
    select partition from meta.consumer_positions
    where consumer = $1 and topic = $2 and partition = any($3::int[])
    order by partition
    for update
)
update meta.consumer_positions p
set next_offset = t.next_offset, anchor = t.anchor, updated_at = clock_timestamp()
from unnest($3::int[], $4::bigint[], $5::bigint[], $6::text[])
    as t (partition, first_offset, next_offset, anchor)
join locked using (partition)
where p.consumer = $1 and p.topic = $2 and p.partition = t.partition
  and p.next_offset <= t.first_offset
returning p.partition
"""

_BEGIN = """
insert into meta.consumer_positions (consumer, topic, partition, next_offset, anchor)
select $1, $2, t.partition, t.next_offset, t.anchor
from unnest($3::int[], $4::bigint[], $5::bigint[], $6::text[])
    as t (partition, first_offset, next_offset, anchor)
order by t.partition
on conflict do nothing
returning partition
"""
