"""SQL Server's catalog rows as the one form that the planner compares: pure, so that it is tested
without a server.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeAlias

from refresher.domain import tsql_types as types
from refresher.domain.catalog import (
    Check,
    Column,
    ForeignKey,
    Index,
    Key,
    Partition,
    Table,
    TableRef,
    Trigger,
    TypeKind,
)
from refresher.domain.tsql_names import listed, quote
from refresher.domain.values import Value, ValueType

Row: TypeAlias = Mapping[str, Any]

_CLUSTERED, _CLUSTERED_COLUMNSTORE, _NONCLUSTERED_COLUMNSTORE = 1, 5, 6
_HEAP, _ROWSTORE = 0, (1, 2)
_OLDEST_SWITCH = 13
"""SQL Server 2016: from its first service pack every edition has partitions."""

_AZURE = (5, 8)
_BOUNDS = {
    TypeKind.INTEGER: ValueType.INTEGER,
    TypeKind.NUMERIC: ValueType.NUMERIC,
    TypeKind.DATE: ValueType.DATE,
    TypeKind.TIMESTAMP: ValueType.TIMESTAMP,
    TypeKind.TIMESTAMPTZ: ValueType.TIMESTAMPTZ,
    TypeKind.TEXT: ValueType.TEXT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """What the catalogs say about one table."""

    ref: TableRef
    table: Row
    columns: Sequence[Row]
    indexes: Sequence[Row] = ()
    index_columns: Sequence[Row] = ()
    checks: Sequence[Row] = ()
    foreign_keys: Sequence[Row] = ()
    triggers: Sequence[Row] = ()
    partitions: Sequence[Row] = ()
    dependants: Sequence[Row] = ()


def capabilities(server: Row, understood: Collection[str]) -> frozenset[str]:
    """Return what the dialect may use on a server that understood these probes."""
    major = int(server["version"].split(".")[0])
    is_new = major >= _OLDEST_SWITCH or server["engine"] in _AZURE
    return frozenset(probe for probe in understood if is_new or probe != "switch")


def allows_snapshots(server: Row) -> bool:
    """Return whether one state of the database can be read by several statements."""
    read_only = bool(server["is_read_only"]) or server["updateability"] == "READ_ONLY"
    return server["snapshot_state"] == 1 or read_only


def named_as_asked(rows: TableRows, asked: Mapping[int, TableRef]) -> TableRows:
    """Return rows whose references name tables as they were asked for, by their ids.

    Where names do not distinguish case, the catalogs may write a table in another way than the
    configuration does, and a reference would seem to lead to another table.
    """

    def named(row: Row) -> Row:
        parent, other = asked.get(row["table_id"]), asked.get(row["referenced_id"])
        return {
            **row,
            **({"schema_name": parent.schema, "table_name": parent.name} if parent else {}),
            **(
                {"referenced_schema": other.schema, "referenced_table": other.name} if other else {}
            ),
        }

    return replace(rows, foreign_keys=[named(row) for row in rows.foreign_keys])


def build_table(rows: TableRows, server: Row, *, able: Collection[str]) -> Table:
    """Return one table of a server that is able to do what `capabilities` says."""
    columns = tuple(_as_json(_column(row), rows.checks) for row in rows.columns)
    indexes = tuple(_index(rows, row) for row in rows.indexes if row["kind"] != _HEAP)
    keys = _foreign_keys(rows.foreign_keys)
    partition_key = _partition_key(rows)
    return Table(
        ref=rows.ref,
        columns=columns,
        keys=tuple(_keys(rows, {column.name: column for column in columns})),
        indexes=indexes,
        foreign_keys=tuple(key for key in keys if key.table == rows.ref),
        referenced_by=tuple(key for key in keys if key.references == rows.ref),
        checks=tuple(_check(row) for row in rows.checks),
        triggers=tuple(_trigger(row) for row in rows.triggers),
        partition_key=partition_key,
        partitions=tuple(_partition(rows.ref, row) for row in rows.partitions),
        dependants=tuple(f"{row['kind']} {row['name']}" for row in rows.dependants),
        facts=_facts(rows, server, able=able),
        estimated_rows=rows.table["estimated_rows"] or 0,
        estimated_bytes=rows.table["estimated_bytes"] or 0,
    )


# --- columns -----------------------------------------------------------------------------------
def _column(row: Row) -> Column:
    name = row["type_name"]
    kind = types.KINDS.get(name, TypeKind.OTHER)
    text = types.spell(
        name, max_length=row["max_length"], precision=row["digits"], scale=row["scale"]
    )
    facts = {
        "computed": row["computed"],
        "persisted": "yes" if row["is_persisted"] else None,
        "rowguidcol": "yes" if row["is_rowguidcol"] else None,
        "sparse": "yes" if row["is_sparse"] else None,
        "code_page": str(row["code_page"]) if row["code_page"] else None,
    }
    return Column(
        name=row["name"],
        type=text,
        kind=kind,
        is_nullable=bool(row["is_nullable"]),
        default=row["default_definition"],
        length=types.parts(text).size if kind in (TypeKind.TEXT, TypeKind.BINARY) else None,
        precision=row["digits"] or None,
        scale=row["scale"] if row["digits"] else None,
        collation=row["collation_name"],
        identity=f"{row['seed']},{row['increment']}" if row["seed"] is not None else None,
        # No way brings a `sql_variant` across, and nobody but the server writes a rowversion.
        is_computed=bool(row["is_computed"])
        or bool(row["generated_always_type"])
        or name in ("timestamp", "sql_variant"),
        facts={key: value for key, value in facts.items() if value is not None},
    )


def _as_json(column: Column, checks: Sequence[Row]) -> Column:
    """Return a text as JSON where a check says so: SQL Server had no such type before 2025."""
    proof = re.compile(rf"isjson\({re.escape(quote(column.name))}", re.IGNORECASE)
    says_so = any(proof.search(row["definition"]) for row in checks if not row["is_disabled"])
    return replace(column, kind=TypeKind.JSON) if says_so else column


# --- indexes -----------------------------------------------------------------------------------
def _index(rows: TableRows, row: Row) -> Index:
    parts = [part for part in rows.index_columns if part["index_id"] == row["index_id"]]
    keys = [part for part in parts if part["key_ordinal"] and not part["is_included_column"]]
    is_clustered = row["kind"] in (_CLUSTERED, _CLUSTERED_COLUMNSTORE)
    is_key = row["is_primary_key"] or row["is_unique_constraint"]
    return Index(
        name=row["name"],
        columns=tuple(part["name"] for part in keys),
        definition="" if is_key else _definition(rows, row, parts, keys),
        is_unique=bool(row["is_unique"]),
        constraint=_constraint(rows, row, keys) if is_key else None,
        facts={"clustered": "yes"} if is_clustered else {},
    )


def _constraint(rows: TableRows, row: Row, keys: Sequence[Row]) -> str:
    kind = "PRIMARY KEY" if row["is_primary_key"] else "UNIQUE"
    clustered = "CLUSTERED" if row["kind"] == _CLUSTERED else "NONCLUSTERED"
    return f"{kind} {clustered} ({_ordered(keys)}){_options(row)}{_on(rows, row)}"


def _definition(rows: TableRows, row: Row, parts: Sequence[Row], keys: Sequence[Row]) -> str:
    place = f"{_options(row)}{_on(rows, row)}"
    if row["kind"] == _CLUSTERED_COLUMNSTORE:
        return f"CREATE CLUSTERED COLUMNSTORE INDEX {{index}} ON {{table}}{place}"
    if row["kind"] == _NONCLUSTERED_COLUMNSTORE:
        columns = listed(part["name"] for part in parts if part["is_included_column"])
        head = f"CREATE NONCLUSTERED COLUMNSTORE INDEX {{index}} ON {{table}} ({columns})"
        return f"{head}{_filter(row)}{place}"
    unique = "UNIQUE " if row["is_unique"] else ""
    clustered = "CLUSTERED" if row["kind"] == _CLUSTERED else "NONCLUSTERED"
    head = f"CREATE {unique}{clustered} INDEX {{index}} ON {{table}} ({_ordered(keys)})"
    included = [part["name"] for part in parts if part["is_included_column"]]
    include = f" INCLUDE ({listed(included)})" if included else ""
    return f"{head}{include}{_filter(row)}{place}"


def _ordered(keys: Sequence[Row]) -> str:
    return ", ".join(
        f"{quote(key['name'])} {'DESC' if key['is_descending_key'] else 'ASC'}" for key in keys
    )


def _filter(row: Row) -> str:
    return f" WHERE {row['filter_definition']}" if row["filter_definition"] else ""


def _options(row: Row) -> str:
    options = []
    if row["kind"] in _ROWSTORE:
        if row["fill_factor"]:
            options.append(f"FILLFACTOR = {row['fill_factor']}")
        if row["ignore_dup_key"]:
            options.append("IGNORE_DUP_KEY = ON")
    if row["compression"] and row["compression"] not in ("NONE", "COLUMNSTORE"):
        options.append(f"DATA_COMPRESSION = {row['compression']}")
    return f" WITH ({', '.join(options)})" if options else ""


def _on(rows: TableRows, row: Row) -> str:
    space = _space(rows, row)
    return f" ON {space}" if space else ""


def _space(rows: TableRows, row: Row) -> str | None:
    """Return where an index lies: a file group, or a partition scheme and its column."""
    if row["space"] is None:
        return None
    if row["space_type"] != "PS":
        return quote(row["space"])
    by = [
        part["name"]
        for part in rows.index_columns
        if part["index_id"] == row["index_id"] and part["partition_ordinal"]
    ]
    return f"{quote(row['space'])} ({listed(by)})"


def _keys(rows: TableRows, columns: Mapping[str, Column]) -> list[Key]:
    found = []
    for row in rows.indexes:
        names = tuple(
            part["name"]
            for part in rows.index_columns
            if part["index_id"] == row["index_id"] and part["key_ordinal"]
        )
        is_whole = row["is_unique"] and not row["filter_definition"] and not row["is_disabled"]
        if is_whole and names and not any(columns[name].is_nullable for name in names):
            found.append(
                Key(name=row["name"], columns=names, is_primary=bool(row["is_primary_key"]))
            )
    return sorted(found, key=lambda key: not key.is_primary)


# --- the rest ----------------------------------------------------------------------------------
def _check(row: Row) -> Check:
    return Check(
        name=row["name"],
        definition=row["definition"],
        is_trusted=not row["is_not_trusted"],
        is_enabled=not row["is_disabled"],
    )


def _trigger(row: Row) -> Trigger:
    return Trigger(
        name=row["name"],
        definition=row["definition"] or "",
        state="disabled" if row["is_disabled"] else "enabled",
    )


def _foreign_keys(rows: Sequence[Row]) -> list[ForeignKey]:
    def name(row: Row) -> tuple[str, str, str]:
        return row["name"], row["schema_name"], row["table_name"]

    found = []
    for _, group in groupby(rows, key=name):
        parts = list(group)
        first = parts[0]
        found.append(
            ForeignKey(
                name=first["name"],
                table=TableRef(first["schema_name"], first["table_name"]),
                columns=tuple(part["column_name"] for part in parts),
                references=TableRef(first["referenced_schema"], first["referenced_table"]),
                referenced_columns=tuple(part["referenced_column"] for part in parts),
                on_delete=first["on_delete"],
                is_trusted=not first["is_not_trusted"],
                is_enabled=not first["is_disabled"],
            )
        )
    return found


def _partition_key(rows: TableRows) -> tuple[str, ...]:
    return tuple(
        part["name"]
        for part in rows.index_columns
        if rows.partitions and part["partition_ordinal"] and part["index_id"] in (0, 1)
    )


def _partition(ref: TableRef, row: Row) -> Partition:
    kind = _BOUNDS.get(types.KINDS.get(row["type_name"], TypeKind.OTHER), ValueType.TEXT)
    low, high = row["low"], row["high"]
    side = "RIGHT" if row["is_right"] else "LEFT"
    return Partition(
        ref=ref,
        number=row["partition_number"],
        bound=f"RANGE {side} {low or '..'} {high or '..'}",
        lower=None if low is None else Value(kind, low),
        upper=None if high is None else Value(kind, high),
    )


def _facts(rows: TableRows, server: Row, *, able: Collection[str]) -> dict[str, str]:
    base = next((row for row in rows.indexes if row["index_id"] in (0, 1)), None)
    facts = {
        "switch": "yes" if "switch" in able else "no",
        "statistics": None if "statistics" in able else "no",
        "snapshot": "yes" if allows_snapshots(server) else "no",
        "grants": str(rows.table["grants"]) if rows.table["grants"] else None,
        "space": _space(rows, base) if base else None,
        "no_switch": _obstacle(rows, base),
        "range": None
        if not rows.partitions
        else "right"
        if rows.partitions[0]["is_right"]
        else "left",
    }
    return {name: value for name, value in facts.items() if value is not None}


def _obstacle(rows: TableRows, base: Row | None) -> str | None:
    """Return what the catalogs say against a switch, before any row is loaded."""
    table = rows.table
    spaces = {_space(rows, row) for row in rows.indexes if row["space"] is not None}
    bound = [row["name"] for row in rows.dependants if row["is_bound"]]
    lob = table["lob_space"]
    reasons = (
        (table["temporal_type"], "it is temporal"),
        (table["is_memory_optimized"], "it is memory-optimized"),
        (table["is_replicated"], "it is replicated"),
        (table["is_tracked_by_cdc"], "change data capture watches it"),
        (table["has_full_text"], "it has a full-text index"),
        (any(row["is_disabled"] for row in rows.indexes), "an index is disabled"),
        (
            any(
                row["kind"] not in (_HEAP, *_ROWSTORE, _CLUSTERED_COLUMNSTORE, 6)
                for row in rows.indexes
            ),
            "it has an xml, spatial or hash index",
        ),
        (len(spaces) > 1, "its indexes are not aligned with it"),
        (
            any(row["compression"] != row["other_compression"] for row in rows.indexes),
            "its partitions are compressed in different ways",
        ),
        (
            base is not None
            and base["kind"] == _HEAP
            and base["compression"] not in (None, "NONE"),
            "it is a compressed heap",
        ),
        (
            lob is not None and base is not None and lob != base["space"],
            "its large values lie in another file group",
        ),
        (bound, f"{', '.join(bound[:1])} is bound to its schema"),
    )
    return next((reason for holds, reason in reasons if holds), None)
