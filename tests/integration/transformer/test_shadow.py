"""A shadow of silver: made beside what readers see, compared, promoted, discarded, forgotten."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from chassis.errors import UnavailableError
from chassis.runs import Job, RunContext
from contracts.runs import RunCounts
from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.shadows import Shadows
from tests.support.eventually import eventually
from tests.support.paths import PROJECT
from transformer.adapters.entity_files import parse_entity
from transformer.adapters.postgres_shadow import PostgresShadow
from transformer.adapters.shadow_expiry import ShadowExpiry
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
    await hub.execute(
        "update meta.runs set status = 'queued' where kind = 'transform' and "
        "parameters ->> 'action' = 'promote'"
    )  # the worker died just after its commit
    again = await shadows.step(row["run_id"])
    assert (again["status"], again["counts"]) == ("completed", row["counts"])
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


async def test_promotion_is_refused_when_bronze_has_moved_on(shadows: Shadows) -> None:
    hub = shadows.hub
    await hub.execute("update silver.people set name = 'x' where entity_id in ('P/0', 'P/2')")
    run_id, _ = await shadows.make()
    before = await picture(hub)
    await store(hub, 2, "tdx", "new@tdx")
    await store(hub, 3, "tdx", "other@tdx")  # does not differ: no matter
    refused = await shadows.promote(run_id)
    assert refused["status"] == "failed"
    assert (
        "bronze has stored more since the shadow was made, of 1 that differ: P/2; discard it"
        in (refused["message"])
    )
    assert await picture(hub) == before

    assert (await shadows.run("shadow"))["message"].startswith(
        f"`person` has a shadow already: run {run_id}, asked for by ann"
    )
    assert (await shadows.run("discard", shadow_run=run_id))["status"] == "completed"
    assert await audit(hub) == ("ann", "shadow.discarded", run_id)
    assert await leftovers(hub) == 0
    assert "has no shadow of `person`" in (await shadows.promote(run_id))["message"]

    run_id, diff = await shadows.make()
    assert (totals(diff), diff["other_basis"]) == ((0, 0, 3, 2), 2)
    assert (await shadows.promote(run_id))["counts"]["changed"] == 2
    assert [item["entity_id"] for item in await hub.announced()] == ["P/2", "P/3"]


async def test_a_promotion_that_is_killed_before_its_commit_changes_nothing(
    shadows: Shadows, database_url: str
) -> None:
    hub = shadows.hub
    await hub.execute("update silver.people set name = 'x' where entity_id = 'P/0'")
    run_id, _ = await shadows.make()
    before = await picture(hub)
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _PROMOTE,
        database_url,
        RULES,
        run_id,
        cwd=PROJECT,
        env={**os.environ, "PENSTOCK_FAILPOINT": "shadow.before_commit"},  # noqa: TID251
    )
    assert await asyncio.wait_for(child.wait(), 60) == -signal.SIGKILL
    await eventually_idle(hub)
    assert await picture(hub) == before
    await hub.execute("update meta.runs set status = 'failed' where status = 'running'")
    await hub.execute("update meta.leases set expires_at = '-infinity'")
    assert (await shadows.promote(run_id))["status"] == "completed"
    assert await hub.value("select count(*) from silver.people where name = 'x'") == 0


_PROMOTE = """
import asyncio, sys
from tests.integration.transformer.hub import open_hub
from tests.integration.transformer.shadows import Shadows
from transformer.adapters.entity_files import parse_entity

async def main(url, rules, run_id):
    entities = {"person": parse_entity(rules, name="people.yaml")}
    async with open_hub(url, entities, page=2) as hub:
        await (await Shadows(hub, "person", entities).prepare()).promote(run_id)

asyncio.run(main(*sys.argv[1:]))
"""


async def eventually_idle(hub: Hub) -> None:
    """Wait until the server has noticed that the child is gone."""

    async def is_idle() -> bool:
        busy = "select count(*) from pg_stat_activity where datname = current_database()"
        return bool(await hub.value(f"{busy} and state like 'idle in transaction%'") == 0)

    await eventually(is_idle)


async def test_a_shadow_expires_and_gives_way_to_another(shadows: Shadows) -> None:
    hub = shadows.hub
    shadows.store = PostgresShadow(keep=timedelta(0))
    run_id, _ = await shadows.make()
    assert "has expired" in (await shadows.promote(run_id))["message"]
    assert await leftovers(hub) > 0
    expiry = ShadowExpiry(hub.database, shadows.store, hub.entities)
    assert await expiry.step() == ["person"]
    assert (await leftovers(hub), await expiry.step()) == (0, [])


@pytest.mark.parametrize("phase", ["linked", "merged"])
async def test_an_interrupted_shadow_goes_on_where_it_was(shadows: Shadows, phase: str) -> None:
    hub = shadows.hub
    await hub.execute("update silver.people set name = 'x' where entity_id = 'P/0'")
    calls = 0

    def breaking(jobs: Job) -> Job:
        async def run(context: RunContext) -> RunCounts:
            report = context.report

            async def once(counts: RunCounts, **told: Any) -> None:
                nonlocal calls
                await report(counts, **told)
                calls += (counts.processed > 0) == (phase == "merged")
                if calls == 1:
                    calls += 1
                    raise UnavailableError("the network is away")

            context.report = once  # type: ignore[method-assign]
            return await jobs(context)

        return run

    shadows.wrap = breaking
    row = await shadows.run("shadow")
    assert (row["status"], row["checkpoint"]["is_linked"]) == ("queued", phase == "merged")
    await hub.execute("update meta.runs set available_at = clock_timestamp()")
    row = await shadows.step(row["run_id"])
    assert (row["attempts"], totals(row["checkpoint"]["shadow"])) == (2, (0, 0, 1, 4))


async def test_a_shadow_of_a_part_or_of_another_time(shadows: Shadows) -> None:
    hub = shadows.hub
    since = await hub.value("select max(ingested_at) from bronze.heads")
    await store(hub, 1, "tdx", "new@tdx")
    await hub.delete("P/2", "2", entity_type="person", system="tdx")
    await shadows.run()
    for part, expected in (
        ({"limit": 3}, (0, 0, 0, 3)),
        ({"entity_ids": ["P/4", "P/1"]}, (0, 0, 0, 2)),
        ({"changed_since": (since + timedelta(microseconds=1)).isoformat()}, (0, 0, 0, 2)),
        ({"until": since.isoformat()}, (1, 0, 1, 3)),
        ({"until": since.isoformat(), "entity_ids": ["P/1"]}, (0, 0, 1, 0)),
    ):
        run_id, diff = await shadows.make(**part)
        assert totals(diff) == expected, part
        if "until" not in part:
            await shadows.run("discard", shadow_run=run_id)
            continue
        refused = await shadows.promote(run_id)
        assert "bronze has stored more since" in refused["message"]
        assert diff["fields"]["email"]["examples"][0]["after"] == "1@tdx"
        await shadows.run("discard", shadow_run=run_id)


async def test_a_shadow_costs_as_many_statements_for_many_as_for_few(database_url: str) -> None:
    async with open_hub(database_url, rules(RULES), chunk=1000, page=1000) as hub:
        for number in range(60):
            await store(hub, number, "tdx", f"{number}@tdx")
        found = await Shadows(hub, "person", rules(RULES), page=1000).prepare()
        await found.run()
        counted = []
        for damaged in (2, 2, 50):  # the first time the driver asks for types
            await hub.execute(
                f"update silver.people set pay = {damaged} "
                f"where split_part(entity_id, '/', 2)::int < {damaged}"
            )
            ids = [f"P/{number}" for number in range(damaged)]
            counted.append(await statements(found, ids))
    assert counted[1] == counted[2]
    assert sum(counted[1]) < 130


async def statements(shadows: Shadows, ids: list[str]) -> tuple[int, int]:
    """Count the statements of a shadow of entities, and of its promotion."""
    seen: list[str] = []
    with shadows.counting(seen):
        run_id, diff = await shadows.make(entity_ids=ids)
        assert diff["changed"] == len(ids)
        made = len(seen)
        assert (await shadows.promote(run_id))["status"] == "completed"
    return made, len(seen) - made
