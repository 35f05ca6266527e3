"""Asks a SQL Server what the planner wants to know: catalogs, bounds, summaries."""

from collections.abc import Collection

from refresher.adapters.sqlserver_errors import SqlServerRefusedError
from refresher.adapters.sqlserver_process import DriverProcess
from refresher.domain import tsql_names as names
from refresher.domain import tsql_queries as queries
from refresher.domain import tsql_types as types
from refresher.domain.catalog import Catalog, Extent, Side, TableRef, TypeKind
from refresher.domain.plan import TablePlan
from refresher.domain.statements import Statement
from refresher.domain.tsql_catalog import (
    Row,
    TableRows,
    build_table,
    capabilities,
    named_as_asked,
)
from refresher.domain.tsql_errors import Trouble
from refresher.domain.tsql_names import quote
from refresher.domain.values import Value, ValueType
from refresher.domain.verification import Summary, read_summary
from refresher.ports import Question

_KNOWN_BUT_MISSING = (Trouble.MISSING, Trouble.PERMISSION)
_VALUES = {
    TypeKind.INTEGER: ValueType.INTEGER,
    TypeKind.NUMERIC: ValueType.NUMERIC,
    TypeKind.DATE: ValueType.DATE,
    TypeKind.TIMESTAMP: ValueType.TIMESTAMP,
    TypeKind.TIMESTAMPTZ: ValueType.TIMESTAMPTZ,
}


class _Reader:
    """Queries of one side."""

    def __init__(self, driver: DriverProcess, side: Side, seconds: float) -> None:
        self._driver = driver
        self._side = side
        self._seconds = seconds

    async def rows(self, sql: str, *parameters: str) -> list[Row]:
        """Return the rows of a query by column name."""
        result = await self._driver.query(self._side, sql, *parameters, seconds=self._seconds)
        return list(result.records())

    async def understands(self, probe: str) -> bool:
        """Return whether the server knows a statement about tables that it does not have."""
        try:
            await self._driver.query(self._side, probe, seconds=self._seconds)
        except SqlServerRefusedError as error:
            return error.facts.get("trouble") in _KNOWN_BUT_MISSING
        return True


async def read_catalog(
    driver: DriverProcess, side: Side, tables: Collection[TableRef], *, seconds: float
) -> Catalog:
    """Read what the catalogs say about these tables; a table that is missing is left out."""
    reader = _Reader(driver, side, seconds)
    server = (await reader.rows(queries.SERVER))[0]
    able = await _capabilities(reader, side, server)
    rows = [await _table_rows(reader, ref, server) for ref in sorted(tables)]
    here = [item for item in rows if item is not None]
    asked = {item.table["id"]: item.ref for item in here}
    found = {item.ref: build_table(named_as_asked(item, asked), server, able=able) for item in here}
    return Catalog(tables=found, version=server["version"], capabilities=able)


async def _capabilities(reader: _Reader, side: Side, server: Row) -> frozenset[str]:
    """Ask the target what it can do; production is asked for nothing but rows."""
    if side is Side.SOURCE:
        return frozenset()
    understood = [name for name, probe in queries.PROBES.items() if await reader.understands(probe)]
    return capabilities(server, understood)


async def _table_rows(reader: _Reader, ref: TableRef, server: Row) -> TableRows | None:
    name = names.table(ref)
    table = await reader.rows(queries.TABLE, name)
    if not table:
        return None
    size = (await reader.rows(queries.SIZE, name))[0] if server["tells_sizes"] else {}
    return TableRows(
        ref=ref,
        table={"estimated_bytes": None, **table[0], **size},
        columns=await reader.rows(queries.COLUMNS, name),
        indexes=await reader.rows(queries.INDEXES, name),
        index_columns=await reader.rows(queries.INDEX_COLUMNS, name),
        checks=await reader.rows(queries.CHECKS, name),
        foreign_keys=await reader.rows(queries.FOREIGN_KEYS, name, name),
        triggers=await reader.rows(queries.TRIGGERS, name),
        partitions=await reader.rows(queries.PARTITIONS, name),
        dependants=await reader.rows(queries.DEPENDANTS, name),
    )


async def measure(
    driver: DriverProcess, side: Side, question: Question, *, seconds: float
) -> Extent:
    """Answer one question; rows are counted where a decision hangs on it, else estimated."""
    reader = _Reader(driver, side, seconds)
    name = names.table(question.ref)
    columns = {row["name"]: row for row in await reader.rows(queries.COLUMNS, name)}
    row = (await reader.rows(_measuring(side, question, columns)))[0]
    rows = row.get("counted")
    if rows is None:
        rows = (await reader.rows(queries.TABLE, name))[0]["estimated_rows"]
    kind = _kind(columns, question.column)
    return Extent(
        rows=int(rows or 0),
        low=_value(kind, row.get("low")),
        high=_value(kind, row.get("high")),
        key_low=row.get("key_low"),
        key_high=row.get("key_high"),
        nulls=int(row.get("nulls") or 0),
    )


def _measuring(side: Side, question: Question, columns: dict[str, Row]) -> str:
    """Return one query of numbers: each a select of its own, so that an index can answer it."""
    where = f" WHERE ({question.predicate})" if question.predicate else ""
    source = f"{names.table(question.ref)}{where}"
    is_counted = side is Side.TARGET and question.counts_rows
    wanted = {"counted": "COUNT_BIG(*)"} if is_counted else {}
    if question.column is not None:
        column = quote(question.column)
        style = ", 126" if _kind(columns, question.column) in _MOMENTS else ""
        wanted["low"] = f"CONVERT(varchar(64), MIN({column}){style})"
        wanted["high"] = f"CONVERT(varchar(64), MAX({column}){style})"
        if question.counts_nulls:
            wanted["nulls"] = f"COUNT_BIG(CASE WHEN {column} IS NULL THEN 1 END)"
    if question.key is not None:
        key = quote(question.key)
        wanted["key_low"] = f"CONVERT(bigint, MIN({key}))"
        wanted["key_high"] = f"CONVERT(bigint, MAX({key}))"
    selects = [f"(SELECT {what} FROM {source}) AS {alias}" for alias, what in wanted.items()]  # noqa: S608
    return f"SELECT {', '.join(selects or ['NULL AS counted'])}"


_MOMENTS = (TypeKind.DATE, TypeKind.TIMESTAMP, TypeKind.TIMESTAMPTZ)


def _kind(columns: dict[str, Row], name: str | None) -> TypeKind:
    row = columns.get(name or "")
    return types.KINDS.get(row["type_name"], TypeKind.OTHER) if row else TypeKind.OTHER


def _value(kind: TypeKind, text: str | None) -> Value | None:
    return None if text is None else Value(_VALUES.get(kind, ValueType.TEXT), text)


async def summarise(
    driver: DriverProcess,
    side: Side,
    table: TablePlan,
    statement: Statement | None,
    *,
    seconds: float,
) -> Summary:
    """Run a summary of a plan."""
    if statement is None:
        raise ValueError(f"{table.key}: the plan has no such summary")
    parameters = [value.text for value in statement.parameters]
    rows = await _Reader(driver, side, seconds).rows(statement.sql, *parameters)
    return read_summary(rows[0], [column.name for column in table.columns])
