"""What a plan decides, and everything that makes it refuse."""

from datetime import UTC, datetime
from typing import Any

import pytest

from refresher.domain.catalog import Catalog, TypeKind
from refresher.domain.config import RefreshConfig
from refresher.domain.guards import Refusal
from refresher.domain.pgsql import PostgresDialect
from refresher.domain.plan import Plan, Verdict, digest, from_json, to_json
from refresher.domain.planner import Findings, Request, make_plan
from tests.unit.refresher.tables import catalog, column, config, findings, reference, table

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def plan(
    chosen: RefreshConfig | None = None,
    source: Catalog | None = None,
    target: Catalog | None = None,
    *,
    found: Findings | None = None,
    **request: Any,
) -> Plan:
    chosen = chosen or config()
    there = source or catalog(table("orders"))
    keys = tuple(item.name for item in chosen.tables)
    return make_plan(
        chosen,
        PostgresDialect(),
        request=Request(keys=keys, **request),
        findings=found or findings(there, target or there),
        plan_id="plan-1",
        now=NOW,
    )


def test_a_plan_survives_json_and_its_digest_tells_it_from_others() -> None:
    made = plan()
    assert from_json(to_json(made)) == made
    assert digest(from_json(to_json(made))) == digest(made)
    assert digest(plan(config(settings={"lock_timeout_ms": 300}))) != digest(made)


@pytest.mark.covers("C-29")
def test_replacing_rows_needs_a_look_unless_policy_or_force_says_otherwise() -> None:
    assert plan().verdict is Verdict.NEEDS_APPROVAL
    assert plan().destructive == ("orders: all 10 rows of the target are replaced (configured)",)
    assert plan(config(approval={"destructive": "auto"})).verdict is Verdict.READY
    assert plan(is_forced=True).verdict is Verdict.READY
    there = catalog(table("orders"))
    assert plan(found=findings(there, there, rows=0)).verdict is Verdict.READY


def test_what_the_guards_say_refuses_the_plan() -> None:
    there = catalog(table("orders"))
    refusals = (Refusal("swapped", "they are swapped"),)
    made = plan(found=findings(there, there, refusals=refusals))
    assert (made.verdict, made.refusals) == (Verdict.REFUSED, ("they are swapped",))
    assert made.components == ()


@pytest.mark.covers("C-30")
def test_a_column_without_a_class_refuses_the_plan() -> None:
    rules = {
        "classes": {"public": {"method": "keep"}},
        "rules": [{"types": ["integer", "date"], "class": "public"}],
    }
    made = plan(config(masking=rules))
    assert made.refusals == ("orders.email (text): no masking rule says what it is",)


@pytest.mark.parametrize(
    ("method", "columns", "sentence"),
    [
        ({"method": "day"}, "*.email", "`day` cannot mask a text (text)"),
        ({"method": "null"}, "*.id", "`null` is no value that the column takes"),
        ({"method": "fixed", "value": "x"}, "*.id", "`fixed` cannot mask a integer"),
    ],
)
def test_masks_that_do_not_fit_refuse_the_plan(
    method: dict[str, str], columns: str, sentence: str
) -> None:
    rules = {
        "classes": {"chosen": method, "public": {"method": "keep"}},
        "rules": [{"columns": [columns], "class": "chosen"}, {"columns": ["*"], "class": "public"}],
    }
    (refusal,) = plan(config(masking=rules)).refusals
    assert sentence in refusal


def test_masks_need_a_key() -> None:
    (refusal,) = plan(has_key=False).refusals
    assert "`REFRESHER_MASKING_KEY` is not set" in refusal


@pytest.mark.covers("C-44")
def test_a_row_limit_needs_a_test_environment() -> None:
    limited = config({"name": "orders", "row_limit": 5})
    assert plan(limited).verdict is Verdict.REFUSED
    assert "limit 5" in plan(limited, is_test=True).tables[0].reads[0].sql


def test_missing_tables_and_columns_refuse_the_plan() -> None:
    nothing = catalog()
    assert plan(source=nothing, target=nothing).refusals == (
        "orders: the source has no table public.orders that we may read",
        "orders: the target has no table public.orders; create it first",
    )
    by_stamp = {
        "name": "orders",
        "sync_mode": "incremental",
        "incremental_column": "stamp",
        "incremental_type": "datetime",
    }
    assert plan(config(by_stamp)).refusals == ("orders: there is no column stamp to go by",)


def test_predicates_with_a_second_statement_are_refused() -> None:
    (refusal,) = plan(config({"name": "orders", "keep_rows": "true; drop table x"})).refusals
    assert "must be one condition" in refusal


@pytest.mark.covers("S4-02")
def test_the_schema_follows_where_nothing_is_lost() -> None:
    source = catalog(table("orders", *table("orders").columns, column("extra", "bigint")))
    target = catalog(table("orders"))
    (made,) = plan(source=source, target=target).tables
    assert [item.sql for item in made.schema] == [
        'alter table "public"."orders" add column if not exists "extra" bigint'
    ]
    assert made.drift == ("+ extra bigint: will be added",)
    gone = plan(source=target, target=source, chosen=config(approval={"destructive": "auto"}))
    assert gone.verdict is Verdict.NEEDS_APPROVAL
    assert gone.destructive[-1] == "orders: - extra: the source does not have it any more"


def test_a_view_of_the_whole_is_one_component_parents_first() -> None:
    orders = table("orders", foreign_keys=(reference("orders", "customers"),))
    customers = table("customers", referenced_by=(reference("orders", "customers"),))
    there = catalog(orders, customers)
    made = plan(config({"name": "orders"}, {"name": "customers"}), source=there)
    (component,) = made.components
    assert component.order == (("customers",), ("orders",))
    assert made.warnings == ()
    alone = plan(config({"name": "orders"}), source=there)
    (warning,) = alone.warnings
    assert warning.startswith("orders refers to public.customers, which is not refreshed")


def test_identifiers_are_quoted_whatever_they_contain() -> None:
    odd = column('a"; drop table x; --', "text", TypeKind.TEXT)
    there = catalog(table("orders", column("id", is_nullable=False), odd))
    (read,) = plan(source=there).tables[0].reads
    assert read.sql == 'select "id", "a""; drop table x; --" from "public"."orders"'
