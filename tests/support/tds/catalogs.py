"""Scripted answers to the questions that the refresher asks of SQL Server's catalogs.

Each rule is known by a table of the catalog that only its query reads; the columns are those of the
query, so that a query that asks for another one fails here.
"""

from collections.abc import Mapping, Sequence

from tests.support.tds.cells import Value
from tests.support.tds.script import Done, Fail, Rows, Rule

Cells = Mapping[str, Value]

_KINDS = {
    str: "nvarchar(max)",
    int: "bigint",
    bool: "bit",
    float: "float",
    type(None): "nvarchar(max)",
}


def rows(*records: Cells, empty: Sequence[str] = ()) -> Rows:
    """Return records as a result set; with none, a result of the columns in `empty`."""
    if not records:
        return Rows(dict.fromkeys(empty or ("nothing",), "int"))
    kinds = {
        name: _KINDS[type(next((r[name] for r in records if r[name] is not None), None))]
        for name in records[0]
    }
    return Rows(kinds, tuple(tuple(record.values()) for record in records))


def server(*, version: str = "16.0.4165.4", snapshot: int = 1) -> tuple[Rule, ...]:
    """Return what the server says about itself, and that it knows the statements of the probes."""
    record: Cells = {
        "version": version,
        "engine": 3,
        "snapshot_state": snapshot,
        "is_read_only": False,
        "updateability": "READ_WRITE",
        "tells_sizes": 1,
    }
    return (
        Rule("snapshot_isolation_state", (rows(record),)),
        Rule(r"alter table \[penstock_refresh\].\[probe\]", (Fail(4902, "Cannot find it."),)),
        # They would fail like the first, but a script answers `@@error` only where a test says how.
        Rule(r"(alter schema|update statistics) .*\[probe\]", (Done(),)),
    )


def identity(name: str, *, marker: str | None, powers: Sequence[str] = ()) -> tuple[Rule, ...]:
    """Return who a database says it is."""
    record: Cells = {
        "server": "SQL1",
        "database_name": name,
        "broker": "6f9619ff-8b86-d011-b42d-00c04fc964ff",
        "created": "2024-01-01T00:00:00",
        "login": "somebody",
        "version": "16.0.4165.4",
        "marker": marker,
    }
    able: list[Cells] = [{"power": power} for power in powers]
    return (
        Rule("has_perms_by_name", (rows(*able, empty=("power",)),)),
        Rule("service_broker_guid", (rows(record),)),
    )


def column(name: str, kind: str, **more: Value) -> Cells:
    """Return a row of the query of columns."""
    record: dict[str, Value] = {
        "name": name,
        "type_name": kind,
        "max_length": 4,
        "digits": 0,
        "scale": 0,
        "is_nullable": True,
        "collation_name": None,
        "seed": None,
        "increment": None,
        "is_computed": False,
        "computed": None,
        "is_persisted": None,
        "is_rowguidcol": False,
        "is_sparse": False,
        "generated_always_type": 0,
        "default_definition": None,
        "code_page": None,
    }
    return record | more


def orders() -> tuple[Rule, ...]:
    """Return what the catalogs say about a table of three columns and a primary key."""
    table: Cells = {
        "id": 1,
        "temporal_type": 0,
        "is_memory_optimized": False,
        "is_replicated": False,
        "is_tracked_by_cdc": False,
        "has_full_text": 0,
        "uses_ansi_nulls": True,
        "estimated_rows": 3,
        "grants": 0,
        "lob_space": None,
    }
    key: Cells = {
        "index_id": 1,
        "name": "PK_Orders",
        "kind": 1,
        "is_unique": True,
        "is_primary_key": True,
        "is_unique_constraint": False,
        "filter_definition": None,
        "is_disabled": False,
        "fill_factor": 0,
        "ignore_dup_key": False,
        "space": "PRIMARY",
        "space_type": "FG",
        "compression": "NONE",
        "other_compression": "NONE",
    }
    part: Cells = {
        "index_id": 1,
        "name": "id",
        "key_ordinal": 1,
        "is_included_column": False,
        "is_descending_key": False,
        "partition_ordinal": 0,
    }
    columns = (
        column("id", "int", is_nullable=False, seed="1", increment="1"),
        column("name", "nvarchar", max_length=100, collation_name="Latin1_General_CI_AS"),
        column("changed", "datetime2", max_length=7, digits=23, scale=3),
    )
    return (
        Rule("from sys.check_constraints", (rows(),)),
        Rule("from sys.foreign_keys", (rows(),)),
        Rule("from sys.triggers", (rows(),)),
        Rule("sys.partition_schemes", (rows(),)),
        Rule("sys.sql_expression_dependencies", (rows(),)),
        Rule("from sys.index_columns", (rows(part),)),
        Rule("from sys.indexes", (rows(key),)),
        Rule("from sys.columns", (rows(*columns),)),
        Rule("sys.allocation_units", (rows({"estimated_bytes": 8192}),)),
        Rule("from sys.tables as t left join", (rows(table),)),
    )
