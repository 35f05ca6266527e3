"""Reads PostgreSQL's catalogs into the form that plans are made of.

Texts come fully qualified, because the reader's `search_path` is empty of user schemas, and bounds
come in UTC.
"""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from chassis.db import Connection
from refresher.adapters.postgres_catalog_sql import CATALOG
from refresher.domain.catalog import (
    Catalog,
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
from refresher.domain.catalog import (
    Sequence as DatabaseSequence,
)
from refresher.domain.values import Value

_KINDS = {
    "text": TypeKind.TEXT,
    "varchar": TypeKind.TEXT,
    "bpchar": TypeKind.TEXT,
    "name": TypeKind.TEXT,
    "citext": TypeKind.TEXT,
    "int2": TypeKind.INTEGER,
    "int4": TypeKind.INTEGER,
    "int8": TypeKind.INTEGER,
    "numeric": TypeKind.NUMERIC,
    "float4": TypeKind.FLOAT,
    "float8": TypeKind.FLOAT,
    "bool": TypeKind.BOOLEAN,
    "date": TypeKind.DATE,
    "timestamp": TypeKind.TIMESTAMP,
    "timestamptz": TypeKind.TIMESTAMPTZ,
    "time": TypeKind.TIME,
    "uuid": TypeKind.UUID,
    "json": TypeKind.JSON,
    "jsonb": TypeKind.JSON,
    "bytea": TypeKind.BINARY,
}
_HEADER = 4  # what PostgreSQL adds to the length in a type modifier
_FIRST_USER_OID = 16384
_TRIGGER_STATES = {"O": "enabled", "D": "disabled", "R": "replica", "A": "always"}
_IDENTITY = {"a": "always", "d": "by default"}
_ACTIONS = {"a": "no action", "r": "restrict", "c": "cascade", "n": "set null", "d": "set default"}


_QUIETLY = """
begin read only;
set local search_path = pg_catalog;
set local jit = off;
set local enable_hashjoin = off;
set local enable_mergejoin = off
"""
"""Few rows of large catalogs: planning all the ways of joining them would take most of the time."""


async def read_catalog(connection: Connection, tables: Collection[TableRef]) -> Catalog:
    """Return what the catalogs say; a table that is missing or may not be read is left out."""
    await connection.execute(_QUIETLY)
    try:
        found = await connection.fetchval(
            CATALOG, [ref.schema for ref in tables], [ref.name for ref in tables]
        )
    finally:
        await connection.execute("rollback")
    version = connection.get_server_version()
    return Catalog(
        tables={table.ref: table for table in _tables(json.loads(found))},
        version=f"{version.major}.{version.minor}",
    )


def _tables(aspects: Mapping[str, list[Any]]) -> list[Table]:
    grouped = {
        name: _group(rows, "parent" if name == "leaves" else "oid")
        for name, rows in aspects.items()
    }
    parts = _Parts(grouped)
    return [parts.table(row) for row in aspects["heads"]]


def _group(rows: Collection[Any], key: str) -> Mapping[int, list[Any]]:
    grouped: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row[key]].append(row)
    return grouped


class _Parts:
    """The rows of every query, by table."""

    def __init__(self, rows: Mapping[str, Mapping[int, list[Any]]]) -> None:
        self._rows = rows

    def table(self, row: Any) -> Table:
        oid = row["oid"]
        columns = tuple(_column(item) for item in self._of("columns", oid))
        return Table(
            ref=TableRef(row["schema"], row["name"]),
            columns=columns,
            keys=tuple(_keys(self._of("constraints", oid), columns)),
            indexes=self._indexes(oid),
            foreign_keys=self._references("constraints", oid),
            referenced_by=self._references("referenced", oid),
            checks=tuple(_checks(self._of("constraints", oid))),
            triggers=tuple(
                Trigger(
                    name=item["name"],
                    definition=item["definition"],
                    state=_TRIGGER_STATES[item["state"]],
                )
                for item in self._of("triggers", oid)
            ),
            sequences=tuple(
                DatabaseSequence(
                    column=item["column"],
                    ref=TableRef(item["schema"], item["name"]),
                    is_owned=item["is_owned"],
                )
                for item in self._of("sequences", oid)
            ),
            partition_key=tuple(row["partition_key"] or ()),
            partitions=self._partitions(oid, columns, row),
            dependants=tuple(row["dependants"] or ()),
            facts=_facts(row, self._of("leaves", oid)),
            estimated_rows=max(int(row["estimated_rows"]), 0),
            estimated_bytes=int(row["estimated_bytes"]),
        )

    def _of(self, what: str, oid: int) -> list[Any]:
        return self._rows[what].get(oid, [])

    def _indexes(self, oid: int) -> tuple[Index, ...]:
        return tuple(
            Index(
                name=item["name"],
                columns=tuple(item["columns"]),
                definition=item["definition"],
                is_unique=item["is_unique"],
                constraint=item["constraint"],
            )
            for item in self._of("indexes", oid)
        )

    def _references(self, what: str, oid: int) -> tuple[ForeignKey, ...]:
        return tuple(
            ForeignKey(
                name=item["name"],
                table=TableRef(item["schema"], item["table"]),
                columns=tuple(item["columns"]),
                references=TableRef(item["other_schema"], item["other_table"]),
                referenced_columns=tuple(item["other_columns"]),
                definition=item["definition"],
                on_delete=_ACTIONS[item["on_delete"]],
                is_trusted=item["is_trusted"],
            )
            for item in self._of(what, oid)
            if item["type"] == "f"
        )

    def _partitions(self, oid: int, columns: Sequence[Column], row: Any) -> tuple[Partition, ...]:
        names: list[str] = list(row["partition_key"] or ())
        key = next((item for item in columns if len(names) == 1 and item.name == names[0]), None)
        found = []
        for number, leaf in enumerate(self._of("leaves", oid)):
            lower, upper = _bounds(leaf["bound"], key)
            found.append(
                Partition(
                    ref=TableRef(leaf["schema"], leaf["name"]),
                    number=number,
                    bound=leaf["bound"],
                    lower=lower,
                    upper=upper,
                    is_default=leaf["bound"] == "DEFAULT",
                    foreign_keys=self._references("constraints", leaf["oid"]),
                    indexes=self._indexes(leaf["oid"]),
                    facts={
                        "constraint": leaf["constraint"] or "true",
                        "grants": leaf["grants"] or "",
                        **({"triggers": "own"} if self._of("triggers", leaf["oid"]) else {}),
                    },
                )
            )
        return tuple(found)


def _facts(row: Any, leaves: Sequence[Any]) -> dict[str, str]:
    facts = {"owner": row["owner"]}
    for name in ("grants", "options", "replica_index"):
        if row[name]:
            facts[name] = row[name]
    if row["replica_identity"] != "d":
        facts["replica_identity"] = row["replica_identity"]
    if row["partition_by"]:
        facts["partition_by"] = row["partition_by"]
    if any(leaf["is_parent"] for leaf in leaves):
        facts["levels"] = "many"
    return facts


def _column(row: Any) -> Column:
    modifier, base = row["modifier"], row["base"]
    kind = _KINDS.get(base, TypeKind.OTHER)
    has_length = base in ("varchar", "bpchar") and modifier >= _HEADER
    precision = scale = None
    if base == "numeric" and modifier >= _HEADER:
        precision, scale = (modifier - _HEADER) >> 16, (modifier - _HEADER) & 0x7FF
    # Arrays and composites carry the numbers of their types, which no two databases share.
    portable = row["type_class"] != "c" and row["element"] < _FIRST_USER_OID
    return Column(
        name=row["name"],
        type=row["type"],
        kind=kind,
        is_nullable=not row["not_null"],
        default=row["default"],
        length=modifier - _HEADER if has_length else None,
        precision=precision,
        scale=scale,
        collation=row["collation"],
        identity=_IDENTITY.get(row["identity"]),
        is_computed=bool(row["generated"]),
        facts={"base": base} if portable else {"base": base, "binary": "no"},
    )


def _keys(rows: Sequence[Any], columns: Sequence[Column]) -> list[Key]:
    nullable = {column.name for column in columns if column.is_nullable}
    keys = [
        Key(name=row["name"], columns=tuple(row["columns"]), is_primary=row["type"] == "p")
        for row in rows
        if row["type"] in ("p", "u")
    ]
    return [key for key in keys if not nullable & set(key.columns)]


def _checks(rows: Sequence[Any]) -> list[Check]:
    return [
        Check(name=row["name"], definition=row["definition"], is_trusted=row["is_trusted"])
        for row in rows
        if row["type"] == "c"
    ]


_RANGE = re.compile(r"^FOR VALUES FROM \((?P<low>.+?)\) TO \((?P<high>.+?)\)$")


def _bounds(bound: str, key: Column | None) -> tuple[Value | None, Value | None]:
    """Return the bounds of a range over one column; nothing for every other partition."""
    found = _RANGE.match(bound)
    if found is None or key is None:
        return None, None
    return _bound(found["low"], key.kind), _bound(found["high"], key.kind)


def _bound(text: str, kind: TypeKind) -> Value | None:
    if text in ("MINVALUE", "MAXVALUE"):
        return None
    plain = text.strip("'")
    match kind:
        case TypeKind.INTEGER:
            return Value.of(int(plain))
        case TypeKind.NUMERIC:
            return Value.of(Decimal(plain))
        case TypeKind.DATE:
            return Value.of(date.fromisoformat(plain))
        case TypeKind.TIMESTAMP | TypeKind.TIMESTAMPTZ:
            return Value.of(datetime.fromisoformat(plain))
        case _:
            return None
