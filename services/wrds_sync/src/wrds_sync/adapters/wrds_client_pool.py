"""Connections to the archive: few, encrypted, kept, and each statement in a session whose settings
fix how values are written.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import asyncpg

from chassis.db import Connection
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from wrds_sync.adapters.wrds_client_errors import translated
from wrds_sync.domain.tables import Credential
from wrds_sync.errors import SourceRefusedError, SourceUnavailableError
from wrds_sync.ports import Credentials
from wrds_sync.settings.environment import WRDSConfig

CONNECT_RETRIES = 3
_RETRY_BASE_SECONDS = 0.5
_CLOSE_SECONDS = 5.0
_RELEASE_SECONDS = 10.0
_OVERFLOW_IDLE_SECONDS = 300.0
ANSWER_SECONDS = 5.0
"""The server ends a statement itself; so much later we stop waiting for its word."""

_BEGIN = """
BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;
SET LOCAL client_encoding = 'UTF8';
SET LOCAL timezone = 'UTC';
SET LOCAL datestyle = 'ISO, YMD';
SET LOCAL intervalstyle = 'postgres';
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 3;
SET LOCAL standard_conforming_strings = on;
SET LOCAL statement_timeout = {milliseconds};
"""
# One round trip. Set per transaction, not per connection: that holds behind a pooler as well, and
# an account's own settings, such as a foreign time zone, cannot change a stored value.

_BROKEN = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
# The last: rows of a cancelled copy are still on their way, and the driver takes them for the
# answer to the cancellation (0.32). Such a connection is of no more use.

Sleep = Callable[[float], Awaitable[None]]


class ConnectionPool:
    """Opens when first used; closing is final."""

    def __init__(
        self, config: WRDSConfig, credentials: Credentials, *, sleep: Sleep = asyncio.sleep
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._sleep = sleep
        self._opening = asyncio.Lock()
        self._refused: Credential | None = None
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def size(self) -> int:
        """Connections open now."""
        return 0 if self._pool is None else self._pool.get_size()

    async def close(self) -> None:
        """Close every connection; those that do not end in time are cut."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            pool.terminate()

    @contextlib.asynccontextmanager
    async def transaction(self, statement_seconds: float = 0) -> AsyncGenerator[Connection]:
        """Lend a connection in a read-only transaction that sees one moment of the archive.

        Args:
            statement_seconds: After which the server itself ends a statement; 0 is never.

        Raises:
            SourceUnavailableError: no connection could be made in four attempts, or it was lost.
            SourceRefusedError: the log-on is refused.
        """
        pool = await self._open()
        with translated():
            with translated(network=(OSError,)):
                connection = await pool.acquire(timeout=self._config.connect_timeout_seconds)
            try:
                await connection.execute(
                    _BEGIN.format(milliseconds=round(statement_seconds * 1000))
                )
                yield connection
                await connection.execute("COMMIT")
            finally:
                await _give_back(pool, connection)

    async def _open(self) -> "asyncpg.Pool[asyncpg.Record]":
        async with self._opening:
            if self._pool is None:
                self._pool = await self._connect()
            return self._pool

    async def _connect(self) -> "asyncpg.Pool[asyncpg.Record]":
        attempts = CONNECT_RETRIES + 1
        for attempt in range(1, attempts):
            try:
                return await self._create()
            except SourceUnavailableError as error:
                get_logger().warning("wrds_connect_repeated", attempt=attempt, error=str(error))
            await self._sleep(backoff_seconds(attempt, base=_RETRY_BASE_SECONDS))
        try:
            return await self._create()
        except SourceUnavailableError as error:
            # The fact tells the caller that this was repeated enough.
            raise SourceUnavailableError(str(error), attempts=attempts) from error

    async def _create(self) -> "asyncpg.Pool[asyncpg.Record]":
        config = self._config
        with translated(network=(OSError,)):
            return await asyncpg.create_pool(
                host=config.host,
                port=config.port,
                database=config.database,
                ssl=tls(config),
                min_size=config.pool_size,
                max_size=config.pool_size + config.max_overflow,
                # The floor stays open: a new connection may ask a person for a second factor.
                max_inactive_connection_lifetime=_OVERFLOW_IDLE_SECONDS,
                command_timeout=config.query_timeout_seconds + ANSWER_SECONDS,
                timeout=config.connect_timeout_seconds,
                connect=self._log_on,
                reset=_nothing_to_reset,
                # A pooler may lead two statements to two servers; prepared ones would be lost.
                statement_cache_size=0,
                server_settings={"application_name": "penstock"},
            )

    async def _log_on(self, *_: Any, **options: Any) -> "asyncpg.Connection[asyncpg.Record]":
        """Connect with the credentials of this moment: a rotated password needs no restart."""
        credential = self._credentials.read()
        if credential == self._refused:
            # The pool restores its floor by itself, again and again: that would lock the account.
            raise SourceRefusedError("the archive has refused this log-on before")
        try:
            return await asyncpg.connect(
                **options, user=credential.username, password=credential.password
            )
        except asyncpg.InvalidAuthorizationSpecificationError:
            self._refused = credential
            raise


async def _give_back(
    pool: "asyncpg.Pool[asyncpg.Record]",
    connection: "asyncpg.pool.PoolConnectionProxy[asyncpg.Record]",
) -> None:
    """End what is left of a transaction, wait for a cancelled statement's end, or else cut."""
    try:
        if not connection.is_closed() and connection.is_in_transaction():
            async with asyncio.timeout(_RELEASE_SECONDS):
                await connection.execute("ROLLBACK")
    except _BROKEN:
        with contextlib.suppress(asyncpg.InterfaceError):  # it may have been cut meanwhile
            connection.terminate()
    finally:
        # What led here counts; that the connection is lost as well does not.
        with contextlib.suppress(*_BROKEN):
            await pool.release(connection, timeout=_RELEASE_SECONDS)


async def _nothing_to_reset(_: Connection) -> None:
    """Nothing outlives a transaction here, so a round trip is spared."""


def tls(config: WRDSConfig) -> ssl.SSLContext | bool:
    """Return how connections are encrypted."""
    if config.ssl_mode == "disable":
        return False
    context = ssl.create_default_context(cafile=config.ca_file)
    if config.ssl_mode == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
