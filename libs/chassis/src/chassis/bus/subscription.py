"""One topic being consumed: assignments, stored positions, pausing, hand-over.

The bus polls and calls `receive`; what happens to the records is the `Applier`'s policy. Healthy
partitions go on while a failing one is paused and retried in the background, so the poll loop (and
with it the membership of the group) never waits for a dependency.

While one batch is applied, the next is polled and decoded: the processor works while the database
does. Whether the next one's records may be applied is judged when the batch before it is settled.
"""

import asyncio
import contextlib
import contextvars
import itertools
from collections.abc import Iterable, Mapping, Sequence

from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from chassis import metrics
from chassis.bus import positions
from chassis.bus.applier import Applier, Decoded
from chassis.bus.client import Consumer, to_records
from chassis.bus.cursor import Admitted, Cursor, Reread, StartOver, misfit
from chassis.bus.records import Record
from chassis.bus.standing import Standing
from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import TransientError
from chassis.logs import get_logger
from chassis.retry import backoff_seconds

DRAIN_SECONDS = 20.0
"""How long a rebalance waits for the batch in hand; below the group's rebalance timeout."""

COMMIT_EVERY_SECONDS = 0.5
"""Kafka's own offsets serve lag metrics only (stored positions win), so they may trail a
little."""

_KAFKA_DEADLINE = 20.0


class Subscription:
    """Consumes one topic for one consumer group."""

    def __init__(self, applier: Applier, *, database: Database, clock: Clock) -> None:
        self.topic = applier.topic
        self._applier = applier
        self._consumer_name = applier.consumer
        self._database = database
        self._clock = clock
        self._consumer: Consumer | None = None
        self._group: asyncio.TaskGroup | None = None
        self._cursors: dict[int, Cursor] = {}
        """Of the partitions that are assigned and loaded; records of others are not ours yet."""
        self._standing = Standing(applier.consumer, applier.topic.name, clock)
        self._lanes: dict[int, asyncio.Task[None]] = {}
        self._uncommitted: dict[TopicPartition, int] = {}
        self._assigned = asyncio.Event()
        self._wanted: set[int] = set()
        self._in_hand: asyncio.Task[None] | None = None
        self._leaving: set[int] = set()
        """Partitions on their way to another member: nothing more of them is begun."""
        self._stopping = False
        self._progress_at = clock.monotonic()
        self.failure: Exception | None = None
        """A bug in the delivery itself; the process must not go on."""
        self.has_assignment = False
        """Whether the group has answered at least once; an empty answer means standby."""
        metrics.begin_consumer(self._consumer_name, self.topic.name)

    # --- life

    def attach(self, consumer: Consumer, group: asyncio.TaskGroup) -> None:
        """Take the consumer that FastStream made, and start the background work in `group`."""
        self._consumer = consumer
        self._group = group
        # A clean context: a commit's cancelled timers would otherwise keep past batches alive.
        group.create_task(self._commit_loop(), context=contextvars.Context())
        group.create_task(self._load_loop())
        self._request_load(self._own(consumer.assignment()))

    async def drain(self) -> None:
        """Finish the batch in hand and give up what is waiting; for shutdown."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._settled()
        await self._abandon_lanes(set(self._lanes))
        await self._commit()

    # --- records

    async def receive(self, raw: Sequence[ConsumerRecord]) -> None:
        """Have what a poll returned applied; returns when it is being applied, not later.

        Partitions that must wait are left out: they are read again when they may go on.
        """
        decoded = self._applier.decode(to_records(raw))
        await self._settled()
        if self._stopping:
            return
        admitted = self._admit(decoded.partitions)
        if admitted != decoded.partitions:
            decoded = self._applier.decode(list(itertools.chain(*admitted.values())))
        if admitted:
            assert self._group is not None  # noqa: S101 - records arrive after attach()
            self._in_hand = self._group.create_task(self._work(decoded))

    async def _settled(self) -> None:
        """Wait until no batch is in hand."""
        if self._in_hand is not None:
            await asyncio.wait({self._in_hand})

    async def _work(self, decoded: Decoded) -> None:
        try:
            await self._apply(decoded)
        except Exception as error:  # noqa: BLE001 - the watch ends the process with it
            self.failure = error
            self._stopping = True
        finally:
            self._in_hand = None

    def _admit(self, partitions: Mapping[int, list[Record]]) -> dict[int, list[Record]]:
        """Keep the records that come next in partitions that are ours and not waiting."""
        admitted: dict[int, list[Record]] = {}
        for partition, records in partitions.items():
            cursor = self._cursors.get(partition)
            if cursor is None or partition in self._lanes or partition in self._leaving:
                continue
            if next_ones := self._judge(partition, cursor, records):
                admitted[partition] = next_ones
        return admitted

    def _judge(self, partition: int, cursor: Cursor, records: list[Record]) -> list[Record]:
        match cursor.judge(records):
            case Admitted(fresh, missing):
                if missing:
                    self._standing.report_missing(
                        partition, expected=cursor.next_offset, missing=missing
                    )
                return fresh
            case Reread(offset):
                assert self._consumer is not None  # noqa: S101 - records arrive after attach()
                self._consumer.seek(self._tp(partition), offset)
                return []
            case StartOver(reason):
                self._start_over(partition, reason)
                return []

    async def _apply(self, decoded: Decoded) -> None:
        try:
            await self._applier.apply(decoded)
        except Exception as error:  # noqa: BLE001 - the delivery loop: the lanes sort errors
            if isinstance(error, TransientError):
                get_logger().warning("batch_deferred", topic=self.topic.name, error=error)
            for partition, records in decoded.partitions.items():
                self._open_lane(partition, records)
        else:
            self._advance(decoded.partitions)

    def _advance(self, partitions: Mapping[int, Sequence[Record]]) -> None:
        for partition, records in partitions.items():
            if cursor := self._cursors.get(partition):
                cursor.next_offset = records[-1].offset + 1
                self._uncommitted[self._tp(partition)] = cursor.next_offset
        self._progress_at = self._clock.monotonic()

    # --- lanes: partitions that must wait

    def _open_lane(self, partition: int, records: list[Record]) -> None:
        assert self._group is not None  # noqa: S101 - records arrive after attach()
        self._pause(partition)
        self._lanes[partition] = self._group.create_task(self._lane(partition, records))

    async def _lane(self, partition: int, records: list[Record]) -> None:
        gauge = metrics.PARTITIONS_PAUSED.labels(self._consumer_name, self.topic.name)
        gauge.inc()
        try:
            await self._applier.drive(records, first_attempt=2)
        except positions.StalePositionError as error:
            get_logger().warning(
                "position_stale", topic=self.topic.name, partition=partition, error=error
            )
            self._cursors.pop(partition, None)
            self._request_load({partition})
        else:
            self._advance({partition: records})
            self._read_on(partition)
        finally:
            gauge.dec()
            self._lanes.pop(partition, None)

    async def _abandon_lanes(self, partitions: set[int]) -> None:
        tasks = [self._lanes[partition] for partition in partitions if partition in self._lanes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # --- assignments

    async def revoke(self, revoked: Iterable[TopicPartition]) -> None:
        """Finish the batch in hand before the partitions go to another member."""
        partitions = self._own(revoked)
        self._leaving |= partitions
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._settled()
        except TimeoutError:
            get_logger().warning("rebalance_did_not_wait", topic=self.topic.name)
        await self._abandon_lanes(partitions)
        await self._commit()
        for partition in partitions:
            self._cursors.pop(partition, None)
            self._standing.forget(partition)
        self._leaving -= partitions

    def assign(self, assigned: Iterable[TopicPartition]) -> None:
        """Hold the partitions back until their stored positions are loaded."""
        self.has_assignment = True
        if self._consumer is not None:
            self._request_load(self._own(assigned))

    def _request_load(self, partitions: set[int]) -> None:
        for partition in partitions:
            self._pause(partition)
        self._wanted |= partitions
        self._assigned.set()

    async def _load_loop(self) -> None:
        attempt = 0
        while True:
            await self._assigned.wait()
            self._assigned.clear()
            wanted, self._wanted = self._wanted, set()
            try:
                await self._load(wanted)
                attempt = 0
            except (TransientError, KafkaError, TimeoutError) as error:
                attempt += 1
                get_logger().warning("positions_not_loaded", topic=self.topic.name, error=error)
                await asyncio.sleep(backoff_seconds(attempt))
                self._wanted |= wanted
                self._assigned.set()

    async def _load(self, partitions: set[int]) -> None:
        tps = self._still_assigned(partitions)
        if self._consumer is None or not tps:
            return
        async with asyncio.timeout(_KAFKA_DEADLINE):
            begins = await self._consumer.beginning_offsets(tps)
            ends = await self._consumer.end_offsets(tps)
        async with self._database.connection() as connection:
            stored = await positions.load(
                connection,
                self._consumer_name,
                self.topic.name,
                partitions=[tp.partition for tp in tps],
            )
            for tp in tps:
                begin, end = begins[tp], ends[tp]
                position = stored.get(tp.partition)
                reason = misfit(position, begin, end)
                if reason is not None:
                    self._standing.report_reset(tp.partition, reason)
                if position is None or reason is not None:
                    position = positions.Position(begin, None)
                    await positions.reset(
                        connection,
                        self._consumer_name,
                        self.topic.name,
                        partition=tp.partition,
                        next_offset=begin,
                    )
                self._place(tp, position, begin)

    def _place(self, tp: TopicPartition, position: positions.Position, begin: int) -> None:
        if self._consumer is None or tp not in self._still_assigned({tp.partition}):
            return
        cursor = Cursor(position.next_offset)
        start = position.next_offset
        if position.anchor is not None and position.next_offset > begin:
            # Read the last applied record again: it proves that this is the same log.
            start = position.next_offset - 1
            cursor.anchor = position.anchor
        self._cursors[tp.partition] = cursor
        self._consumer.seek(tp, start)
        self._consumer.resume(tp)

    def _start_over(self, partition: int, reason: str) -> None:
        """Read a partition from its beginning, because the log is not the one that was read
        before.
        """
        assert self._group is not None  # noqa: S101 - records arrive after attach()
        self._standing.report_reset(partition, reason)
        self._cursors.pop(partition, None)
        self._pause(partition)
        self._group.create_task(self._rewind(partition))

    async def _rewind(self, partition: int) -> None:
        attempt = 0
        while True:
            try:
                async with self._database.connection() as connection:
                    await positions.reset(
                        connection,
                        self._consumer_name,
                        self.topic.name,
                        partition=partition,
                        next_offset=0,
                    )
            except TransientError as error:
                attempt += 1
                get_logger().warning("positions_not_loaded", topic=self.topic.name, error=error)
                await asyncio.sleep(backoff_seconds(attempt))
            else:
                break
        self._request_load({partition})

    # --- Kafka's own offsets, lag, health

    async def _commit_loop(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_SECONDS)
            await self._commit()
            self._measure()

    async def _commit(self) -> None:
        if self._consumer is None:
            return
        assigned = self._consumer.assignment()
        offsets = {tp: offset for tp, offset in self._uncommitted.items() if tp in assigned}
        self._uncommitted.clear()
        if not offsets:
            return
        try:
            async with asyncio.timeout(_KAFKA_DEADLINE):
                await self._consumer.commit(offsets)
        except (KafkaError, TimeoutError) as error:  # harmless: the stored position counts
            get_logger().debug("offset_commit_failed", topic=self.topic.name, error=error)

    def _measure(self) -> None:
        for partition, cursor in self._cursors.items():
            self._standing.measure(
                partition, next_offset=cursor.next_offset, lag=self._lag(partition, cursor)
            )
        if self.lag == 0 or self._lanes:
            self._progress_at = self._clock.monotonic()

    def _lag(self, partition: int, cursor: Cursor) -> int:
        high = self._consumer.highwater(self._tp(partition)) if self._consumer else None
        return max(0, (high or 0) - cursor.next_offset)

    @property
    def lag(self) -> int:
        """Messages that are known and not yet applied."""
        return sum(self._lag(partition, cursor) for partition, cursor in self._cursors.items())

    @property
    def stuck_seconds(self) -> float:
        """How long messages have been waiting while nothing was applied and no dependency was
        down.
        """
        return 0.0 if self._in_hand else self._clock.monotonic() - self._progress_at

    # --- small things

    def _own(self, partitions: Iterable[TopicPartition]) -> set[int]:
        return {tp.partition for tp in partitions if tp.topic == self.topic.name}

    def _tp(self, partition: int) -> TopicPartition:
        return TopicPartition(self.topic.name, partition)

    def _still_assigned(self, partitions: set[int]) -> list[TopicPartition]:
        assigned = self._consumer.assignment() if self._consumer else set()
        return sorted(tp for tp in map(self._tp, partitions) if tp in assigned)

    def _pause(self, partition: int) -> None:
        for tp in self._still_assigned({partition}):
            assert self._consumer is not None  # noqa: S101 - it gave the assignment
            self._consumer.pause(tp)

    def _read_on(self, partition: int) -> None:
        cursor = self._cursors.get(partition)
        if cursor is None or self._consumer is None:
            return
        for tp in self._still_assigned({partition}):  # what was polled meanwhile was left out
            self._consumer.seek(tp, cursor.next_offset)
            self._consumer.resume(tp)
