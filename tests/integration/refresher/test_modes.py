"""Incremental and smart refreshes after real changes, and rows of the testers under each policy."""

import pytest

from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate

ORDERS = "create table orders (id int primary key, day date, changed_at timestamptz, note text)"
FILL = (
    "insert into orders select n, date '2026-01-01' + n / 10, "
    "timestamptz '2026-01-01 00:00:00Z' + n * interval '1 hour', 'row ' || n "
    "from generate_series(1, 500) n where n <> 490"
)
IDENTITY = {
    "name": "orders",
    "sync_mode": "incremental",
    "incremental_column": "id",
    "incremental_type": "identity",
    "identity_lookback": 50,
}
DATE = {
    "name": "orders",
    "sync_mode": "incremental",
    "incremental_column": "day",
    "incremental_type": "date",
    "date_buffer_days": 7,
}
DATETIME = {
    "name": "orders",
    "sync_mode": "incremental",
    "incremental_column": "changed_at",
    "incremental_type": "datetime",
}
SMART = {**DATETIME, "sync_mode": "smart_sync", "fallback_to_full": True}


async def make(estate: Estate) -> None:
    await estate.production_does(ORDERS, FILL)
    await estate.uat_does(ORDERS)


async def equal(estate: Estate) -> bool:
    there = await estate.checksum(estate.production_url, "orders")
    return there == await estate.checksum(estate.uat_url, "orders")


@pytest.mark.covers("S4-07", "S4-09", "C-25", "C-46")
async def test_identity_sees_what_was_committed_late_and_deleted_in_the_look_back(
    estate: Estate, opening: Open
) -> None:
    await make(estate)
    async with opening([IDENTITY]) as hub:
        await hub.refresh()
        assert await equal(estate)
        await estate.production_does(
            "insert into orders values (490, '2026-02-19', now(), 'drawn early, committed late')",
            "insert into orders values (501, '2026-02-20', now(), 'new')",
            "delete from orders where id = 480",
            "update orders set note = 'too far back' where id = 3",
        )
        row = await hub.refresh()
        counts = row["counts"]
        assert (counts["new"], counts["changed"], counts["deleted"]) == (2, 0, 1)
        assert counts["processed"] == 51  # 450…501 without 480
        assert await estate.in_uat("select note from orders where id = 3") == "row 3"
        history = await hub.history("orders")
        assert (history["window_low"], history["window_high"]) == ("450", "501")
        assert history["watermark"] == {"type": "integer", "text": "501"}


@pytest.mark.covers("S4-09", "S4-10", "C-25")
async def test_date_replaces_whole_days_of_the_buffer(estate: Estate, opening: Open) -> None:
    await make(estate)
    async with opening([DATE]) as hub:
        await hub.refresh()
        last = await estate.in_production("select max(day) from orders")
        await estate.production_does(
            f"insert into orders values (601, '{last}', now(), 'later on the same day')",
            f"update orders set note = 'changed' where day = '{last}'::date - 7 and id % 10 = 1",
            f"delete from orders where day = '{last}'::date - 1 and id % 10 = 2",
        )
        row = await hub.refresh()
        assert await equal(estate)
        counts = row["counts"]
        assert (counts["new"], counts["changed"], counts["deleted"]) == (1, 1, 1)


@pytest.mark.covers("S4-09", "C-25")
async def test_datetime_sees_updates_and_a_sweep_sees_deletions(
    estate: Estate, opening: Open
) -> None:
    await make(estate)
    async with opening([DATETIME]) as hub:
        await hub.refresh()
        await estate.production_does(
            "update orders set note = 'changed', changed_at = '2027-01-01' where id = 5",
            "delete from orders where id = 6",
        )
        row = await hub.refresh()
        assert row["counts"]["changed"] == 1
        assert row["counts"]["deleted"] == 0
        assert not await equal(estate)
        hub.config["tables"][0]["sweep_deletes"] = "always"
        row = await hub.refresh()
        assert row["counts"]["deleted"] == 1
        assert await equal(estate)


@pytest.mark.covers("S4-08")
async def test_smart_sync_decides_and_says_why(estate: Estate, opening: Open) -> None:
    await make(estate)
    async with opening([SMART]) as hub:

        async def decided() -> tuple[str, str]:
            history = await hub.history("orders")
            return history["mode"], history["mode_reason"]

        await hub.refresh()
        assert await decided() == ("full_replace", "the target is empty")
        await estate.production_does("update orders set changed_at = now() where id = 5")
        await hub.refresh()
        mode, reason = await decided()
        assert mode == "incremental"
        assert reason.startswith("goes on from the watermark 2026-01-21")
        await estate.production_does("alter table orders add column extra text")
        await hub.refresh()
        assert await decided() == (
            "full_replace",
            "the columns have changed since the last refresh",
        )
        assert await equal(estate)


@pytest.mark.covers("C-28")
async def test_an_outage_never_turns_into_a_full_refresh(estate: Estate, opening: Open) -> None:
    await make(estate)
    async with opening([SMART]) as hub:
        await hub.refresh()
        await hub.estate.production_does(f"revoke select on orders from {estate.reader}")
        row = await hub.run("refresh", "orders", table="orders")
        assert row["status"] == "failed"
        assert "no table public.orders that we may read" in row["message"]
        await hub.estate.production_does(f"grant select on orders to {estate.reader}")
        await hub.refresh("orders")
        assert (await hub.history("orders"))["mode"] == "incremental"


async def test_an_empty_source_leaves_uat_alone_when_incremental(
    estate: Estate, opening: Open
) -> None:
    await make(estate)
    async with opening([IDENTITY]) as hub:
        await hub.refresh()
        await estate.production_does("delete from orders")
        row = await hub.refresh()
        assert row["counts"]["deleted"] == 0
        assert await estate.in_uat("select count(*) from orders") == 499


TESTERS = (
    "insert into orders values (900, '2026-12-31', now(), 'the testers own')",
    "insert into orders values (502, '2026-12-31', now(), 'the testers own')",
)
NEW = (
    "insert into orders values (501, '2026-02-21', now(), 'new')",
    "insert into orders values (502, '2026-02-21', now(), 'new')",
)


@pytest.mark.parametrize(
    ("policy", "status", "present"),
    [
        ("overwrite", "completed", {501: "new", 502: "new", 900: "the testers own"}),
        ("keep", "completed", {501: "new", 502: "the testers own", 900: "the testers own"}),
        ("stop", "failed", {502: "the testers own", 900: "the testers own"}),
    ],
)
async def test_rows_of_the_testers_beyond_the_watermark(
    estate: Estate, opening: Open, policy: str, status: str, present: dict[int, str]
) -> None:
    await make(estate)
    async with opening([{**IDENTITY, "local_rows": policy}]) as hub:
        await hub.refresh()
        await estate.uat_does(*TESTERS)
        await estate.production_does(*NEW)
        row = await hub.run("refresh", "orders", table="orders")
        assert row["status"] == status, row["message"]
        found = await estate.rows(estate.uat_url, "select id, note from orders where id > 500")
        assert dict(found) == present


@pytest.mark.parametrize(("policy", "left"), [("overwrite", []), ("keep", [900]), ("stop", [900])])
async def test_rows_of_the_testers_in_a_full_refresh(
    estate: Estate, opening: Open, policy: str, left: list[int]
) -> None:
    await make(estate)
    async with opening([{"name": "orders", "local_rows": policy}]) as hub:
        await hub.refresh()
        await estate.uat_does(TESTERS[0])
        row = await hub.run("refresh", "orders", table="orders")
        assert row["status"] == ("failed" if policy == "stop" else "completed")
        found = await estate.rows(estate.uat_url, "select id from orders where id > 500")
        assert [item for (item,) in found] == left


async def test_rows_that_the_filter_keeps_are_never_touched(estate: Estate, opening: Open) -> None:
    await make(estate)
    async with opening([{"name": "orders", "keep_rows": "note like 'ours%'"}]) as hub:
        await hub.refresh()
        await estate.uat_does(
            "update orders set note = 'ours, changed' where id = 1",
            "insert into orders values (900, '2026-12-31', now(), 'ours, new')",
        )
        row = await hub.refresh()
        found = await estate.rows(estate.uat_url, "select id from orders where note like 'ours%'")
        assert sorted(found) == [(1,), (900,)]
        assert row["counts"]["changed"] == row["counts"]["deleted"] == 0
        assert (await hub.history("orders"))["rows_kept"] == 2


@pytest.mark.covers("S4-02")
async def test_new_and_wider_columns_follow_and_are_told(estate: Estate, opening: Open) -> None:
    await estate.production_does(
        "create table things (id bigint primary key, name varchar(80), born date)",
        "insert into things values (1, repeat('x', 80), '2020-02-02')",
    )
    await estate.uat_does("create table things (id int primary key, name varchar(50))")
    async with opening([{"name": "things"}]) as hub:
        await hub.refresh()
        assert await estate.checksum(estate.production_url, "things") == await estate.checksum(
            estate.uat_url, "things"
        )
        drift = await hub.rows("select value from meta.outbox where topic = 'schema.drifted'")
        assert len(drift) == 1


@pytest.mark.covers("S4-02")
async def test_a_lost_column_waits_for_a_person_and_is_never_dropped(
    estate: Estate, opening: Open
) -> None:
    await estate.production_does("create table things (id int primary key)")
    await estate.uat_does("create table things (id int primary key, name text)")
    async with opening([{"name": "things"}]) as hub:
        row = await hub.refresh()
        plan, status = await hub.plan_of(row)
        assert status == "waiting"
        assert any("does not have it any more" in item for item in plan.destructive)
        done = await hub.run("refresh-apply", "all", plan=plan.plan_id)
        assert done["status"] == "completed", done["message"]
        assert await estate.in_uat("select count(name) from things") == 0


@pytest.mark.covers("S4-02")
async def test_types_that_do_not_fit_are_refused_with_a_diff(estate: Estate, opening: Open) -> None:
    await estate.production_does("create table things (id int primary key, name int)")
    await estate.uat_does("create table things (id int primary key, name text)")
    async with opening([{"name": "things"}]) as hub:
        row = await hub.run("refresh", "things", table="things")
        assert row["status"] == "failed"
        assert "name text → integer: the types do not fit" in row["message"]


async def test_tables_that_refer_to_each_other_in_a_circle(estate: Estate, opening: Open) -> None:
    tables = (
        "create table store (id int primary key, manager int not null)",
        (
            "create table staff (id int primary key, boss int references staff, "
            "store int not null references store)"
        ),
        "alter table store add foreign key (manager) references staff",
    )
    await estate.production_does(*tables)
    await estate.uat_does(*tables)
    await estate.production_does(
        "with a as (insert into store values (1, 1), (2, 2)) "
        "insert into staff values (1, null, 1), (2, 1, 2)"
    )
    async with opening([{"name": "store"}, {"name": "staff"}]) as hub:
        plan, _ = await hub.plan_of(await hub.refresh())
        assert plan.components[0].order == (("store", "staff"),)
        await estate.production_does(
            "with a as (delete from store where id = 2) delete from staff where id = 2",
            "with a as (insert into store values (3, 3)) insert into staff values (3, 1, 3)",
        )
        row = await hub.refresh()
        for table in ("store", "staff"):
            assert await estate.checksum(estate.production_url, table) == await estate.checksum(
                estate.uat_url, table
            )
        await hub.undo(row)
        assert await estate.in_uat("select array_agg(id order by id) from staff") == [1, 2]


async def test_a_table_without_a_key_is_rewritten_and_restored(
    estate: Estate, opening: Open
) -> None:
    await estate.production_does(
        "create table log (line text)", "insert into log values ('a'),('a')"
    )
    await estate.uat_does("create table log (line text)", "insert into log values ('b')")
    async with opening([{"name": "log"}]) as hub:
        row = await hub.refresh()
        assert await estate.in_uat("select string_agg(line, '') from log") == "aa"
        await hub.undo(row)
        assert await estate.in_uat("select string_agg(line, '') from log") == "b"
