"""What only a real SQL Server can say: switches, trust, identities, locks, every digit of a type.

Left out, and named at the end of a run, where `PENSTOCK_TEST_MSSQL` does not name a server.
"""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from refresher.adapters.sqlserver_errors import SqlServerRefusedError
from refresher.domain.catalog import Side
from refresher.domain.plan import Swap
from refresher.domain.statements import Tally
from refresher.errors import SwapBusyError
from tests.support.sql_server import FENCE, Estate, new_estate

_ORDERS = """
CREATE TABLE [dbo].[Orders] (
    [id] int IDENTITY(1,1) NOT NULL CONSTRAINT [PK_Orders] PRIMARY KEY,
    [name] nvarchar(40) NULL,
    [changed] datetime2(7) NULL
)
"""
_SWITCHED = {"strategy": "staging_partition_switch"}


@pytest.fixture
async def estate(unique: str) -> AsyncGenerator[Estate]:
    async with new_estate(unique) as made:
        yield made


async def _orders(estate: Estate) -> None:
    await estate.both(_ORDERS)
    await estate.run(
        Side.SOURCE,
        "INSERT INTO [dbo].[Orders] ([name], [changed]) VALUES "
        "(N'one', '2024-02-29T13:14:15.1234567'), (N'Two ', NULL), (N'three', '9999-12-31')",
    )
    await estate.run(
        Side.TARGET,
        "SET IDENTITY_INSERT [dbo].[Orders] ON",
        "INSERT INTO [dbo].[Orders] ([id], [name]) VALUES (2, N'two'), (9, N'gone')",
        "SET IDENTITY_INSERT [dbo].[Orders] OFF",
    )


async def _rows(estate: Estate, side: Side, table: str = "Orders") -> list[tuple[Any, ...]]:
    sql = f"SELECT *, CONVERT(varchar(40), [changed], 121) AS t FROM [dbo].[{table}] ORDER BY 1"
    return list(await estate.run(side, sql))


async def _expected(estate: Estate, swap: Swap, *abilities: str) -> Swap:
    """Return the swap of a server that has one of these abilities; others merge the rows."""
    able = [await estate.can(ability) for ability in abilities]
    return swap if any(able) else Swap.MERGE


@pytest.mark.covers("S4-03", "C-25")
async def test_a_merge_makes_both_equal_to_the_last_digit_and_undo_takes_it_back(
    estate: Estate,
) -> None:
    await _orders(estate)
    before = await _rows(estate, Side.TARGET)
    plan = await estate.plan([{"name": "Orders"}])
    (swapped,) = await estate.refresh(plan)
    assert swapped.tallies["Orders"] == {Tally.DELETED: 1, Tally.INSERTED: 2, Tally.UPDATED: 1}
    assert await _rows(estate, Side.TARGET) == await _rows(estate, Side.SOURCE)
    await estate.undo(plan)
    assert await _rows(estate, Side.TARGET) == before


@pytest.mark.covers("S4-04")
async def test_a_whole_table_is_exchanged_or_merged_and_draws_the_next_number(
    estate: Estate,
) -> None:
    await _orders(estate)
    before = await _rows(estate, Side.TARGET)
    plan = await estate.plan([{"name": "Orders", **_SWITCHED}])
    assert plan.tables[0].swap is await _expected(estate, Swap.RENAME, "switch", "rename")
    await estate.refresh(plan)
    assert await _rows(estate, Side.TARGET) == await _rows(estate, Side.SOURCE)
    added = "INSERT INTO [dbo].[Orders] ([name]) OUTPUT inserted.[id] VALUES (N'new')"
    drawn = (await estate.run(Side.TARGET, added))[0][0]
    assert drawn > 9
    await estate.undo(plan)
    # Whole tables change places again; where rows are merged, a tester's new row stays.
    is_merged = plan.tables[0].swap is Swap.MERGE
    kept = [(drawn, "new", None, None)] if is_merged else []
    assert await _rows(estate, Side.TARGET) == before + kept


_MONTHS = (
    "CREATE PARTITION FUNCTION [pf] (date) AS RANGE RIGHT FOR VALUES ('2024-01-01', '2024-02-01')",
    "CREATE PARTITION SCHEME [ps] AS PARTITION [pf] ALL TO ([PRIMARY])",
    (
        "CREATE TABLE [dbo].[Daily] ([id] bigint NOT NULL, [day] date NOT NULL, [total] float NULL "
        "CONSTRAINT [CK_total] CHECK ([total] >= 0), "
        "CONSTRAINT [PK_Daily] PRIMARY KEY ([id], [day])) ON [ps] ([day])"
    ),
    (
        "CREATE INDEX [IX_total] ON [dbo].[Daily] ([total]) INCLUDE ([id]) "
        "WHERE [total] IS NOT NULL WITH (DATA_COMPRESSION = PAGE)"
    ),
)


@pytest.mark.covers("S4-05", "C-27")
async def test_only_the_partitions_of_the_window_are_switched_and_the_check_stays_trusted(
    estate: Estate,
) -> None:
    await estate.both(*_MONTHS)
    await estate.run(
        Side.SOURCE,
        "INSERT INTO [dbo].[Daily] VALUES (1, '2023-12-31', 1), (2, '2024-01-15', 2), "
        "(3, '2024-02-15', 3)",
    )
    await estate.run(
        Side.TARGET, "INSERT INTO [dbo].[Daily] VALUES (7, '2023-12-30', 7), (2, '2024-02-14', 9)"
    )
    plan = await estate.plan(
        [
            {
                "name": "Daily",
                **_SWITCHED,
                "sync_mode": "incremental",
                "incremental_column": "day",
                "incremental_type": "date",
                "date_buffer_days": 7,
            }
        ]
    )
    assert plan.tables[0].swap is await _expected(estate, Swap.PARTITIONS, "switch")
    await estate.refresh(plan)
    found = await estate.run(Side.TARGET, "SELECT [id], [total] FROM [dbo].[Daily] ORDER BY [id]")
    assert found == ((3, 3.0), (7, 7.0))
    checks = await estate.run(
        Side.TARGET, "SELECT [is_not_trusted] FROM sys.check_constraints WHERE [name] = 'CK_total'"
    )
    assert set(checks) == {(False,)}
    await estate.undo(plan)
    found = await estate.run(Side.TARGET, "SELECT [id], [total] FROM [dbo].[Daily] ORDER BY [id]")
    assert found == ((2, 9.0), (7, 7.0))


@pytest.mark.covers("C-26")
async def test_references_hold_and_are_trusted_after_a_family_was_refreshed(
    estate: Estate,
) -> None:
    lines = (
        "CREATE TABLE [dbo].[Lines] ([id] int NOT NULL PRIMARY KEY, [order] int NOT NULL "
        "CONSTRAINT [FK_Lines] REFERENCES [dbo].[Orders] ([id]))"
    )
    await _orders(estate)
    await estate.both(lines)
    await estate.run(Side.SOURCE, "INSERT INTO [dbo].[Lines] VALUES (1, 1), (2, 3)")
    await estate.run(Side.TARGET, "INSERT INTO [dbo].[Lines] VALUES (1, 9)")
    await estate.refresh(await estate.plan([{"name": "Orders"}, {"name": "Lines"}]))
    assert await estate.run(Side.TARGET, "SELECT * FROM [dbo].[Lines] ORDER BY 1") == (
        (1, 1),
        (2, 3),
    )
    trust = "SELECT [is_not_trusted] FROM sys.foreign_keys WHERE [name] = 'FK_Lines'"
    assert await estate.run(Side.TARGET, trust) == ((False,),)


_TYPES = {
    "tinyint": "255",
    "decimal(38,10)": "1234567890123456789012345678.0123456789",
    "money": "-922337203685477.5808",
    "float": "1.7976931348623157E308",
    "real": "1.17549435E-38",
    "datetime": "'2024-02-29T23:59:59.997'",
    "smalldatetime": "'2024-02-29T23:59:00'",
    "datetime2(7)": "'9999-12-31T23:59:59.9999999'",
    "datetimeoffset(7)": "'2024-02-29T13:14:15.1234567+05:45'",
    "time(7)": "'23:59:59.9999999'",
    "date": "'0001-01-01'",
    "bit": "1",
    "uniqueidentifier": "'6f9619ff-8b86-d011-b42d-00c04fc964ff'",
    "varchar(20)": "'trailing  '",
    "nvarchar(max)": "REPLICATE(CONVERT(nvarchar(max), N'å\U0001f600'), 9000)",
    "char(5)": "'ab'",
    "varbinary(max)": "0x00FF00",
    "xml": "N'<a b=\"1\">c</a>'",
    "hierarchyid": "hierarchyid::Parse('/1/2/')",
    "geography": "geography::Point(47.6, -122.3, 4326)",
}


_MOMENTS = ("date", "time", "smalldate")
_WORDS = ("varchar", "nvarchar", "char", "varbinary", "uniqueidentifier", "xml")


def _shown(name: str, kind: str) -> str:
    """Return an expression of all that a column of a type holds."""
    plain = kind.partition("(")[0]
    if plain in {"hierarchyid", "geography"}:
        return f"CONVERT(varbinary(max), {name})"
    if plain == "money":
        return f"CONVERT(varchar(64), CONVERT(decimal(19, 4), {name}))"
    if plain in {"float", "real"}:
        return f"CONVERT(varchar(64), {name}, 3)"
    if plain.startswith(_MOMENTS):
        return f"CONVERT(varchar(64), {name}, 121)"
    return name if plain in _WORDS else f"CONVERT(varchar(64), {name})"


async def _known_types(estate: Estate) -> dict[str, str]:
    """Return columns of the types that the server has; no table could hold the others."""
    known = [kind for kind in _TYPES if await estate.knows(kind)]
    return {f"[v{position}]": kind for position, kind in enumerate(known)}


@pytest.mark.covers("S4-03")
async def test_a_value_of_every_type_arrives_as_it_left(estate: Estate) -> None:
    kinds = await _known_types(estate)
    declared = ", ".join(f"{name} {kind} NULL" for name, kind in kinds.items())
    await estate.both(f"CREATE TABLE [dbo].[T] ([id] int NOT NULL PRIMARY KEY, {declared})")
    values = ", ".join(f"CAST({_TYPES[kind]} AS {kind})" for kind in kinds.values())
    if not await estate.knows_ticks():
        values = values.replace("9999999", "999999").replace("1234567", "123456")
    await estate.run(
        Side.SOURCE,
        f"INSERT INTO [dbo].[T] SELECT 1, {values}",
        "INSERT INTO [dbo].[T] ([id]) VALUES (2)",
    )
    await estate.refresh(await estate.plan([{"name": "T"}]))
    for name, kind in kinds.items():
        exact = f"SELECT [id], {_shown(name, kind)} FROM [dbo].[T] ORDER BY [id]"
        found = await estate.run(Side.TARGET, exact)
        assert found == await estate.run(Side.SOURCE, exact), kind
        assert [value is None for _, value in found] == [False, True], kind


async def test_texts_that_a_code_page_would_make_equal_are_told_apart(estate: Estate) -> None:
    await estate.both("CREATE TABLE [dbo].[T] ([id] int NOT NULL PRIMARY KEY, [v] nvarchar(9))")
    await estate.run(Side.SOURCE, "INSERT INTO [dbo].[T] VALUES (1, N'\u2603'), (2, N'a')")
    await estate.run(Side.TARGET, "INSERT INTO [dbo].[T] VALUES (1, N'\u2604'), (2, N'a ')")
    (swapped,) = await estate.refresh(await estate.plan([{"name": "T"}]))
    assert swapped.tallies["T"][Tally.UPDATED] == 2
    assert await estate.run(Side.TARGET, "SELECT [v] FROM [dbo].[T] ORDER BY [id]") == (
        ("\u2603",),
        ("a",),
    )


@pytest.mark.covers("S4-13")
async def test_a_swap_gives_up_its_wait_when_somebody_writes_on(estate: Estate) -> None:
    await _orders(estate)
    plan = await estate.plan(
        [{"name": "Orders", **_SWITCHED}], lock_timeout_ms=100, swap_attempts=2
    )
    (component,) = plan.components
    await estate.load(plan, component)
    await estate.run(Side.TARGET, "BEGIN TRANSACTION", "UPDATE [dbo].[Orders] SET [name] = N'mine'")
    with pytest.raises(SwapBusyError):
        await estate.engine.swap(estate.target, plan, component, fence=FENCE)
    await estate.run(Side.TARGET, "ROLLBACK TRANSACTION")
    await estate.engine.swap(estate.target, plan, component, fence=FENCE)
    assert await _rows(estate, Side.TARGET) == await _rows(estate, Side.SOURCE)


@pytest.mark.covers("C-33")
async def test_the_powers_of_an_owner_are_seen(estate: Estate) -> None:
    await estate.both(_ORDERS)
    powers = (await estate.engine.identify(Side.TARGET)).powers
    assert any("INSERT" in power for power in powers)
    assert (await estate.engine.identify(Side.SOURCE)).powers == ()


async def test_the_number_of_an_error_is_learnt_from_the_session(estate: Estate) -> None:
    await _orders(estate)
    with pytest.raises(SqlServerRefusedError) as error:
        await estate.run(
            Side.TARGET, "ALTER TABLE [dbo].[Orders] ADD CONSTRAINT [C] CHECK ([id] < 0)"
        )
    assert error.value.facts["number"] == 547
    assert error.value.facts["trouble"] == "constraint"
