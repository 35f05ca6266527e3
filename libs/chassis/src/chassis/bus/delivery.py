"""What a handler is given: a batch of deliveries, and one transaction to apply them in."""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from chassis.bus.records import Record
from chassis.db import Transaction
from chassis.errors import PermanentError
from contracts.envelope import Event
from contracts.types import Message

Data = TypeVar("Data", bound=Message)


class Delivery(NamedTuple, Generic[Data]):
    """One decoded event and where it came from; a tuple, because one is made per message."""

    event: Event[Data]
    record: Record

    @property
    def data(self) -> Data:
        """What the event says."""
        return self.event.data


Rejected: TypeAlias = dict[int, tuple[Delivery[Data], PermanentError]]
"""Deliveries that a handler refused, by identity, and why."""


class Settle(Protocol):
    """Writes dead letters and positions at the end of a batch's transaction."""

    def __call__(self) -> contextlib.AbstractAsyncContextManager[Transaction]:
        """Open the transaction."""
        ...


class Batch(Generic[Data]):
    """Deliveries to apply together.

    A handler does its outside reading and writing first (at names derived from content, so that a
    repetition is harmless), then opens `transaction()` once and writes its rows in it. What it
    does not `reject` counts as applied when the transaction commits.
    """

    def __init__(
        self,
        deliveries: Sequence[Delivery[Data]],
        *,
        attempt: int,
        settle: Settle,
        rejected: Rejected[Data] | None = None,
    ) -> None:
        self.deliveries = deliveries
        self.attempt = attempt
        """1 at first; grows with every retry of the batch after a `TransientError`."""
        self.rejected: Rejected[Data] = {} if rejected is None else rejected
        """Given by whoever settles, so that settling need not know the batch: a batch that is part
        of a cycle would wait, with all its messages, for the garbage collector."""
        self.settled = False
        self._settle = settle

    def reject(self, delivery: Delivery[Data], error: PermanentError) -> None:
        """Send one message to the dead letters, with the rest of the batch going on."""
        self.rejected[id(delivery)] = (delivery, error)

    @property
    def accepted(self) -> list[Delivery[Data]]:
        """The deliveries that were not rejected, in order."""
        if not self.rejected:
            return list(self.deliveries)
        return [delivery for delivery in self.deliveries if id(delivery) not in self.rejected]

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open the one transaction of the batch; it also carries dead letters and positions.

        Raises:
            RuntimeError: it was opened before; a batch has one transaction.
        """
        if self.settled:
            raise RuntimeError("a batch has one transaction")
        self.settled = True
        async with self._settle() as transaction:
            yield transaction


Handler: TypeAlias = Callable[[Batch[Any]], Awaitable[None]]
"""Applies a batch.

Raises `TransientError` to have it retried, `PermanentError` to have the culprit found.
"""
