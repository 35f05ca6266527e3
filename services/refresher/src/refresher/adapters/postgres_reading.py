"""Numbers that are read from either database: sizes and bounds for plans, and summaries."""

from chassis.db import Connection
from refresher.domain.catalog import Extent, Side
from refresher.domain.pgsql import names
from refresher.domain.plan import TablePlan
from refresher.domain.statements import Statement
from refresher.domain.values import Value
from refresher.domain.verification import Summary, read_summary
from refresher.ports import Question

_FEW = 100_000
_FEWEST = 10_000
"""Where only a window is replaced, it matters whether there are any."""


async def measure(connection: Connection, side: Side, question: Question) -> Extent:
    """Answer one question about sizes and bounds."""
    table = names.table(question.ref)
    where = f" where ({question.predicate})" if question.predicate else ""
    bounds = [
        f"(select {aggregate}({names.quote(name)}) from {table}{where}) as {alias}"  # noqa: S608
        for name, prefix in ((question.column, ""), (question.key, "key_"))
        if name is not None
        for aggregate, alias in (("min", f"{prefix}low"), ("max", f"{prefix}high"))
    ]
    if question.column is not None and question.counts_nulls:
        column = names.quote(question.column)
        empty = f"{where} and {column} is null" if where else f" where {column} is null"
        bounds.append(f"(select count(*) from {table}{empty}) as nulls")  # noqa: S608
    # One select each: an index answers a minimum, but not beside a count.
    rows = f"{_rows(side, question, f'{table}{where}')} as rows"
    found = dict(await connection.fetchrow(f"select {', '.join([*bounds, rows])}") or {})
    low, high = found.get("low"), found.get("high")
    return Extent(
        rows=found["rows"],
        low=None if low is None else Value.of(low),
        high=None if high is None else Value.of(high),
        key_low=found.get("key_low"),
        key_high=found.get("key_high"),
        nulls=found.get("nulls") or 0,
    )


def _rows(side: Side, question: Question, relation: str) -> str:
    """Return what tells a table's rows: counted where a decision hangs on it, else estimated."""
    if side is Side.TARGET and question.counts_rows:
        return f"(select count(*) from {relation})"  # noqa: S608
    # Never analysed, or small: counting so far costs little.
    few = _FEW if question.counts_rows else _FEWEST
    counted = f"(select count(*) from (select from {relation} limit {few}) as few)"  # noqa: S608
    name = names.literal(names.table(question.ref))
    return f"coalesce(nullif({_ESTIMATE.format(name=name)}, 0), {counted})"


_ESTIMATE = """(
    select coalesce(sum(greatest(l.reltuples, 0)), 0)::bigint from pg_class l
    where l.relkind <> 'p'
      and (l.oid = {name}::regclass or l.oid in (select relid from pg_partition_tree({name})))
)"""


async def summarise_table(
    connection: Connection, table: TablePlan, statement: Statement | None
) -> Summary:
    """Execute a summary; its statement has no time limit, since it reads whole tables."""
    assert statement is not None  # noqa: S101 - every plan has its summaries
    parameters = (value.scalar for value in statement.parameters)
    row = await connection.fetchrow(statement.sql, *parameters, timeout=None)
    return read_summary(dict(row or {}), [column.name for column in table.columns])
