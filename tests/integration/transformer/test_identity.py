"""Records of several sources to silver entities, on a real PostgreSQL."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from chassis.db import Transaction
from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.records import PERSON_RULES, Records
from transformer.adapters.entity_files import parse_entity

PERSON = parse_entity(PERSON_RULES, name="persons.yaml")


@pytest.fixture
async def people(database_url: str) -> AsyncGenerator[Records]:
    async with open_hub(database_url, {"person": PERSON}) as hub:
        yield Records(hub)


@pytest.mark.covers("C-16", "S2-03")
async def test_records_of_two_sources_that_share_a_key_are_one_row(people: Records) -> None:
    await people.put("b/7", {"uniqname": "JDoe", "name": "J. Doe"})
    await people.put("a/1", {"uniqname": "jdoe", "name": "John Doe"})
    assert await people.live() == {"b/7": "John Doe"}
    assert await people.hub.rows(
        "select source_system, external_id, entity_id, rule, linked_to from meta.entity_sources "
        "order by source_system"
    ) == [
        {
            "source_system": "a",
            "external_id": "1",
            "entity_id": "b/7",
            "rule": "uniqname",
            "linked_to": "b/7",
        },
        {
            "source_system": "b",
            "external_id": "7",
            "entity_id": "b/7",
            "rule": None,
            "linked_to": None,
        },
    ]


async def test_a_record_that_joins_two_entities_leaves_the_older_id(people: Records) -> None:
    await people.put("a/1", {"uniqname": "old", "name": "Old"})
    await people.put("b/2", {"mails": ["new@x"], "name": "New"})
    await people.put("c/3", {"uniqname": "OLD", "mails": ["z@x", "New@x"], "name": "Both"})
    assert await people.live() == {"a/1": "Old"}
    assert await people.merged_into() == {"b/2": "a/1"}
    assert [
        (event["entity_id"], event["operation"], event["version"], event.get("merged_into"))
        for event in await people.hub.announced()
    ] == [
        ("a/1", "upserted", 1, None),
        ("b/2", "upserted", 1, None),
        ("a/1", "upserted", 2, None),
        ("b/2", "retired", 2, "a/1"),
    ]
    joined_at = await people.hub.value("select max(ingested_at) from bronze.heads")
    assert await people.hub.rows(
        "select operation, valid_from = $1 as is_joined, valid_to = $1 as ends_then "
        "from silver.persons_history where entity_id = 'b/2' order by version",
        joined_at,
    ) == [
        {"operation": "upserted", "is_joined": False, "ends_then": True},
        {"operation": "retired", "is_joined": True, "ends_then": None},
    ]


async def test_a_record_that_lets_go_splits_the_entity(people: Records) -> None:
    await people.put("a/1", {"uniqname": "x", "name": "A"})
    await people.put("b/2", {"mails": ["m@x"], "name": "B"})
    await people.put("c/3", {"uniqname": "x", "mails": ["m@x"], "name": "C"})
    await people.put("c/3", {"mails": ["m@x"], "name": "C"})
    assert await people.members() == {"a/1": ["a/1"], "b/2": ["b/2", "c/3"]}
    assert await people.live() == {"a/1": "A", "b/2": "B"}
    assert await people.merged_into() == {}


async def test_a_deleted_anchor_keeps_the_id_and_its_keys(people: Records) -> None:
    await people.put("a/1", {"uniqname": "x", "name": "A"})
    await people.put("b/2", {"uniqname": "x", "name": "B"})
    await people.put("a/1", None)
    await people.put("c/3", {"uniqname": "x", "name": "C"})
    assert await people.live() == {"a/1": "B"}
    assert await people.members() == {"a/1": ["a/1", "b/2", "c/3"]}
    await people.put("b/2", None)
    await people.put("c/3", None)
    assert await people.live() == {}
    await people.put("a/1", {"uniqname": "x", "name": "A again"})
    assert await people.live() == {"a/1": "A again"}


async def test_a_value_that_becomes_common_lets_everybody_go_and_is_reported(
    people: Records,
) -> None:
    for number in range(1, 4):
        await people.put(f"a/{number}", {"mails": ["info@x"], "name": f"{number}"})
    assert await people.live() == {"a/1": "1"}
    await people.put("a/4", {"mails": ["info@x"], "name": "4"})
    assert await people.live() == {f"a/{number}": f"{number}" for number in range(1, 5)}
    assert await people.refused() == [("info@x", "common", ["a/1", "a/2", "a/3", "a/4"])]
    await people.put("a/5", {"mails": ["info@x"], "name": "5"})
    await people.put("a/4", {"name": "4"})
    assert len(await people.live()) == 5
    await people.put("a/1", {"name": "1"})
    assert await people.members() == {
        "a/1": ["a/1"],
        "a/2": ["a/2", "a/3", "a/5"],
        "a/4": ["a/4"],
    }
    assert await people.refused() == []
    assert await people.merged_into() == {"a/3": "a/2", "a/5": "a/2"}


async def test_a_value_of_contradicting_records_links_nothing_and_is_reported(
    people: Records,
) -> None:
    await people.put("a/1", {"employee": "1", "mails": ["m@x"], "name": "One"})
    await people.put("b/2", {"mails": ["m@x"], "name": "Two"})
    assert await people.live() == {"a/1": "One"}
    await people.put("a/3", {"employee": "3", "mails": ["m@x"], "name": "Three"})
    assert await people.live() == {"a/1": "One", "b/2": "Two", "a/3": "Three"}
    assert await people.refused() == [("m@x", "contradiction", ["a/1", "b/2", "a/3"])]
    await people.put("a/3", {"employee": "1", "mails": ["m@x"], "name": "Three"})
    assert await people.live() == {"a/1": "One"}
    assert await people.refused() == []


async def test_a_record_that_bronze_does_not_know_changes_nothing(people: Records) -> None:
    await people.transform("a/1")
    assert await people.members() == {}


@pytest.mark.covers("S2-37")
async def test_a_preview_says_what_would_happen_and_writes_nothing(people: Records) -> None:
    await people.put("a/1", {"uniqname": "x", "name": "A"})
    await people.put("b/2", {"mails": ["m@x"], "name": "B"})
    await people.store("c/3", {"uniqname": "x", "mails": ["m@x"], "name": "C"})
    before = await people.picture()
    async with people.hub.database.connection() as connection:
        tally = await people.hub.recompute.preview(connection, PERSON, ["c/3"])
    assert (tally.changed, tally.retired) == (1, 1)
    assert await people.picture() == before


@pytest.mark.covers("S2-37")
async def test_a_preview_page_by_page_counts_every_entity_once(people: Records) -> None:
    for record_id in ("c/1", "b/1", "a/1", "a/2", "b/2"):
        name = record_id[-1]
        await people.store(record_id, {"uniqname": name, "name": name})
    await people.transform("a/1", "a/2", "b/1", "b/2", "c/1")
    await people.store("a/1", {"uniqname": "1", "name": "new"})
    found = []
    async with people.hub.database.connection() as connection:
        for page in (["a/1", "a/2"], ["b/1", "b/2"], ["c/1"]):
            tally = await people.hub.recompute.preview(connection, PERSON, page, once=True)
            found.append((tally.changed, tally.unchanged))
    assert found == [(1, 1), (0, 0), (0, 0)]


@pytest.mark.covers("S2-36", "S2-38")
async def test_the_number_of_statements_does_not_grow_with_the_records(people: Records) -> None:
    async def statements(count: int) -> int:
        seen: list[str] = []
        ids = []
        for number in range(count):
            name = f"n{count}-{number}"
            await people.put(f"a/{name}", {"uniqname": name, "name": name})
            await people.put(f"b/{name}", {"mails": [name], "name": name})
            await people.store(f"c/{name}", {"uniqname": name, "mails": [name], "name": name})
            ids.append(f"c/{name}")

        @contextlib.asynccontextmanager
        async def counting() -> AsyncGenerator[Transaction]:
            async with people.hub.database.transaction() as transaction:
                connection = transaction.connection
                with connection.query_logger(lambda query: seen.append(query.query)):
                    yield transaction

        await people.transform(*ids, settle=counting)
        return len(seen)

    await statements(1)
    assert await statements(20) == await statements(2)


async def test_a_transaction_that_fails_half_way_is_as_if_it_had_not_been(
    people: Records,
) -> None:
    await people.put("a/1", {"uniqname": "x", "name": "A"})
    await people.put("b/2", {"mails": ["m@x"], "name": "B"})
    await people.store("c/3", {"uniqname": "x", "mails": ["m@x"], "name": "C"})
    before = await people.picture()

    @contextlib.asynccontextmanager
    async def dying() -> AsyncGenerator[Transaction]:
        async with people.hub.database.transaction() as transaction:
            yield transaction
            raise ConnectionAbortedError

    with contextlib.suppress(Exception):
        await people.transform("c/3", settle=dying)
    assert await people.picture() == before
    await people.transform("c/3")
    assert await people.members() == {"a/1": ["a/1", "b/2", "c/3"]}


def _random_document(chance: random.Random) -> dict[str, Any] | None:
    if chance.random() < 0.12:
        return None
    return {
        "uniqname": chance.choice([None, "u1", "u2", "u3", "U3"]),
        "employee": chance.choice([None, None, None, "1", "2"]),
        "mails": chance.sample(["m1", "m2", "m3", "m4"], chance.randrange(3)),
        "name": chance.choice("ABC"),
    }


@pytest.mark.covers("C-16")
@pytest.mark.parametrize("seed", range(6))
async def test_identity_and_silver_are_a_function_of_bronze(people: Records, seed: int) -> None:
    chance = random.Random(seed)
    ids = [f"{system}/{number}" for system in "abc" for number in range(4)]
    pending: list[str] = []
    for _ in range(40):
        record_id = chance.choice(ids)
        await people.store(record_id, _random_document(chance))
        pending += [record_id] * chance.choice([1, 1, 2])
        if chance.random() < 0.5:
            chance.shuffle(pending)
            await people.transform(*pending)
            pending = []
    await people.transform(*pending)
    incremental = await people.picture()

    known = list(await people.record_ids())
    await people.forget()
    await people.transform(*known)
    assert await people.picture() == incremental

    await people.forget()
    chance.shuffle(known)
    for record_id in known:
        await people.transform(record_id)
    assert await people.picture() == incremental


async def test_replicas_that_link_at_the_same_time_miss_nothing(
    people: Records, database_url: str
) -> None:
    chance = random.Random(7)
    ids = [f"{system}/{number}" for system in "abc" for number in range(8)]
    async with open_hub(database_url, {"person": PERSON}, chunk=3) as second:
        others = [people, Records(second)]
        for _ in range(6):
            for record_id in ids:
                await people.store(record_id, _random_document(chance))
            parts = [chance.sample(ids, len(ids)) for _ in others]
            async with asyncio.TaskGroup() as group:
                for replica, part in zip(others, parts, strict=True):
                    for start in range(0, len(part), 6):
                        group.create_task(replica.transform_until_done(*part[start : start + 6]))
    concurrent = await people.picture()
    await people.forget()
    await people.transform(*ids)
    assert await people.picture() == concurrent


async def test_a_run_over_all_records_repairs_what_somebody_touched(people: Records) -> None:
    hub: Hub = people.hub
    await people.put("a/1", {"uniqname": "x", "name": "A"})
    await people.put("b/2", {"uniqname": "x", "name": "B"})
    before = await people.picture()
    await hub.execute("update silver.persons set name = 'wrong'")
    await hub.execute("update meta.entity_xref set entity_id = record_id")
    async with hub.database.transaction() as transaction:
        await hub.recompute.apply(
            transaction,
            PERSON,
            await people.record_ids(),
            run_id="0" * 8 + "-0000" * 3 + "-" + "0" * 12,
        )
    assert await people.picture() == before


async def test_entities_from_before_the_rules_knew_identity_are_joined(
    people: Records, database_url: str
) -> None:
    before = PERSON_RULES[: PERSON_RULES.index("identity:")]
    plain = parse_entity(
        before + PERSON_RULES[PERSON_RULES.index("fields:") :], name="persons.yaml"
    )
    ids = ["a/1", "b/2", "c/3"]
    for record_id in ids:
        await people.store(record_id, {"uniqname": "x", "name": record_id})
    async with open_hub(database_url, {"person": plain}) as old:
        await Records(old).transform(*ids)
    assert len(await people.live()) == 3
    for record_id in ids:
        await people.transform(record_id)
    assert await people.live() == {"a/1": "a/1"}
    assert await people.merged_into() == {"b/2": "a/1", "c/3": "a/1"}
