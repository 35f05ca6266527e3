"""The statements that read a table: which columns in which form, which rows, in which order.

`COPY` takes no parameters, so values are written as literals here, in one place.
"""

from collections.abc import Sequence

import pyarrow as pa

from wrds_sync.domain.tables import PartitionRange, Selection, TableRef
from wrds_sync.domain.types import Binary, CatalogColumn, ColumnPlan, Wire, plan_column
from wrds_sync.errors import DatasetConfigError

_RECORDS, _TEXTS = "records", "texts"
_RECORD_HASHES_SINCE = 14

_EPOCH = "date '1970-01-01'"

ROW_MARK = bytes.fromhex("f5f6f7f8f9fafbfcfdfefdfefdfefdfefd")
"""The first field of every row in the binary form; see `postgres_copy_binary`."""

_LONG_COLUMN_BYTES = 32

HASHABLE = frozenset(
    {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "date", "time", "timestamp"}
    | {"timestamptz", "bytea", "text", "varchar", "bpchar", "uuid", "numeric"}
)
"""Types whose hash differs where their stored form does; others are hashed as text."""


def plan_columns(selection: Selection, catalog: Sequence[CatalogColumn]) -> tuple[ColumnPlan, ...]:
    """Choose the columns of a selection, in stored order, each with its type.

    Raises:
        DatasetConfigError: the selection names a column that the table does not have.
    """
    by_name = {column.name: column for column in catalog}
    wanted = selection.columns or tuple(by_name)
    named = [*wanted, *selection.types, *selection.equals, *selection.order_by]
    named += [selection.date_column] if selection.date_column else []
    if missing := sorted({name for name in named if name not in by_name}):
        raise DatasetConfigError(
            f"{selection.table} has no column {', '.join(f'`{name}`' for name in missing)}",
            columns=missing,
        )
    return tuple(plan_column(by_name[name], selection.types.get(name)) for name in wanted)


def arrow_schema(plans: Sequence[ColumnPlan]) -> pa.Schema:
    """Return the schema of the stored file."""
    return pa.schema([pa.field(plan.name, plan.stored) for plan in plans])


def is_worth_binary(plans: Sequence[ColumnPlan], row_bytes: int | None) -> bool:
    """Return whether the binary form is exact for all columns, and cheaper.

    Text is cheaper for numbers, above all where many are null, and dearer for long strings: the
    server looks at every byte for what it must escape, and so do we. No column but a string is
    long. Where the archive does not say how long its rows are, they are taken for short.
    """
    return (
        row_bytes is not None
        and row_bytes >= _LONG_COLUMN_BYTES * len(plans)
        and all(plan.binary is not None for plan in plans)
    )


def select_statement(
    selection: Selection,
    partition: PartitionRange,
    *,
    plans: Sequence[ColumnPlan],
    is_binary: bool = False,
) -> str:
    """Return the statement that yields a partition's rows in the form of the plans."""
    fields = [(_binary_expression if is_binary else _expression)(plan) for plan in plans]
    if is_binary:
        fields.insert(0, f"'\\x{ROW_MARK.hex()}'::bytea")
    table = qualified(selection.table)
    # With the table's name: a bare one could mean what was made of the column.
    order = ", ".join(f"{table}.{identifier(name)}" for name in selection.order_by)
    return (
        f"SELECT {', '.join(fields)} FROM {table}"  # noqa: S608 - quoted below
        f"{_where(_conditions(selection, partition))}{f' ORDER BY {order}' if order else ''}"
    )


def infinite_dates_statement(
    selection: Selection, partition: PartitionRange, *, names: Sequence[str]
) -> str:
    """Return the statement that tells for each date column whether it holds an infinite value."""
    tests = ", ".join(
        f"coalesce(bool_or(NOT isfinite({identifier(name)})), false)" for name in names
    )
    return (
        f"SELECT {tests} FROM {qualified(selection.table)}"  # noqa: S608 - quoted below
        f"{_where(_conditions(selection, partition))}"
    )


def statistics_statement(
    selection: Selection,
    *,
    plans: Sequence[ColumnPlan],
    catalog: Sequence[CatalogColumn],
    hash_method: str | None,
    since_year: int | None,
) -> str:
    """Return the statement that counts, and hashes if asked, by year.

    The hash is a sum over rows: the order does not matter, and equal rows do not cancel out as
    they would with XOR. A row whose date is null or infinite has no year.
    """
    hashed = "NULL::text"
    if hash_method is not None:
        hashed = f"sum({_row_hash(plans, catalog, hash_method)})::text"
    conditions = _conditions(selection, PartitionRange(year=0))
    year = "0"
    if selection.date_column is not None:
        column = identifier(selection.date_column)
        year = f"CASE WHEN isfinite({column}) THEN extract(year FROM {column})::int END"
        if since_year is not None:
            conditions.append(f"({column} >= {literal(f'{since_year:04d}-01-01')})")
    return (
        f"SELECT {year} AS year, count(*) AS rows, {hashed} AS hash "  # noqa: S608 - quoted below
        f"FROM {qualified(selection.table)}{_where(conditions)} GROUP BY 1 ORDER BY 1"
    )


def hash_method(server_major: int) -> str:
    """Return the name of the method by which this server hashes rows.

    PostgreSQL does not promise equal hashes between major versions, hence the number.
    """
    return f"{_RECORDS if server_major >= _RECORD_HASHES_SINCE else _TEXTS}-{server_major}"


def identifier(name: str) -> str:
    """Quote a name."""
    return '"' + name.replace('"', '""') + '"'


def qualified(table: TableRef) -> str:
    """Quote a table's name with its schema."""
    return f"{identifier(table.schema)}.{identifier(table.table)}"


def literal(value: str) -> str:
    """Quote a value; the session keeps `standard_conforming_strings` on.

    Raises:
        DatasetConfigError: a NUL, which no PostgreSQL text can hold.
    """
    if "\0" in value:
        raise DatasetConfigError("a value to select by holds a NUL character")
    return "'" + value.replace("'", "''") + "'"


def _expression(plan: ColumnPlan) -> str:
    column = identifier(plan.name)
    match plan.wire:
        case Wire.DAYS:
            return f"{column} - {_EPOCH}"
        case Wire.HEX:
            return f"encode({column}, 'hex')"
        case Wire.TEXT:
            return column


def _binary_expression(plan: ColumnPlan) -> str:
    column = identifier(plan.name)
    if plan.binary is Binary.AS_TEXT:
        return f"{column}::text"
    return _expression(plan)


def _row_hash(plans: Sequence[ColumnPlan], catalog: Sequence[CatalogColumn], method: str) -> str:
    base = {column.name: column.base_type for column in catalog}
    values = ", ".join(_hashed_value(plan, base[plan.name]) for plan in plans)
    if method.startswith(_TEXTS):
        return f"hashtextextended(ROW({values})::text, 0)"
    return f"hash_record_extended(ROW({values}), 0)"


def _hashed_value(plan: ColumnPlan, base_type: str) -> str:
    # Two numerics of different scale are equal, and so is their hash; kept as text they differ.
    as_text = base_type not in HASHABLE or (
        base_type == "numeric" and pa.types.is_string(plan.stored)
    )
    return f"{identifier(plan.name)}::text" if as_text else identifier(plan.name)


def _conditions(selection: Selection, partition: PartitionRange) -> list[str]:
    found = [f"({identifier(name)} = {literal(value)})" for name, value in selection.equals.items()]
    if selection.date_column is not None:
        column = identifier(selection.date_column)
        if partition.lower is not None:
            found.append(f"({column} >= {literal(partition.lower.isoformat())})")
        if partition.upper is not None:
            found.append(f"({column} < {literal(partition.upper.isoformat())})")
    return found


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""
