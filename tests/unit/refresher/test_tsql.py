"""What the T-SQL dialect decides."""

import re
from dataclasses import replace
from datetime import date

import pytest

from refresher.domain import tsql_names as names
from refresher.domain.catalog import Column, Table, TableRef, Trigger, TypeKind
from refresher.domain.plan import Swap, Window
from refresher.domain.tsql import TsqlDialect
from refresher.domain.tsql_reading import load_ref
from refresher.domain.values import Value, ValueType
from tests.unit.refresher import tsql_cases as cases

DIALECT = TsqlDialect()
SWITCHED = cases.config("DailyReports", strategy="staging_partition_switch")


# --- names -------------------------------------------------------------------------------------
def test_a_bracket_in_a_name_is_doubled() -> None:
    assert names.quote("a]; DROP TABLE b --") == "[a]]; DROP TABLE b --]"


def test_a_null_character_in_a_name_is_refused() -> None:
    with pytest.raises(ValueError, match="null character"):
        names.quote("a\0b")


def test_a_quote_in_a_literal_is_doubled() -> None:
    assert names.literal("O'Neil") == "N'O''Neil'"


def test_a_name_of_ours_fits_the_longest_that_the_server_takes() -> None:
    first, second = names.own("s", "9f2c", "x" * 200), names.own("s", "9f2c", "x" * 199)
    assert len(first.name) == 128
    assert first != second


@pytest.mark.parametrize(
    ("kind", "place"),
    [
        ("datetime2(3)", "CONVERT(datetime2(3), ?, 126)"),
        ("datetime", "CONVERT(datetime, CONVERT(datetime2(7), ?, 126))"),
    ],
)
def test_a_moment_is_bound_in_its_column_s_type_so_that_an_index_can_be_used(
    kind: str, place: str
) -> None:
    column = Column(name="at", type=kind, kind=TypeKind.TIMESTAMP)
    assert names.bound(Value(ValueType.TIMESTAMP, "2024-02-29T00:00:00"), column) == place


# --- swaps -------------------------------------------------------------------------------------
@pytest.mark.covers("S4-03")
def test_a_simple_copy_writes_only_what_differs() -> None:
    chosen = DIALECT.choose_swap(
        cases.config("Customers"), cases.customers(), [], cases.catalog("switch")
    )
    assert chosen == (Swap.MERGE, "only rows that differ are written")


def test_a_table_without_a_key_is_rewritten() -> None:
    table = replace(cases.customers(), keys=())
    swap, _ = DIALECT.choose_swap(cases.config("Customers"), table, [], cases.catalog("switch"))
    assert swap is Swap.REWRITE


@pytest.mark.covers("S4-04", "C-27")
def test_partitions_change_places_where_the_server_can_switch() -> None:
    swap, _ = DIALECT.choose_swap(SWITCHED, cases.reports(), [], cases.catalog("switch"))
    assert swap is Swap.PARTITIONS


def test_a_table_without_partitions_is_switched_as_a_whole() -> None:
    table = replace(cases.reports(), partitions=(), partition_key=())
    chosen = DIALECT.choose_swap(SWITCHED, table, [], cases.catalog("switch"))
    assert chosen == (Swap.RENAME, "the whole table changes places, by a switch")


def test_a_server_that_cannot_switch_renames_a_plain_table() -> None:
    table = replace(cases.reports(), partitions=(), partition_key=())
    swap, reason = DIALECT.choose_swap(SWITCHED, table, [], cases.catalog("rename"))
    assert swap is Swap.RENAME
    assert reason.endswith("by renaming: this server does not switch")


def _with(**changes: object) -> Table:
    return replace(cases.reports(), **changes)  # type: ignore[arg-type]


@pytest.mark.covers("C-26")
@pytest.mark.parametrize(
    ("table", "capabilities", "reason"),
    [
        (_with(referenced_by=(cases.reference(),)), ("switch",), "sales.Order Lines refers to it"),
        (_with(facts={"no_switch": "it is temporal"}), ("switch",), "it is temporal"),
        (_with(), ("rename",), "partitions cannot be renamed"),
        (
            _with(partitions=(), triggers=(Trigger(name="t", definition=""),)),
            ("rename",),
            "triggers do not follow a rename",
        ),
        (
            _with(partitions=(), dependants=("view v",)),
            ("rename",),
            "view v does not follow a rename",
        ),
        (_with(partitions=()), (), "this server neither switches tables nor moves them"),
    ],
)
def test_what_forbids_a_switch_is_said_and_the_rows_are_merged(
    table: Table, capabilities: tuple[str, ...], reason: str
) -> None:
    swap, said = DIALECT.choose_swap(SWITCHED, table, [], cases.catalog(*capabilities))
    assert swap is Swap.MERGE
    assert reason in said


def test_rows_of_testers_forbid_a_switch() -> None:
    settings = cases.config(
        "DailyReports", strategy="staging_partition_switch", keep_rows="[id] < 0"
    )
    swap, said = DIALECT.choose_swap(settings, cases.reports(), [], cases.catalog("switch"))
    assert (swap, "rows of testers stay" in said) == (Swap.MERGE, True)


# --- windows -----------------------------------------------------------------------------------
def _window(low: str, high: str) -> Window:
    return Window(
        column="report_date",
        low=Value.of(date.fromisoformat(low)),
        high=Value.of(date.fromisoformat(high)),
        deletes_missing=True,
    )


@pytest.mark.covers("C-27")
def test_a_window_grows_to_the_beginning_of_its_first_partition() -> None:
    widened = DIALECT.widen_window(_window("2024-02-20", "2024-03-05"), cases.reports())
    assert widened is not None
    assert widened.low.text == "2024-02-01"


def test_a_window_that_reaches_into_the_first_partition_is_read_from_its_very_beginning() -> None:
    # Everything before the window is switched out with it.
    widened = DIALECT.widen_window(_window("2023-12-20", "2024-01-05"), cases.reports())
    assert widened is not None
    assert widened.low == Value(ValueType.DATE, "0001-01-01")


def test_a_first_partition_that_may_hold_nulls_is_not_switched_for_a_window() -> None:
    table = cases.reports()
    nullable = tuple(replace(column, is_nullable=True) for column in table.columns)
    window = _window("2023-12-20", "2024-01-05")
    assert DIALECT.widen_window(window, replace(table, columns=nullable)) is None


@pytest.mark.covers("C-27")
def test_only_the_partitions_of_the_window_are_switched() -> None:
    swapped = [item.sql for part, item in cases.statements("switch_partitions") if part == "swap"]
    assert [sql for sql in swapped if "PARTITION 2" in sql or "PARTITION 1" in sql] == []
    assert sum("PARTITION 3" in sql for sql in swapped) == 2
    assert sum("PARTITION 4" in sql for sql in swapped) == 2


def test_a_switch_that_would_empty_a_column_of_the_target_is_stopped() -> None:
    table = cases.reports()
    own = Column(name="tester", type="nvarchar(20)", kind=TypeKind.TEXT)
    made = cases.draft(table, Swap.PARTITIONS, SWITCHED)
    made = replace(made, target=replace(table, columns=(*table.columns, own)))
    plan = DIALECT.table_plan(made, cases.base(made))
    swap = DIALECT.swap_statements((made,), (plan,), (("DailyReports",),))
    (found,) = [item for item in swap if item.refuse]
    assert found.sql == "SELECT COUNT_BIG(*) FROM [dbo].[DailyReports] WHERE [tester] IS NOT NULL"


@pytest.mark.parametrize("name", ["switch_partitions", "switch_table", "rename_table"])
def test_no_two_tables_of_ours_have_a_constraint_of_the_same_name(name: str) -> None:
    added = [
        re.findall(r"ADD CONSTRAINT (\[.*?\])", item.sql) for _, item in cases.statements(name)
    ]
    found = [constraint for constraints in added for constraint in constraints]
    # Staging is made again by an undo, after it was removed.
    assert len(set(found)) > 0
    assert {constraint[1:8] for constraint in found} <= {"s_9f2c_", "u_9f2c_"}


@pytest.mark.parametrize("name", ["switch_partitions", "switch_table", "rename_table"])
def test_old_rows_that_are_kept_hold_on_to_no_row_of_another_table(name: str) -> None:
    swapped = [item.sql for part, item in cases.statements(name) if part == "swap"]
    kept = [sql for sql in swapped if "[u_9f2c_DailyReports]" in sql]
    assert kept
    added = [sql for sql in kept if "FOREIGN KEY" in sql]
    freed = [sql for sql in kept if "NOCHECK CONSTRAINT [u_9f2c_FK_Daily_Customers]" in sql]
    assert (added, len(freed)) == ([], 1 if name == "rename_table" else 0)


@pytest.mark.parametrize("name", ["switch_partitions", "switch_table"])
def test_an_undo_makes_the_table_again_that_was_removed_after_the_swap(name: str) -> None:
    undone = [item.sql for part, item in cases.statements(name) if part == "undo"]
    made = next(n for n, sql in enumerate(undone) if "CREATE TABLE" in sql and "[s_9f2c" in sql)
    proven = next(n for n, sql in enumerate(undone) if "FOREIGN KEY" in sql and "[u_9f2c" in sql)
    moved = next(n for n, sql in enumerate(undone) if " SWITCH" in sql)
    assert made < moved
    assert proven < moved


def test_repeating_the_stage_never_drops_the_old_rows_of_a_swap() -> None:
    for name in cases.CASES:
        staged = [item.sql for part, item in cases.statements(name) if part.endswith("stage")]
        assert not any("[u_" in sql for sql in staged)


# --- types -------------------------------------------------------------------------------------
def _column(kind: str, **facts: str) -> Column:
    return Column(name="c", type=kind, kind=TypeKind.TEXT, facts=facts)


@pytest.mark.covers("S4-02")
@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        ("int", "int", "same"),
        ("bigint", "int", "wider"),
        ("int", "bigint", "incompatible"),
        ("nvarchar(80)", "nvarchar(50)", "wider"),
        ("nvarchar(max)", "nvarchar(50)", "wider"),
        ("nvarchar(50)", "nvarchar(max)", "incompatible"),
        ("nvarchar(50)", "varchar(50)", "wider"),
        ("nvarchar(40)", "varchar(50)", "incompatible"),
        ("decimal(20,2)", "decimal(18,2)", "wider"),
        ("decimal(20,4)", "decimal(18,2)", "incompatible"),
        ("float(53)", "real", "wider"),
        ("datetime2(7)", "datetime", "incompatible"),
    ],
)
def test_a_wider_type_is_followed_and_another_one_is_not(
    source: str, target: str, expected: str
) -> None:
    assert DIALECT.compare_types(_column(source), _column(target)) == expected


def test_texts_of_another_code_page_do_not_fit() -> None:
    source, target = _column("varchar(9)", code_page="1252"), _column("varchar(9)", code_page="932")
    assert DIALECT.compare_types(source, target) == "incompatible"


# --- the way across ----------------------------------------------------------------------------
def test_a_column_with_seven_digits_lands_as_text_first() -> None:
    (parent, _), _ = cases.family()
    plan = DIALECT.table_plan(parent, cases.base(parent))
    assert load_ref(plan) == TableRef("penstock_refresh", "l_9f2c_Customers")
    assert "seen: lands as text first, so that no digit is lost" in plan.notes


def test_other_columns_go_straight_to_staging() -> None:
    (_, child), _ = cases.family()
    plan = DIALECT.table_plan(child, cases.base(child))
    assert load_ref(plan) == plan.staging


def test_a_source_without_snapshots_is_said_in_the_plan() -> None:
    (_, child), _ = cases.family()
    child = replace(child, source=replace(child.source, facts={}))
    assert "ALLOW_SNAPSHOT_ISOLATION" in DIALECT.table_plan(child, cases.base(child)).notes[0]


# --- conditions --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "predicate", ["a = 1; DROP TABLE b", "a = 1 -- x", "a /* x */ = 1", "a = ?", "(a = 1", "a = '"]
)
def test_a_condition_that_could_end_early_is_refused(predicate: str) -> None:
    assert DIALECT.check_predicate(predicate) is not None


def test_a_plain_condition_passes() -> None:
    assert DIALECT.check_predicate("[a] = 'x' AND ([b] > 1)") is None


# --- references --------------------------------------------------------------------------------
@pytest.mark.covers("C-26")
def test_children_go_before_parents_and_come_after_them() -> None:
    swapped = [item.sql for part, item in cases.statements("merge_family") if part == "swap"]
    written = [
        sql.split(" ")[0] + " " + ("parent" if "[dbo].[Customers]" in sql else "child")
        for sql in swapped
        if sql.startswith(("DELETE", "INSERT INTO [dbo]", "INSERT INTO [sales]"))
    ]
    assert written == ["DELETE child", "INSERT parent", "INSERT child", "DELETE parent"]


@pytest.mark.covers("C-26")
def test_a_circle_is_opened_and_each_reference_is_as_trusted_afterwards_as_before() -> None:
    swapped = [item.sql for part, item in cases.statements("merge_circle") if part == "swap"]
    assert [sql for sql in swapped if "CONSTRAINT" in sql] == [
        "ALTER TABLE [dbo].[Customers] NOCHECK CONSTRAINT [FK_Customers_Lines]",
        "ALTER TABLE [sales].[Order Lines] NOCHECK CONSTRAINT [FK_Lines_Customers]",
        "ALTER TABLE [dbo].[Customers] WITH NOCHECK CHECK CONSTRAINT [FK_Customers_Lines]",
        "ALTER TABLE [sales].[Order Lines] WITH CHECK CHECK CONSTRAINT [FK_Lines_Customers]",
    ]


def test_a_trigger_that_was_off_stays_off() -> None:
    swapped = [item.sql for part, item in cases.statements("merge_family") if part == "swap"]
    assert not any("tr_off" in sql for sql in swapped)
    assert [sql.split(" ")[3] for sql in swapped if "tr_audit" in sql] == ["DISABLE", "ENABLE"]
