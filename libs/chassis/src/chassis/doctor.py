"""`python -m <service> --check`: does this service find everything it needs, and if not, what to
do?

A service names its checks; the result is one JSON object a line on stdout, which `penstock doctor`
collects from all services.
"""

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Protocol

import orjson
from aiokafka.admin import AIOKafkaAdminClient

from chassis import migrations
from chassis.bus.security import certificate_ends, client_security, explained
from chassis.clock import Clock, SystemClock
from chassis.db import Database
from chassis.errors import PenstockError, PermanentError, SettingsError, UnavailableError
from chassis.logs import redact
from chassis.settings import DatabaseSettings, KafkaSettings
from contracts.access import Operation, access_of
from contracts.errors import ErrorCategory

CHECK_DEADLINE_SECONDS = 20.0

MAX_CLOCK_SKEW_SECONDS = 5.0
"""Event times and the settle rule stay meaningful below this."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    service: str
    check: str
    is_ok: bool
    message: str
    next_step: str = ""
    category: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    run: Callable[[], Awaitable[str]]
    """Returns what was found; raises a `PenstockError` that says what is wrong."""

    next_step: str
    """What to do when it fails."""


class CheckedSettings(Protocol):
    """The settings that every service has and the standard checks need."""

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach Kafka."""
        ...

    @property
    def database(self) -> DatabaseSettings:
        """How to reach PostgreSQL."""
        ...


def standard_checks(
    settings: CheckedSettings, service: str, *, clock: Clock | None = None
) -> dict[str, Check]:
    """Return the checks that every service needs."""
    doctor = _Standard(settings, service, clock=clock or SystemClock())
    return {
        "postgresql": Check(
            doctor.postgresql, "start PostgreSQL, or correct `DATABASE_URL`; locally: `penstock up`"
        ),
        "migrations": Check(doctor.migrations, "run `penstock migrate`"),
        "clock": Check(doctor.clock_skew, "synchronise this machine's clock (NTP)"),
        "kafka": Check(
            doctor.kafka,
            "start Kafka, or correct `KAFKA_BOOTSTRAP_SERVERS`; topics: `penstock topics apply`",
        ),
    }


class _Standard:
    def __init__(self, settings: CheckedSettings, service: str, *, clock: Clock) -> None:
        self._settings = settings
        # With access rules, Kafka names no others.
        self._topics = access_of(service).topics(Operation.DESCRIBE)
        self._clock = clock

    async def _query(self, sql: str) -> object:
        database = await Database.open(self._settings.database, "doctor")
        try:
            async with database.connection() as connection:
                return await connection.fetchval(sql)
        finally:
            await database.close()

    async def postgresql(self) -> str:
        return str(await self._query("select version()")).split(" on ", maxsplit=1)[0]

    async def migrations(self) -> str:
        database = await Database.open(self._settings.database, "doctor")
        try:
            async with database.connection() as connection:
                missing = await migrations.pending(connection)
        finally:
            await database.close()
        if missing:
            raise UnavailableError(f"{len(missing)} migrations are missing")
        return "every migration is applied"

    async def clock_skew(self) -> str:
        there = await self._query("select clock_timestamp()")
        if not isinstance(there, datetime):
            raise UnavailableError("the database did not tell its time")
        skew = abs((self._clock.now() - there).total_seconds())
        if skew > MAX_CLOCK_SKEW_SECONDS:
            raise PermanentError(
                f"this machine's clock and the database's differ by {skew:.1f} s",
                category=ErrorCategory.ENVIRONMENT_VALIDATION,
            )
        return f"{skew:.2f} s apart from the database's clock"

    async def kafka(self) -> str:
        settings = self._settings.kafka
        admin = AIOKafkaAdminClient(
            bootstrap_servers=settings.bootstrap_servers,
            request_timeout_ms=5000,
            **client_security(settings),
        )
        try:
            async with explained(settings):
                await admin.start()
                existing = set(await admin.list_topics())
        finally:
            await admin.close()
        missing = sorted(self._topics - existing)
        if missing:
            raise UnavailableError(f"{len(missing)} topics are missing, e.g. `{missing[0]}`")
        found, ends = f"{len(existing)} topics", certificate_ends(settings)
        return found if ends is None else f"{found}; our certificate ends on {ends:%Y-%m-%d}"


async def examine(service: str, checks: Mapping[str, Check]) -> list[Finding]:
    """Run checks, all of them, side by side."""
    return list(
        await asyncio.gather(*(_examine(service, name, check) for name, check in checks.items()))
    )


async def _examine(service: str, name: str, check: Check) -> Finding:
    try:
        async with asyncio.timeout(CHECK_DEADLINE_SECONDS):
            message = await check.run()
    except PenstockError as error:
        return Finding(
            service, name, False, redact(error.message), check.next_step, error.category.value
        )
    except (TimeoutError, OSError) as error:
        text = redact(str(error)) or f"no answer within {CHECK_DEADLINE_SECONDS:.0f} s"
        return Finding(service, name, False, text, check.next_step)
    return Finding(service, name, True, redact(message))


def wants_check(service: str, description: str | None) -> bool:
    """Read a service's command line: nothing, or `--check`."""
    parser = argparse.ArgumentParser(prog=service, description=description)
    parser.add_argument(
        "--check", action="store_true", help="look at everything the service needs, and exit"
    )
    return bool(parser.parse_args().check)


def check_main(service: str, checks: Mapping[str, Check]) -> int:
    """Run a service's checks and print the findings; return the exit code: 0 if all is well."""
    return print_findings(asyncio.run(examine(service, checks)))


def settings_main(service: str, error: SettingsError) -> int:
    """Print the finding for settings that cannot be loaded; return the exit code."""
    hint = "set, correct or remove these variables (docs/operations/settings.md)"
    return print_findings(
        [Finding(service, "settings", False, error.message, hint, error.category.value)]
    )


def print_findings(findings: Sequence[Finding]) -> int:
    """Write findings as JSON lines; return 1 if one is bad."""
    for finding in findings:
        sys.stdout.write(orjson.dumps(asdict(finding)).decode() + "\n")
    return 0 if all(finding.is_ok for finding in findings) else 1
