"""Partitions change places: quickly, for readers all at once, and backwards."""

import asyncio
import time
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from refresher.domain.planner import Request
from refresher.ports import Fence
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import KEY, Hub
from tests.support.eventually import eventually
from tests.support.proxy import FaultProxy

TABLE = """
create table events (id bigint not null, day date not null, generation int not null, note text,
    primary key (id, day)) partition by range (day);
create index events_note on events (note);
create table events_1 partition of events for values from ('2026-01-01') to ('2026-02-01');
create table events_2 partition of events for values from ('2026-02-01') to ('2026-03-01');
create table events_3 partition of events for values from ('2026-03-01') to ('2026-04-01')
"""
ROWS = 60_000
FILL = f"""
insert into events select n, date '2026-01-01' + n % 90, {{generation}}, 'note ' || n
from generate_series(1, {ROWS}) n
"""
WHOLE = "create table readings (id int primary key)"
SWITCH = {"name": "events", "strategy": "staging_partition_switch"}
INCREMENTAL = {
    **SWITCH,
    "sync_mode": "incremental",
    "incremental_column": "day",
    "incremental_type": "date",
    "date_buffer_days": 7,
}
STRUCTURE = """
select c.relname::text, c.relkind::text, pg_get_expr(c.relpartbound, c.oid),
    (select string_agg(pg_get_indexdef(indexrelid), ';' order by indexrelid::regclass::text)
     from pg_index where indrelid = c.oid),
    (select string_agg(conname || pg_get_constraintdef(oid), ';' order by conname)
     from pg_constraint where conrelid = c.oid)
from pg_class c where relnamespace = 'public'::regnamespace order by 1
"""


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await estate.production_does(TABLE, FILL.format(generation=2))
    await estate.uat_does(TABLE, FILL.format(generation=1))
    async with opening([SWITCH]) as opened:
        yield opened


@pytest.mark.covers("S4-04", "S4-05")
async def test_partitions_change_places_and_back_beside_a_whole_table(hub: Hub) -> None:
    estate = hub.estate
    await estate.production_does(WHOLE, "insert into readings select generate_series(1, 9)")
    await estate.uat_does(WHOLE)
    await estate.give_to_roles()
    hub.config["tables"].append({**SWITCH, "name": "readings"})
    structure = await estate.rows(estate.uat_url, STRUCTURE)
    before = await estate.everything(estate.uat_url)
    row = await hub.refresh()
    swaps = {table.key: table.swap.value for table in (await hub.plan_of(row))[0].tables}
    assert swaps == {"events": "partitions", "readings": "rename"}
    assert await estate.everything(estate.uat_url) == await estate.everything(estate.production_url)
    assert await estate.rows(estate.uat_url, STRUCTURE) == structure
    await hub.undo(row)
    assert await estate.everything(estate.uat_url) == before
    assert await estate.rows(estate.uat_url, STRUCTURE) == structure
    assert (
        await estate.in_uat(
            "select count(*) from pg_class where relnamespace = 'penstock_refresh'::regnamespace "
            "and relkind in ('r', 'p') and relname ~ '^[su]_'"
        )
        == 0
    )


@pytest.mark.covers("C-27")
async def test_an_incremental_refresh_exchanges_the_partitions_it_touches(hub: Hub) -> None:
    estate = hub.estate
    hub.config["tables"] = [INCREMENTAL]
    old = await estate.in_uat("select 'events_1'::regclass::oid::bigint")
    # The target's own maximum is where the first incremental refresh goes on.
    row = await hub.refresh()
    (table,) = (await hub.plan_of(row))[0].tables
    assert table.window is not None
    assert table.window.low.text == "2026-03-01"
    found = await estate.rows(
        estate.uat_url, "select tableoid::regclass::text, min(generation) from events group by 1"
    )
    assert sorted(found) == [("events_1", 1), ("events_2", 1), ("events_3", 2)]
    assert await estate.in_uat("select 'events_1'::regclass::oid::bigint") == old


@pytest.mark.covers("S4-04")
async def test_readers_see_the_old_rows_or_the_new_ones_and_wait_but_a_moment(hub: Hub) -> None:
    estate = hub.estate
    seen: list[tuple[int, int, int]] = []
    stalls: list[float] = []
    done = asyncio.Event()

    async def read() -> None:
        connection = await asyncpg.connect(estate.uat_url)
        try:
            while not done.is_set():
                started = time.monotonic()
                row = await connection.fetchrow(
                    "select min(generation), max(generation), count(*) from events"
                )
                stalls.append(time.monotonic() - started)
                assert row is not None
                seen.append((row[0], row[1], row[2]))
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(2)]
        for _ in range(2):
            await hub.undo(await hub.refresh())
        done.set()
    assert all(reader.done() for reader in readers)
    assert set(seen) == {(1, 1, ROWS), (2, 2, ROWS)}


async def test_a_swap_gives_up_its_lock_rather_than_hold_others_up(hub: Hub) -> None:
    """A reader that stays in its transaction: newcomers wait no longer than the lock time-out."""
    estate = hub.estate
    hub.config["settings"] = {"lock_timeout_ms": 100}
    sitting = await asyncpg.connect(estate.uat_url)
    newcomer = await asyncpg.connect(estate.uat_url)
    longest = 0.0
    try:
        transaction = sitting.transaction()
        await transaction.start()
        await sitting.fetchval("select count(*) from events")
        refreshing = asyncio.ensure_future(hub.refresh())  # noqa: TID251 - ends below
        until = time.monotonic() + 6
        while time.monotonic() < until and not refreshing.done():
            started = time.monotonic()
            await newcomer.fetchval("select id from events limit 1")
            longest = max(longest, time.monotonic() - started)
            await asyncio.sleep(0.01)
        assert not refreshing.done()
        await transaction.rollback()
        await refreshing
    finally:
        await sitting.close()
        await newcomer.close()
    assert longest < 0.1 + 0.25, f"a reader waited {longest * 1000:.0f} ms"
    assert (await hub.history("events"))["swap_attempts"] > 1


async def test_a_cancellation_that_comes_too_late_is_told_what_was_done(hub: Hub) -> None:
    estate = hub.estate
    hub.config["tables"][0]["hooks"] = {"after_swap": ["select pg_sleep(1)"]}
    with FaultProxy(estate.host, estate.port) as proxy:
        target = {"server": proxy.host, "port": proxy.port}
        hub.config["databases"]["target"].update(target)
        refresher = hub.refresher()
        async with refresher.open_engine() as engine:
            plan = (await refresher.planning.survey(engine, Request(keys=("events",)))).plan
            proven = await refresher.planning.verified(engine)
            (component,) = plan.components
            await engine.load(proven, plan, component, key=KEY.encode(), progress=ignore)
            fence = Fence(run_id=plan.plan_id, token=1)
            async with asyncio.TaskGroup() as group:
                swapping = group.create_task(engine.swap(proven, plan, component, fence=fence))
                await eventually(lambda: is_sleeping(estate), 10)
                # The server's answer is on its way when the cancellation is.
                proxy.slow_down(1.0)
                await eventually(lambda: is_noted(estate), 10)
                swapping.cancel()
                proxy.restore()
    assert swapping.result().tallies == {}
    assert await estate.in_uat("select array_agg(distinct generation) from events") == [2]


async def ignore(_table: str, _rows: int, _bytes: int) -> None:
    """Nobody is told how far a copy is."""


async def is_sleeping(estate: Estate) -> bool:
    found: int = await estate.in_uat(
        "select count(*) from pg_stat_activity "
        "where wait_event = 'PgSleep' and datname = current_database()"
    )
    return found > 0


async def is_noted(estate: Estate) -> bool:
    found: int = await estate.in_uat("select count(*) from penstock_refresh.swaps")
    return found > 0
