"""One state of a PostgreSQL source, read by any number of connections.

Whoever reads first does so on the connection that holds the state; only those beside it need
connections of their own.
"""

import contextlib
from collections.abc import AsyncGenerator
from typing import Self

from chassis.db import Connection
from refresher.adapters.postgres_connections import Connections
from refresher.domain.pgsql import names


class Snapshot:
    """Holds the state for as long as its context lasts."""

    def __init__(self, source: Connections, holder: Connection, name: str) -> None:
        self._source = source
        self._holder = holder
        self._name = name
        self._is_lent = False

    @classmethod
    @contextlib.asynccontextmanager
    async def taken(cls, source: Connections) -> AsyncGenerator[Self]:
        """Fix the state of now.

        Raises:
            TransientError: the source does not answer.
        """
        async with (
            source.lend() as holder,
            holder.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield cls(source, holder, await holder.fetchval("select pg_export_snapshot()"))

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncGenerator[Connection]:
        """Lend a connection that sees the state.

        Raises:
            TransientError: the source does not answer.
        """
        if not self._is_lent:
            self._is_lent = True
            try:
                yield self._holder
            finally:
                self._is_lent = False
            return
        async with (
            self._source.lend() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            await connection.execute(f"set transaction snapshot {names.literal(self._name)}")
            yield connection
