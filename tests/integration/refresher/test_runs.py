"""What a run may do, must ask for, must refuse, and must leave behind."""

import asyncio
import contextlib
import dataclasses
import getpass
from collections.abc import AsyncGenerator

import asyncpg
import pytest

from chassis.clock import SystemClock
from chassis.runs import RunWorker
from refresher.handlers.refresh import Refresher
from refresher.jobs import Housekeeping, refresh_jobs
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import Hub
from tests.support.eventually import eventually

ORDERS = "create table orders (id int primary key, customer text)"
FILL = "insert into orders select n, 'customer ' || n from generate_series(1, 100) n"
COUNT = "select count(*) from orders"


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await estate.production_does(ORDERS, FILL)
    await estate.uat_does(ORDERS, "insert into orders values (1, 'old')")
    async with opening([{"name": "orders"}]) as opened:
        yield opened


async def refused(hub: Hub, sentence: str, **parameters: object) -> None:
    row = await hub.run("refresh", "orders", table="orders", **parameters)  # type: ignore[arg-type]
    assert row["status"] == "failed", row
    assert sentence in row["message"]
    assert await hub.estate.in_uat("select string_agg(customer, '') from orders") == "old"


# --- masks fail closed -------------------------------------------------------------------------
@pytest.mark.covers("C-30")
async def test_without_masking_rules_nothing_leaves_production(hub: Hub) -> None:
    del hub.config["masking"]
    await refused(hub, "has no section `masking`")


@pytest.mark.covers("C-30")
async def test_a_column_that_no_rule_names_stops_the_plan(hub: Hub) -> None:
    hub.config["masking"] = {
        "classes": {"public": {"method": "keep"}},
        "rules": [{"types": ["integer"], "class": "public"}],
    }
    await refused(hub, "orders.customer (text): no masking rule says what it is")


async def test_masks_without_a_key_are_refused(hub: Hub) -> None:
    hub.config["masking"] = {
        "classes": {"personal": {"method": "shape"}},
        "rules": [{"columns": ["*"], "class": "personal"}],
    }
    refresher = dataclasses.replace(hub.refresher(), has_key=False)
    await refused_by(hub, refresher, "`REFRESHER_MASKING_KEY` is not set")


async def refused_by(hub: Hub, refresher: Refresher, sentence: str) -> None:
    run_id = await hub.queue("refresh", "orders", table="orders")
    await RunWorker(hub.database, refresh_jobs(refresher), clock=SystemClock()).step()
    row = await hub.row(run_id)
    assert row["status"] == "failed"
    assert sentence in row["message"]


# --- limits ------------------------------------------------------------------------------------
@pytest.mark.covers("C-44", "S4-11")
async def test_a_row_limit_is_for_tests_only(hub: Hub) -> None:
    await refused(hub, "`row_limit` is for tests only", row_limit=10)
    hub.environment["REFRESHER_ENVIRONMENT"] = "test"
    row = await hub.refresh("orders", row_limit=10)
    assert row["counts"]["processed"] == 10
    assert await hub.estate.in_uat("select array_agg(id order by id) from orders") == [
        *range(91, 101)
    ]


@pytest.mark.covers("S4-13", "S4-16")
async def test_a_dry_run_shows_the_plan_and_writes_nothing(hub: Hub) -> None:
    row = await hub.run("refresh", "orders", table="orders", dry_run=True)
    plan, status = await hub.plan_of(row)
    assert (row["status"], status) == ("completed", "planned")
    (table,) = plan.tables
    assert table.reads[0].sql == 'select "id", "customer" from "public"."orders"'
    assert plan.components[0].swap[0].purpose.startswith("keep writers out")
    assert await hub.estate.in_uat(COUNT) == 1
    assert await hub.estate.in_uat("select count(*) from pg_namespace where nspname ~ 'penst'") == 0


async def test_far_fewer_rows_stop_a_refresh_before_the_swap(hub: Hub) -> None:
    await hub.refresh("orders")
    await hub.estate.production_does("delete from orders where id > 60")
    row = await hub.run("refresh", "orders", table="orders")
    assert row["status"] == "failed"
    assert "a drop of more than 30% stops a refresh" in row["message"]
    assert await hub.estate.in_uat(COUNT) == 100
    await hub.estate.production_does("delete from orders")
    row = await hub.run("refresh", "orders", table="orders")
    assert "the source has 0 rows" in row["message"]
    hub.config["approval"]["may_force"] = [getpass.getuser()]
    await hub.refresh("orders", force=True)
    assert await hub.estate.in_uat(COUNT) == 0


async def test_no_refresh_begins_in_the_hours_that_are_closed(hub: Hub) -> None:
    hub.config["settings"] = {"not_during": ["00:00-12:00", "12:00-23:59", "23:59-00:00"]}
    await refused(hub, "no refresh begins during")


# --- approval ----------------------------------------------------------------------------------
@pytest.mark.covers("C-29")
async def test_a_destructive_plan_waits_until_somebody_approves_it(hub: Hub) -> None:
    hub.config["approval"] = {"destructive": "ask"}
    row = await hub.refresh("orders")
    plan, status = await hub.plan_of(row)
    assert status == "waiting"
    assert await hub.estate.in_uat(COUNT) == 1
    done = await hub.run("refresh-apply", "orders", plan=plan.plan_id)
    assert done["status"] == "completed", done["message"]
    assert await hub.estate.in_uat(COUNT) == 100
    again = await hub.run("refresh-apply", "orders", plan=plan.plan_id)
    assert "is applied: only one that waits is approved" in again["message"]


@pytest.mark.covers("C-29")
async def test_force_counts_for_those_who_may_and_is_audited(hub: Hub) -> None:
    hub.config["approval"] = {"destructive": "ask"}
    row = await hub.refresh("orders", force=True)
    assert (await hub.plan_of(row))[1] == "waiting"
    hub.config["approval"]["may_force"] = [getpass.getuser()]
    row = await hub.refresh("orders", force=True)
    assert (await hub.plan_of(row))[1] == "applied"
    audit = await hub.rows("select details from meta.audit where action = 'refresh.planned'")
    assert [line["details"]["forced"] for line in audit] == [False, True]


async def test_a_plan_is_stale_once_the_tables_have_changed(hub: Hub) -> None:
    hub.config["approval"] = {"destructive": "ask"}
    plan, _ = await hub.plan_of(await hub.refresh("orders"))
    await hub.estate.uat_does("create index later on orders (customer)")
    done = await hub.run("refresh-apply", "orders", plan=plan.plan_id)
    assert done["status"] == "failed"
    assert "no longer what the plan was made for" in done["message"]
    assert await hub.estate.in_uat(COUNT) == 1


# --- exclusion and cancelling ------------------------------------------------------------------
@contextlib.asynccontextmanager
async def table_in_use(hub: Hub) -> AsyncGenerator[None]:
    """Somebody writes to the table and does not commit."""
    connection = await asyncpg.connect(hub.estate.uat_url)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("lock table orders in row exclusive mode")
    try:
        yield
    finally:
        await transaction.rollback()
        await connection.close()


async def test_two_runs_never_refresh_one_table_at_once(hub: Hub) -> None:
    async with table_in_use(hub):
        first = await hub.queue("refresh", "orders", table="orders")
        second = await hub.queue("refresh", "all", table="all")
        async with asyncio.TaskGroup() as group:
            working = group.create_task(hub.work())
            await eventually(lambda: is_swapping(hub))
            await hub.work()
            row = await hub.row(second)
            assert (row["status"], row["message"]) == (
                "queued",
                "another run refreshes orders",
            )
            await cancel(hub, first)
            await working
    assert (await hub.row(first))["status"] == "cancelled"


async def is_swapping(hub: Hub) -> bool:
    return bool(await hub.rows("select 1 from meta.runs where checkpoint -> 'staged' ? 'orders'"))


async def cancel(hub: Hub, run_id: str) -> None:
    await hub.rows(
        "update meta.runs set cancel_requested = true where run_id = $1::text::uuid", run_id
    )


async def test_a_cancelled_run_ends_within_seconds_and_leaves_nothing(hub: Hub) -> None:
    async with table_in_use(hub):
        run_id = await hub.queue("refresh", "orders", table="orders")
        async with asyncio.TaskGroup() as group:
            working = group.create_task(hub.work())
            await eventually(lambda: is_swapping(hub))
            await cancel(hub, run_id)
            async with asyncio.timeout(6):
                await working
    row = await hub.row(run_id)
    assert row["status"] == "cancelled"
    assert (await hub.plan_of(row))[1] == "cancelled"
    assert await staging(hub) == 0
    assert await hub.estate.in_uat(COUNT) == 1


async def staging(hub: Hub) -> int:
    found: int = await hub.estate.in_uat(
        "select count(*) from pg_class c join pg_namespace n on n.oid = relnamespace "
        "where nspname = 'penstock_refresh' and relkind = 'r' and relname ~ '^[su]_'"
    )
    return found


# --- undo and housekeeping ---------------------------------------------------------------------
async def test_only_the_latest_refresh_is_taken_back(hub: Hub) -> None:
    first = await hub.refresh("orders")
    await hub.estate.production_does("update orders set customer = 'changed' where id = 1")
    second = await hub.refresh("orders")
    refused_ = await hub.run("refresh-undo", "orders", plan=str(first["run_id"]))
    assert "were refreshed again since: orders" in refused_["message"]
    await hub.undo(second)
    await hub.undo(first)
    assert await hub.estate.in_uat("select string_agg(customer, '') from orders") == "old"


async def test_what_was_swapped_before_a_failure_can_be_taken_back(hub: Hub) -> None:
    """Two tables that nothing connects: the first is swapped, the second stops at its guard."""
    await hub.estate.production_does("create table zones (id int primary key)")
    await hub.estate.uat_does(
        "create table zones (id int primary key)", "insert into zones values (1)"
    )
    await hub.estate.give_to_roles()
    hub.config["tables"].append({"name": "zones"})
    row = await hub.run("refresh", "all", table="all")
    assert row["status"] == "failed"
    assert "zones: the source has 0 rows" in row["message"]
    assert await hub.estate.in_uat(COUNT) == 100
    await hub.undo(row)
    assert await hub.estate.in_uat("select string_agg(customer, '') from orders") == "old"
    assert await staging(hub) == 0


async def test_what_testers_did_since_survives_an_undo(hub: Hub) -> None:
    row = await hub.refresh("orders")
    await hub.estate.uat_does("insert into orders values (500, 'the testers own')")
    await hub.undo(row)
    found = await hub.estate.rows(hub.estate.uat_url, "select * from orders order by id")
    assert found == [(1, "old"), (500, "the testers own")]


async def test_replaced_rows_are_forgotten_in_time_and_leftovers_removed(hub: Hub) -> None:
    row = await hub.refresh("orders")
    refresher = hub.refresher()
    housekeeping = Housekeeping(
        hub.database,
        ledger=refresher.ledger,
        planning=refresher.planning,
        open_engine=refresher.open_engine,
    )
    assert await housekeeping.step() == []
    assert await staging(hub) == 1
    await hub.estate.uat_does("create table penstock_refresh.s_0123456789_orders (id int)")
    assert await housekeeping.step() == ["s_0123456789_orders"]
    await hub.rows("update refresher.plans set undo_until = now() - interval '1 second'")
    await housekeeping.step()
    assert await staging(hub) == 0
    late = await hub.run("refresh-undo", "orders", plan=str(row["run_id"]))
    assert "are not kept any longer" in late["message"]


async def test_references_to_tables_outside_of_the_plan_are_told(hub: Hub) -> None:
    lines = "create table lines (id int primary key, order_id int references orders)"
    await hub.estate.production_does(lines)
    await hub.estate.uat_does(lines, "insert into lines values (1, 1)")
    await hub.estate.give_to_roles()
    await hub.estate.production_does("delete from orders where id = 1")
    row = await hub.run("refresh", "orders", table="orders")
    assert row["status"] == "failed"
    assert 'violates foreign key constraint "lines_order_id_fkey"' in row["message"]
    plan, _ = await hub.plan_of(row)
    assert plan.warnings == (
        "public.lines refers to orders and is not refreshed: rows it still refers to stop the swap",
    )
    assert await hub.estate.in_uat(COUNT) == 1
    assert await staging(hub) == 0


async def test_hooks_run_inside_the_swap(hub: Hub) -> None:
    hub.config["tables"][0]["hooks"] = {
        "after_swap": ["update public.orders set customer = 'test ' || customer"]
    }
    await hub.refresh("orders")
    assert await hub.estate.in_uat("select min(customer) from orders") == "test customer 1"


async def test_key_ranges_are_read_side_by_side_under_one_snapshot(hub: Hub) -> None:
    hub.config["tables"][0]["parallel"] = 4
    plan, _ = await hub.plan_of(await hub.refresh("orders"))
    assert [read.sql.partition("where ")[2] for read in plan.tables[0].reads] == [
        '"id" < 25',
        '"id" >= 25 and "id" < 50',
        '"id" >= 50 and "id" < 75',
        '"id" >= 75',
    ]
    assert await hub.estate.in_uat(COUNT) == 100


@pytest.mark.covers("S4-17")
async def test_what_cannot_be_verified_is_not_swapped(hub: Hub) -> None:
    """A fault between the two ends: the source's numbers are not staging's."""
    refresher = hub.refresher()
    planning = refresher.planning
    survey = planning.survey

    async def twisted(*args: object, **kwargs: object) -> object:
        found = await survey(*args, **kwargs)  # type: ignore[arg-type]
        (component,) = found.plan.components
        (table,) = component.tables
        read = dataclasses.replace(table.reads[0], sql="select id, upper(customer) from orders")
        table = dataclasses.replace(table, reads=(read,))
        component = dataclasses.replace(component, tables=(table,))
        plan = dataclasses.replace(found.plan, components=(component,))
        return dataclasses.replace(found, plan=plan)

    planning.survey = twisted  # type: ignore[method-assign,assignment]
    await refused_by(hub, refresher, "orders: staging differs from the source: the checksums")
    assert await hub.estate.in_uat("select string_agg(customer, '') from orders") == "old"
