"""What the merge's statements do to rows: translated by patterns and executed by PostgreSQL.

No SQL Server is at hand, and the logic of notes, writes and undo is worth more than a glance.
"""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import asyncpg
import pytest

from chassis.db import Connection
from refresher.domain.catalog import Table
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import Swap, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.tsql import TsqlDialect
from refresher.domain.values import Value
from tests.support.tds.translated import to_postgres
from tests.unit.refresher import tsql_cases as cases

Rows = Mapping[int, tuple[Any, ...]]

DIALECT = TsqlDialect()
_DAY = datetime(2024, 3, 1)  # noqa: DTZ001 - the column has no zone
_LINES = 'sales."Order Lines"'
_MADE = f"""
create schema dbo; create schema sales;
create table dbo."Customers" (
    id int primary key, name varchar(80), seen timestamp(6), notes text,
    last bigint, initial varchar(1) generated always as (left(name, 1)) stored);
create table {_LINES} (
    "order" bigint primary key,
    customer int references dbo."Customers" deferrable initially deferred,
    amount decimal(18,2), changed timestamp(3));
"""


@pytest.fixture
async def database(empty_database_url: str) -> AsyncGenerator[Connection]:
    connection = await asyncpg.connect(empty_database_url)
    await connection.execute(_MADE)
    yield connection
    await connection.close()


async def _execute(database: Connection, statements: Sequence[Statement]) -> dict[str, int]:
    """Execute statements in one transaction; return what a `refuse` query counts, by table."""
    found: dict[str, int] = {}
    async with database.transaction():
        for statement in statements:
            sql = to_postgres(statement.sql)
            if sql is None:
                continue
            parameters = [value.scalar for value in statement.parameters]
            if statement.refuse:
                found[statement.table] = await database.fetchval(sql, *parameters)
            else:
                await database.execute(sql, *parameters)
    return found


async def _fill(database: Connection, table: str, rows: Rows) -> None:
    for key, cells in rows.items():
        places = ", ".join(f"${number}" for number in range(1, len(cells) + 2))
        await database.execute(f"insert into {table} values ({places})", key, *cells)


async def _read(database: Connection, table: str) -> dict[int, tuple[Any, ...]]:
    rows = await database.fetch(f"select * from {table}")
    return {row[0]: tuple(row)[1:] for row in rows}


def _planned(made: TableDraft) -> TablePlan:
    return DIALECT.table_plan(made, cases.base(made))


def _lines(**more: Any) -> TableDraft:
    settings = more.pop("settings", {})
    swap = more.pop("swap", Swap.MERGE)
    table: Table = replace(cases.lines(), foreign_keys=())
    if swap is Swap.REWRITE:
        table = replace(table, keys=())
    return cases.draft(table, swap, cases.config("Lines", **settings), **more)


async def _refresh(database: Connection, made: TableDraft, source: Rows) -> dict[str, int]:
    """Stage these rows and swap them in."""
    plan = _planned(made)
    await _execute(database, plan.stage)
    await _fill(database, f'penstock_refresh."{plan.staging.name}"', source)
    await _execute(database, plan.build)
    order = (("Lines",),)
    return await _execute(database, DIALECT.swap_statements((made,), (plan,), order))


async def _undo(database: Connection, made: TableDraft) -> None:
    order = (("Lines",),)
    await _execute(database, DIALECT.undo_statements((made,), (_planned(made),), order))


def _some_rows(dice: random.Random) -> dict[int, tuple[Any, ...]]:
    amounts = [None, 1, 2]
    days = [None, _DAY, _DAY.replace(day=9), _DAY.replace(day=20)]
    return {
        key: (None, dice.choice(amounts), dice.choice(days))
        for key in dice.sample(range(30), dice.randint(0, 20))
    }


@pytest.mark.covers("S4-06", "C-25")
@pytest.mark.parametrize("swap", [Swap.MERGE, Swap.REWRITE])
async def test_a_full_refresh_makes_both_equal_and_undo_restores_what_was(
    database: Connection, swap: Swap
) -> None:
    dice = random.Random(20240301)
    for _ in range(12):
        before, source = _some_rows(dice), _some_rows(dice)
        await database.execute(f"delete from {_LINES}")
        await _fill(database, _LINES, before)
        made = _lines(swap=swap)
        await _refresh(database, made, source)
        assert await _read(database, _LINES) == source
        await _undo(database, made)
        assert await _read(database, _LINES) == before


def _since(day: int) -> Window:
    return Window(
        column="changed", low=Value.of(_DAY.replace(day=day)), high=None, deletes_missing=True
    )


@pytest.mark.covers("S4-07", "C-25")
async def test_a_window_replaces_its_rows_and_leaves_the_others(
    database: Connection,
) -> None:
    dice = random.Random(7)
    for _ in range(12):
        before, every = _some_rows(dice), _some_rows(dice)
        source = {key: row for key, row in every.items() if row[2] and row[2].day >= 9}
        await database.execute(f"delete from {_LINES}")
        await _fill(database, _LINES, before)
        made = _lines(window=_since(9))
        await _refresh(database, made, source)
        outside = {key: row for key, row in before.items() if not (row[2] and row[2].day >= 9)}
        assert await _read(database, _LINES) == outside | source
        await _undo(database, made)
        assert await _read(database, _LINES) == before


async def test_rows_that_testers_keep_are_neither_changed_nor_deleted(
    database: Connection,
) -> None:
    kept, gone, changed = (None, 1, None), (None, 2, None), (None, None, None)
    await _fill(database, _LINES, {1: kept, 2: gone, 3: changed, 4: kept})
    made = _lines(settings={"keep_rows": "[amount] = 1"})
    await _refresh(database, made, {1: (None, 9, None), 3: (None, 9, None), 5: (None, 9, None)})
    new = (None, 9, None)
    assert await _read(database, _LINES) == {1: kept, 3: new, 4: kept, 5: new}


async def test_rows_beyond_the_last_refresh_stay_where_policy_keeps_them(
    database: Connection,
) -> None:
    old, local = (None, 1, _DAY), (None, 1, _DAY.replace(day=20))
    await _fill(database, _LINES, {1: old, 2: local})
    made = _lines(settings={"local_rows": "keep"}, local_after=_since(9))
    await _refresh(database, made, {})
    assert await _read(database, _LINES) == {2: local}


async def test_rows_of_testers_are_counted_where_policy_stops_for_them(
    database: Connection,
) -> None:
    await _fill(database, _LINES, {1: (None, 1, None), 2: (None, 1, None)})
    made = _lines(settings={"local_rows": "stop"})
    assert await _refresh(database, made, {2: (None, 1, None)}) == {"Lines": 1}


async def test_a_difference_of_case_or_of_blanks_at_the_end_is_a_difference(
    database: Connection,
) -> None:
    table = replace(cases.customers(), triggers=(), referenced_by=())
    made = cases.draft(table, Swap.MERGE, cases.config("Lines"))
    made = replace(made, columns=tuple(c for c in made.columns if c.name in {"id", "name"}))
    await database.execute(
        'insert into dbo."Customers" (id, name, notes) '
        "values (1, 'Ada', 'x'), (2, 'Bob', 'x'), (3, null, 'x'), (4, 'Same', 'x')"
    )
    await _refresh(database, made, {1: ("ADA",), 2: ("Bob ",), 3: ("",), 4: ("Same",)})
    found = await database.fetch('select id, name, notes from dbo."Customers" order by 1')
    assert [tuple(row) for row in found] == [
        (1, "ADA", "x"),
        (2, "Bob ", "x"),
        (3, "", "x"),
        (4, "Same", "x"),
    ]
    notes = await database.fetch('select id from penstock_refresh."u_9f2c_Lines" order by 1')
    assert [row["id"] for row in notes] == [1, 2, 3]


@pytest.mark.covers("C-26")
async def test_a_family_keeps_its_references_whole_forwards_and_backwards(
    database: Connection,
) -> None:
    drafts, order = cases.family()
    plans = [_planned(made) for made in drafts]
    await database.execute("insert into dbo.\"Customers\" (id, name) values (1, 'a'), (2, 'b')")
    await _fill(database, _LINES, {10: (1, 1, None), 20: (2, 1, None)})
    for made, plan in zip(drafts, plans, strict=True):
        await _execute(database, plan.stage)
        if made.config.name == "Customers":
            await database.execute(
                f'insert into penstock_refresh."{plan.staging.name}" (id, name) '
                "values (2, 'B'), (3, 'c')"
            )
        else:
            await _fill(
                database,
                f'penstock_refresh."{plan.staging.name}"',
                {20: (3, 1, None), 30: (2, 2, None)},
            )
    await _execute(database, DIALECT.swap_statements(drafts, plans, order))
    assert await _read(database, _LINES) == {20: (3, 1, None), 30: (2, 2, None)}
    names = await database.fetch('select id, name from dbo."Customers" order by 1')
    assert [tuple(row) for row in names] == [(2, "B"), (3, "c")]
    await _execute(database, DIALECT.undo_statements(drafts, plans, order))
    assert await _read(database, _LINES) == {10: (1, 1, None), 20: (2, 1, None)}
    names = await database.fetch('select id, name from dbo."Customers" order by 1')
    assert [tuple(row) for row in names] == [(1, "a"), (2, "b")]
