"""What the archive's catalogue says of its tables."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from chassis.db import Connection
from wrds_sync.domain.tables import CatalogEntry, ColumnInfo, TableInfo, TableRef
from wrds_sync.domain.types import CatalogColumn, ColumnPlan, plan_column
from wrds_sync.errors import SourceRefusedError

_LAST_MODIFIED = re.compile(r"last modified:\s*(.+)", re.IGNORECASE)

_TABLES = """
SELECT n.nspname, c.relname, obj_description(c.oid, 'pg_class') AS comment,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AS is_readable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
ORDER BY 1, 2
"""

# A view has no estimates of its own; what it reads has. Long values lie in a table of their own, of
# which the statistics of columns know nothing. Domains are followed to their base type.
_COLUMNS = """
WITH RECURSIVE relation AS (
    SELECT c.oid, c.relkind, obj_description(c.oid, 'pg_class') AS comment
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'v', 'm', 'f', 'p')
), source AS (
    SELECT max(s.reltuples) AS rows, max(w.bytes + coalesce(long.bytes, 0)) AS row_bytes
    FROM (
        SELECT oid FROM relation
        UNION
        SELECT d.refobjid FROM relation r
        JOIN pg_rewrite w ON w.ev_class = r.oid
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
            AND d.refclassid = 'pg_class'::regclass
    ) involved
    JOIN pg_class s ON s.oid = involved.oid
    JOIN pg_namespace n ON n.oid = s.relnamespace
    LEFT JOIN LATERAL (
        SELECT sum(avg_width) AS bytes FROM pg_stats p
        WHERE p.schemaname = n.nspname AND p.tablename = s.relname
    ) w ON true
    LEFT JOIN LATERAL (
        SELECT l.relpages * 8192.0 / s.reltuples AS bytes FROM pg_class l
        WHERE l.oid = s.reltoastrelid AND s.reltuples > 0
    ) long ON true
), resolved AS (
    SELECT a.attnum, a.atttypid AS type, a.atttypmod AS modifier
    FROM pg_attribute a JOIN relation r ON r.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT d.attnum, t.typbasetype,
           CASE WHEN t.typtypmod <> -1 THEN t.typtypmod ELSE d.modifier END
    FROM resolved d JOIN pg_type t ON t.oid = d.type WHERE t.typtype = 'd'
)
SELECT a.attname, NOT a.attnotnull AS nullable,
       format_type(a.atttypid, a.atttypmod) AS source_type,
       CASE t.typnamespace WHEN 'pg_catalog'::regnamespace THEN t.typname ELSE '' END AS base_type,
       d.modifier, r.comment, r.relkind = 'v' AS is_view, s.rows, s.row_bytes
FROM relation r
CROSS JOIN source s
LEFT JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN (resolved d JOIN pg_type t ON t.oid = d.type AND t.typtype <> 'd') ON d.attnum = a.attnum
ORDER BY a.attnum
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """A table, and its columns in the catalogue's own words."""

    info: TableInfo
    columns: tuple[CatalogColumn, ...]


async def describe(
    connection: Connection, table: TableRef, *, types: Mapping[str, str] | None = None
) -> Described:
    """Look a table up.

    Raises:
        SourceRefusedError: there is no such table.
        DatasetConfigError: a declared type is none, or does not fit.
    """
    rows = await connection.fetch(_COLUMNS, table.schema, table.table)
    if not rows:
        raise SourceRefusedError(f"the archive has no table {table}", table=str(table))
    columns = tuple(_column(row) for row in rows if row["attname"] is not None)
    plans = [plan_column(column, (types or {}).get(column.name)) for column in columns]
    return Described(info=_info(table, rows[0], plans), columns=columns)


async def tables(connection: Connection, schemas: Sequence[str]) -> list[CatalogEntry]:
    """List the tables and views of schemas."""
    return [
        CatalogEntry(
            table=TableRef(row["nspname"], row["relname"]),
            is_readable=row["is_readable"],
            last_modified=last_modified(row["comment"]),
        )
        for row in await connection.fetch(_TABLES, list(schemas))
    ]


def column_infos(plans: Sequence[ColumnPlan]) -> tuple[ColumnInfo, ...]:
    """Describe planned columns in the port's words."""
    return tuple(
        ColumnInfo(
            name=plan.name,
            source_type=plan.source_type,
            stored_type=str(plan.stored),
            is_nullable=plan.is_nullable,
        )
        for plan in plans
    )


def last_modified(comment: str | None) -> str | None:
    """Return what the comment says about the last modification."""
    found = _LAST_MODIFIED.search(comment or "")
    return found[1].strip() if found else None


def _column(row: "asyncpg.Record") -> CatalogColumn:
    return CatalogColumn(
        name=row["attname"],
        source_type=row["source_type"],
        base_type=row["base_type"],
        modifier=row["modifier"],
        is_nullable=row["nullable"],
    )


def _info(table: TableRef, row: "asyncpg.Record", plans: Sequence[ColumnPlan]) -> TableInfo:
    return TableInfo(
        table=table,
        columns=column_infos(plans),
        comment=row["comment"],
        last_modified=last_modified(row["comment"]),
        estimated_rows=_estimate(row["rows"]),
        estimated_row_bytes=_estimate(row["row_bytes"]),
        is_view=row["is_view"],
    )


def _estimate(value: Any) -> int | None:
    """Return an estimate; the server says -1, or nothing, where it never looked."""
    return None if value is None or value < 0 else int(value)
