"""Tables out of rules: made, extended, and left alone where adding is not enough."""

import asyncio
import os
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.integration.transformer.hub import open_hub
from tests.support.databases import with_user
from tests.support.paths import PROJECT
from transformer.adapters.entity_files import load_entities, parse_entity
from transformer.adapters.silver_tables import check_tables, make_tables, may_create
from transformer.domain.entity import Entity
from transformer.errors import SilverSchemaError

RULES = """
version: 1
entity_type: thing
table: things
description: What people's tests are about.
find_by: [name]
indexes: [[seen_at, size]]
ruleset_version: 1
inputs:
  name: {path: name, type: text}
  price: {path: Stock Price, type: numeric}
  size: {path: size, type: integer}
  weight: {path: weight, type: double}
  seen_at: {path: seen, type: timestamptz}
  parts: {path: parts.*.name, type: texts}
sources: [{name: any}]
fields:
  name: {type: text, rule: name}
  price: {type: numeric, rule: price}
  size: {type: bigint, rule: size}
  weight: {type: double, rule: weight}
  seen_at: {type: timestamptz, rule: seen_at}
  parts: {type: "text[]", rule: parts, group: all}
children:
  - table: thing_parts
    of: all
    each: parts
    number: part_number
    inputs: {price: {path: parts.price, type: numeric}}
    fields: {price: {type: numeric, rule: price}}
"""


def rules(old: str = "", new: str = "") -> Entity:
    return parse_entity(RULES.replace(old, new, 1) if old else RULES, name="things.yaml")


async def make(connection: Any, entity: Entity) -> list[str]:
    return [item.partition(" (")[0] for item in await make_tables(connection, [entity])]


@pytest.fixture
async def connection(database_url: str) -> Any:
    opened = await asyncpg.connect(database_url)
    yield opened
    await opened.close()


async def test_a_new_entity_needs_rules_only(connection: Any) -> None:
    assert await make(connection, rules()) == [
        "create table silver.things",
        "create table silver.things_history",
        "create table silver.thing_parts",
        "create index things_by_name on silver.things",
        "create index things_by_seen_at_size on silver.things",
    ]
    assert await make(connection, rules()) == []
    await check_tables(connection, [rules()])
    registered = await connection.fetchrow("select * from silver.entities")
    assert dict(registered) == {
        "entity_type": "thing",
        "table_name": "things",
        "find_by": ["name"],
        "ruleset_version": 1,
    }


async def test_a_new_column_is_added_to_the_table_and_its_history(connection: Any) -> None:
    await make(connection, rules())
    extended = rules(
        "  size: {type: bigint",
        "  color: {type: text, rule: name}\n  size: {type: bigint",
    )
    with pytest.raises(SilverSchemaError, match=r"add column color text.*run `penstock migrate`"):
        await check_tables(connection, [extended])
    assert await make(connection, extended) == [
        "alter table silver.things add column color text",
        "alter table silver.things_history add column color text",
    ]


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("size: {type: bigint", "size: {type: integer", "`silver.things.size` must be integer"),
        ("number: part_number", "number: place", "`silver.thing_parts.place` is missing"),
    ],
)
async def test_what_adding_cannot_mend_is_refused_with_a_sentence(
    connection: Any, old: str, new: str, sentence: str
) -> None:
    await make(connection, rules())
    with pytest.raises(SilverSchemaError, match=sentence):
        await make(connection, rules(old, new))
    assert await make(connection, rules()) == []


async def test_a_required_column_that_no_rule_fills_is_refused(connection: Any) -> None:
    await make(connection, rules())
    await connection.execute("alter table silver.things add column owner text not null")
    with pytest.raises(SilverSchemaError, match=r"`silver.things.owner` must not be null"):
        await make(connection, rules())


async def test_the_tables_of_transcripts_are_valid_as_they_are(connection: Any) -> None:
    shipped = load_entities(PROJECT / "config")["transcript"]
    assert await make_tables(connection, [shipped]) == []


async def test_a_role_that_may_not_create_is_told_what_is_missing(
    connection: Any, database_url: str, unique: str
) -> None:
    await connection.execute(
        f"create role {unique} login password 'x'; grant usage on schema silver to {unique}"
    )
    service = await asyncpg.connect(with_user(database_url, unique, "x"))
    try:
        assert not await may_create(service)
        with pytest.raises(SilverSchemaError, match=r"create table silver.things"):
            await check_tables(service, [rules()])
    finally:
        await service.close()
        await connection.execute(f"drop owned by {unique}; drop role {unique}")


async def test_every_type_arrives_exactly(database_url: str) -> None:
    async with open_hub(database_url, {"thing": rules()}) as hub:
        document = {
            "name": "Ann",
            "Stock Price": "1,945.50",
            "size": 3_000_000_000,
            "weight": 0.1,
            "seen": "2024-02-28T17:15:00+02:00",
            "parts": [{"name": "x", "price": 0.30}, {"name": "y"}],
        }
        await hub.store("1", "1", document, entity_type="thing")
        await hub.transform("1", entity_type="thing")
        (row,) = await hub.rows(
            "select name, price::text, size, weight, seen_at::text, parts from silver.things"
        )
        assert row == {
            "name": "Ann",
            "price": "1945.5",
            "size": 3_000_000_000,
            "weight": 0.1,
            "seen_at": "2024-02-28 15:15:00+00",
            "parts": ["x", "y"],
        }
        assert await hub.rows("select part_number, price from silver.thing_parts") == [
            {"part_number": 1, "price": Decimal("0.3")},
            {"part_number": 2, "price": None},
        ]
        digest = await hub.digests(["things"])
        await hub.execute("truncate silver.heads, silver.things cascade")
        await hub.transform("1", entity_type="thing")
        assert await hub.digests(["things"]) == digest


async def test_the_command_makes_tables_and_says_which(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "entities").mkdir()
    (tmp_path / "entities" / "things.yaml").write_text(RULES)
    env = {"DATABASE_URL": database_url, "PENSTOCK_CONFIG_DIRECTORY": str(tmp_path)}
    assert await tables(env) == (0, "create table silver.things")
    assert await tables(env) == (0, "")
    (tmp_path / "entities" / "things.yaml").write_text(
        RULES.replace("size: {type: bigint", "size: {type: text")
    )
    code, said = await tables(env)
    assert (code, said) == (1, "`things.yaml`: fields.size.rule: gives Int64, not String")


async def tables(env: dict[str, str]) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "transformer", "--tables"),
        env=env | {"PATH": os.defpath},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        output, _ = await process.communicate()
    return process.returncode, output.decode().partition("\n")[0]
