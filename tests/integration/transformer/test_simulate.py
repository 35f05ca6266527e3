"""What another order of sources would change, and incremental runs."""

import re
import uuid
from collections.abc import AsyncGenerator
from itertools import chain
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.runs import RunWorker, submit
from tests.integration.transformer.hub import Hub, open_hub
from transformer.adapters.entity_files import parse_entity

RULES = """
version: 1
entity_type: person
table: people
find_by: [email]
ruleset_version: 1
inputs: {name: {path: name, type: text}, email: {path: email, type: text}}
sources: [{name: tdx, system: tdx}, {name: umich_api, system: umich_api}]
fields:
  name: {type: text, rule: name}
  email: {type: text, rule: LOWER(email)}
validations: [{name: has_at, rule: "STRPOS(email, '@') > 0", message: the e-mail has no @}]
quality: {mismatches: [{field: email}]}
"""


@pytest.fixture
async def hub(database_url: str) -> AsyncGenerator[Hub]:
    entities = {"person": parse_entity(RULES, name="people.yaml")}
    async with open_hub(database_url, entities, page=2) as opened:
        for number in range(5):
            await store(opened, number, "tdx", f"{number}@tdx")
        await store(opened, 1, "umich_api", "1@umich")
        await store(opened, 3, "umich_api", "3@TDX")
        await store(opened, 4, "umich_api", "nobody")
        yield opened


async def store(hub: Hub, number: int, system: str, email: str) -> None:
    document = {"name": f"N{number}", "email": email}
    await hub.store(f"P/{number}", f"{number}", document, entity_type="person", system=system)


async def run(hub: Hub, *, dry_run: bool = False, **parameters: Any) -> dict[str, Any]:
    async with hub.database.transaction() as transaction:
        run_id = await submit(
            transaction,
            service="transformer",
            kind="transform",
            target="person",
            parameters={"entity_type": "person"} | parameters,
            dry_run=dry_run,
        )
    worker = RunWorker(hub.database, {"transform": hub.job}, clock=SystemClock())
    assert await worker.step()
    (row,) = await hub.rows("select * from meta.runs where run_id = $1", uuid.UUID(run_id))
    return row


async def state(hub: Hub) -> list[dict[str, Any]]:
    tables = ("people", "heads", "origins", "people_history")
    return [
        row
        for table in tables
        for row in await hub.rows(f"select ctid::text, xmin::text from silver.{table}")
    ]


async def test_a_simulation_counts_and_shows_what_would_change_and_writes_nothing(hub: Hub) -> None:
    await run(hub)
    before = await state(hub)
    row = await run(hub, dry_run=True, priority=["email=umich_api>tdx"])
    assert (row["counts"]["processed"], row["counts"]["changed"]) == (5, 2)
    assert row["checkpoint"] == {
        "samples": [
            {"entity_id": "P/1", "before": {"email": "1@tdx"}, "after": {"email": "1@umich"}},
            {
                "entity_id": "P/4",
                "before": {
                    "name": "N4",
                    "email": "4@tdx",
                    "data_quality_score": "0.95",
                    "quality_flags": ["email_mismatch"],
                },
                "after": {},
            },
        ]
    }
    assert await state(hub) == before


@pytest.mark.parametrize(
    ("dry_run", "order", "sentence"),
    [
        (False, "email=tdx", "another order of sources can be simulated"),
        (True, "mail=tdx", "`mail` is no field; known: name, email"),
        (True, "email=ldap", "fields.email.priority: `ldap` is unknown"),
    ],
)
async def test_an_order_that_cannot_be_simulated_is_refused(
    hub: Hub, *, dry_run: bool, order: str, sentence: str
) -> None:
    row = await run(hub, dry_run=dry_run, priority=[order])
    assert row["status"] == "failed"
    assert sentence in row["message"]


@pytest.mark.covers("S2-17", "S2-18", "S2-19", "C-11")
async def test_an_incremental_run_looks_back_to_the_start_of_the_last_one(hub: Hub) -> None:
    first = await run(hub, incremental=True)
    assert first["counts"]["processed"] == 5
    # What bronze stored while the first run was under way lies before its end: it must be seen.
    await hub.execute(
        "update bronze.raw_entities set ingested_at = ingested_at - interval '1 hour'; "
        "update bronze.heads set ingested_at = ingested_at - interval '1 hour'"
    )
    await store(hub, 2, "tdx", "late@tdx")
    await hub.execute(
        "update meta.runs set started_at = started_at - interval '10 minutes', "
        "queued_at = queued_at - interval '10 minutes', "
        "finished_at = clock_timestamp() + interval '1 minute'"
    )
    second = await run(hub, incremental=True)
    assert second["counts"]["processed"] == 1
    assert await hub.value("select email from silver.people where entity_id = 'P/2'") == "late@tdx"


@pytest.mark.covers("S2-36", "S2-38")
async def test_many_entities_cost_as_many_statements_as_few(database_url: str) -> None:
    entities = {"person": parse_entity(RULES, name="people.yaml")}
    async with open_hub(database_url, entities, chunk=1000) as hub:
        parts = [range(1), range(100, 103), range(400, 520), range(4009, 4012), range(4100, 4200)]
        for number in chain(*parts):
            await store(hub, number, "tdx", f"{number}@tdx")
        # The first time, the driver asks for types as well. The last two lie between known ones.
        _, few, many, few_between, many_between = [await statements(hub, part) for part in parts]
    assert few == many
    assert few_between == many_between
    assert len(few) < len(few_between) < 30


async def statements(hub: Hub, numbers: range) -> list[str]:
    """Return the statements that a recomputation of entities sends; savepoints have no number."""
    seen: list[str] = []
    async with hub.database.transaction() as transaction:
        ids = [f"P/{number}" for number in numbers]
        with transaction.connection.query_logger(lambda record: seen.append(record.query)):
            await hub.recompute.apply(transaction, hub.entities["person"], ids)
    return [re.sub(r"savepoint_\w+", "savepoint", query) for query in seen]
