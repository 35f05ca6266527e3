"""The scan job on a real database and a real folder, with a clock and faults that a test holds."""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import uuid
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import asyncpg

from chassis import leases
from chassis.bus.codec import decode_event
from chassis.bus.records import Record
from chassis.db import Database
from chassis.runs import RunContext, ledger, submit
from chassis.runs.ledger import Run
from chassis.shares.local import LocalShare
from chassis.shares.port import Entry, FileContent, Share, ShareDescription, ShareNotFoundError
from chassis.sources import ShareConfig
from contracts.envelope import Event
from contracts.files import FileChanged
from contracts.runs import RunCounts, RunStatus
from contracts.topics import FILE_CHANGED, Topic
from scanner.adapters.announcements import PostgresAnnouncements
from scanner.adapters.deletions import PostgresDeletions
from scanner.adapters.inventory import PostgresInventory
from scanner.adapters.missing import PostgresMissing
from scanner.adapters.scans import PostgresAuditTrail, PostgresScans
from scanner.domain.institutions import InstitutionDirectory
from scanner.handlers.announcer import Announcer
from scanner.handlers.answers import FilesAgain, RepeatAnnouncements
from scanner.handlers.catalog import FileSource, SourceCatalog
from scanner.handlers.scan import ScanPorts, ScanSource
from scanner.ports import LogFiles, RepeatedFile
from scanner.settings.scan import ScanConfig
from tests.support.addresses import PostgresAddress
from tests.support.clocks import HandClock
from tests.support.hub import open_database

SOURCE = "transcripts"
LONG_AGO_US = 1_600_000_000_000_000


Fault = Callable[[str, str], None]
"""Called with operation and path before each call; raises what the share shall raise."""


def _no_fault(_operation: str, _path: str) -> None:
    return None


@dataclass(slots=True)
class FaultyShare:
    """A real share behind faults; also hides folders as access-based enumeration does."""

    share: Share
    fault: Fault = _no_fault
    hidden: frozenset[str] = frozenset()
    calls: list[tuple[str, str]] = field(default_factory=list)
    after_listing: Callable[[str], None] | None = None
    closed: bool = False

    def _before(self, operation: str, path: str) -> None:
        self.calls.append((operation, path))
        self.fault(operation, path)

    async def list_directory(self, path: str) -> Sequence[Entry]:
        self._before("list", path)
        entries = await self.share.list_directory(path)
        if self.after_listing is not None:
            self.after_listing(path)
        prefix = f"{path}/" if path else ""
        return [entry for entry in entries if prefix + entry.name not in self.hidden]

    async def stat(self, path: str) -> Entry:
        self._before("stat", path)
        return await self.share.stat(path)

    async def read_file(self, path: str, *, max_bytes: int) -> FileContent:
        self._before("read", path)
        return await self.share.read_file(path, max_bytes=max_bytes)

    async def write_file(self, path: str, data: bytes) -> None:
        self._before("write", path)
        await self.share.write_file(path, data)

    async def make_directories(self, path: str) -> None:
        self._before("make", path)
        await self.share.make_directories(path)

    async def describe(self) -> ShareDescription:
        self._before("describe", "")
        return await self.share.describe()

    async def close(self) -> None:
        self.closed = True
        await self.share.close()

    @property
    def listed(self) -> list[str]:
        return sorted(path for operation, path in self.calls if operation == "list")


@dataclass(slots=True)
class Tree:
    """Files on the share, with times that a test chooses."""

    root: Path
    ticks: int = 0

    def write(self, path: str, content: str = "x", *, modified_us: int | None = None) -> None:
        """Write a file; its time, and that of its new folders, lies long ago and never repeats."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content, "utf-8")
        self.ticks += 1
        self.touch(path, LONG_AGO_US + self.ticks * 1000 if modified_us is None else modified_us)
        self.age(path)

    def touch(self, path: str, modified_us: int) -> None:
        os.utime(self.root / path, ns=(modified_us * 1000, modified_us * 1000))

    def age(self, path: str) -> None:
        """Move the times of a path's folders into the past, each to one that never repeats."""
        for parent in Path(path).parents:
            folder = self.root / parent
            if folder.is_dir():
                self.ticks += 1
                moment = (LONG_AGO_US + self.ticks * 1000) * 1000
                os.utime(folder, ns=(moment, moment))

    def delete(self, path: str) -> None:
        (self.root / path).unlink()
        self.age(path)


@dataclass(slots=True)
class Result:
    """What one scan did."""

    counts: RunCounts
    events: list[Event[FileChanged]]
    share: FaultyShare

    @property
    def changes(self) -> list[tuple[str, str]]:
        return sorted((event.data.change.value, event.data.path) for event in self.events)


@dataclass(slots=True)
class Runs:
    """Runs of one source, taken as the worker takes them, on a database of the test's own."""

    target: ClassVar[str]
    topic: ClassVar[Topic]
    """Where the runs publish."""

    database: Database
    clock: HandClock

    @contextlib.asynccontextmanager
    async def claimed(
        self, parameters: dict[str, Any], *, dry_run: bool = False
    ) -> AsyncGenerator[RunContext]:
        """Queue a run and take it, as the worker does."""
        async with self.database.transaction() as transaction:
            await submit(
                transaction,
                kind="scan",
                target=self.target,
                service="scanner",
                parameters=parameters,
                requester="tester",
                dry_run=dry_run,
            )
            run = await ledger.claim(transaction.connection, "scanner", ["scan"])
        assert run is not None
        async with self.leased(run) as context:
            yield context

    @contextlib.asynccontextmanager
    async def leased(self, run: Run) -> AsyncGenerator[RunContext]:
        """Hold a run's lease; end the run afterwards, whatever happened."""
        name = f"run/scanner/scan/{self.target}"
        lease = await leases.acquire(self.database, name, holder=str(uuid.uuid4()))
        assert lease is not None
        context = RunContext(run, database=self.database, lease=lease, clock=self.clock)
        try:
            yield context
        finally:
            await leases.release(self.database, lease)
            async with self.database.transaction() as transaction:
                await ledger.finish(
                    transaction, run, RunStatus.COMPLETED, counts=context.counts, message=None
                )

    async def take_events(self) -> list[Event[Any]]:
        """Take what waits in the outbox for the source's consumers, in order."""
        rows = await self.fetch(
            "delete from meta.outbox where topic = $1 returning id, key, value, headers",
            self.topic.name,
        )
        return [
            decode_event(
                self.topic,
                Record(
                    topic=self.topic.name,
                    partition=0,
                    offset=row["id"],
                    key=row["key"],
                    value=row["value"],
                    headers=tuple((name, text.encode()) for name, text in row["headers"].items()),
                    timestamp_ms=0,
                ),
            )
            for row in sorted(rows, key=lambda row: row["id"])
        ]

    async def fetch(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        async with self.database.connection() as connection:
            return [dict(row) for row in await connection.fetch(query, *arguments)]

    async def execute(self, query: str, *arguments: object) -> None:
        async with self.database.connection() as connection:
            await connection.execute(query, *arguments)


@dataclass(slots=True)
class Harness(Runs):
    """One source, ready to be scanned."""

    target = SOURCE
    topic = FILE_CHANGED

    tree: Tree
    scan_config: ScanConfig
    institutions: InstitutionDirectory
    fault: Fault = _no_fault
    hidden: frozenset[str] = frozenset()
    after_listing: Callable[[str], None] | None = None
    is_guarded: bool = True
    log_files: LogFiles | None = None
    shares: list[FaultyShare] = field(default_factory=list)
    workers: int = 4
    connect: Callable[[], Share] | None = None
    """Opens another share than the folder itself."""

    def catalog(self) -> SourceCatalog:
        source = FileSource(
            SOURCE,
            ShareConfig(kind="local", root=str(self.tree.root), connections=self.workers),
            self.scan_config,
            self.institutions,
        )
        return SourceCatalog({SOURCE: source}, nas=None, base_path="")

    def open_share(self, source: FileSource) -> FaultyShare:
        local = Path(source.share.root)
        connections = source.share.connections
        share = FaultyShare(
            self.connect() if self.connect else LocalShare(local, connections=connections),
            self.fault,
            self.hidden,
            after_listing=self.after_listing,
        )
        self.shares.append(share)
        return share

    def job(self, catalog: SourceCatalog | None = None) -> ScanSource:
        catalog = catalog or self.catalog()
        ports = ScanPorts(
            inventory=PostgresInventory(self.database),
            missing=PostgresMissing.files(self.database),
            deletions=PostgresDeletions(),
            scans=PostgresScans(self.database),
            audit=PostgresAuditTrail("scanner"),
            announcer=Announcer(catalog.institutions),
            clock=self.clock,
            log_files=self.log_files,
            sleep=self.clock.sleep,
        )
        return ScanSource(catalog, self.open_share, ports, is_guarded=self.is_guarded)

    async def scan(
        self,
        mode: str = "full",
        *,
        prefix: str | None = None,
        releases: bool = False,
        dry_run: bool = False,
        catalog: SourceCatalog | None = None,
    ) -> Result:
        """Run one scan to its end, and take the events it published."""
        parameters = {"mode": mode, "prefix": prefix, "release_held_deletions": releases}
        async with self.claimed(parameters, dry_run=dry_run) as context:
            counts = await self.job(catalog)(context)
        return Result(counts, await self.take_events(), self.shares[-1])

    async def scans(self, times: int, mode: str = "full") -> Result:
        """Scan so often, a minute apart; return the last."""
        result = await self.scan(mode)
        for _ in range(times - 1):
            self.clock.advance(60)
            result = await self.scan(mode)
        return result

    async def reset(self) -> None:
        """Begin again with an empty share and nothing known."""
        await self.execute(
            "truncate scanner.inventory, scanner.directories, scanner.scans, "
            "scanner.held_deletions, meta.outbox"
        )
        shutil.rmtree(self.tree.root)
        self.tree.root.mkdir()

    async def states(self) -> dict[str, str]:
        rows = await self.fetch("select path, state from scanner.inventory order by path")
        return {row["path"]: row["state"] for row in rows}

    def repeater(
        self, *, after_seconds: float = 3600, limit: int = 3
    ) -> RepeatAnnouncements[RepeatedFile]:
        return RepeatAnnouncements(
            self.database,
            PostgresAnnouncements(self.database),
            FilesAgain(Announcer(self.catalog().institutions)),
            clock=self.clock,
            after=timedelta(seconds=after_seconds),
            limit=limit,
        )


def not_found(path: str) -> ShareNotFoundError:
    return ShareNotFoundError(path=path)


async def open_shared(postgres: PostgresAddress, template: str, name: str) -> Database:
    """Make a database from the template, and open it; for tests with an event loop of their own."""
    connection = await asyncpg.connect(postgres.url, timeout=10)
    try:
        await connection.execute(f"create database {name} template {template}")
    finally:
        await connection.close(timeout=10)
    return await open_database(postgres.database(name), "scanner")


@contextlib.asynccontextmanager
async def running(
    environment: Mapping[str, str], folder: Path, name: str = "scanner"
) -> AsyncGenerator[None]:
    """Run the scanner as a process, which has to end well when it is told to; keep its log."""
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "scanner", env=environment, cwd=folder, stdout=log, stderr=log
        )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
