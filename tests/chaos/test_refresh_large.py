"""A large table changes places under readers and writers, in little memory: by partitions, and as a
whole.

`pytest tests/chaos/test_refresh_large.py -s --chaos-rows 5000000` for the size that is promised;
`-k partitions` or `-k whole` for one of them. It prints how long a reader, a writer and a reader of
a table beside it waited (p50, p99, longest) from the first row read to the end of the undo.
"""

import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

import asyncpg
import psutil
import pytest

from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress

PARTITIONS = 5
TABLE = (
    "create table events (id bigint not null, generation int not null, who text, note text, "
    "primary key (id))"
)
SWAPS = {"by partitions": "partitions", "as a whole": "rename"}
LONGEST_STALL_SECONDS = 0.25
MEMORY_MB = 40

pytestmark = pytest.mark.timeout(3600)

Loop = Callable[["asyncpg.Connection[asyncpg.Record]", int], Awaitable[None]]


@dataclass(slots=True)
class Watched:
    """What loops saw while a refresh went on."""

    rows: int
    waits: dict[str, list[float]] = field(default_factory=dict)
    states: set[tuple[int, ...]] = field(default_factory=set)
    memory: int = 0

    def longest(self, name: str) -> float:
        """Return the longest wait of a loop, in seconds."""
        return max(self.waits[name])

    def told(self) -> str:
        """Return the waits of every loop, in milliseconds."""
        return "; ".join(
            f"{name} p50 {found[len(found) // 2] * 1000:.1f}, "
            f"p99 {found[len(found) * 99 // 100] * 1000:.1f}, "
            f"max {found[-1] * 1000:.0f} ms of {len(found)}"
            for name, found in ((name, sorted(waits)) for name, waits in self.waits.items())
        )


@pytest.fixture
def rows(pytestconfig: pytest.Config) -> int:
    found: int = pytestconfig.getoption("--chaos-rows")
    return found


@pytest.fixture(params=SWAPS)
def swap(request: pytest.FixtureRequest) -> str:
    """How the table changes places, in the words of the history."""
    return SWAPS[request.param]


@pytest.fixture
async def hub(
    postgres: PostgresAddress, unique: str, database_url: str, rows: int, swap: str
) -> AsyncGenerator[Hub]:
    part = rows // PARTITIONS
    partitions = (
        f"create table events_{number} partition of events for values "
        f"from ({number * part}) to ({(number + 1) * part})"
        for number in range(PARTITIONS)
    )
    table = [
        *([f"{TABLE} partition by range (id)", *partitions] if swap == "partitions" else [TABLE]),
        "create table beside (id int primary key)",
        "insert into beside select generate_series(0, 99)",
    ]
    fill = (
        f"insert into events select n, {{}}, 'person' || n || '@example.org', "
        f"repeat('note ', 8) || n from generate_series(0, {part * PARTITIONS - 1}) n"
    )
    async with open_estate(postgres, unique) as estate:
        await estate.production_does(*table, fill.format(2), "vacuum analyze events")
        await estate.uat_does(*table, fill.format(1), "vacuum analyze events")
        await estate.give_to_roles()
        masking = {
            "classes": {"public": {"method": "keep"}, "personal": {"method": "shape"}},
            "rules": [
                {"columns": ["*.who"], "class": "personal"},
                {"columns": ["*"], "class": "public"},
            ],
        }
        switch = {"name": "events", "strategy": "staging_partition_switch"}
        config = configuration(estate, [switch], masking=masking)
        async with open_hub(estate, database_url, config) as opened:
            yield opened


@contextlib.asynccontextmanager
async def watching(estate: Estate, rows: int) -> AsyncGenerator[Watched]:
    """Read and write the table, and read another one, until the body is done."""
    watched = Watched(rows)
    done = asyncio.Event()
    part = rows // PARTITIONS

    async def repeat(name: str, step: Loop) -> None:
        connection = await asyncpg.connect(estate.uat_url)
        try:
            waits = watched.waits[name] = []
            while not done.is_set():
                started = time.monotonic()
                await step(connection, len(waits))
                waits.append(time.monotonic() - started)
                await asyncio.sleep(0.002)
        finally:
            await connection.close()

    async def read(connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
        wanted = [number % part + at * part for at in range(PARTITIONS)]
        found = await connection.fetch("select generation from events where id = any($1)", wanted)
        watched.states.add(tuple(sorted(row["generation"] for row in found)))

    async def write(connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
        await connection.execute(
            "update events set note = 'of a tester' where id = $1", (number * 7919) % rows
        )

    async def look(connection: "asyncpg.Connection[asyncpg.Record]", number: int) -> None:
        await connection.fetchval("select id from beside where id = $1", number % 100)
        watched.memory = max(watched.memory, psutil.Process().memory_info().rss)

    async with asyncio.TaskGroup() as group:
        for name, step in (("reader", read), ("writer", write), ("neighbour", look)):
            group.create_task(repeat(name, step))
        try:
            yield watched
        finally:
            done.set()


@pytest.mark.covers("S4-04")
async def test_a_table_changes_places_under_readers_and_writers(
    hub: Hub, rows: int, swap: str
) -> None:
    # Whatever is loaded once (drivers, tables of characters) is loaded.
    await hub.refresh()
    await hub.estate.uat_does("update events set generation = 1", "vacuum events")
    before = psutil.Process().memory_info().rss
    began = time.monotonic()
    async with watching(hub.estate, rows) as watched:
        row = await hub.refresh()
        seconds = time.monotonic() - began
        await hub.undo(row)
    grown = (watched.memory - before) / 1e6
    told = watched.told()
    history = await hub.history("events")
    sys.stdout.write(
        f"{swap}: {rows} rows in {seconds:.1f} s, {grown:.0f} MB more; waits: {told}; "
        f"attempts {history['swap_attempts']}, phases {history['phases']}\n"
    )
    assert history["swap"] == swap
    # The reader's statement sees one state of all rows.
    assert watched.states == {(1,) * PARTITIONS, (2,) * PARTITIONS}
    # What a busy machine does to everybody is no stall of the swap.
    quiet = watched.longest("neighbour")
    assert watched.longest("reader") - quiet < LONGEST_STALL_SECONDS, told
    assert watched.longest("writer") - quiet < LONGEST_STALL_SECONDS, told
    assert grown < MEMORY_MB
    assert (await hub.estate.in_uat("select count(*) from events")) == rows
