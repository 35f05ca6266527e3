"""A few rows and a bounded count, from PostgreSQL."""
# ruff: noqa: S608 - identifiers are quoted in `names`; conditions are the operators' own

import contextlib
from collections.abc import AsyncGenerator, Mapping
from typing import Self

from refresher.adapters.postgres_connections import Connections
from refresher.domain.catalog import Column, Side, TableRef, TypeKind
from refresher.domain.pgsql import names
from refresher.domain.previews import FETCHED_CHARACTERS, Row, Sample

_BINARY_BYTES = 64


class PostgresSampler:
    """Looks at both databases and writes to neither."""

    def __init__(self, sides: Mapping[Side, Connections]) -> None:
        self._sides = sides

    @classmethod
    @contextlib.asynccontextmanager
    async def opened(cls, sides: Mapping[Side, Connections]) -> AsyncGenerator[Self]:
        """Close every connection when the context ends."""
        try:
            yield cls(sides)
        finally:
            for connections in sides.values():
                await connections.close()

    async def rows(self, sample: Sample) -> list[Row]:
        """Return rows as texts, newest first."""
        columns = ", ".join(_text(column) for column in sample.columns)
        where = f" where ({sample.predicate})" if sample.predicate else ""
        order = ", ".join(f"{names.quote(name)} desc" for name in sample.order)
        sql = (
            f"select {columns} from {names.table(sample.ref)}{where}"
            f"{f' order by {order}' if order else ''} limit {sample.limit}"
        )
        async with self._sides[sample.side].lend() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def count(
        self, side: Side, ref: TableRef, *, predicate: str | None, limit: int
    ) -> int | None:
        """Return how many rows there are; None when there are more than the limit."""
        where = f" where ({predicate})" if predicate else ""
        sql = (
            f"select count(*) from (select from {names.table(ref)}{where} "
            f"limit {limit + 1}) as counted"
        )
        async with self._sides[side].lend() as connection:
            found = int(await connection.fetchval(sql))
        return found if found <= limit else None


def _text(column: Column) -> str:
    name = names.quote(column.name)
    if column.kind is TypeKind.BINARY:
        return f"substring({name} from 1 for {_BINARY_BYTES})::text"
    return f"left({name}::text, {FETCHED_CHARACTERS + 1})"
