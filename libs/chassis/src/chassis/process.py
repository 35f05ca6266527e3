"""The host of a service process: pool, probes, relay, consumers, workers, signals; everything ends
with it.

Use `serve` in `__main__` and `host` in `app`.
"""

import asyncio
import contextlib
import functools
import gc
import os
import signal
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NoReturn, Protocol

import uvloop
from pydantic import BaseModel

from chassis import metrics, migrations
from chassis.backlog import Backlog
from chassis.bus.broker import Bus
from chassis.bus.relay import Relay
from chassis.clock import SystemClock
from chassis.db import Database
from chassis.errors import PenstockError, UnavailableError
from chassis.health import Health, serving
from chassis.logs import configure_logging, get_logger, register_secrets
from chassis.renewal import until_renewed
from chassis.retention import Retention
from chassis.retry import retrying
from chassis.runs.worker import Job, RunWorker
from chassis.settings import DatabaseSettings, KafkaSettings, ProcessSettings, secret_values
from chassis.tracing import exporting

START_PATIENCE_SECONDS = 120.0
"""How long a dependency may be away at start before the process gives up and is restarted."""

_POOL_MEASURE_SECONDS = 5.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class HostSettings(Protocol):
    """The parts that every service's settings have."""

    @property
    def kafka(self) -> KafkaSettings:
        """How to reach Kafka."""
        ...

    @property
    def database(self) -> DatabaseSettings:
        """How to reach PostgreSQL."""
        ...

    @property
    def process(self) -> ProcessSettings:
        """How the process presents itself."""
        ...


Background = Callable[[], Awaitable[None]]


class Host:
    """A service process under construction, then running."""

    def __init__(self, service: str, settings: HostSettings, database: Database) -> None:
        self.service = service
        self.clock = SystemClock()
        self.database = database
        self.bus = Bus(settings.kafka, service=service, database=database, clock=self.clock)
        self.health = Health(self.clock)
        self._settings = settings
        self._jobs: dict[str, Job] = {}
        self._background: dict[str, Background] = {
            "relay": Relay(database, settings.kafka).run,
            "bus": self.bus.run,
            "pool": self._measure_pool,
        }
        self.health.readiness["postgresql"] = self._check_database
        self.health.readiness["kafka"] = self._check_assignment
        self.health.startup["migrations"] = self._check_migrations

    def work(self, jobs: dict[str, Job]) -> None:
        """Execute runs of these kinds."""
        self._jobs |= jobs

    def background(self, name: str, run: Background) -> None:
        """Run something for as long as the process lives."""
        self._background[name] = run

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT, or until a part fails."""
        topics = {item.topic.name for item in self.bus.subscriptions}
        backlog = Backlog(self.database, kinds=self._jobs, topics=topics)
        self._background["backlog"] = backlog.run
        if topics:  # the console reads; those that work may also forget
            self._background["retention"] = Retention(
                self.database,
                history_days=self._settings.process.history_days,
                audit_days=self._settings.process.audit_days,
                clock=self.clock,
            ).run
        self._background["dependencies"] = self.health.watch_dependencies
        if self._jobs:
            worker = RunWorker(self.database, self._jobs, clock=self.clock)
            self._background["runs"] = worker.run
        process = self._settings.process
        calm_garbage_collection()
        stop = _stop_on_signals()
        self._background["credentials"] = functools.partial(self._follow_credentials, stop)
        async with serving(self.health, host=process.http_host, port=process.http_port):
            get_logger().info("service_started", pid=os.getpid())
            await self._supervise(stop)
        get_logger().info("service_stopped")

    async def _supervise(self, stop: asyncio.Event) -> None:
        grace = self._settings.process.grace_seconds
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_forever(run), name=name)
                for name, run in self._background.items()
            ]
            tasks.append(group.create_task(self.health.watch_loop(), name="loop"))
            await stop.wait()
            get_logger().info("service_stopping", grace_seconds=grace)
            for task in tasks:
                task.cancel()
            _, late = await asyncio.wait(tasks, timeout=grace)
            if late:
                _leave_at_once([task.get_name() for task in late])

    async def _follow_credentials(self, stop: asyncio.Event) -> None:
        if isinstance(self._settings, BaseModel):
            await until_renewed(self._settings)
            stop.set()

    async def _measure_pool(self) -> None:
        while True:
            metrics.POOL_CONNECTIONS.labels("open").set(self.database.pool_size)
            metrics.POOL_CONNECTIONS.labels("idle").set(self.database.pool_idle)
            await asyncio.sleep(_POOL_MEASURE_SECONDS)

    async def _check_database(self) -> None:
        async with self.database.connection() as connection:
            await connection.fetchval("select 1")

    async def _check_assignment(self) -> None:
        waiting = [item.topic.name for item in self.bus.subscriptions if not item.has_assignment]
        if waiting:
            raise UnavailableError(f"no answer from the group yet for: {', '.join(waiting)}")
        await self.bus.ping()

    async def _check_migrations(self) -> None:
        async with self.database.connection() as connection:
            missing = await migrations.pending(connection)
        if missing:
            names = ", ".join(f"{item.owner}/{item.version:04d}" for item in missing)
            raise UnavailableError(f"migrations are missing: {names}; run `penstock migrate`")


async def _forever(run: Background) -> None:
    await run()
    # A part with nothing to do may return; the process goes on.
    await asyncio.Event().wait()


def calm_garbage_collection() -> None:
    """Suit the collector to batches: what exists at start stays, and a batch is young garbage.

    With the defaults, the collector walks a batch's thousands of new objects several times while
    they are all alive.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def _leave_at_once(parts: list[str]) -> NoReturn:
    """End the process without those that do not stop; the orchestrator would kill it anyway.

    What they had not committed is rolled back by the server, as after any crash.
    """
    get_logger().critical("service_stop_overdue", parts=sorted(parts))
    sys.stdout.flush()
    os._exit(1)


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    return stop


@contextlib.asynccontextmanager
async def host(service: str, settings: HostSettings) -> AsyncGenerator[Host]:
    """Open what a service needs: the pool, with patience, on a migrated database.

    Raises:
        UnavailableError: PostgreSQL did not answer in time, or lacks migrations.
    """
    database = await _open_database(service, settings.database)
    try:
        metrics.BUILD_INFO.labels(service, "0").set(1)
        yield Host(service, settings, database)
    finally:
        await database.close()


async def _open_database(service: str, settings: DatabaseSettings) -> Database:
    async for attempt in retrying(total_seconds=START_PATIENCE_SECONDS):
        with attempt:
            database = await Database.open(settings, service)
            try:
                await _wait_for_migrations(database)
            except BaseException:
                await database.close()
                raise
            return database
    raise UnavailableError("PostgreSQL does not answer")  # pragma: no cover - `retrying` raises


async def _wait_for_migrations(database: Database) -> None:
    async with database.connection() as connection:
        missing = await migrations.pending(connection)
    if missing:
        raise UnavailableError(
            f"the database lacks {len(missing)} migrations; run `penstock migrate` first"
        )


def serve(service: str, settings: HostSettings, run: Callable[[], Awaitable[None]]) -> int:
    """Configure the process and run a service to its end; return the exit code."""
    process = settings.process
    try:
        configure_logging(
            service,
            level=process.log_level,
            form=process.log_format,
            directory=process.log_directory,
        )
    except OSError as error:
        return _explain([f"`PENSTOCK_LOG_DIRECTORY` cannot be written: {error.strerror}"])
    if isinstance(settings, BaseModel):
        register_secrets(secret_values(settings))
    try:
        with (
            exporting(service, process),
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            runner.run(_until_stopped(run))
    except Exception as error:  # noqa: BLE001 - the supervisor logs whatever ends the process
        cause = _first_cause(error)
        expected = isinstance(cause, PenstockError)
        get_logger().critical("service_failed", error=cause, exc_info=None if expected else cause)
        return 1
    return 0


async def _until_stopped(run: Callable[[], Awaitable[None]]) -> None:
    """Run; a signal before the host is up ends it as well.

    As the first process of a container it has no default handling of signals.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        main = group.create_task(_await(run))
        for number in _STOP_SIGNALS:
            loop.add_signal_handler(number, main.cancel)
    if main.cancelled():
        get_logger().info("service_stopped_before_start")


def _first_cause(error: Exception) -> Exception:
    """Return the exception that ended the process, out of the groups that carried it here."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


async def _await(run: Callable[[], Awaitable[None]]) -> None:
    await run()


def exit_on_bad_settings(error: PenstockError) -> int:
    """Print why a process cannot start, one problem a line; return the exit code."""
    return _explain(error.facts.get("problems", [error.message]))


def _explain(problems: list[str]) -> int:
    for problem in problems:
        sys.stderr.write(f"{problem}\n")
    return 1
