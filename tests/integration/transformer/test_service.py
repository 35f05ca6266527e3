"""The transformer as a process of its own, with Kafka in front of it."""

import asyncio
import contextlib
import functools
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from chassis.bus.relay import Relay
from chassis.bus.topics import apply_topics
from chassis.settings import KafkaSettings
from contracts.commands import TransformRequested
from contracts.layers import BronzeOperation, BronzeStored
from contracts.topics import BRONZE_STORED, TRANSFORM_REQUESTED, topic_specs
from tests.integration.transformer.hub import Hub
from tests.support.addresses import KafkaAddress
from tests.support.eventually import eventually
from tests.support.hub import background, open_database
from tests.support.paths import PROJECT
from tests.unit.transformer.calls import document


def environment(kafka: KafkaAddress, database_url: str, config: Path) -> dict[str, str]:
    return {
        **kafka.env,
        "KAFKA_SESSION_TIMEOUT_SECONDS": "6",
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(config),
    }


@contextlib.asynccontextmanager
async def service(env: dict[str, str], cwd: Path) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "transformer", env=env, cwd=cwd, stdout=PIPE, stderr=STDOUT
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        output, _ = await process.communicate()
        print(output.decode())  # noqa: T201 - shown by pytest when the test fails


async def test_events_and_commands_reach_silver_and_a_signal_ends_the_process(
    hub: Hub, kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    settings = KafkaSettings.model_validate(kafka.env)
    await apply_topics(settings, topic_specs())
    ids = [f"T/{number:03}" for number in range(60)]
    for entity_id in ids:
        await hub.store(entity_id, f"{entity_id}.xml", document())
    ingestor = await open_database(database_url, "ingestor")
    env = environment(kafka, database_url, PROJECT / "config")
    try:
        async with service(env, tmp_path) as process:
            async with background(Relay(ingestor, settings, lease_seconds=3).run):
                async with ingestor.transaction() as transaction:
                    for entity_id in ids:
                        transaction.publish(BRONZE_STORED, stored(entity_id))
                await eventually(functools.partial(_silver_has, hub, len(ids)), timeout=60)
                await hub.execute("update silver.transcripts set title = 'damaged'")
                async with ingestor.transaction() as transaction:
                    transaction.publish(
                        TRANSFORM_REQUESTED, TransformRequested(entity_type="transcript")
                    )
                await eventually(functools.partial(_is_mended, hub), timeout=60)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(30):
                output, _ = await process.communicate()
            assert process.returncode == 0, output.decode()
    finally:
        await ingestor.close()


def stored(entity_id: str) -> BronzeStored:
    return BronzeStored(
        operation=BronzeOperation.STORED,
        entity_type="transcript",
        entity_id=entity_id,
        source_system="nas",
        external_id=f"{entity_id}.xml",
        version=1,
    )


async def _silver_has(hub: Hub, count: int) -> bool:
    found: int = await hub.value("select count(*) from silver.transcripts")
    return found == count


async def _is_mended(hub: Hub) -> bool:
    damaged = await hub.value("select count(*) from silver.transcripts where title = 'damaged'")
    status = await hub.value("select status from meta.runs where kind = 'transform'")
    return bool(damaged == 0 and status == "completed")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("rule: ticker}", "rule: tikcer}", "fields.ticker.rule: `tikcer` is no column here"),
        ("ruleset_version: 1", "ruleset_version: no", "ruleset_version: "),
    ],
)
async def test_bad_rules_stop_the_process_with_a_sentence(
    database_url: str, tmp_path: Path, old: str, new: str, sentence: str
) -> None:
    shutil.copytree(PROJECT / "config" / "entities", tmp_path / "entities")
    rules = tmp_path / "entities" / "transcripts.yaml"
    rules.write_text(rules.read_text().replace(old, new, 1))
    env = environment(KafkaAddress("127.0.0.1:1"), database_url, tmp_path)
    async with service(env, tmp_path) as process:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    assert process.returncode == 1
    assert "`transcripts.yaml`: " in output.decode()
    assert sentence in output.decode()


async def test_missing_settings_are_named(tmp_path: Path) -> None:
    async with service({}, tmp_path) as process:
        async with asyncio.timeout(30):
            output, _ = await process.communicate()
    assert process.returncode == 1
    assert "`DATABASE_URL` is missing" in output.decode()
    assert "`KAFKA_BOOTSTRAP_SERVERS` is missing" in output.decode()
