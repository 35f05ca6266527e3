"""How a SQL Server is reached, and the proof that a connection leads to the verified target."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field

from chassis.errors import SettingsError
from refresher.adapters.sqlserver_process import DriverProcess
from refresher.domain import tsql_queries as queries
from refresher.domain.catalog import Side
from refresher.domain.config import DatabaseConfig
from refresher.domain.guards import MARKER, Identity, VerifiedTarget
from refresher.errors import UnsafeTargetError

_PORT = 1433
_KEPT_SECONDS = 30.0
"""Connections that rest for longer may have been cut by somebody between."""

_TLS = {
    "disable": {"Encrypt": "no"},
    "require": {"Encrypt": "yes", "TrustServerCertificate": "yes"},
    "verify-full": {"Encrypt": "yes", "TrustServerCertificate": "no"},
}
_OURS = frozenset(
    {"server", "database", "uid", "pwd", "trusted_connection", "encrypt", "connectretrycount"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SqlServerAddress:
    """One database and how to log in."""

    server: str
    database: str
    port: int | None = None
    user: str | None = None
    """None: the ticket of Kerberos (`auth_type: windows`)."""

    password: str = field(default="", repr=False)
    tls: str = "require"
    ca_file: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    """Further words of the driver, e.g. `ApplicationIntent: ReadOnly`."""

    login_seconds: float = 30.0
    statement_seconds: float = 300.0

    @classmethod
    def of(
        cls,
        config: DatabaseConfig,
        *,
        user: str | None,
        password: str,
        login_seconds: float,
        statement_seconds: float,
    ) -> "SqlServerAddress":
        """Return the address that a configuration gives; `windows` needs no user."""
        return cls(
            server=config.server,
            database=config.database,
            port=config.port,
            user=None if config.auth_type == "windows" else user,
            password=password,
            tls=config.tls,
            ca_file=config.ca_file,
            options=config.options,
            login_seconds=login_seconds,
            statement_seconds=statement_seconds,
        )

    def connection_string(self) -> str:
        """Return what the driver takes; every value in braces, so that none can add a word."""
        if taken := sorted(name for name in self.options if name.lower() in _OURS):
            raise SettingsError(f"`options` must not contain {', '.join(taken)}")
        named = "\\" in self.server and self.port is None
        words = {
            "Server": self.server if named else f"{self.server},{self.port or _PORT}",
            "Database": self.database,
            # The bulk loader needs to be told, and reconnecting in silence would lose settings
            # and locks of the session.
            "PacketSize": "8000",
            "ConnectRetryCount": "0",
            **_TLS[self.tls],
            **self.options,
        }
        if self.user is None:
            words["Trusted_Connection"] = "yes"
        else:
            words |= {"UID": self.user, "PWD": self.password}
        return ";".join(f"{name}={_braced(value)}" for name, value in words.items())


def _braced(value: str) -> str:
    return "{" + value.replace("}", "}}") + "}"


class SqlServerPair:
    """Both databases; lends driver processes that are connected to one or both."""

    def __init__(self, source: SqlServerAddress, target: SqlServerAddress) -> None:
        if None not in (files := {source.ca_file, target.ca_file}) and len(files) > 1:
            raise SettingsError(
                "source and target name different `ca_file`s, and the driver takes one: "
                "put both authorities into one file"
            )
        self.addresses = {Side.SOURCE: source, Side.TARGET: target}
        self._lookers: dict[Side, tuple[DriverProcess, float]] = {}
        self._turns = {side: asyncio.Lock() for side in Side}

    @contextlib.asynccontextmanager
    async def look(self, side: Side) -> AsyncGenerator[DriverProcess]:
        """Lend a process for reading what a database says about itself.

        It is kept for the next question, because starting one takes longer than most answers.
        """
        async with self._turns[side]:
            driver = await self._looker(side)
            try:
                yield driver
            except BaseException:
                await driver.close()
                raise
            self._lookers[side] = (driver, time.monotonic())

    async def _looker(self, side: Side) -> DriverProcess:
        kept = self._lookers.pop(side, None)
        if kept is not None:
            driver, used = kept
            if driver.is_alive and time.monotonic() - used < _KEPT_SECONDS:
                return driver
            await driver.close()
        driver = DriverProcess()
        await driver.start()
        try:
            await self._connect(driver, side)
        except BaseException:
            await driver.close()
            raise
        return driver

    async def close(self) -> None:
        """End the processes that are kept."""
        while self._lookers:
            _, (driver, _) = self._lookers.popitem()
            await driver.close()

    @contextlib.asynccontextmanager
    async def write(self, target: VerifiedTarget) -> AsyncGenerator[DriverProcess]:
        """Lend a process that may write to the verified target, and to nothing else.

        Raises:
            UnsafeTargetError: the address leads to another database by now.
        """
        async with DriverProcess() as driver:
            await self._connect(driver, Side.TARGET)
            await self._prove(driver, target)
            yield driver

    @contextlib.asynccontextmanager
    async def copy(self, target: VerifiedTarget) -> AsyncGenerator[DriverProcess]:
        """Lend a process that reads the source and may write to the verified target."""
        async with self.write(target) as driver:
            await self._connect(driver, Side.SOURCE)
            yield driver

    def seconds(self, side: Side) -> float:
        """Return how long a statement may take."""
        return self.addresses[side].statement_seconds

    async def _connect(self, driver: DriverProcess, side: Side) -> None:
        address = self.addresses[side]
        await driver.connect(
            side,
            address.connection_string(),
            login_seconds=address.login_seconds,
            statement_seconds=address.statement_seconds,
            settings=queries.SOURCE_SESSION if side is Side.SOURCE else queries.SESSION,
            ca_file=address.ca_file,
        )

    async def _prove(self, driver: DriverProcess, target: VerifiedTarget) -> None:
        found = await identify(driver, Side.TARGET, self.seconds(Side.TARGET), powers=False)
        if found.fingerprint != target.fingerprint or found.marker != MARKER:
            raise UnsafeTargetError(
                f"the connection leads to {found.fingerprint!r}, which is not the verified target"
            )


async def identify(
    driver: DriverProcess, side: Side, seconds: float, *, powers: bool = True
) -> Identity:
    """Ask a server who it is and, unless it is known to be the target, what the login may do."""
    result = await driver.query(side, queries.IDENTITY, seconds=seconds)
    row = result.records()[0]
    able: tuple[str, ...] = ()
    if powers:
        found = await driver.query(side, queries.POWERS, seconds=seconds)
        able = tuple(str(power) for (power,) in found.rows)
    return Identity(
        # A restored copy may share the broker's identifier, and a renamed one the name; a copy
        # that shares all of these is on the same server under the same name.
        fingerprint=f"sqlserver/{row['server']}/{row['database_name']}/{row['broker']}/"
        f"{row['created']}",
        database=row["database_name"],
        login=row["login"],
        version=row["version"],
        marker=row["marker"],
        powers=able,
    )
