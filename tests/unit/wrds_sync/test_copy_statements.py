"""The statements that read a table."""

from datetime import date

import pytest

from wrds_sync.domain.columns import (
    hash_method,
    is_worth_binary,
    literal,
    plan_columns,
    select_statement,
    statistics_statement,
)
from wrds_sync.domain.tables import PartitionRange, Selection, TableRef
from wrds_sync.domain.types import CatalogColumn
from wrds_sync.errors import DatasetConfigError

TABLE = TableRef("crsp", "dsf")
CATALOG = (
    CatalogColumn(name="permno", source_type="double precision", base_type="float8"),
    CatalogColumn(name="date", source_type="date", base_type="date"),
    CatalogColumn(name="note", source_type="json", base_type="json"),
    CatalogColumn(name="amount", source_type="numeric", base_type="numeric"),
)


def test_a_year_is_a_half_open_range_that_an_index_can_serve() -> None:
    selection = Selection(
        table=TABLE, date_column="date", columns=("date", "permno"), order_by=("permno", "date")
    )

    statement = select_statement(
        selection, PartitionRange.of_year(2020), plans=plan_columns(selection, CATALOG)
    )

    assert statement == (
        """SELECT "date" - date '1970-01-01', "permno" FROM "crsp"."dsf" """
        """WHERE ("date" >= '2020-01-01') AND ("date" < '2021-01-01') """
        """ORDER BY "crsp"."dsf"."permno", "crsp"."dsf"."date\""""
    )


def test_in_the_binary_form_each_row_begins_with_the_mark() -> None:
    selection = Selection(table=TABLE, order_by=("amount",))

    statement = select_statement(
        selection,
        PartitionRange(year=0),
        plans=plan_columns(selection, CATALOG),
        is_binary=True,
    )

    assert statement == (
        r"""SELECT '\xf5f6f7f8f9fafbfcfdfefdfefdfefdfefd'::bytea, """
        r""""permno", "date" - date '1970-01-01', "note", """
        """"amount"::text FROM "crsp"."dsf" ORDER BY "crsp"."dsf"."amount\""""
    )


def test_the_binary_form_is_for_tables_of_long_texts() -> None:
    plans = plan_columns(Selection(table=TABLE), CATALOG)
    odd = CatalogColumn(name="odd", source_type="mood", base_type="")

    assert is_worth_binary(plans, 4 * 32)
    assert not is_worth_binary(plans, 4 * 32 - 1)
    assert not is_worth_binary(plans, None)
    assert not is_worth_binary(plan_columns(Selection(table=TABLE), (*CATALOG, odd)), 10_000)


def test_values_are_quoted_and_never_raw() -> None:
    selection = Selection(table=TableRef("a", 'b"c'), equals={"note": "x' or '1'='1"})

    statement = select_statement(
        selection, PartitionRange(year=0), plans=plan_columns(selection, CATALOG)
    )

    assert statement.endswith("""FROM "a"."b""c" WHERE ("note" = 'x'' or ''1''=''1')""")


def test_a_nul_is_refused() -> None:
    with pytest.raises(DatasetConfigError):
        literal("a\0b")


def test_all_columns_are_taken_in_the_tables_order_when_none_is_named() -> None:
    plans = plan_columns(Selection(table=TABLE), CATALOG)

    assert [plan.name for plan in plans] == ["permno", "date", "note", "amount"]


@pytest.mark.parametrize(
    "selection",
    [
        Selection(table=TABLE, columns=("permno", "ghost")),
        Selection(table=TABLE, date_column="ghost"),
        Selection(table=TABLE, equals={"ghost": "1"}),
        Selection(table=TABLE, types={"ghost": "string"}),
        Selection(table=TABLE, order_by=("ghost",)),
    ],
)
def test_an_unknown_column_is_named(selection: Selection) -> None:
    with pytest.raises(DatasetConfigError, match="`ghost`"):
        plan_columns(selection, CATALOG)


def test_statistics_hash_as_text_what_has_no_exact_hash() -> None:
    selection = Selection(table=TABLE, date_column="date")

    statement = statistics_statement(
        selection,
        plans=plan_columns(selection, CATALOG),
        catalog=CATALOG,
        hash_method=hash_method(15),
        since_year=2019,
    )

    assert statement == (
        """SELECT CASE WHEN isfinite("date") THEN extract(year FROM "date")::int END AS year, """
        """count(*) AS rows, sum(hash_record_extended(ROW("permno", "date", "note"::text, """
        """"amount"::text), 0))::text AS hash FROM "crsp"."dsf" """
        """WHERE ("date" >= '2019-01-01') GROUP BY 1 ORDER BY 1"""
    )


def test_hashes_of_different_servers_have_different_names() -> None:
    assert [hash_method(version) for version in (13, 14, 16)] == [
        "texts-13",
        "records-14",
        "records-16",
    ]


def test_a_server_without_record_hashes_hashes_texts() -> None:
    selection = Selection(table=TABLE, columns=("permno",))

    statement = statistics_statement(
        selection,
        plans=plan_columns(selection, CATALOG),
        catalog=CATALOG,
        hash_method=hash_method(12),
        since_year=None,
    )

    assert """sum(hashtextextended(ROW("permno")::text, 0))::text""" in statement


def test_a_partition_before_the_present_era_has_no_bounds_to_write() -> None:
    assert PartitionRange.of_year(0).lower is None
    assert PartitionRange.of_year(1926).upper == date(1927, 1, 1)
