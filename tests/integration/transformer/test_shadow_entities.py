"""Shadows of entities that are linked from several records, and of entities with child rows."""

import random
from typing import Any

import pytest

from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.records import PERSON_RULES, Records
from tests.integration.transformer.shadows import Shadows
from tests.support.paths import PROJECT
from tests.unit.transformer.calls import document
from transformer.adapters.entity_files import load_entities, parse_entity
from transformer.domain.entity import Entity

BY_NAME_ONLY = PERSON_RULES.replace(
    "    - {name: email, each: mails, rule: LOWER(item), max_records: 3}\n", ""
).replace("ruleset_version: 1", "ruleset_version: 2")
OTHER_ORDER = PERSON_RULES.replace(
    "sources: [{name: a, system: a}, {name: b, system: b}, {name: c, system: c}]",
    "sources: [{name: c, system: c}, {name: b, system: b}, {name: a, system: a}]",
)


def rules(text: str) -> dict[str, Entity]:
    return {"person": parse_entity(text, name="persons.yaml")}


async def test_other_keys_split_an_entity_and_a_merged_one_says_where_it_went(
    database_url: str,
) -> None:
    async with open_hub(database_url, rules(PERSON_RULES)) as hub:
        people = Records(hub)
        await people.put("a/1", {"uniqname": "x", "name": "A"})
        await people.put("b/2", {"mails": ["m@x"], "name": "B"})
        await people.put("c/3", {"uniqname": "x", "mails": ["m@x"], "name": "C"})
        before = await people.picture()
        shadows = await Shadows(hub, "person", rules(BY_NAME_ONLY)).prepare()
        split, diff = await shadows.make()
        assert (diff["added"], diff["removed"], diff["changed"]) == (1, 0, 1)
        (example,) = diff["fields"]["version_ids"]["examples"]
        assert (example["before"], example["after"]) == (["1", "2", "3"], ["1", "3"])
        assert await people.picture() == before

    async with open_hub(database_url, rules(BY_NAME_ONLY)) as hub:
        people = Records(hub)
        await hub.execute("truncate meta.outbox")
        shadows = await Shadows(hub, "person", rules(PERSON_RULES)).prepare()
        assert (await shadows.promote(split))["status"] == "completed"
        assert await people.live() == {"a/1": "A", "b/2": "B"}
        assert [(item["entity_id"], item["version"]) for item in await hub.announced()] == [
            ("a/1", 3),
            ("b/2", 3),
        ]
        joined, diff = await shadows.make()
        assert diff["examples"]["removed"] == [
            {"entity_id": "b/2", "data_quality_score": "1.00", "why": "part of a/1"}
        ]

    async with open_hub(database_url, rules(PERSON_RULES)) as hub:
        people = Records(hub)
        await hub.execute("truncate meta.outbox")
        assert (await (await Shadows(hub, "person", {}).prepare()).promote(joined))["status"] == (
            "completed"
        )
        assert await people.picture() == before
        assert await people.merged_into() == {"b/2": "a/1"}
        assert [
            (item["entity_id"], item["version"], item.get("merged_into"))
            for item in await hub.announced()
        ] == [("a/1", 4, None), ("b/2", 4, "a/1")]


@pytest.mark.parametrize(("seed", "changed"), [(1, BY_NAME_ONLY), (2, OTHER_ORDER), (3, None)])
async def test_promoted_silver_is_what_a_fresh_transform_makes(
    database_url: str, seed: int, changed: str | None
) -> None:
    """Whatever the rules change to, and whatever somebody did to silver behind our back."""
    chance = random.Random(seed)
    new = rules(changed or PERSON_RULES)
    async with open_hub(database_url, rules(PERSON_RULES), page=7) as hub:
        people = Records(hub)
        await people.store_all(_crowd(chance))
        shadows = await Shadows(hub, "person", new, page=7).prepare()
        await shadows.run()
        for _ in range(5):
            await people.store(chance.choice(await people.record_ids()), None)
        await people.transform(*await people.record_ids())
        await _damage(hub, chance)
        run_id, diff = await shadows.make()
        assert diff["changed"] + diff["added"] + diff["removed"] > 0

    async with open_hub(database_url, new, page=7) as hub:
        people = Records(hub)
        shadows = await Shadows(hub, "person", new, page=5).prepare()
        promoted = await shadows.promote(run_id)
        assert promoted["status"] == "completed", promoted["message"]
        mine = await _everything(people)
        await people.forget()
        await hub.execute("truncate silver.origins")
        await shadows.run()
        assert await _everything(people) == mine


def _crowd(chance: random.Random) -> list[tuple[str, dict[str, Any]]]:
    """Make records that share keys in chains, contradict each other, and have a key too common."""
    return [
        (
            f"{chance.choice('abc')}/{number}",
            {
                "uniqname": chance.choice([None, f"u{chance.randrange(14)}"]),
                "mails": [f"m{chance.randrange(20)}@x" for _ in range(chance.randrange(3))],
                "employee": chance.choice([None, None, str(chance.randrange(5))]),
                "name": f"N{number}",
            },
        )
        for number in range(40)
    ]


async def _damage(hub: Hub, chance: random.Random) -> None:
    ids = [row["entity_id"] for row in await hub.rows("select entity_id from silver.persons")]
    some = ", ".join(f"'{item}'" for item in chance.sample(sorted(ids), 3))
    await hub.execute(
        f"update silver.persons set name = 'x' where entity_id in ({some}); "
        "delete from silver.persons where entity_id = (select max(entity_id) from silver.persons); "
        f"update silver.origins set winners = '{{}}' where entity_id in ({some})"
    )


async def _everything(people: Records) -> dict[str, Any]:
    heads = await people.hub.rows(
        "select entity_id, content_hash, state_hash, data_quality_score, quality_flags "
        "from silver.heads where status <> 'retired' order by 1"
    )
    return {
        **await people.picture(),
        "heads": heads,
        "origins": await people.hub.digests(["origins"]),
    }


async def test_child_rows_that_differ_are_counted_shown_and_repaired(database_url: str) -> None:
    entities = load_entities(PROJECT / "config")
    async with open_hub(database_url, entities) as hub:
        for number in range(3):
            await hub.store(f"T/{number}", f"{number}.xml", document())
        shadows = await Shadows(hub, "transcript", entities).prepare()
        await shadows.run()
        before = await hub.digests()
        await hub.execute(
            "update silver.transcript_turns set text = 'x' where entity_id = 'T/1' "
            "and turn_number = 1; "
            "delete from silver.transcript_turns where entity_id = 'T/2' and turn_number = 2"
        )
        run_id, diff = await shadows.make()
        assert (diff["changed"], diff["same"]) == (2, 1)
        assert diff["fields"] == {"transcript_turns": {"changed": 2, "examples": []}}
        turns = diff["children"]["transcript_turns"]
        assert (turns["added"], turns["removed"], turns["changed"]) == (1, 0, 1)
        added, changed = turns["examples"]
        assert (added["entity_id"], added["row"], added["before"]["text"]) == ("T/2", 2, None)
        assert (changed["before"], changed["after"]) == (
            {"text": "x"},
            {"text": "Good morning.\n\nWelcome."},
        )
        assert (await shadows.promote(run_id))["status"] == "completed"
        assert await hub.digests() == before
