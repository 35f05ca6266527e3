"""A shadow of silver: made beside what readers see, compared, promoted, discarded, forgotten."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest

from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.shadows import Shadows
from transformer.adapters.entity_files import parse_entity
from transformer.domain.entity import Entity

RULES = """
version: 1
entity_type: person
table: people
find_by: [email]
ruleset_version: 1
inputs:
  name: {path: name, type: text}
  email: {path: email, type: text}
  pay: {path: pay, type: numeric}
sources: [{name: tdx, system: tdx}, {name: umich_api, system: umich_api}]
fields:
  name: {type: text, rule: name}
  email: {type: text, rule: LOWER(email)}
  pay: {type: numeric, rule: pay}
validations: [{name: has_at, rule: "STRPOS(email, '@') > 0", message: the e-mail has no @}]
quality: {mismatches: [{field: email}]}
"""
OTHER_RULES = RULES.replace(
    "rule: LOWER(email)}", "rule: LOWER(email), priority: [umich_api, tdx]}"
).replace("ruleset_version: 1", "ruleset_version: 2")
TABLES = ("people", "people_history", "origins", "heads")


def rules(text: str) -> dict[str, Entity]:
    return {"person": parse_entity(text, name="people.yaml")}


async def store(hub: Hub, number: int, system: str, email: str) -> None:
    document = {"name": f"N{number}", "email": email, "pay": "12.50"}
    await hub.store(f"P/{number}", f"{number}", document, entity_type="person", system=system)


@pytest.fixture
async def shadows(database_url: str) -> AsyncGenerator[Shadows]:
    """Behind five people in silver; 1 and 4 would differ if umich_api gave the e-mail."""
    async with open_hub(database_url, rules(RULES), page=2) as hub:
        for number in range(5):
            await store(hub, number, "tdx", f"{number}@tdx")
        await store(hub, 1, "umich_api", "1@umich")
        await store(hub, 3, "umich_api", "3@TDX")
        await store(hub, 4, "umich_api", "nobody")
        found = await Shadows(hub, "person", rules(RULES)).prepare()
        assert (await found.run())["counts"]["new"] == 5
        await hub.execute("truncate meta.outbox")
        yield found


async def picture(hub: Hub) -> list[Any]:
    """Return every row that readers could see, and whether it was ever touched."""
    found: list[Any] = []
    for table in TABLES:
        found += await hub.rows(f"select xmin::text, t.* from silver.{table} t order by 2, 3, 4")
    return [*found, *await hub.announced()]


async def leftovers(hub: Hub) -> int:
    tables = ("sets", "records", "heads", "origins", "people", "entity_xref")
    return sum([await hub.value(f"select count(*) from shadow.{name}") for name in tables])


async def audit(hub: Hub) -> tuple[str, str, str]:
    (row,) = await hub.rows("select * from meta.audit where action like 'shadow.%'")
    return row["actor"], row["action"], row["details"]["shadow_run"]


def totals(diff: dict[str, Any]) -> tuple[int, int, int, int]:
    return diff["added"], diff["removed"], diff["changed"], diff["same"]


async def test_a_shadow_by_the_rules_at_work_differs_in_nothing(shadows: Shadows) -> None:
    before = await picture(shadows.hub)
    run_id, diff = await shadows.make()
    assert totals(diff) == (0, 0, 0, 5)
    assert (diff["unseen"], diff["fields"]) == (0, {})
    assert await picture(shadows.hub) == before
    promoted = await shadows.promote(run_id)
    assert promoted["status"] == "completed"
    assert await picture(shadows.hub) == before
    assert await leftovers(shadows.hub) == 0


async def test_one_damaged_row_is_all_that_differs_and_promotion_repairs_it(
    shadows: Shadows,
) -> None:
    hub = shadows.hub
    before = await hub.digests(["people", "people_history"])
    await hub.execute("update silver.people set email = 'x' where entity_id = 'P/3'")
    run_id, diff = await shadows.make()
    assert totals(diff) == (0, 0, 1, 4)
    (example,) = diff["fields"]["email"]["examples"]
    assert (example["entity_id"], example["before"], example["after"]) == ("P/3", "x", "3@tdx")
    assert example["won_before"] == example["won_after"]
    row = await shadows.promote(run_id)
    assert row["status"] == "completed"
    assert await hub.digests(["people", "people_history"]) == before
    assert await hub.announced() == []


async def test_rows_that_bronze_knows_nothing_of_and_rows_that_lack_are_told(
    shadows: Shadows,
) -> None:
    hub = shadows.hub
    before = await hub.digests(["people"])
    await hub.execute(
        "insert into silver.people select 'stranger', name, email, pay, version_count, version_ids,"
        " data_quality_score, quality_flags, version, content_hash, ruleset_version, updated_at "
        "from silver.people where entity_id = 'P/1'; "
        "delete from silver.people where entity_id = 'P/2'"
    )
    run_id, diff = await shadows.make()
    assert totals(diff) == (1, 1, 0, 4)
    assert diff["examples"] == {
        "added": [{"entity_id": "P/2", "email": "2@tdx", "data_quality_score": "1.00"}],
        "removed": [
            {
                "entity_id": "stranger",
                "email": "1@tdx",
                "data_quality_score": "0.95",
                "why": "bronze has no live record of it",
            }
        ],
    }
    assert (await shadows.promote(run_id))["status"] == "completed"
    assert await hub.digests(["people"]) == before


async def test_other_rules_differ_as_a_simulation_says_and_are_promoted_as_transformed(
    shadows: Shadows, database_url: str
) -> None:
    hub = shadows.hub
    simulated = await shadows.run(dry_run=True, priority=["email=umich_api>tdx"])
    shadows.on_disk = rules(OTHER_RULES)
    before = await picture(hub)
    run_id, diff = await shadows.make()
    assert await picture(hub) == before
    assert (diff["ruleset_version"], diff["unseen"], diff["rejected"]) == (2, 3, 1)
    assert totals(diff) == (0, 1, 1, 3)
    assert simulated["counts"]["changed"] == 2
    (changed, removed) = simulated["checkpoint"]["samples"]
    (example,) = diff["fields"]["email"]["examples"]
    assert {key: example[key] for key in ("entity_id", "before", "after")} == {
        "entity_id": changed["entity_id"],
        "before": changed["before"]["email"],
        "after": changed["after"]["email"],
    }
    assert (example["won_before"]["source"], example["won_after"]["source"]) == ("tdx", "umich_api")
    assert "by tdx > umich_api" in example["won_before"]["rule"]
    assert "by umich_api > tdx" in example["won_after"]["rule"]
    assert diff["examples"]["removed"][0]["entity_id"] == removed["entity_id"]
    assert diff["examples"]["removed"][0]["why"] == "rejected: has_at: the e-mail has no @"

    refused = await shadows.promote(run_id)
    assert refused["status"] == "failed"
    assert "restart the transformer" in refused["message"]

    async with open_hub(database_url, rules(OTHER_RULES), page=2) as restarted:
        after = await Shadows(restarted, "person", rules(OTHER_RULES)).prepare()
        promoted = await after.promote(run_id)
        assert promoted["counts"] == promoted["counts"] | {"changed": 1, "failed": 1}
        events = await restarted.announced()
        assert [(item["entity_id"], item["operation"]) for item in events] == [
            ("P/1", "upserted"),
            ("P/4", "retired"),
        ]
        assert await audit(restarted) == ("ann", "shadow.promoted", run_id)
        mine = await restarted.digests(["people", "origins"])
        await restarted.execute("truncate silver.people, silver.origins, silver.heads")
        await after.run()
        assert await restarted.digests(["people", "origins"]) == mine
