"""A table without partitions changes places as a whole, and everything that is its own with it."""

import asyncio
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from refresher.domain.catalog import Side, TableRef
from refresher.domain.pgsql.rename import obstacles
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import Hub

ROWS = 20_000
TABLES = (
    "create table kinds (id int primary key)",
    "insert into kinds values (0), (1), (2)",
    (
        "create table facts (id serial primary key, kind int not null references kinds (id), "
        "code text not null, generation int not null check (generation > 0), twice int "
        "generated always as (generation * 2) stored) with (fillfactor = 90)"
    ),
    "create unique index facts_code on facts (code) where code <> ''",
    "create index facts_kind on facts (kind desc)",
    "comment on column facts.code is 'what people say'",
)
FILL = (
    "insert into facts (kind, code, generation) select n % 3, 'code ' || n, {} "
    "from generate_series(1, {}) n"
)
OF_TESTERS = (
    "alter table facts replica identity using index facts_code_all",
    "grant select, update on facts to public",
)
IDENTITY = "alter table facts add column more int generated always as identity"
SWITCH = {"name": "facts", "strategy": "staging_partition_switch"}
STRUCTURE = """
select c.relname::text, c.relkind::text, c.relacl::text, c.relreplident::text,
    c.reloptions::text, c.relowner::regrole::text,
    (select string_agg(pg_get_indexdef(indexrelid) || indisreplident, ';'
        order by indexrelid::regclass::text) from pg_index where indrelid = c.oid),
    (select string_agg(conname || pg_get_constraintdef(oid) || convalidated, ';' order by conname)
     from pg_constraint where conrelid = c.oid),
    (select string_agg(attname || attnotnull || coalesce(pg_get_expr(adbin, adrelid), '')
        || coalesce(col_description(c.oid, attnum), ''), ';' order by attnum)
     from pg_attribute a left join pg_attrdef d on adrelid = c.oid and adnum = attnum
     where attrelid = c.oid and attnum > 0)
from pg_class c where relnamespace = 'public'::regnamespace order by 1
"""


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    unique = "create unique index facts_code_all on facts (code)"
    await estate.production_does(*TABLES, unique, FILL.format(2, ROWS))
    await estate.uat_does(*TABLES, unique, *OF_TESTERS, FILL.format(1, ROWS - 10))
    async with opening([SWITCH]) as opened:
        yield opened


@pytest.mark.covers("S4-05")
async def test_a_table_changes_places_with_all_that_is_its_own_and_back(hub: Hub) -> None:
    estate = hub.estate
    structure = await estate.rows(estate.uat_url, STRUCTURE)
    before = await estate.checksum(estate.uat_url, "facts")
    seen: set[tuple[int, int, int]] = set()
    done = asyncio.Event()

    async def read() -> None:
        connection = await asyncpg.connect(estate.uat_url)
        try:
            while not done.is_set():
                row = await connection.fetchrow(
                    "select min(generation), max(generation), count(*) from facts"
                )
                assert row is not None
                seen.add((row[0], row[1], row[2]))
        finally:
            await connection.close()

    async with asyncio.TaskGroup() as group:
        group.create_task(read())
        row = await hub.refresh()
        (table,) = (await hub.plan_of(row))[0].tables
        assert (table.swap.value, table.swap_reason) == ("rename", "the whole table changes places")
        assert await estate.checksum(estate.uat_url, "facts") == await estate.checksum(
            estate.production_url, "facts"
        )
        assert await estate.rows(estate.uat_url, STRUCTURE) == structure
        # The sequence goes on behind production's numbers, and belongs to the new table.
        await estate.uat_does("insert into facts (kind, code, generation) values (1, 'new', 2)")
        assert await estate.in_uat("select max(id) from facts") == ROWS + 1
        assert await estate.in_uat("select pg_get_serial_sequence('facts', 'id')") is not None
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await estate.uat_does("insert into facts (kind, code, generation) values (9, 'x', 2)")
        await hub.undo(row)
        done.set()
    assert await estate.checksum(estate.uat_url, "facts") == before
    assert await estate.rows(estate.uat_url, STRUCTURE) == structure
    assert (await hub.refresh())["status"] == "completed"
    assert seen <= {(1, 1, ROWS - 10), (2, 2, ROWS), (2, 2, ROWS + 1)}


async def test_a_table_to_which_something_points_is_merged(hub: Hub) -> None:
    await hub.estate.uat_does(
        IDENTITY,
        "create view codes as select code from facts",
        "create function of_all() returns setof facts language sql as 'select * from facts'",
        "create table child () inherits (facts)",
        "create table lines (fact int references facts)",
        "create function nothing() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger watch before insert on facts for each row execute function nothing()",
        "grant select (code) on facts to public",
    )
    await hub.estate.production_does(IDENTITY)
    async with hub.refresher().open_engine() as engine:
        ref = TableRef("public", "facts")
        found = (await engine.read_catalog(Side.TARGET, [ref])).tables[ref]
    assert list(obstacles(found)) == [
        "function public.of_all() would stay with the old table",
        "grant on column code would stay with the old table",
        "table public.child would stay with the old table",
        "view public.codes would stay with the old table",
        "it has triggers",
        "the identity column more would begin anew",
    ]
    row = await hub.run("refresh", "all", table="all", dry_run=True)
    (table,) = (await hub.plan_of(row))[0].tables
    assert table.swap.value == "merge"
    assert table.swap_reason.startswith("no exchange: function public.of_all()")
