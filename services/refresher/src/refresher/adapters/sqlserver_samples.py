"""A few rows and a bounded count, from SQL Server."""
# ruff: noqa: S608 - identifiers are quoted in `names`; conditions are the operators' own

import contextlib
from collections.abc import AsyncGenerator
from typing import Self

from refresher.adapters.sqlserver_connections import SqlServerPair
from refresher.domain import tsql_names as names
from refresher.domain.catalog import Column, Side, TableRef, TypeKind
from refresher.domain.previews import FETCHED_CHARACTERS, NOT_SHOWN, Row, Sample

_STYLES = {
    TypeKind.DATE: 126,
    TypeKind.TIMESTAMP: 126,
    TypeKind.TIMESTAMPTZ: 126,
    TypeKind.FLOAT: 3,
}
"""How `CONVERT` writes a kind so that no digit is lost."""

_BINARY_BYTES = 64


class SqlServerSampler:
    """Looks at both databases and writes to neither."""

    def __init__(self, pair: SqlServerPair) -> None:
        self._pair = pair

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, pair: SqlServerPair) -> AsyncGenerator[Self]:
        """End the driver's processes when the context ends."""
        try:
            yield cls(pair)
        finally:
            await pair.close()

    async def rows(self, sample: Sample) -> list[Row]:
        """Return rows as texts, newest first."""
        async with self._pair.look(sample.side) as driver:
            result = await driver.query(
                sample.side, rows_query(sample), seconds=self._pair.seconds(sample.side)
            )
        return [
            tuple(None if value is None else str(value) for value in row) for row in result.rows
        ]

    async def count(
        self, side: Side, ref: TableRef, *, predicate: str | None, limit: int
    ) -> int | None:
        """Return how many rows there are; None when there are more than the limit."""
        where = f" WHERE ({predicate})" if predicate else ""
        sql = (
            f"SELECT COUNT_BIG(*) FROM (SELECT TOP ({limit + 1}) 1 AS one "
            f"FROM {names.table(ref)}{where}) AS counted"
        )
        async with self._pair.look(side) as driver:
            result = await driver.query(side, sql, seconds=self._pair.seconds(side))
        found = int(result.rows[0][0])
        return found if found <= limit else None


def rows_query(sample: Sample) -> str:
    """Return the query of a sample; every value becomes text on the server."""
    columns = ", ".join(_text(column) for column in sample.columns)
    where = f" WHERE ({sample.predicate})" if sample.predicate else ""
    order = ", ".join(f"{names.quote(name)} DESC" for name in sample.order)
    return (
        f"SELECT TOP ({sample.limit}) {columns} FROM {names.table(sample.ref)}{where}"
        f"{f' ORDER BY {order}' if order else ''}"
    )


def _text(column: Column) -> str:
    name = names.quote(column.name)
    match column.kind:
        case TypeKind.OTHER:
            # Spatial and hierarchical types have no conversion.
            return f"CASE WHEN {name} IS NOT NULL THEN {names.literal(NOT_SHOWN)} END AS {name}"
        case TypeKind.BINARY:
            cut = f"SUBSTRING({name}, 1, {_BINARY_BYTES})"
            return f"CONVERT(varchar({2 * _BINARY_BYTES + 2}), {cut}, 1) AS {name}"
        case kind:
            style = f", {_STYLES[kind]}" if kind in _STYLES else ""
            longest = FETCHED_CHARACTERS + 1
            return f"LEFT(CONVERT(nvarchar(max), {name}{style}), {longest}) AS {name}"
