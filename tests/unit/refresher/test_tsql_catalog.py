"""Rows of SQL Server's catalogs as tables."""

import pytest

from refresher.domain.catalog import ForeignKey, Key, Table, TableRef, TypeKind
from refresher.domain.tsql_catalog import (
    Row,
    TableRows,
    allows_snapshots,
    build_table,
    capabilities,
    named_as_asked,
)
from refresher.domain.values import Value, ValueType
from tests.support.tds.catalogs import column

_REF = TableRef("dbo", "Orders")
_SERVER: Row = {
    "version": "16.0.4165.4",
    "engine": 3,
    "snapshot_state": 1,
    "is_read_only": False,
    "updateability": "READ_WRITE",
}
_TABLE: Row = {
    "temporal_type": 0,
    "is_memory_optimized": False,
    "is_replicated": False,
    "is_tracked_by_cdc": False,
    "has_full_text": 0,
    "estimated_rows": 10,
    "estimated_bytes": 8192,
    "grants": 0,
    "lob_space": None,
}
_COLUMNS = (
    column("id", "bigint", is_nullable=False, seed="1", increment="1"),
    column("name", "nvarchar", max_length=-1, collation_name="Latin1_General_CI_AS"),
    column("day", "date", is_nullable=False),
)


def _index(number: int, name: str, kind: int, **more: object) -> Row:
    return {
        "index_id": number,
        "name": name,
        "kind": kind,
        "is_unique": False,
        "is_primary_key": False,
        "is_unique_constraint": False,
        "filter_definition": None,
        "is_disabled": False,
        "fill_factor": 0,
        "ignore_dup_key": False,
        "space": "PRIMARY",
        "space_type": "FG",
        "compression": "NONE",
        "other_compression": "NONE",
        **more,
    }


def _part(number: int, name: str, ordinal: int, **more: object) -> Row:
    return {
        "index_id": number,
        "name": name,
        "key_ordinal": ordinal,
        "is_included_column": False,
        "is_descending_key": False,
        "partition_ordinal": 0,
        **more,
    }


_KEY = _index(1, "PK_Orders", 1, is_unique=True, is_primary_key=True)


def _built(server: Row = _SERVER, **more: object) -> Table:
    values: dict[str, object] = {
        "ref": _REF,
        "table": _TABLE,
        "columns": _COLUMNS,
        "indexes": (_KEY,),
        "index_columns": (_part(1, "id", 1),),
        **more,
    }
    able = {"switch", "statistics"}
    return build_table(TableRows(**values), server, able=able)  # type: ignore[arg-type]


def test_columns_are_spelled_as_create_table_takes_them() -> None:
    columns = (
        column("a", "decimal", digits=18, scale=2),
        column("b", "varchar", max_length=20, code_page=1252),
        column("c", "nchar", max_length=20),
        column("d", "datetime2", scale=3),
        column("e", "varbinary", max_length=-1),
        column("f", "float", digits=53),
        column("g", "int"),
    )
    table = _built(columns=columns, indexes=(), index_columns=())
    assert [found.type for found in table.columns] == [
        "decimal(18,2)",
        "varchar(20)",
        "nchar(10)",
        "datetime2(3)",
        "varbinary(max)",
        "float(53)",
        "int",
    ]
    assert table.columns[1].facts == {"code_page": "1252"}
    assert table.columns[0].kind is TypeKind.NUMERIC


@pytest.mark.parametrize(
    "row",
    [
        column("c", "int", is_computed=True, computed="([a]+(1))"),
        column("c", "timestamp"),
        column("c", "sql_variant"),
        column("c", "datetime2", generated_always_type=1),
    ],
)
def test_what_the_server_fills_or_nothing_can_bring_is_not_carried(row: Row) -> None:
    table = _built(columns=(*_COLUMNS, row))
    assert table.columns[-1].is_computed


def test_a_text_that_a_check_holds_to_json_is_json() -> None:
    check: Row = {
        "name": "CK",
        "definition": "(isjson([name])>(0))",
        "is_disabled": False,
        "is_not_trusted": False,
    }
    table = _built(checks=(check,))
    assert [found.kind for found in table.columns[:2]] == [TypeKind.INTEGER, TypeKind.JSON]
    off = _built(checks=({**check, "is_disabled": True},))
    assert off.columns[1].kind is TypeKind.TEXT


def test_a_key_becomes_a_constraint_and_an_index_a_definition() -> None:
    index = _index(2, "IX", 2, filter_definition="([id]>(0))", compression="PAGE", fill_factor=80)
    table = _built(
        indexes=(_KEY, {**index, "other_compression": "PAGE"}),
        index_columns=(
            _part(1, "id", 1),
            _part(2, "day", 1, is_descending_key=True),
            _part(2, "name", 0, is_included_column=True),
        ),
    )
    assert table.indexes[0].constraint == "PRIMARY KEY CLUSTERED ([id] ASC) ON [PRIMARY]"
    assert table.indexes[1].definition == (
        "CREATE NONCLUSTERED INDEX {index} ON {table} ([day] DESC) INCLUDE ([name]) "
        "WHERE ([id]>(0)) WITH (FILLFACTOR = 80, DATA_COMPRESSION = PAGE) ON [PRIMARY]"
    )
    assert table.keys == (Key(name="PK_Orders", columns=("id",), is_primary=True),)


def test_columnstores_are_written_in_their_own_way() -> None:
    whole = _index(1, "CCI", 5, compression="COLUMNSTORE", other_compression="COLUMNSTORE")
    some = _index(2, "NCCI", 6)
    table = _built(
        indexes=(whole, some), index_columns=(_part(2, "day", 0, is_included_column=True),)
    )
    assert [index.definition for index in table.indexes] == [
        "CREATE CLUSTERED COLUMNSTORE INDEX {index} ON {table} ON [PRIMARY]",
        "CREATE NONCLUSTERED COLUMNSTORE INDEX {index} ON {table} ([day]) ON [PRIMARY]",
    ]


def test_a_unique_index_over_nulls_is_no_key() -> None:
    index = _index(2, "UX", 2, is_unique=True)
    table = _built(indexes=(index,), index_columns=(_part(2, "name", 1),))
    assert table.keys == ()


def test_references_of_several_columns_are_put_together() -> None:
    def row(name: str, referenced: str) -> Row:
        return {
            "name": "FK",
            "is_disabled": False,
            "is_not_trusted": True,
            "on_delete": "cascade",
            "schema_name": "dbo",
            "table_name": "Lines",
            "referenced_schema": "dbo",
            "referenced_table": "Orders",
            "column_name": name,
            "referenced_column": referenced,
        }

    table = _built(foreign_keys=(row("a", "id"), row("b", "day")))
    assert table.foreign_keys == ()
    assert table.referenced_by == (
        ForeignKey(
            name="FK",
            table=TableRef("dbo", "Lines"),
            columns=("a", "b"),
            references=_REF,
            referenced_columns=("id", "day"),
            on_delete="cascade",
            is_trusted=False,
        ),
    )


def test_a_reference_names_its_tables_as_they_were_asked_for_whatever_their_case() -> None:
    row: Row = {
        "table_id": 2,
        "schema_name": "dbo",
        "table_name": "lines",
        "referenced_id": 1,
        "referenced_schema": "dbo",
        "referenced_table": "orders",
    }
    rows = TableRows(ref=_REF, table=_TABLE, columns=(), foreign_keys=(row,))
    (named,) = named_as_asked(rows, {1: _REF}).foreign_keys
    assert named == {**row, "referenced_table": "Orders"}


def _partitioned(**more: object) -> Table:
    def row(number: int, low: str | None, high: str | None) -> Row:
        return {
            "partition_number": number,
            "is_right": True,
            "type_name": "date",
            "low": low,
            "high": high,
        }

    key = {**_KEY, "space": "ps", "space_type": "PS"}
    parts = (_part(1, "id", 1), _part(1, "day", 2, partition_ordinal=1))
    rows = (row(1, None, "2024-01-01"), row(2, "2024-01-01", None))
    return _built(**{"indexes": (key,), "index_columns": parts, "partitions": rows, **more})  # type: ignore[arg-type]


@pytest.mark.covers("C-27")
def test_partitions_have_bounds_of_their_column_s_type() -> None:
    table = _partitioned()
    assert table.partition_key == ("day",)
    assert [(item.number, item.lower, item.upper) for item in table.partitions] == [
        (1, None, Value(ValueType.DATE, "2024-01-01")),
        (2, Value(ValueType.DATE, "2024-01-01"), None),
    ]
    assert table.facts["space"] == "[ps] ([day])"
    assert table.facts["range"] == "right"


@pytest.mark.covers("C-27")
@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"temporal_type": 2}, "it is temporal"),
        ({"is_memory_optimized": True}, "it is memory-optimized"),
        ({"is_replicated": True}, "it is replicated"),
        ({"is_tracked_by_cdc": True}, "change data capture watches it"),
        ({"has_full_text": 1}, "it has a full-text index"),
        ({"lob_space": "LOBS"}, "its large values lie in another file group"),
    ],
)
def test_what_forbids_a_switch_is_found_in_the_catalogs(
    change: dict[str, object], reason: str
) -> None:
    assert _built(table={**_TABLE, **change}).facts["no_switch"] == reason


def test_an_index_elsewhere_forbids_a_switch() -> None:
    index = _index(2, "IX", 2, space="OTHER")
    table = _built(indexes=(_KEY, index), index_columns=(_part(1, "id", 1), _part(2, "day", 1)))
    assert table.facts["no_switch"] == "its indexes are not aligned with it"


def test_a_view_bound_to_the_schema_forbids_a_switch() -> None:
    table = _built(dependants=({"kind": "view", "name": "dbo.v", "is_bound": True},))
    assert table.facts["no_switch"] == "dbo.v is bound to its schema"
    assert table.dependants == ("view dbo.v",)


@pytest.mark.parametrize(
    ("version", "engine", "expected"),
    [
        ("16.0.4165.4", 3, {"switch", "rename"}),
        ("13.0.4001.0", 2, {"switch", "rename"}),
        ("12.0.2000.8", 3, {"rename"}),
        ("12.0.2000.8", 5, {"switch", "rename"}),
    ],
)
def test_a_server_can_switch_from_2016_on_and_in_azure(
    version: str, engine: int, expected: set[str]
) -> None:
    server = {**_SERVER, "version": version, "engine": engine}
    assert capabilities(server, ["switch", "rename"]) == expected


def test_a_server_can_do_nothing_that_it_does_not_understand_whatever_version_it_claims() -> None:
    assert capabilities({**_SERVER, "version": "16.0.4165.4"}, []) == set()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"snapshot_state": 0}, False),
        ({"snapshot_state": 0, "updateability": "READ_ONLY"}, True),
        ({"snapshot_state": 0, "is_read_only": True}, True),
    ],
)
def test_a_database_that_does_not_change_needs_no_snapshot(
    change: dict[str, object], *, expected: bool
) -> None:
    assert allows_snapshots({**_SERVER, **change}) is expected
