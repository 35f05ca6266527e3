"""What is read from the source, and how both sides are summarised."""

from collections.abc import Mapping, Sequence

from refresher.domain import tsql_names as names
from refresher.domain import tsql_types as types
from refresher.domain.catalog import ORDERED_KINDS, TableRef, TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import CarriedColumn, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.tsql_names import quote
from refresher.domain.values import Value

_SHAPED = (MaskMethod.SHAPE, MaskMethod.NUMBER, MaskMethod.DAY)


def window_condition(window: Window, draft: TableDraft) -> tuple[str, tuple[Value, ...]]:
    """Return the condition of a window and its parameters."""
    column = draft.target.column(window.column)
    condition = f"{quote(window.column)} >= {names.bound(window.low, column)}"
    if window.high is None:
        return condition, (window.low,)
    high = f"{quote(window.column)} <= {names.bound(window.high, column)}"
    return f"{condition} AND {high}", (window.low, window.high)


# --- landing -----------------------------------------------------------------------------------
def landing_columns(columns: Sequence[CarriedColumn], masked: set[str]) -> Mapping[str, str]:
    """Return the columns that cannot go straight to staging, and the types in which they land.

    A masked moment is another one anyway, so it takes the straight way.
    """
    found = {column.name: types.landing_type(column.type) for column in columns}
    return {name: kind for name, kind in found.items() if kind and name not in masked}


def load_ref(plan: TablePlan) -> TableRef:
    """Return the table into which rows are loaded: staging, or where some columns land first."""
    if not landing_columns(plan.columns, {mask.column for mask in plan.masks}):
        return plan.staging
    return TableRef(plan.staging.schema, "l" + plan.staging.name[1:])


# --- reading -----------------------------------------------------------------------------------
def read_statement(draft: TableDraft) -> Statement:
    """Return the query that reads the source: one, because a snapshot cannot be shared."""
    landing = landing_columns(draft.columns, {mask.column for mask in draft.masks})
    columns = ", ".join(
        f"{types.leave(quote(column.name), column.type)} AS {quote(column.name)}"
        if column.name in landing
        else quote(column.name)
        for column in draft.columns
    )
    condition, parameters = _source_condition(draft)
    sql = f"SELECT {_top(draft)}{columns} FROM {names.table(draft.source.ref)}{condition}"  # noqa: S608
    return Statement(
        sql=f"{sql}{_newest(draft)}",
        purpose="read the source",
        parameters=parameters,
        table=draft.config.name,
    )


def _source_condition(draft: TableDraft) -> tuple[str, tuple[Value, ...]]:
    conditions: list[str] = []
    parameters: tuple[Value, ...] = ()
    if draft.window is not None:
        condition, parameters = window_condition(draft.window, draft)
        conditions.append(condition)
    if draft.config.row_filter is not None:
        conditions.append(f"({draft.config.row_filter})")
    return f" WHERE {' AND '.join(conditions)}" if conditions else "", parameters


def _top(draft: TableDraft) -> str:
    return "" if draft.row_limit is None else f"TOP ({draft.row_limit}) "


def _newest(draft: TableDraft) -> str:
    key = draft.source.primary_key
    if draft.row_limit is None or key is None:
        return ""
    return f" ORDER BY {', '.join(f'{quote(name)} DESC' for name in key.columns)}"


# --- summaries ---------------------------------------------------------------------------------
def source_summary(draft: TableDraft) -> Statement:
    """Return the summary of what is read."""
    condition, parameters = _source_condition(draft)
    source = names.table(draft.source.ref)
    masked = {mask.column for mask in draft.masks}
    part = f"(SELECT {_top(draft)}* FROM {source}{condition}{_newest(draft)})"  # noqa: S608
    return _summary(draft, part, masked, parameters)


def staging_summary(draft: TableDraft, staging: TableRef) -> Statement:
    """Return the same summary of staging."""
    return _summary(draft, names.table(staging), {mask.column for mask in draft.masks}, ())


def target_summary(draft: TableDraft) -> Statement:
    """Return the summary of the whole target, masked columns included."""
    return _summary(draft, names.table(draft.target.ref), set(), ())


def _summary(
    draft: TableDraft, relation: str, masked: set[str], parameters: tuple[Value, ...]
) -> Statement:
    numbers = ["COUNT_BIG(*) AS [rows]"]
    if draft.summarised:
        for position, column in enumerate(draft.columns):
            if column.name in masked:
                numbers += _masked_numbers(draft, position, column)
            else:
                numbers += _column_numbers(position, column)
    relation = f"{relation} AS r"
    if draft.checksummed:
        plain = [column for column in draft.columns if column.name not in masked]
        numbers.append(f"{_SUMS} AS [checksum]")
        relation += _hashed(plain)
    return Statement(
        sql=f"SELECT {', '.join(numbers)} FROM {relation}",  # noqa: S608
        purpose="summarise",
        parameters=parameters,
        table=draft.config.name,
    )


def _column_numbers(position: int, column: CarriedColumn) -> list[str]:
    name = f"r.{quote(column.name)}"
    numbers = [_nulls(name, position)]
    if column.kind in ORDERED_KINDS:
        low = types.as_text(f"MIN({name})", column.type)
        high = types.as_text(f"MAX({name})", column.type)
        numbers += [f"{low} AS low_{position}", f"{high} AS high_{position}"]
    return numbers


def _masked_numbers(draft: TableDraft, position: int, column: CarriedColumn) -> list[str]:
    mask = next(mask for mask in draft.masks if mask.column == column.name)
    if mask.method not in _SHAPED:
        return []
    name = f"r.{quote(column.name)}"
    numbers = [_nulls(name, position)]
    if column.kind is TypeKind.TEXT and mask.method is MaskMethod.SHAPE:
        length = f"SUM(CONVERT(bigint, DATALENGTH({name})))"
        numbers.append(f"CONVERT(varchar(64), {length}) AS low_{position}")
    return numbers


def _nulls(name: str, position: int) -> str:
    # Counting by a condition works for xml too, which `COUNT` refuses.
    return f"COUNT_BIG(CASE WHEN {name} IS NULL THEN 1 END) AS nulls_{position}"


def _hashed(columns: Sequence[CarriedColumn]) -> str:
    """Return what adds the hash of each row: values side by side, nulls apart from blanks."""
    values = ", ".join(
        f"ISNULL({types.rendered(f'r.{quote(column.name)}', column.type)}, 'N') AS v_{position}"
        for position, column in enumerate(columns)
    )
    if not columns:
        return " CROSS APPLY (SELECT 0x AS penstock_hash) AS h"
    cells = " + ',' + ".join(f"v.v_{position}" for position in range(len(columns)))
    # Of any length: the sum of many short texts would be cut at 8000.
    hashed = f"HASHBYTES('SHA2_256', CONVERT(varchar(max), '') + {cells})"
    return (
        f" CROSS APPLY (SELECT {values}) AS v CROSS APPLY (SELECT {hashed} AS penstock_hash) AS h"
    )


def _sum_of(start: int) -> str:
    part = f"SUBSTRING(h.penstock_hash, {start}, 8)"
    return f"SUM(CONVERT(decimal(38, 0), CONVERT(bigint, {part})))"


_SUMS = f"CONCAT({_sum_of(1)}, ':', {_sum_of(9)})"
"""Two sums over 64 bits of every row's hash: the order of rows does not matter, and rows that are
there twice count twice."""
