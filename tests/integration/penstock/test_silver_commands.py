"""`penstock transform | explain | simulate` as a user types them, with a real transformer."""

import asyncio
import json
import subprocess
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from penstock.processes import ServiceProcesses
from tests.integration.transformer.hub import Hub, open_hub
from tests.integration.transformer.test_simulate import RULES, store
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock
from tests.support.topics import lay_topics
from transformer.adapters.entity_files import parse_entity

OTHER_RULES = RULES.replace("LOWER(email)}", "LOWER(email), priority: [umich_api, tdx]}")


@pytest.fixture
async def hub(database_url: str) -> AsyncGenerator[Hub]:
    """Five people in bronze, told by two systems that disagree about two of them."""
    entities = {"person": parse_entity(RULES, name="people.yaml")}
    async with open_hub(database_url, entities) as opened:
        for number in range(4):
            await store(opened, number, "tdx", f"{number}@tdx")
        await store(opened, 1, "umich_api", "1@umich")
        await store(opened, 4, "umich_api", "nobody")
        yield opened


class Shell:
    """Runs `penstock` beside the event loop."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._folder = folder
        self._environment = environment

    async def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return await asyncio.to_thread(
            penstock, *arguments, state_dir=self._folder, environment=self._environment
        )


async def test_silver_is_explained_field_by_field(
    hub: Hub, database_url: str, tmp_path: Path
) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": database_url})
    await hub.transform("P/1", "P/4", entity_type="person")
    told = await shell.run("explain", "people", "1@TDX", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert (found["entity_id"], found["flags"]) == ("P/1", ["email_mismatch"])
    email = found["values"][1]
    assert (email["field"], email["value"], email["source"]) == ("email", "1@tdx", "tdx")
    assert email["rule"] == "LOWER(email); field email by tdx > umich_api"
    assert [(item["source"], item["value"]) for item in email["losers"]] == [
        ("umich_api", "1@umich")
    ]
    assert [(item["source_system"], item["bronze_version"]) for item in found["chain"]] == [
        ("tdx", 1),
        ("umich_api", 1),
    ]
    for_people = await shell.run("explain", "person", "P/1")
    assert "silver.people P/1: live, version 1, quality 0.95 (email_mismatch)" in for_people.stdout
    assert "tdx 1 → no event noted → bronze version 1" in for_people.stdout
    by_source = await shell.run("explain", "people", "4")
    assert "rejected: has_at: the e-mail has no @" in by_source.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("robots", "x"), "`robots` is no silver entity; known: people"),
        (("people", "x"), "nothing in silver.people has 'x' as id, source's id, email"),
    ],
)
async def test_what_cannot_be_explained_is_one_sentence(
    hub: Hub, database_url: str, tmp_path: Path, arguments: tuple[str, str], sentence: str
) -> None:
    shell = Shell(tmp_path, {"DATABASE_URL": database_url})
    await hub.transform("P/1", entity_type="person")
    told = await shell.run("explain", *arguments)
    assert told.returncode == 1
    assert told.stderr == f"penstock: {sentence}\n"


@pytest.mark.covers("S2-27", "S2-37")
async def test_a_transformation_is_tried_run_and_simulated(
    hub: Hub, kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    await lay_topics(kafka)
    (tmp_path / "config" / "entities").mkdir(parents=True)
    (tmp_path / "config" / "entities" / "people.yaml").write_text(RULES)
    env = kafka.env | {"DATABASE_URL": database_url}
    shell = Shell(tmp_path, env)
    config = {"PENSTOCK_CONFIG_DIRECTORY": str(tmp_path / "config")}
    async with ServiceProcesses(env | config, tmp_path) as services:
        await services.start("transformer")
        tried = await shell.run("transform", "--entity", "people", "--dry-run")
        assert "Would upsert 4, retire 0, reject 1; 0 are as they should be." in tried.stdout
        assert await hub.value("select count(*) from silver.people") == 0
        done = await shell.run("transform", "--entity", "people", "--wait")
        assert done.stdout == "rejected P/4: has_at: the e-mail has no @\n"
        assert done.returncode == 1
        assert await hub.value("select count(*) from silver.people") == 4
        order = ("--entity", "people", "--priority", "email=umich_api>tdx")
        simulated = await shell.run("simulate", *order)
        assert simulated.stdout == (
            '1 of 5 records would change.\nP/1: email "1@tdx" → "1@umich"\n'
        )
        wrong = await shell.run("simulate", "--entity", "people", "--priority", "email=ldap")
        assert wrong.returncode == 1
        assert "`ldap` is unknown" in wrong.stderr
        (tmp_path / "config" / "entities" / "people.yaml").write_text(OTHER_RULES)
        await _try_a_shadow(shell)
        assert await hub.value("select count(*) from silver.people where email = '1@umich'") == 0


async def _try_a_shadow(shell: Shell) -> None:
    """Look at what the rules on disk would change, and let it be."""
    made = await shell.run("transform", "--entity", "people", "--shadow", "--json")
    assert made.returncode == 0, made.stderr
    diff = json.loads(made.stdout)
    assert (diff["added"], diff["removed"], diff["changed"]) == (0, 0, 1)
    (example,) = diff["fields"]["email"]["examples"]
    assert (example["entity_id"], example["after"]) == ("P/1", "1@umich")
    refused = await shell.run("transform", "promote", diff["run_id"])
    assert refused.returncode == 1
    assert "restart the transformer if the rules of the shadow are to hold" in refused.stderr
    discarded = await shell.run("transform", "discard", diff["run_id"], "--reason", "not yet")
    assert discarded.returncode == 0, discarded.stderr
