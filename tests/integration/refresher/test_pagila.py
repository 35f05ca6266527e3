"""Pagila, refreshed nightly-style: references in a circle, partitions, views, triggers."""

from collections.abc import AsyncGenerator

import pytest

from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import Estate, load_pagila, tables_config
from tests.integration.refresher.hub import MASKING, Hub

TABLES = (
    *("actor", "address", "category", "city", "country", "customer", "film", "film_actor"),
    *("film_category", "inventory", "language", "payment", "rental", "staff", "store"),
)
UNMASKED = sorted(set(TABLES) - {"actor", "address", "customer", "staff"})

WITHOUT_PAYMENT = "not exists (select from payment p where p.rental_id = r.rental_id)"
CHANGES = (
    "update film set title = 'A NEW TITLE', rental_rate = 9.99 where film_id = 7",
    "delete from payment where payment_id % 50 = 0",
    f"delete from rental r where rental_id % 7 = 0 and {WITHOUT_PAYMENT}",
    "insert into rental (rental_date, inventory_id, customer_id, staff_id) select now(), "  # noqa: ISC004
    "inventory_id, 1, 1 from inventory order by inventory_id limit 20",
    "insert into language (name) values ('Esperanto')",
)


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await load_pagila(estate.production_url)
    await load_pagila(estate.uat_url, with_data=False)
    async with opening(tables_config(TABLES), masking=MASKING) as opened:
        yield opened


async def structure(estate: Estate) -> list[tuple[object, ...]]:
    """Everything about UAT's tables that a refresh must leave as it was."""
    return await estate.rows(
        estate.uat_url,
        """
        select 'trigger', tgrelid::regclass::text, tgname, tgenabled::text from pg_trigger
        where not tgisinternal
        union all
        select 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid)
        || convalidated from pg_constraint where connamespace = 'public'::regnamespace
        union all
        select 'index', indrelid::regclass::text, indexrelid::regclass::text,
            pg_get_indexdef(indexrelid) from pg_index join pg_class c on c.oid = indrelid
            where c.relnamespace = 'public'::regnamespace
        union all
        select 'view', viewname, definition, '' from pg_views where schemaname = 'public'
        union all
        select 'owner', relname, relowner::regrole::text, relacl::text from pg_class
        where relnamespace = 'public'::regnamespace
        order by 1, 2, 3, 4
        """,
    )


@pytest.mark.covers("S4-01", "S4-03", "S4-06", "S4-17", "C-26", "C-32")
async def test_a_full_refresh_makes_uat_equal_and_leaves_its_structure_alone(hub: Hub) -> None:
    before = await structure(hub.estate)
    row = await hub.refresh()
    production = await hub.estate.everything(hub.estate.production_url)
    uat = await hub.estate.everything(hub.estate.uat_url)
    assert {name: uat[name] for name in UNMASKED} == {name: production[name] for name in UNMASKED}
    assert {name: found[0] for name, found in uat.items()} == {
        name: found[0] for name, found in production.items()
    }
    assert row["counts"]["new"] == sum(found[0] for found in production.values())
    assert await structure(hub.estate) == before
    # Nothing of ours is left but the notes that undo needs.
    assert (
        await hub.estate.in_uat(
            "select count(*) from pg_class where relname like 's\\_%' "
            "and relnamespace = 'penstock_refresh'::regnamespace"
        )
        == 0
    )


@pytest.mark.covers("S4-17")
async def test_only_what_changed_is_written_and_undo_takes_it_back(hub: Hub) -> None:
    await hub.refresh()
    before = await hub.estate.everything(hub.estate.uat_url)
    await hub.estate.production_does(*CHANGES)
    row = await hub.refresh()
    production = await hub.estate.everything(hub.estate.production_url)
    after = await hub.estate.everything(hub.estate.uat_url)
    assert {name: after[name] for name in UNMASKED} == {name: production[name] for name in UNMASKED}
    assert row["counts"]["changed"] == 1
    assert row["counts"]["new"] == 21
    assert (
        row["counts"]["deleted"]
        == sum(before[name][0] - production[name][0] for name in TABLES) + 21
    )

    await hub.undo(row)
    assert await hub.estate.everything(hub.estate.uat_url) == before
    assert (await hub.plan_of(row))[1] == "undone"


@pytest.mark.covers("C-30")
async def test_personal_values_are_others_and_joins_survive(hub: Hub) -> None:
    await hub.refresh()
    names = "select customer_id, first_name, last_name, email from customer order by 1"
    there = await hub.estate.rows(hub.estate.production_url, names)
    here = await hub.estate.rows(hub.estate.uat_url, names)
    assert [row[0] for row in there] == [row[0] for row in here]
    for column in (1, 2, 3):
        pairs = [(a[column], b[column]) for a, b in zip(there, here, strict=True)]
        assert all(a != b and len(a) == len(b) for a, b in pairs)
        # The same value has the same mask, and different ones have different masks.
        assert len(dict(pairs)) == len({b for _, b in pairs})
    masked = (await hub.history("customer"))["masked"]
    assert masked["email"] == {"masked": 599, "empty": 0}


async def test_sequences_stand_behind_the_largest_number(hub: Hub) -> None:
    await hub.refresh()
    await hub.estate.uat_does("insert into language (name) values ('the testers own')")
    top = await hub.estate.in_production("select max(language_id) from language")
    assert await hub.estate.in_uat("select max(language_id) from language") == top + 1


async def test_views_show_the_new_rows(hub: Hub) -> None:
    await hub.refresh()
    count = "select count(*) from film_list"
    assert await hub.estate.in_uat(count) == await hub.estate.in_production(count)
