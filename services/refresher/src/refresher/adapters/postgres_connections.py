"""Connections to the two databases: pools, fixed rendering rules, and writers behind the guard."""

import contextlib
import ssl
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
from pydantic import SecretStr

from chassis.db import Connection, translate
from chassis.errors import TransientError, UnavailableError
from refresher.adapters import postgres_identity
from refresher.domain.catalog import Side
from refresher.domain.config import DatabaseConfig
from refresher.domain.guards import VerifiedTarget
from refresher.errors import RefreshError, UnsafeTargetError

_POOL_SIZE = 24
_ACQUIRE_SECONDS = 60.0

_RENDERING = {
    "application_name": "penstock-refresher",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "extra_float_digits": "1",
    "bytea_output": "hex",
    # A policy that hides rows must stop the copy, not make it silently incomplete.
    "row_security": "off",
    "idle_in_transaction_session_timeout": "0",
}
"""Both sides render values alike, or else their checksums could not be compared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach one database."""

    config: DatabaseConfig
    user: str
    password: SecretStr
    connect_seconds: float
    command_seconds: float


class Connections:
    """The pool of one side."""

    def __init__(self, side: Side, access: Access) -> None:
        self._side = side
        self._access = access
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None
        self._fingerprints: dict[int, str] = {}
        """Of the target: what each connection said it leads to, by its server process."""

    async def open(self) -> None:
        """Connect.

        Raises:
            TransientError: the server does not answer, or refuses the log-on.
        """
        config = self._access.config
        settings = dict(_RENDERING)
        if self._side is Side.SOURCE:
            settings["default_transaction_read_only"] = "on"
        else:
            # Our checkpoint lies elsewhere: what it counts on must survive a crash of the target,
            # also where others are content to lose the last half second.
            settings["synchronous_commit"] = "on"
        with translated(self._side):
            self._pool = await asyncpg.create_pool(
                host=config.server,
                port=config.port or 5432,
                database=config.database,
                user=self._access.user,
                password=self._access.password.get_secret_value(),
                ssl=_tls(config),
                min_size=0,
                max_size=_POOL_SIZE,
                timeout=self._access.connect_seconds,
                command_timeout=self._access.command_seconds,
                max_inactive_connection_lifetime=60.0,
                server_settings=settings,
                init=self._meet if self._side is Side.TARGET else None,
                reset=_keep_session,
            )

    async def close(self) -> None:
        """Close every connection; those in use are cut after a moment."""
        if self._pool is None:
            return
        pool, self._pool = self._pool, None
        pool.terminate()

    async def _meet(self, connection: Connection) -> None:
        # Once is enough: a connection never leads to another database than it did.
        found = await postgres_identity.fingerprint(connection)
        self._fingerprints[connection.get_server_pid()] = found

    @contextlib.asynccontextmanager
    async def lend(self) -> AsyncGenerator[Connection]:
        """Lend a connection.

        Raises:
            TransientError: the server does not answer.
        """
        if self._pool is None:
            await self.open()
        pool = self._pool
        assert pool is not None  # noqa: S101 - `open` made it or raised
        with translated(self._side):
            async with pool.acquire(timeout=_ACQUIRE_SECONDS) as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def write(self, target: VerifiedTarget) -> AsyncGenerator[Connection]:
        """Lend a connection that may write, once it has proven to be the verified target's.

        Raises:
            UnsafeTargetError: it leads somewhere else now.
        """
        if self._side is not Side.TARGET:
            raise UnsafeTargetError("the source is never written to")
        async with self.lend() as connection:
            found = self._fingerprints[connection.get_server_pid()]
            if found != target.fingerprint:
                raise UnsafeTargetError(
                    f"the target's address leads to another database now: {found}"
                )
            yield connection


async def _keep_session(_connection: Connection) -> None:
    """Replace the driver's reset query, which would cost a round trip each time a connection is
    given back.

    What we set is `set local`; a swap, in which hooks may set what they like, resets it itself.
    """


def _tls(config: DatabaseConfig) -> Any:
    if config.tls == "disable":
        return False
    context = ssl.create_default_context(cafile=config.ca_file)
    if config.tls == "require":
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def translated(side: Side) -> Iterator[None]:
    """Turn what the client library raises into our errors, each naming its side.

    Raises:
        TransientError: the server does not answer, or something there is in use.
        RefreshError: a statement was refused for good.
    """
    try:
        yield
    except asyncpg.PostgresError as error:
        failure = translate(error)
        if isinstance(failure, TransientError):
            raise type(failure)(
                f"{side.value}: {failure.message}", retry_after=failure.retry_after, **failure.facts
            ) from error
        raise RefreshError(f"{side.value}: {failure.message}", **failure.facts) from error
    except (asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise UnavailableError(f"{side.value}: {error}", dependency=side.value) from error
    except (OSError, TimeoutError) as error:
        reason = str(error) or type(error).__name__
        raise UnavailableError(f"{side.value}: {reason}", dependency=side.value) from error
