"""The part of the Kafka client that the bus uses, as a port."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Protocol

from aiokafka import ConsumerRecord, TopicPartition

from chassis.bus.records import Record


class Consumer(Protocol):
    """The part of the Kafka client that a subscription uses; the meaning is aiokafka's."""

    def pause(self, *partitions: TopicPartition) -> None:
        """Stop returning records of these partitions."""

    def resume(self, *partitions: TopicPartition) -> None:
        """Return records of these partitions again."""

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Read on from an offset."""

    def assignment(self) -> set[TopicPartition]:
        """Return the partitions that this member has."""
        ...

    def highwater(self, partition: TopicPartition) -> int | None:
        """Return the offset that the next message will get, as far as is known."""
        ...

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Store offsets in Kafka."""

    async def beginning_offsets(
        self, partitions: Sequence[TopicPartition]
    ) -> dict[TopicPartition, int]:
        """Return the first offset of each log."""
        ...

    async def end_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offset after the last record of each log."""
        ...

    async def topics(self) -> set[str]:
        """Return the topics that this member may see: an answer means that Kafka is there."""
        ...


_fields = attrgetter("topic", "partition", "offset", "key", "value", "headers", "timestamp")


def to_records(raw: Iterable[ConsumerRecord]) -> list[Record]:
    """Take over what the client library returned."""
    return list(map(Record._make, map(_fields, raw)))
