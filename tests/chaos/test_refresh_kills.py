"""The refresher dies at every step: UAT has the old rows or the new ones, and the run goes on.

`--chaos-kills 180` kills it twenty times at each place on the way there, and 180 times on the way
back; by default twice. The swaps of a component, of partitions and of a whole table take turns.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator
from typing import Self

import asyncpg
import pytest

from tests.integration.refresher.estate import Estate, open_estate
from tests.integration.refresher.hub import Hub, configuration, open_hub
from tests.support.addresses import PostgresAddress
from tests.support.eventually import eventually
from tests.support.paths import PROJECT
from tests.support.proxy import FaultProxy

ONCE = "refresh.planned"
"""Passed once a run; the others once for each component, or each table."""

FAILPOINTS = (
    ONCE,
    "refresh.staged",
    "refresh.loaded",
    "refresh.built",
    "refresh.verified",
    "refresh.in_swap",
    "refresh.swapped",
    "refresh.before_record",
    "refresh.recorded",
)
ORDERS = "create table orders (id int primary key, generation int)"
LINES = (
    "create table lines (id int primary key, order_id int not null references orders, "
    "generation int)"
)
EVENTS = (
    (
        "create table events (id int not null, generation int, primary key (id)) "
        "partition by range (id)"
    ),
    "create table events_1 partition of events for values from (0) to (1000)",
    "create table events_2 partition of events for values from (1000) to (2000)",
)
READINGS = "create table readings (id int primary key, generation int)"
TABLES = [
    {"name": "orders"},
    {"name": "lines"},
    {"name": "events", "strategy": "staging_partition_switch"},
    {"name": "readings", "strategy": "staging_partition_switch"},
]
COMPONENTS = 3
STATE = """
select (select array_agg(distinct generation) from orders),
    (select array_agg(distinct generation) from lines),
    (select array_agg(distinct generation) from events),
    (select array_agg(distinct generation) from readings),
    (select count(*) from orders), (select count(*) from lines), (select count(*) from events),
    (select count(*) from readings)
"""
OLD, NEW = 1, 2

pytestmark = pytest.mark.timeout(3600)


def fill(generation: int) -> tuple[str, ...]:
    return (
        f"insert into orders select n, {generation} from generate_series(1, 300) n",
        f"insert into lines select n, 1 + n % 300, {generation} from generate_series(1, 900) n",
        f"insert into events select n, {generation} from generate_series(1, 1900) n",
        f"insert into readings select n, {generation} from generate_series(1, 700) n",
    )


@pytest.fixture
async def hub(postgres: PostgresAddress, unique: str, database_url: str) -> AsyncGenerator[Hub]:
    async with open_estate(postgres, unique) as estate:
        await estate.production_does(ORDERS, LINES, READINGS, *EVENTS, *fill(NEW))
        await estate.uat_does(ORDERS, LINES, READINGS, *EVENTS, *fill(OLD))
        await estate.give_to_roles()
        async with open_hub(estate, database_url, configuration(estate, TABLES)) as opened:
            yield opened


class Workers:
    """Starts a worker as often as one is killed, by a fork: what they all load is loaded once."""

    def __init__(self, parent: asyncio.subprocess.Process) -> None:
        self._parent = parent

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, hub: Hub) -> AsyncGenerator[Self]:
        """Load everything; the parent ends with the context."""
        environment = {
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},  # noqa: TID251
            "PYTHONPATH": str(PROJECT),
            "REFRESH_CONFIG": json.dumps(hub.config),
            "REFRESH_LEDGER": hub.environment["LEDGER"],
            "REFRESH_READER": hub.estate.reader,
            "REFRESH_WRITER": hub.estate.writer,
        }
        parent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos.refresh_worker"),
            cwd=PROJECT,
            env=environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert parent.stdin is not None
        try:
            yield cls(parent)
        finally:
            parent.stdin.close()
            await asyncio.wait_for(parent.wait(), 120)

    async def work(self, failpoint: str = "") -> int:
        """Run one worker until no run is open; return how it ended, as a process tells it."""
        assert self._parent.stdin is not None
        assert self._parent.stdout is not None
        self._parent.stdin.write(f"{failpoint}\n".encode())
        return int(await asyncio.wait_for(self._parent.stdout.readline(), 120))


async def declare_dead(hub: Hub) -> None:
    """Let the dead worker's run be taken over now, instead of after its heartbeat's time-out."""
    async with hub.database.connection() as connection:
        await connection.execute(
            "update meta.runs set heartbeat_at = heartbeat_at - interval '1 hour'"
        )
        await connection.execute("update meta.leases set expires_at = '-infinity'")


async def generations(hub: Hub) -> tuple[int, int, int]:
    """Return which rows UAT has: of the tables that belong together, of the partitions, and of the
    table that is renamed.

    A mixture fails.
    """
    (row,) = await hub.estate.rows(hub.estate.uat_url, STATE)
    orders, lines, events, readings, *counts = row
    assert counts == [300, 900, 1900, 700]
    assert orders == lines
    assert len(orders) == len(events) == len(readings) == 1, f"mixed: {row}"
    return orders[0], events[0], readings[0]


async def leftovers(hub: Hub) -> int:
    found: int = await hub.estate.in_uat(
        "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where nspname = 'penstock_refresh' and relkind in ('r', 'p') and relname like 's\\_%'"
    )
    return found


async def test_killed_at_every_step_a_refresh_is_resumed_and_undone(
    hub: Hub, database_url: str, pytestconfig: pytest.Config
) -> None:
    hub.environment["LEDGER"] = database_url
    kills: int = pytestconfig.getoption("--chaos-kills")
    rounds = max(1, kills // len(FAILPOINTS))
    async with Workers.open(hub) as workers:
        for number in range(rounds):
            for failpoint in FAILPOINTS:
                await one_refresh(hub, workers, failpoint, component=number % COMPONENTS)
            sys.stdout.write(f"round {number + 1} of {rounds}\n")
            sys.stdout.flush()


async def one_refresh(hub: Hub, workers: Workers, failpoint: str, *, component: int) -> None:
    passage = 1 if failpoint == ONCE else 1 + component
    run_id = await hub.queue("refresh", "all", table="all")
    assert await workers.work(f"{failpoint}:{passage}") == -signal.SIGKILL, failpoint
    assert set(await generations(hub)) <= {OLD, NEW}
    await declare_dead(hub)
    assert await workers.work() == 0
    row = await hub.row(run_id)
    assert row["status"] == "completed", (failpoint, row["message"])
    assert await generations(hub) == (NEW, NEW, NEW), failpoint
    assert await leftovers(hub) == 0, failpoint
    lines = await hub.rows(
        "select table_key from refresher.refreshes where run_id = $1 order by 1", row["run_id"]
    )
    assert [line["table_key"] for line in lines] == [
        "events",
        "lines",
        "orders",
        "readings",
    ], failpoint

    undo_id = await hub.queue("refresh-undo", "all", plan=run_id)
    undo_failpoint = "refresh.undone"
    if failpoint < "refresh.loaded":
        undo_failpoint = f"refresh.in_undo:{1 + component}"
    assert await workers.work(undo_failpoint) == -signal.SIGKILL
    assert set(await generations(hub)) <= {OLD, NEW}
    await declare_dead(hub)
    assert await workers.work() == 0
    assert (await hub.row(undo_id))["status"] == "completed"
    assert await generations(hub) == (OLD, OLD, OLD), failpoint


async def test_a_source_that_is_cut_in_the_middle_of_a_copy_is_read_again(hub: Hub) -> None:
    estate = hub.estate
    await estate.production_does(
        "create table wide (id int primary key, text text)",
        "insert into wide select n, repeat('x', 1000) from generate_series(1, 20000) n",
    )
    await estate.uat_does("create table wide (id int primary key, text text)")
    await estate.give_to_roles()
    hub.config["tables"] = [{"name": "wide"}]
    with FaultProxy(estate.host, estate.port) as proxy:
        hub.config["databases"]["source"]["server"] = proxy.host
        hub.config["databases"]["source"]["port"] = proxy.port

        async def mend() -> None:
            """Behave again once the connection has been cut."""
            await eventually(lambda: proxy._faults.answer_budget == 0, 60)
            proxy.restore()

        # Planning needs far less, the copy far more.
        proxy.cut_after(5_000_000)
        async with asyncio.TaskGroup() as group:
            mending = group.create_task(mend())
            row = await hub.run("refresh", "all", table="all")
            await mending
        while row["status"] == "queued":
            await asyncio.sleep(0.3)
            await hub.work()
            row = await hub.row(str(row["run_id"]))
    assert row["status"] == "completed", row["message"]
    assert row["counts"]["new"] == 20_000
    assert await estate.in_uat("select count(*) from wide") == 20_000
    assert await leftovers(hub) == 0


async def test_a_target_that_ends_the_swap_has_the_old_rows_and_the_run_goes_on(hub: Hub) -> None:
    """As a restart does: every session of the target is ended while the swap waits for its lock."""
    estate = hub.estate
    sitting = await asyncpg.connect(estate.uat_url)
    transaction = sitting.transaction()
    await transaction.start()
    await sitting.execute("lock table orders in access share mode; lock table events")

    async def end_sessions() -> None:
        await asyncio.sleep(4)
        assert await generations_of_orders(estate) == [OLD]
        await estate.uat_does(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        )

    async with asyncio.TaskGroup() as group:
        group.create_task(end_sessions())
        row = await hub.run("refresh", "all", table="all")
        while row["status"] not in ("completed", "failed"):
            await asyncio.sleep(0.3)
            await hub.work()
            row = await hub.row(str(row["run_id"]))
    await sitting.close()
    assert row["status"] == "completed", row["message"]
    assert await generations(hub) == (NEW, NEW, NEW)
    assert await leftovers(hub) == 0


async def generations_of_orders(estate: Estate) -> list[int]:
    found: list[int] = await estate.in_uat("select array_agg(distinct generation) from orders")
    return found
