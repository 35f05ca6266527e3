"""What is read from the source, and how both sides are summarised."""
# ruff: noqa: S608 - identifiers are quoted in `names`, values are parameters

import hashlib
import itertools
from collections.abc import Sequence

from refresher.domain.catalog import ORDERED_KINDS, TableRef, TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.dialect import TableDraft
from refresher.domain.pgsql import names
from refresher.domain.pgsql.names import quote
from refresher.domain.plan import CarriedColumn, Window, masked_first
from refresher.domain.statements import Statement
from refresher.domain.values import Value


def window_condition(window: Window, first: int = 1) -> tuple[str, tuple[Value, ...]]:
    """Return the condition of a window, its parameters numbered from `first`."""
    column = quote(window.column)
    if window.high is None:
        return f"{column} >= ${first}", (window.low,)
    return f"{column} >= ${first} and {column} <= ${first + 1}", (window.low, window.high)


def read_statements(draft: TableDraft) -> tuple[Statement, ...]:
    """Return the queries that read the source, one per key range."""
    condition, parameters = _source_condition(draft)
    columns = names.listed(column.name for column in masked_first(draft.columns, draft.masks))
    if draft.masks:
        columns = f"{row_mark(draft)}::bigint, {columns}"
    source = names.table(draft.source.ref)
    if draft.row_limit is not None:
        sql = f"select {columns} from {source}{_where(*condition)}{_newest(draft)}"
        return (_read(draft, sql, parameters),)
    return tuple(
        _read(draft, f"select {columns} from {source}{_where(*condition, cut)}", parameters)
        for cut in _cuts(draft)
    )


def row_mark(draft: TableDraft) -> int:
    """Return what marks every row of a stream that is masked; data cannot foresee it."""
    drawn = hashlib.sha256(f"{draft.run}/{draft.config.name}".encode()).digest()
    return int.from_bytes(drawn[:8], "big") >> 1


def _read(draft: TableDraft, sql: str, parameters: tuple[Value, ...]) -> Statement:
    return Statement(
        sql=sql, purpose="read the source", parameters=parameters, table=draft.config.name
    )


def _where(*conditions: str) -> str:
    found = [condition for condition in conditions if condition]
    return f" where {' and '.join(found)}" if found else ""


def _source_condition(draft: TableDraft) -> tuple[tuple[str, ...], tuple[Value, ...]]:
    conditions: list[str] = []
    parameters: tuple[Value, ...] = ()
    if draft.window is not None:
        condition, parameters = window_condition(draft.window)
        conditions.append(condition)
    if draft.config.row_filter is not None:
        conditions.append(f"({draft.config.row_filter})")
    return tuple(conditions), parameters


def _newest(draft: TableDraft) -> str:
    key = draft.source.primary_key
    order = ", ".join(f"{quote(name)} desc" for name in key.columns) if key else ""
    return f"{f' order by {order}' if order else ''} limit {draft.row_limit}"


def _cuts(draft: TableDraft) -> list[str]:
    """Return the conditions that cut the key into ranges; the outer ones are open."""
    low, high = draft.extent.key_low, draft.extent.key_high
    key = draft.source.primary_key
    parts = draft.config.parallel
    if parts == 1 or low is None or high is None or key is None or high - low < parts:
        return [""]
    column = quote(key.columns[0])
    edges = [low + (high - low) * number // parts for number in range(1, parts)]
    return [
        f"{column} < {edges[0]}",
        *(
            f"{column} >= {left} and {column} < {right}"
            for left, right in itertools.pairwise(edges)
        ),
        f"{column} >= {edges[-1]}",
    ]


def source_summary(draft: TableDraft) -> Statement:
    """Return the summary of what is read."""
    condition, parameters = _source_condition(draft)
    source = names.table(draft.source.ref)
    where = _where(*condition)
    if draft.row_limit is not None:
        source = f"(select * from {source}{where}{_newest(draft)}) as part"
        where = ""
    return _summary(draft, source, where, parameters)


def staging_summary(draft: TableDraft, staging: TableRef) -> Statement:
    """Return the same summary of staging."""
    return _summary(draft, names.table(staging), "", ())


def target_summary(draft: TableDraft) -> Statement:
    """Return the summary of the whole target, masked columns included."""
    columns = draft.columns
    sql = (
        f"select {', '.join(_numbers(draft, columns, set()))} from {names.table(draft.target.ref)}"
    )
    return Statement(sql=sql, purpose="summarise the target", table=draft.config.name)


def _summary(
    draft: TableDraft, relation: str, where: str, parameters: tuple[Value, ...]
) -> Statement:
    masked = {mask.column for mask in draft.masks}
    sql = f"select {', '.join(_numbers(draft, draft.columns, masked))} from {relation}{where}"
    return Statement(
        sql=sql, purpose="compare with staging", parameters=parameters, table=draft.config.name
    )


def _numbers(draft: TableDraft, columns: Sequence[CarriedColumn], masked: set[str]) -> list[str]:
    numbers = ["count(*) as rows"]
    if draft.summarised:
        for position, column in enumerate(columns):
            numbers += _column_numbers(draft, position, column, is_masked=column.name in masked)
    if draft.checksummed:
        plain = [column for column in columns if column.name not in masked]
        numbers.append(f"{_checksum(draft, plain)} as checksum")
    return numbers


def _column_numbers(
    draft: TableDraft, position: int, column: CarriedColumn, *, is_masked: bool
) -> list[str]:
    name = quote(column.name)
    if is_masked:
        mask = next(mask for mask in draft.masks if mask.column == column.name)
        if mask.method not in (MaskMethod.SHAPE, MaskMethod.NUMBER, MaskMethod.DAY):
            return []
        numbers = [f"count(*) filter (where {name} is null) as nulls_{position}"]
        if column.kind is TypeKind.TEXT and mask.method is MaskMethod.SHAPE:
            numbers.append(f"sum(length({name}))::text as low_{position}")
        return numbers
    numbers = [f"count(*) filter (where {name} is null) as nulls_{position}"]
    if column.kind in ORDERED_KINDS:
        numbers += [
            f"min({name})::text as low_{position}",
            f"max({name})::text as high_{position}",
        ]
    return numbers


def _checksum(draft: TableDraft, columns: Sequence[CarriedColumn]) -> str:
    """Return a sum over all rows: it does not depend on their order, and sees duplicates.

    The server's own hash is fast, but promised to be stable within one major version only.
    """
    row = f"row({names.listed(column.name for column in columns)})::text"
    if draft.same_version:
        return f"coalesce(sum(hashtextextended({row}, 0)::numeric), 0)::text"
    return f"coalesce(sum(('x' || left(md5({row}), 16))::bit(64)::bigint::numeric), 0)::text"
