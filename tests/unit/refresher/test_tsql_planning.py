"""The planner with T-SQL: the same plan for a dry run, the ledger and the engine."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from refresher.domain.catalog import Catalog, Extent, Table
from refresher.domain.config import RefreshConfig
from refresher.domain.plan import Plan, Swap, Verdict, from_json, to_json
from refresher.domain.planner import Findings, Request, make_plan
from refresher.domain.tsql import TsqlDialect
from refresher.domain.values import Value
from tests.unit.refresher import tsql_cases as cases

NOW = datetime(2024, 3, 6, 2, 0, tzinfo=UTC)


def _config(*tables: dict[str, Any]) -> RefreshConfig:
    return RefreshConfig.model_validate(
        {
            "databases": {
                "source": {"server": "prod-sql-server", "database": "ProductionDB"},
                "target": {"server": "uat-sql-server", "database": "UATDB"},
            },
            "tables": list(tables),
            "masking": {
                "classes": {"plain": {"method": "keep"}, "person": {"method": "shape"}},
                "rules": [
                    {"columns": ["*.name"], "class": "person"},
                    {"columns": ["*"], "class": "plain"},
                ],
            },
        }
    )


def _plan(config: RefreshConfig, *tables: Table) -> Plan:
    catalog = Catalog(
        tables={table.ref: table for table in tables},
        version="16.0.4165.4",
        capabilities=frozenset({"switch"}),
    )
    keys = tuple(table.name for table in config.tables)
    days = Extent(
        rows=100,
        low=Value.of(date(2024, 1, 5)),
        high=Value.of(date(2024, 3, 5)),
    )
    return make_plan(
        config,
        TsqlDialect(),
        request=Request(keys=keys),
        findings=Findings(
            source=catalog,
            target=catalog,
            source_extents=dict.fromkeys(keys, days),
            target_extents=dict.fromkeys(keys, replace(days, high=Value.of(date(2024, 2, 12)))),
            history={},
            source_fingerprint="sqlserver/a",
            target_fingerprint="sqlserver/b",
        ),
        plan_id="p1",
        now=NOW,
    )


@pytest.mark.covers("S4-04", "S4-10", "C-27")
def test_an_incremental_switch_reads_whole_partitions_from_the_buffer_on() -> None:
    table = {
        "name": "DailyReports",
        "strategy": "staging_partition_switch",
        "sync_mode": "incremental",
        "incremental_column": "report_date",
        "incremental_type": "date",
        "date_buffer_days": 7,
        "batch_size": 10000,
    }
    plan = _plan(_config(table), cases.reports())
    assert plan.refusals == ()
    (made,) = plan.tables
    assert made.swap is Swap.PARTITIONS
    assert made.window is not None
    # Seven days before February the 12th, then back to the beginning of that month.
    assert made.window.low == Value.of(date(2024, 2, 1))
    assert [value.text for value in made.reads[0].parameters] == ["2024-02-01", "2024-03-05"]
    assert made.batch_size == 10000


@pytest.mark.covers("S4-03", "S4-06")
def test_a_family_is_one_component_parents_first() -> None:
    lines = {"name": "Lines", "table": "Order Lines", "schema": "sales"}
    plan = _plan(_config({"name": "Customers"}, lines), cases.customers(), cases.lines())
    (component,) = plan.components
    assert component.order == (("Customers",), ("Lines",))
    assert [table.masks[0].column for table in component.tables if table.masks] == ["name"]
    assert plan.verdict is Verdict.NEEDS_APPROVAL


def test_a_plan_survives_the_ledger() -> None:
    plan = _plan(_config({"name": "Customers"}), cases.customers())
    assert from_json(to_json(plan)) == plan


@pytest.mark.covers("C-30")
def test_a_computed_column_and_what_nobody_can_bring_are_named_in_the_plan() -> None:
    plan = _plan(_config({"name": "Customers"}), cases.customers())
    assert plan.tables[0].not_carried == (("initial", "the database computes it"),)
