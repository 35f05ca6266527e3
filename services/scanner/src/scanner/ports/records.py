"""What polling needs from outside: the record sources, and what is known of their records."""

from collections.abc import AsyncGenerator
from typing import Protocol

from scanner.domain.records import Abilities, PollRequest, RecordPage, SourceDescription


class RecordSource(Protocol):
    """A source of records, opened for one poll.

    Raises, from every call: a `TransientError` where the source does not answer (the run is tried
    again later), a `PermanentError` where it refuses the credentials or the request (the run ends,
    nothing is concluded deleted). What is wrong with one record is an `ItemFailure`; the poll goes
    on. A poll that ends without an error has told everything that was asked for, apart from its
    pages' `failures` and `gap`.

    The identity of a record, its significant fields and what became of it are the poll's affair;
    an adapter tells records as they are, in any order, in pages of bounded size.
    """

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`, as it is configured."""
        ...

    def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the records that are asked for, a page at a time."""
        ...

    async def describe(self) -> SourceDescription:
        """Connect, log on, and tell what was found; reads no record."""
        ...

    async def close(self) -> None:
        """Close every connection."""
        ...
