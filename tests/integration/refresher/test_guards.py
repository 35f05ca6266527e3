"""Production cannot be hit: every guard, against real servers, and nothing is written."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chassis.errors import PermanentError
from refresher.adapters.postgres_connections import Connections
from refresher.domain.catalog import Side
from refresher.errors import UnsafeTargetError
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate
from tests.integration.refresher.hub import Hub

TABLE = "create table orders (id int primary key, note text)"
CONTENT = "select string_agg(note, ',' order by id) from orders"


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await estate.production_does(TABLE, "insert into orders values (1, 'production')")
    await estate.uat_does(TABLE, "insert into orders values (1, 'uat')")
    async with opening([{"name": "orders"}]) as opened:
        yield opened


async def refused(hub: Hub, *sentences: str) -> None:
    """Refresh in vain: every sentence is said, and both databases are as they were."""
    row = await hub.run("refresh", "orders", table="orders")
    assert row["status"] == "failed"
    for sentence in sentences:
        assert sentence in row["message"]
    assert await hub.estate.in_production(CONTENT) == "production"
    assert await hub.estate.in_uat(CONTENT) == "uat"
    assert await hub.estate.in_production(OURS) == 0


OURS = "select count(*) from pg_namespace where nspname = 'penstock_refresh'"


@pytest.mark.covers("S4-01")
async def test_without_a_fault_the_same_refresh_is_applied(hub: Hub) -> None:
    await hub.refresh("orders")
    assert await hub.estate.in_uat(CONTENT) == "production"
    assert await hub.estate.in_production(OURS) == 0


@pytest.mark.covers("C-33")
async def test_source_and_target_swapped_in_the_file(hub: Hub) -> None:
    databases = hub.config["databases"]
    names = [databases[side]["database"] for side in ("source", "target")]
    databases["target"]["database"], databases["source"]["database"] = names
    # Even logins that could do it do not help.
    await hub.estate.production_does(
        f"grant connect on database {hub.estate.production} to {hub.estate.writer}",
        f"grant all on all tables in schema public to {hub.estate.writer}",
    )
    await hub.estate.uat_does(f"grant select on all tables in schema public to {hub.estate.reader}")
    await refused(hub, "swapped", "does not carry the marker", "carries the marker of a target")


@pytest.mark.covers("C-33")
async def test_swapped_with_the_fingerprints_swapped_as_well(hub: Hub) -> None:
    databases = hub.config["databases"]
    databases["source"], databases["target"] = databases["target"], databases["source"]
    await hub.estate.production_does(
        f"grant all on all tables in schema public to {hub.estate.writer}"
    )
    await hub.estate.uat_does(f"grant select on all tables in schema public to {hub.estate.reader}")
    await refused(hub, "does not carry the marker")


async def test_even_marked_production_is_refused_once_it_was_a_source(hub: Hub) -> None:
    await hub.refresh("orders")
    await hub.estate.uat_does("update orders set note = 'uat'")
    databases = hub.config["databases"]
    databases["source"], databases["target"] = databases["target"], databases["source"]
    await hub.estate.production_does(
        f"alter database {hub.estate.production} set penstock.refresh_role = 'target'",
        f"grant all on all tables in schema public to {hub.estate.writer}",
    )
    await hub.estate.uat_does(
        f"alter database {hub.estate.uat} reset penstock.refresh_role",
        f"grant select on all tables in schema public to {hub.estate.reader}",
    )
    await refused(hub, "registered as the source of a refresh")


async def test_a_target_without_the_marker(hub: Hub) -> None:
    await hub.estate.uat_does(f"alter database {hub.estate.uat} reset penstock.refresh_role")
    await refused(hub, "does not carry the marker")


async def test_a_marker_that_the_session_sets_itself_is_none(hub: Hub) -> None:
    await hub.estate.uat_does(
        f"alter database {hub.estate.uat} reset penstock.refresh_role",
        f"alter role {hub.estate.writer} set penstock.refresh_role = 'target'",
    )
    await refused(hub, "does not carry the marker")


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_fingerprint_that_is_not_the_pinned_one(hub: Hub, side: str) -> None:
    hub.config["databases"][side]["fingerprint"] = "postgresql/1/2/another"
    await refused(hub, f"the {side} is not the database that")


@pytest.mark.parametrize("side", ["source", "target"])
async def test_a_fingerprint_that_nobody_pinned_is_told_and_refused(hub: Hub, side: str) -> None:
    found = hub.config["databases"][side].pop("fingerprint")
    await refused(hub, "is not set; if", found)


POWERS: dict[str, tuple[str, ...]] = {
    "may write to public.orders": ("grant update (note) on orders to {reader}",),
    "it owns public.orders": ("alter table orders owner to {reader}",),
    "create tables in the schema public": ("grant create on schema public to {reader}",),
    "create schemas": ("grant create on database {production} to {reader}",),
    "advance public.numbers": (
        "create sequence numbers",
        "grant usage on sequence numbers to {reader}",
    ),
    "it is a superuser": ("alter role {reader} superuser",),
    "member of pg_write_all_data": ("grant pg_write_all_data to {reader}",),
}


@pytest.mark.covers("S4-18", "C-33")
@pytest.mark.parametrize("power", POWERS)
async def test_a_source_login_that_could_write(hub: Hub, power: str) -> None:
    names = {"reader": hub.estate.reader, "production": hub.estate.production}
    await hub.estate.production_does(*(text.format(**names) for text in POWERS[power]))
    await refused(hub, "could write", power)


async def test_a_right_that_comes_through_a_role_counts(hub: Hub) -> None:
    group = f"{hub.estate.reader}_group"
    await hub.estate.production_does(
        f"create role {group}",
        f"grant delete on orders to {group}",
        f"grant {group} to {hub.estate.reader}",
    )
    try:
        await refused(hub, "may write to public.orders")
    finally:
        await hub.estate.production_does(f"drop owned by {group}", f"drop role {group}")


@pytest.mark.covers("S4-18")
async def test_the_source_session_is_read_only_besides(hub: Hub) -> None:
    await hub.estate.production_does(f"grant all on orders to {hub.estate.reader}")
    async with hub.refresher().open_engine() as engine:
        source: Connections = engine._sides[Side.SOURCE]  # type: ignore[attr-defined]
        with pytest.raises(PermanentError, match="read-only"):
            async with source.lend() as connection:
                await connection.execute("update orders set note = 'x'")


async def test_a_writer_does_not_open_on_the_source(hub: Hub) -> None:
    refresher = hub.refresher()
    async with refresher.open_engine() as engine:
        target = await refresher.planning.verified(engine)
        source: Connections = engine._sides[Side.SOURCE]  # type: ignore[attr-defined]
        with pytest.raises(UnsafeTargetError, match="never written to"):
            async with source.write(target):
                pass


async def test_a_writer_notices_that_the_address_leads_elsewhere(hub: Hub) -> None:
    refresher = hub.refresher()
    async with refresher.open_engine() as engine:
        target = await refresher.planning.verified(engine)
    # The address of the target now leads to production, as after a change of names.
    hub.config["databases"]["target"]["database"] = hub.estate.production
    async with hub.refresher().open_engine() as engine:
        elsewhere: Any = engine._sides[Side.TARGET]  # type: ignore[attr-defined]
        with pytest.raises(UnsafeTargetError, match="another database"):
            async with elsewhere.write(target):
                pass
