"""PostgreSQL: one pool per service, transactions that carry their events, and errors sorted by
what the caller can do.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator
from typing import Any, TypeAlias

import asyncpg
import orjson

from chassis.errors import PenstockError, PermanentError, TransientError, UnavailableError
from chassis.outbox import Outbox
from chassis.settings import DatabaseSettings
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.topics import Topic
from contracts.types import Message

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)

ACQUIRE_TIMEOUT = 30.0

# SQLSTATE classes and codes after which the same statement may succeed later.
_TRANSIENT_CLASSES = ("08", "53", "57", "58", "40")
_TRANSIENT_CODES = ("55P03", "25P03", "25P04", "55006")
# The credentials or the rights are wrong: waiting helps only after an operator acted.
_FATAL_CLASSES = ("28",)
_FATAL_CODES = ("42501", "3D000")
FATAL_RETRY_AFTER = 60.0


class Transaction:
    """One transaction: its connection, and the events that leave if and only if it commits."""

    def __init__(self, connection: Connection, outbox: Outbox) -> None:
        self.connection = connection
        self._outbox = outbox

    def publish(
        self,
        topic: Topic,
        data: Message,
        *,
        cause: Event[Any] | None = None,
        event_id: str | None = None,
    ) -> None:
        """Queue an event; it is written to the outbox when the transaction ends.

        Args:
            topic: Where it goes; gives the type and the key.
            data: What it says.
            cause: The event that led to it; its correlation id is passed on.
            event_id: Fixed id; by default a new one.
        """
        self._outbox.add(topic, data, cause=cause, event_id=event_id)

    def publish_raw(self, topic: str, key: bytes, *, value: bytes, headers: dict[str, str]) -> None:
        """Queue a message as it is; dead letters keep their original bytes."""
        self._outbox.add_raw(topic, key, value=value, headers=headers)

    async def flush(self) -> None:
        """Write the queued events now; called once more at the end of the transaction."""
        await self._outbox.flush(self.connection)


class Database:
    """The pool of one service."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", service: str) -> None:
        self._pool = pool
        self.service = service

    @classmethod
    async def open(cls, settings: DatabaseSettings, service: str) -> "Database":
        """Connect.

        Raises:
            UnavailableError: the server does not answer.
        """
        with translated_errors():
            pool = await asyncpg.create_pool(
                settings.url.get_secret_value(),
                min_size=1,
                max_size=settings.pool_max_size,
                timeout=settings.connect_timeout_seconds,
                command_timeout=settings.command_timeout_seconds,
                init=_prepare,
                server_settings={
                    "application_name": service,
                    "timezone": "UTC",
                    "lock_timeout": f"{settings.lock_timeout_seconds:.0f}s",
                    # Part of the fencing design: a paused holder's transaction ends (see leases).
                    "idle_in_transaction_session_timeout": (
                        f"{settings.idle_timeout_seconds:.0f}s"
                    ),
                },
            )
        return cls(pool, service)

    async def close(self) -> None:
        """Close every connection; those that do not end in time are cut."""
        try:
            async with asyncio.timeout(10):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection outside a transaction."""
        with translated_errors():
            async with self._pool.acquire(timeout=ACQUIRE_TIMEOUT) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Open a transaction; events published in it leave after its commit."""
        async with self.connection() as connection, connection.transaction():
            transaction = Transaction(connection, Outbox(self.service))
            yield transaction
            await transaction.flush()

    @property
    def pool_size(self) -> int:
        """Connections open now."""
        return self._pool.get_size()

    @property
    def pool_idle(self) -> int:
        """Connections open and not in use."""
        return self._pool.get_idle_size()


async def _prepare(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda raw: orjson.loads(raw[1:]),
        format="binary",
    )


@contextlib.contextmanager
def translated_errors() -> Iterator[None]:
    """Turn what the client library raises into the two roots of `chassis.errors`."""
    try:
        yield
    except PenstockError:
        raise
    except asyncpg.PostgresError as error:
        raise translate(error) from error
    except (asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise UnavailableError(
            f"PostgreSQL does not answer: {error or type(error).__name__}", dependency="postgresql"
        ) from error


def translate(error: asyncpg.PostgresError) -> PenstockError:
    """Sort a server error by what the caller can do about it."""
    state = error.sqlstate or ""
    if state.startswith(_FATAL_CLASSES) or state in _FATAL_CODES:
        return TransientError(
            f"PostgreSQL refuses the service: {error}",
            retry_after=FATAL_RETRY_AFTER,
            sqlstate=state,
        )
    if state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_CODES:
        return UnavailableError(f"PostgreSQL: {error}", sqlstate=state)
    return PermanentError(f"PostgreSQL: {error}", category=ErrorCategory.STORAGE, sqlstate=state)
