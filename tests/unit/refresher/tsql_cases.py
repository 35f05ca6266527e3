"""The tables and refreshes for which T-SQL is written, and the golden files of what comes out.

`python -m tests.unit.refresher.tsql_cases` writes the files again; the difference is for reading.
"""

import itertools
import textwrap
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

from refresher.domain.catalog import (
    Catalog,
    Check,
    Column,
    Extent,
    ForeignKey,
    Index,
    Key,
    Partition,
    Table,
    TableRef,
    Trigger,
    TypeKind,
)
from refresher.domain.config import MaskMethod, TableConfig
from refresher.domain.dialect import TableDraft
from refresher.domain.plan import CarriedColumn, Estimate, Mask, Swap, TablePlan, Window
from refresher.domain.statements import Statement
from refresher.domain.tsql import TsqlDialect
from refresher.domain.values import Value

_BY_MONTH = "[ps_month] ([report_date])"
GOLDEN = Path(__file__).parent / "golden_tsql"
COLLATION = "Latin1_General_100_CI_AS"
NOWHERE = TableRef("", "")

CUSTOMERS = TableRef("dbo", "Customers")
ORDERS = TableRef("sales", "Order Lines")
DAILY = TableRef("dbo", "DailyReports")


def column(name: str, kind: str, family: TypeKind, **more: object) -> Column:
    collation = COLLATION if family is TypeKind.TEXT else None
    return Column(name=name, type=kind, kind=family, collation=collation, **more)  # type: ignore[arg-type]


def customers() -> Table:
    """A parent with an identity, a computed column and a trigger."""
    return Table(
        ref=CUSTOMERS,
        columns=(
            column("id", "int", TypeKind.INTEGER, is_nullable=False, identity="1,1"),
            column("name", "nvarchar(80)", TypeKind.TEXT),
            column("seen", "datetime2(7)", TypeKind.TIMESTAMP),
            column("notes", "xml", TypeKind.OTHER),
            column(
                "initial",
                "nvarchar(1)",
                TypeKind.TEXT,
                is_computed=True,
                facts={"computed": "(left([name],(1)))", "persisted": "yes"},
            ),
        ),
        keys=(Key(name="PK_Customers", columns=("id",), is_primary=True),),
        indexes=(
            Index(
                name="PK_Customers",
                columns=("id",),
                definition="",
                is_unique=True,
                constraint="PRIMARY KEY CLUSTERED ([id] ASC)",
                facts={"clustered": "yes"},
            ),
        ),
        referenced_by=(reference(),),
        triggers=(
            Trigger(name="tr_audit", definition="..."),
            Trigger(name="tr_off", definition="...", state="disabled"),
        ),
        facts={"switch": "yes", "space": "[PRIMARY]", "snapshot": "yes"},
    )


def reference() -> ForeignKey:
    return ForeignKey(
        name="FK_Lines_Customers",
        table=ORDERS,
        columns=("customer",),
        references=CUSTOMERS,
        referenced_columns=("id",),
    )


def lines() -> Table:
    """A child whose name needs quoting."""
    return Table(
        ref=ORDERS,
        columns=(
            column("order", "bigint", TypeKind.INTEGER, is_nullable=False),
            column("customer", "int", TypeKind.INTEGER),
            column("amount", "decimal(18,2)", TypeKind.NUMERIC),
            column("changed", "datetime2(3)", TypeKind.TIMESTAMP),
        ),
        keys=(Key(name="PK_Lines", columns=("order",), is_primary=True),),
        foreign_keys=(reference(),),
        facts={"switch": "yes", "space": "[PRIMARY]", "snapshot": "yes"},
    )


def reports() -> Table:
    """A table by months, with two indexes and a check."""
    months = ["2024-01-01", "2024-02-01", "2024-03-01"]
    bounds = [None, *map(_day, months), None]
    return Table(
        ref=DAILY,
        columns=(
            column("id", "bigint", TypeKind.INTEGER, is_nullable=False, identity="1,1"),
            column("report_date", "date", TypeKind.DATE, is_nullable=False),
            column("total", "float(53)", TypeKind.FLOAT),
        ),
        keys=(Key(name="PK_Daily", columns=("id", "report_date"), is_primary=True),),
        indexes=(
            Index(
                name="IX_Daily_total",
                columns=("total",),
                definition="CREATE NONCLUSTERED INDEX {index} ON {table} ([total] ASC) "
                "WHERE ([total] IS NOT NULL) WITH (DATA_COMPRESSION = PAGE) "
                "ON [ps_month] ([report_date])",
            ),
            Index(
                name="PK_Daily",
                columns=("id", "report_date"),
                definition="",
                is_unique=True,
                constraint="PRIMARY KEY CLUSTERED ([id] ASC, [report_date] ASC) "
                "ON [ps_month] ([report_date])",
                facts={"clustered": "yes"},
            ),
        ),
        checks=(
            Check(name="CK_total", definition="([total]>=(0))"),
            Check(name="CK_old", definition="([id]>(0))", is_trusted=False, is_enabled=False),
        ),
        foreign_keys=(
            ForeignKey(
                name="FK_Daily_Customers",
                table=DAILY,
                columns=("id",),
                references=CUSTOMERS,
                referenced_columns=("id",),
            ),
        ),
        partition_key=("report_date",),
        partitions=tuple(
            Partition(ref=DAILY, number=number, bound="", lower=low, upper=high)
            for number, (low, high) in enumerate(itertools.pairwise(bounds), 1)
        ),
        facts={
            "switch": "yes",
            "space": "[ps_month] ([report_date])",
            "snapshot": "yes",
            "range": "right",
        },
    )


def _day(text: str) -> Value:
    return Value.of(date.fromisoformat(text))


def catalog(*capabilities: str) -> Catalog:
    return Catalog(tables={}, version="16.0.4165", capabilities=frozenset(capabilities))


def config(name: str, **more: object) -> TableConfig:
    return TableConfig.model_validate({"name": name, **more})


def draft(table: Table, swap: Swap, settings: TableConfig, **more: object) -> TableDraft:
    carried = tuple(
        CarriedColumn(name=c.name, kind=c.kind, type=c.type, is_nullable=c.is_nullable)
        for c in table.columns
        if not c.is_computed
    )
    values: dict[str, object] = {
        "run": "9f2c",
        "config": settings,
        "source": table,
        "target": table,
        "extent": Extent(rows=1000),
        "columns": carried,
        "added": (),
        "widened": (),
        "swap": swap,
        "window": None,
        "row_limit": None,
        "masks": (),
        # The summaries are long, so two cases show them and the others leave them out.
        "summarised": False,
        "checksummed": False,
        **more,
    }
    return TableDraft(**values)  # type: ignore[arg-type]


def base(made: TableDraft) -> TablePlan:
    key = made.target.primary_key
    return TablePlan(
        key=made.config.name,
        source=made.source.ref,
        target=made.target.ref,
        staging=NOWHERE,
        undo=NOWHERE,
        asked_mode=made.config.sync_mode,
        mode=made.config.sync_mode,
        mode_reason="",
        strategy=made.config.strategy,
        swap=made.swap,
        swap_reason="",
        columns=made.columns,
        primary_key=key.columns if key else (),
        window=made.window,
        row_limit=made.row_limit,
        masks=made.masks,
        estimate=Estimate(rows=1000, bytes=8000),
    )


_SUMMARISED = {"summarised": True, "checksummed": True}

NAME_MASK = Mask(
    column="name",
    kind=TypeKind.TEXT,
    type="nvarchar(80)",
    length=80,
    mask_class="person",
    method=MaskMethod.SHAPE,
)


def family() -> tuple[tuple[TableDraft, ...], tuple[tuple[str, ...], ...]]:
    """A parent and a child that are swapped together."""
    parent = draft(customers(), Swap.MERGE, config("Customers"), masks=(NAME_MASK,), **_SUMMARISED)
    child = draft(lines(), Swap.MERGE, config("Lines"))
    return (parent, child), (("Customers",), ("Lines",))


def circle() -> tuple[tuple[TableDraft, ...], tuple[tuple[str, ...], ...]]:
    """Two tables that refer to each other."""
    back = ForeignKey(
        name="FK_Customers_Lines",
        table=CUSTOMERS,
        columns=("last",),
        references=ORDERS,
        referenced_columns=("order",),
        is_trusted=False,
    )
    parent = replace(customers(), foreign_keys=(back,), triggers=())
    child = replace(lines(), referenced_by=(back,))
    drafts = (
        draft(parent, Swap.MERGE, config("Customers")),
        draft(child, Swap.MERGE, config("Lines")),
    )
    return drafts, (("Customers", "Lines"),)


def _alone(made: TableDraft) -> tuple[tuple[TableDraft, ...], tuple[tuple[str, ...], ...]]:
    return (made,), ((made.config.name,),)


def _windowed() -> TableDraft:
    return draft(
        lines(),
        Swap.MERGE,
        config(
            "Lines",
            sync_mode="incremental",
            incremental_column="changed",
            incremental_type="datetime",
            keep_rows="[order] < 0 OR [amount] IS NULL",
            local_rows="keep",
            row_filter="[amount] > 0",
            hooks={"after_swap": ("UPDATE [sales].[Order Lines] SET [amount] = 0",)},
        ),
        window=Window(
            column="changed",
            low=Value.of(_moment("2024-02-28T23:00:00")),
            high=Value.of(_moment("2024-02-29T13:14:15.123000")),
            deletes_missing=True,
        ),
        local_after=Window(
            column="changed",
            low=Value.of(_moment("2024-02-29T00:00:00")),
            high=None,
            deletes_missing=False,
        ),
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _keyless() -> TableDraft:
    table = replace(lines(), keys=(), foreign_keys=())
    return draft(table, Swap.REWRITE, config("Lines", local_rows="stop"), row_limit=100)


def _drifted() -> TableDraft:
    table = lines()
    amount = table.columns[2]
    wider = replace(amount, type="decimal(28,2)", precision=28)
    added = column("remark", "nvarchar(200)", TypeKind.TEXT, is_nullable=False)
    made = draft(table, Swap.MERGE, config("Lines", local_rows="stop"))
    return replace(
        made,
        source=replace(table, columns=(*table.columns[:2], wider, table.columns[3], added)),
        columns=(
            *made.columns[:2],
            replace(made.columns[2], type=wider.type),
            made.columns[3],
            CarriedColumn(name="remark", kind=TypeKind.TEXT, type=added.type, is_nullable=False),
        ),
        added=(added,),
        widened=((amount, wider),),
    )


def _months() -> TableDraft:
    return draft(
        reports(),
        Swap.PARTITIONS,
        config(
            "DailyReports",
            strategy="staging_partition_switch",
            sync_mode="incremental",
            incremental_column="report_date",
            incremental_type="date",
            date_buffer_days=7,
        ),
        **_SUMMARISED,
        window=Window(
            column="report_date",
            low=_day("2024-02-01"),
            high=_day("2024-03-05"),
            deletes_missing=True,
        ),
    )


def _whole(*, switches: bool) -> TableDraft:
    months = reports()
    indexes = tuple(
        replace(
            index,
            definition=index.definition.replace(_BY_MONTH, "[PRIMARY]"),
            constraint=index.constraint and index.constraint.replace(_BY_MONTH, "[PRIMARY]"),
        )
        for index in months.indexes
    )
    table = replace(months, partitions=(), partition_key=(), indexes=indexes)
    facts = {**table.facts, "space": "[PRIMARY]", "switch": "yes" if switches else "no"}
    settings = config("DailyReports", strategy="staging_partition_switch")
    return draft(replace(table, facts=facts), Swap.RENAME, settings)


Case = tuple[tuple[TableDraft, ...], tuple[tuple[str, ...], ...]]

CASES: dict[str, Callable[[], Case]] = {
    "merge_family": family,
    "merge_circle": circle,
    "merge_window": lambda: _alone(_windowed()),
    "merge_drift": lambda: _alone(_drifted()),
    "rewrite": lambda: _alone(_keyless()),
    "switch_partitions": lambda: _alone(_months()),
    "switch_table": lambda: _alone(_whole(switches=True)),
    "rename_table": lambda: _alone(_whole(switches=False)),
}


def statements(name: str) -> list[tuple[str, Statement]]:
    """Return every statement of a case with the part of the plan that it belongs to."""
    drafts, order = CASES[name]()
    dialect = TsqlDialect()
    plans = [dialect.table_plan(made, base(made)) for made in drafts]
    found: list[tuple[str, Statement]] = []
    for plan in plans:
        for part in ("schema", "stage", "reads", "build"):
            found += [(f"{plan.key} {part}", item) for item in getattr(plan, part)]
        for part in ("source_summary", "staging_summary", "target_summary"):
            found.append((f"{plan.key} {part}", getattr(plan, part)))
    found += [("swap", item) for item in dialect.swap_statements(drafts, plans, order)]
    found += [("after", item) for item in dialect.after_statements(drafts, plans)]
    found += [("undo", item) for item in dialect.undo_statements(drafts, plans, order)]
    for plan in plans:
        for part in ("clean", "forget"):
            found += [(f"{plan.key} {part}", item) for item in getattr(plan, part)]
    return found


def rendered(name: str) -> str:
    """Return the text of a case's golden file."""
    blocks = []
    heading = ""
    for part, statement in statements(name):
        if part != heading:
            blocks.append(f"-- ===== {part} =====")
            heading = part
        blocks.append(_block(statement))
    return "\n\n".join(blocks) + "\n"


def _block(statement: Statement) -> str:
    about = [statement.purpose]
    if statement.lock:
        about.append(f"lock {statement.lock}")
    if statement.tally:
        about.append(f"counts as {statement.tally.value}")
    head = f"-- {'; '.join(about)}"
    if statement.refuse:
        head += f"\n-- refuses: {statement.refuse}"
    if statement.parameters:
        head += f"\n-- with: {', '.join(str(value) for value in statement.parameters)}"
    wrapped = textwrap.wrap(statement.sql, 100, break_long_words=False, break_on_hyphens=False)
    return "\n".join([head, *wrapped, ";"])


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for case in CASES:
        (GOLDEN / f"{case}.sql").write_text(rendered(case), "utf-8")
