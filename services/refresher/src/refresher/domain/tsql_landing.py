"""Tables of our own, and the detour of columns that the driver cannot bring exactly.

Such a column lands as text or bytes in a table beside staging, and the server itself converts it.
"""

from refresher.domain import tsql_names as names
from refresher.domain import tsql_types as types
from refresher.domain.catalog import TableRef
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import Swap, TablePlan
from refresher.domain.statements import Statement
from refresher.domain.tsql_names import quote
from refresher.domain.tsql_reading import landing_columns, load_ref


def own_schema() -> str:
    """Return what makes the schema of our own tables, if it is not there."""
    create = names.literal(f"CREATE SCHEMA {quote(names.OWN_SCHEMA)}")
    return f"IF SCHEMA_ID({names.literal(names.OWN_SCHEMA)}) IS NULL EXECUTE({create})"


def drop(ref: TableRef) -> str:
    """Return what removes a table of ours."""
    return f"DROP TABLE IF EXISTS {names.table(ref)}"


def statistics(draft: TableDraft, ref: TableRef, purpose: str) -> tuple[Statement, ...]:
    """Return what gathers a table's statistics, on servers that are told when to."""
    if draft.target.facts.get("statistics") == "no":
        return ()
    return (_of(draft, f"UPDATE STATISTICS {names.table(ref)}", purpose),)


def landing_statements(draft: TableDraft, plan: TablePlan) -> tuple[Statement, ...]:
    """Return what makes the table where columns land that the driver cannot bring exactly."""
    landing = landing_columns(draft.columns, {mask.column for mask in draft.masks})
    if not landing:
        return ()
    collations = {column.name: column.collation for column in draft.target.columns}

    def declare(name: str, kind: str) -> str:
        collation = collations.get(name) if name not in landing else None
        return f"{quote(name)} {kind}{f' COLLATE {collation}' if collation else ''} NULL"

    columns = ", ".join(
        declare(column.name, landing.get(column.name, column.type)) for column in draft.columns
    )
    place = names.table(load_ref(plan))
    return (
        _of(draft, f"DROP TABLE IF EXISTS {place}", "remove an older landing table"),
        _of(draft, f"CREATE TABLE {place} ({columns})", "make the landing table"),
    )


def arrival_statements(draft: TableDraft, plan: TablePlan) -> tuple[Statement, ...]:
    """Return what brings landed rows to staging with every digit."""
    landing = landing_columns(draft.columns, {mask.column for mask in draft.masks})
    if not landing:
        return ()
    place = names.table(load_ref(plan))
    columns = names.listed(column.name for column in draft.columns)
    converted = ", ".join(
        types.arrive(quote(column.name), column.type)
        if column.name in landing
        else quote(column.name)
        for column in draft.columns
    )
    into = f"INSERT INTO {names.table(plan.staging)} WITH (TABLOCK) ({columns})"
    carried = {column.name for column in draft.columns}
    drawn = any(column.identity and column.name in carried for column in draft.target.columns)
    keep = f"SET IDENTITY_INSERT {names.table(plan.staging)}"
    is_twin = plan.swap in (Swap.PARTITIONS, Swap.RENAME) and drawn
    return (
        *([_of(draft, f"{keep} ON", "allow numbers to be given")] if is_twin else []),
        _of(draft, f"{into} SELECT {converted} FROM {place}", "bring landed rows to staging"),  # noqa: S608
        *([_of(draft, f"{keep} OFF", "numbers are drawn again")] if is_twin else []),
        _of(draft, f"DROP TABLE {place}", "remove the landing table"),
    )


def _of(draft: TableDraft, sql: str, purpose: str) -> Statement:
    return Statement(sql=sql, purpose=purpose, table=draft.config.name)
