import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest

from chassis.db import Database
from scanner.domain.institutions import InstitutionDirectory, MonitoredInstitution
from scanner.settings.scan import ScanConfig
from tests.integration.scanner.harness import Harness, Tree, open_shared
from tests.integration.scanner.http_sources import Desk
from tests.integration.scanner.record_harness import RecordHarness
from tests.support.addresses import PostgresAddress
from tests.support.clocks import HandClock
from tests.support.hub import open_database
from tests.support.sample_api import SampleServer, running_sample_api

AXP = MonitoredInstitution(
    "AXP-US", "American Express Company", "Financial", "AXP-US_American_Express_Company"
)


def _harness(database: Database, root: Path) -> Harness:
    return Harness(
        database=database,
        tree=Tree(root),
        clock=HandClock(),
        scan_config=ScanConfig(paths=("Data",), interval_seconds=60),
        institutions=InstitutionDirectory([AXP]),
    )


@pytest.fixture
async def harness(database_url: str, tmp_path: Path) -> AsyncGenerator[Harness]:
    database = await open_database(database_url, "scanner")
    root = tmp_path / "share"
    root.mkdir()
    try:
        yield _harness(database, root)
    finally:
        await database.close()


@pytest.fixture
def runner() -> Generator[asyncio.Runner]:
    """An event loop for tests that Hypothesis calls many times."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture
def shared_database(
    runner: asyncio.Runner, postgres: PostgresAddress, template_database: str, unique: str
) -> Generator[Database]:
    """A database on that loop."""
    database = runner.run(open_shared(postgres, template_database, unique))
    try:
        yield database
    finally:
        runner.run(database.close())


@pytest.fixture
def shared_harness(shared_database: Database) -> Harness:
    """A harness on that loop; its tree is the test's own."""
    return _harness(shared_database, Path("unset"))


@pytest.fixture
def shared_records(shared_database: Database) -> RecordHarness:
    """A record harness on that loop."""
    return RecordHarness(shared_database)


@pytest.fixture(scope="session")
def server() -> Generator[SampleServer]:
    """The sample API; whoever uses it plans anew what it tells."""
    with running_sample_api() as running:
        yield running


@pytest.fixture
async def desk(server: SampleServer) -> Desk:
    await server.plan()
    return Desk(server)


@pytest.fixture
async def records(database_url: str) -> AsyncGenerator[RecordHarness]:
    database = await open_database(database_url, "scanner")
    try:
        yield RecordHarness(database)
    finally:
        await database.close()
