"""A record that refers to another silver table waits until the other is there."""

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import pytest

from chassis.db import Transaction
from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.records import PERSON_RULES, Records
from tests.support.eventually import eventually
from transformer.adapters.entity_files import parse_entity

UNIT_RULES = """
version: 1
entity_type: unit
table: units
ruleset_version: 1
inputs: {code: {path: code, type: text}, name: {path: name, type: text}}
sources: [{name: a}]
identity: {keys: [{name: code, rule: code}]}
fields: {code: {type: text, rule: code}, name: {type: text, rule: name}}
"""
MEMBER_RULES = PERSON_RULES.replace(
    "fields:",
    "references: [{name: unit, field: unit, entity_type: unit, column: code, "
    "message: the unit is unknown}]\nfields:\n  unit: {type: text, rule: unit}",
).replace("inputs:", "inputs:\n  unit: {path: unit, type: text}")
ENTITIES = {
    "person": parse_entity(MEMBER_RULES, name="persons.yaml"),
    "unit": parse_entity(UNIT_RULES, name="units.yaml"),
}


@dataclass(slots=True)
class Office:
    hub: Hub
    people: Records
    units: Records

    async def picture(self) -> list[Any]:
        references = await self.hub.rows("select * from meta.entity_references order by 1, 2, 3")
        digests = await self.hub.digests(["persons", "units"])
        return [references, digests]


def _office(hub: Hub) -> Office:
    return Office(hub, Records(hub), Records(hub, "unit", "units"))


@pytest.fixture
async def office(database_url: str) -> AsyncGenerator[Office]:
    async with open_hub(database_url, ENTITIES) as hub:
        yield _office(hub)


@pytest.mark.covers("S2-27", "S2-28")
async def test_a_record_waits_for_what_it_refers_to(office: Office) -> None:
    await office.people.put("a/1", {"uniqname": "x", "name": "A", "unit": "170500"})
    await office.people.put("a/2", {"uniqname": "y", "name": "B"})
    assert await office.people.live() == {"a/2": "B"}
    errors = await office.hub.rows("select external_id, category, message from meta.record_errors")
    assert errors == [
        {
            "external_id": "a/1",
            "category": "content_validation",
            "message": "unit: the unit is unknown: 170500",
        }
    ]
    await office.units.put("a/9", {"code": "170500", "name": "Chemistry"})
    assert await office.people.live() == {"a/1": "A", "a/2": "B"}
    assert [
        (event["entity_type"], event["operation"]) for event in await office.hub.announced()
    ] == [("person", "upserted"), ("unit", "upserted"), ("person", "upserted")]


@pytest.mark.covers("S2-27")
async def test_a_record_goes_and_comes_back_with_what_it_refers_to(office: Office) -> None:
    await office.units.put("a/9", {"code": "1", "name": "Chemistry"})
    await office.people.put("a/1", {"uniqname": "x", "name": "A", "unit": "1"})
    await office.units.put("a/9", {"code": "2", "name": "Chemistry"})
    assert await office.people.live() == {}
    await office.units.put("b/8", {"code": "1", "name": "Physics"})
    assert await office.people.live() == {"a/1": "A"}
    await office.units.put("b/8", None)
    assert await office.people.live() == {}
    await office.people.put("a/1", {"uniqname": "x", "name": "A", "unit": "2"})
    assert await office.people.live() == {"a/1": "A"}


async def test_a_change_of_what_is_referred_to_touches_nobody_else(office: Office) -> None:
    await office.units.put("a/9", {"code": "1", "name": "Chemistry"})
    await office.people.put("a/1", {"uniqname": "x", "name": "A", "unit": "1"})
    before = await office.hub.rows("select xmin::text from silver.heads where entity_id = 'a/1'")
    await office.units.put("a/9", {"code": "1", "name": "Chemistry and Physics"})
    assert before == await office.hub.rows(
        "select xmin::text from silver.heads where entity_id = 'a/1'"
    )


async def test_both_in_one_batch_find_each_other(office: Office) -> None:
    await office.people.store("a/1", {"uniqname": "x", "name": "A", "unit": "1"})
    await office.units.store("a/9", {"code": "1", "name": "Chemistry"})
    hub = office.hub
    await hub.apply([hub.event("a/1", entity_type="person"), hub.event("a/9", entity_type="unit")])
    assert await office.people.live() == {"a/1": "A"}


async def test_a_value_that_arrives_during_the_check_is_not_missed(
    office: Office, database_url: str
) -> None:
    await office.people.store("a/1", {"uniqname": "x", "name": "A", "unit": "1"})
    await office.units.store("a/9", {"code": "1", "name": "Chemistry"})
    checked, may_commit = asyncio.Event(), asyncio.Event()

    @contextlib.asynccontextmanager
    async def slowly() -> AsyncGenerator[Transaction]:
        async with office.hub.database.transaction() as transaction:
            yield transaction
            checked.set()
            await may_commit.wait()

    async def somebody_waits() -> bool:
        return bool(
            await office.hub.value(
                "select count(*) from pg_stat_activity "
                "where datname = current_database() and wait_event_type = 'Lock'"
            )
        )

    async with open_hub(database_url, ENTITIES) as other, asyncio.TaskGroup() as group:
        group.create_task(office.people.transform("a/1", settle=slowly))
        await checked.wait()
        group.create_task(_office(other).units.transform("a/9"))
        await eventually(somebody_waits)
        may_commit.set()
    assert await office.people.live() == {"a/1": "A"}


@pytest.mark.covers("S2-36")
async def test_the_number_of_statements_does_not_grow_with_the_references(office: Office) -> None:
    async def statements(count: int) -> int:
        seen: list[str] = []
        names = [f"n{count}-{number}" for number in range(count)]
        for name in names:
            await office.people.put(f"a/{name}", {"uniqname": name, "name": name, "unit": name})
            await office.units.store(f"a/{name}", {"code": name, "name": name})

        @contextlib.asynccontextmanager
        async def counting() -> AsyncGenerator[Transaction]:
            async with office.hub.database.transaction() as transaction:
                with transaction.connection.query_logger(lambda query: seen.append(query.query)):
                    yield transaction

        await office.units.transform(*(f"a/{name}" for name in names), settle=counting)
        return len(seen)

    await statements(1)
    assert await statements(20) == await statements(2)


@pytest.mark.parametrize("seed", range(3))
async def test_silver_does_not_depend_on_who_came_first(
    office: Office, database_url: str, seed: int
) -> None:
    chance = random.Random(seed)
    hub = office.hub
    async with open_hub(database_url, ENTITIES, chunk=2) as second:
        for _ in range(5):
            events = []
            for number in range(6):
                person: dict[str, Any] = {
                    "uniqname": chance.choice("xyz"),
                    "name": chance.choice("AB"),
                    "unit": chance.choice([None, "1", "2", "3"]),
                }
                await office.people.store(f"a/{number}", chance.choice([None, person, person]))
                unit = {"code": chance.choice("123"), "name": "U"}
                await office.units.store(f"b/{number}", chance.choice([None, unit, unit]))
                events.append(hub.event(f"a/{number}", entity_type="person"))
                events.append(hub.event(f"b/{number}", entity_type="unit"))
            chance.shuffle(events)
            async with asyncio.TaskGroup() as group:
                for start, worker in ((0, hub), (3, second), (6, hub), (9, second)):
                    group.create_task(worker.apply(events[start : start + 3]))
    concurrent = await office.picture()
    await office.people.forget()
    await hub.execute("truncate silver.units, silver.units_history, meta.entity_references")
    await office.people.transform(*await office.people.record_ids())
    await office.units.transform(*await office.units.record_ids())
    assert await office.picture() == concurrent
