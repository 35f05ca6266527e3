"""PostgreSQL: one pool per service, transactions that carry their events, and errors sorted by
what the caller can do.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import repeat
from typing import Any, TypeAlias

import asyncpg
import orjson

from chassis.bus.raw_headers import RawHeaders
from chassis.errors import (
    PenstockError,
    PermanentError,
    SettingsError,
    TransientError,
    UnavailableError,
)
from chassis.outbox import Outbox
from chassis.redaction import redact
from chassis.settings import DatabaseSettings
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.topics import Topic
from contracts.types import Message

Connection: TypeAlias = (
    "asyncpg.Connection[asyncpg.Record] | asyncpg.pool.PoolConnectionProxy[asyncpg.Record]"
)

ACQUIRE_TIMEOUT = 30.0
CLOSE_TIMEOUT = 10.0

# SQLSTATE classes and codes after which the same statement may succeed later.
_TRANSIENT_CLASSES = ("08", "53", "57", "58", "40")
_TRANSIENT_CODES = ("55P03", "25P03", "25P04", "55006")
# No message is at fault: credentials or rights are wrong, a migration lacks, the server is damaged.
# Waiting helps only after an operator acted, and nothing must be thrown away meanwhile.
_REFUSED_CLASSES = ("28", "XX")
_REFUSED_CODES = ("42501", "3D000", "3F000", "42P01", "42703", "42883")
REFUSED_RETRY_AFTER = 60.0

_QUOTING_CLASS = "22"  # data exceptions

_NETWORK = (ConnectionError, TimeoutError)


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
        correlation_id: str | None = None,
    ) -> None:
        """Queue an event; it is written to the outbox when the transaction ends.

        Args:
            topic: Where it goes; gives the type and the key.
            data: What it says.
            cause: The event that led to it; its correlation id is passed on.
            event_id: Fixed id; by default a new one.
            correlation_id: The lineage where no cause is at hand; by default a new one begins.
        """
        self._outbox.add(topic, data, cause=cause, event_id=event_id, correlation_id=correlation_id)

    def publish_all(
        self,
        topic: Topic,
        data: Sequence[Message],
        *,
        causes: Iterable[Event[Any] | None] | None = None,
        event_ids: Sequence[str] | None = None,
    ) -> None:
        """Queue many events of one topic; the same as `publish` for each, and faster.

        Args:
            topic: Where they go.
            data: What they say.
            causes: The events that led to them, one for each.
            event_ids: Fixed ids, one for each; by default new ones.
        """
        self._outbox.add_all(
            topic, data, causes=causes or repeat(None, len(data)), event_ids=event_ids
        )

    def publish_rendered(
        self,
        topic: Topic,
        keys: Sequence[str],
        data: Iterable[bytes],
        *,
        causes: Iterable[Event[Any] | None] | None = None,
    ) -> None:
        """Queue many events whose data are JSON already; the same as `publish_all`, and faster.

        The caller answers for what it says: of each flush, only the first event is read and
        rendered by the model, and must be equal.

        Args:
            topic: Where they go.
            keys: What the topic's key is for the data, one for each.
            data: What they say, byte by byte as the model renders it, without what is null.
            causes: The events that led to them, one for each.
        """
        self._outbox.add_rendered(topic, keys, data, causes=causes or repeat(None, len(keys)))

    def publish_raw(self, topic: str, key: bytes, *, value: bytes, headers: dict[str, str]) -> None:
        """Queue a message as it is; dead letters keep their original bytes."""
        self._outbox.add_raw(topic, key, value=value, headers=headers)

    def publish_again(
        self, topic: Topic, key: bytes | None, *, value: bytes | None, headers: RawHeaders
    ) -> None:
        """Queue a message as it once came in, byte by byte.

        Raises:
            PermanentError: it is larger than the topic takes.
        """
        self._outbox.add_again(topic, key, value=value, headers=headers)

    async def flush(self) -> None:
        """Write the queued events now; called once more at the end of the transaction."""
        await self._outbox.flush(self.connection)

    async def nudge(self) -> None:
        """Show the server that somebody is still at work; it ends transactions that stand idle."""
        await self.connection.execute("select 1")


class Database:
    """The pool of one service."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", service: str) -> None:
        self._pool = pool
        self.service = service

    @classmethod
    async def open(cls, settings: DatabaseSettings, service: str) -> "Database":
        """Connect.

        Raises:
            SettingsError: the address cannot be used.
            TransientError: the server does not answer, or refuses the log-on.
        """
        with connecting():
            pool = await asyncpg.create_pool(
                settings.url.get_secret_value(),
                min_size=1,
                max_size=settings.pool_max_size,
                timeout=settings.connect_timeout_seconds,
                command_timeout=settings.command_timeout_seconds,
                init=_prepare,
                reset=_keep_session,
                server_settings={
                    "application_name": service,
                    "timezone": "UTC",
                    # A statement here takes milliseconds; to compile one takes half a second.
                    "jit": "off",
                    # Tables grow from nothing to millions while a session lives: a plan that is
                    # kept from when they were small reads them whole.
                    "plan_cache_mode": "force_custom_plan",
                    "lock_timeout": _milliseconds(settings.lock_timeout_seconds),
                    # Part of the fencing design: a paused holder's transaction ends (leases).
                    "idle_in_transaction_session_timeout": _milliseconds(
                        settings.idle_timeout_seconds
                    ),
                },
            )
        return cls(pool, service)

    async def close(self) -> None:
        """Close every connection; those that do not end in time are cut."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncGenerator[Connection]:
        """Lend a connection outside a transaction.

        Raises:
            UnavailableError: the server does not answer, or every connection stays in use.
        """
        with translated_errors(_NETWORK):
            async with contextlib.AsyncExitStack() as lent:
                connection = await self._lend(lent)
                try:
                    yield connection
                except asyncpg.InterfaceError as error:
                    if not _is_lost(connection):
                        raise  # the driver was used wrongly: a bug
                    raise UnavailableError(
                        f"PostgreSQL does not answer: {error}", dependency="postgresql"
                    ) from error

    async def _lend(self, lent: contextlib.AsyncExitStack) -> Connection:
        try:
            with translated_errors():
                return await lent.enter_async_context(self._pool.acquire(timeout=ACQUIRE_TIMEOUT))
        except asyncpg.InterfaceError as error:  # the pool is closing
            raise UnavailableError(f"PostgreSQL: {error}", dependency="postgresql") from error

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


async def _keep_session(_connection: Connection) -> None:
    """Replace the driver's reset query, which would cost a round trip each time a connection is
    given back.

    The driver has rolled back what was open before it calls this. Nothing else may be left behind:
    settings are `set local`, locks belong to transactions, listeners are removed by who added them.
    """


def _is_lost(connection: Connection) -> bool:
    try:
        return connection.is_closed()
    except asyncpg.InterfaceError:
        return True  # the pool took a dead connection back already


def _milliseconds(seconds: float) -> str:
    # Zero would switch the timeout off.
    return f"{max(1, round(seconds * 1000))}ms"


@contextlib.contextmanager
def connecting() -> Iterator[None]:
    """Turn what goes wrong with a new connection into errors that name the setting or the server.

    Raises:
        SettingsError: the address cannot be used.
        TransientError: the server does not answer, or refuses the log-on.
    """
    try:
        with translated_errors():
            yield
    except (asyncpg.InterfaceError, ValueError) as error:
        problem = f"`DATABASE_URL` cannot be used: {redact(str(error))}"
        raise SettingsError(problem, problems=[problem]) from error


@contextlib.contextmanager
def translated_errors(network: tuple[type[OSError], ...] = (OSError,)) -> Iterator[None]:
    """Turn what the client library raises into the two roots of `chassis.errors`.

    Args:
        network: What else means that the server does not answer. While a connection is being
            made any `OSError` does (the default); around somebody's code it may be about a file.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        raise translate(error) from error
    except asyncpg.InternalClientError as error:
        raise UnavailableError(f"PostgreSQL: {error}", dependency="postgresql") from error
    except network as error:
        raise UnavailableError(
            f"PostgreSQL does not answer: {str(error) or type(error).__name__}",
            dependency="postgresql",
        ) from error


def translate(error: asyncpg.PostgresError) -> PenstockError:
    """Sort a server error by what the caller can do about it.

    The server's details are left out, and its text where a value is to blame: they quote rows.
    """
    state = error.sqlstate or ""
    text = str(error.args[0]) if error.args else type(error).__name__
    if state.startswith(_QUOTING_CLASS):
        text = f"a value does not fit ({type(error).__name__})"
    if state.startswith(_REFUSED_CLASSES) or state in _REFUSED_CODES:
        return TransientError(
            f"PostgreSQL refuses the service: {text}",
            retry_after=REFUSED_RETRY_AFTER,
            sqlstate=state,
        )
    if (
        state.startswith(_TRANSIENT_CLASSES)
        or state in _TRANSIENT_CODES
        # A migration changed a table under a prepared statement; it is prepared anew.
        or isinstance(error, asyncpg.InvalidCachedStatementError)
    ):
        return UnavailableError(f"PostgreSQL: {text}", sqlstate=state)
    return PermanentError(f"PostgreSQL: {text}", category=ErrorCategory.STORAGE, sqlstate=state)
