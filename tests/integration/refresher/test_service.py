"""The real process, commands over Kafka, and `penstock refresh` as a user types it."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiokafka import AIOKafkaProducer

from penstock.processes import ServiceProcesses
from tests.integration.refresher.conftest import Open
from tests.integration.refresher.estate import READER_PASSWORD, WRITER_PASSWORD, Estate
from tests.integration.refresher.hub import KEY, MASKING, Hub
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock
from tests.support.eventually import eventually
from tests.support.topics import lay_topics

TABLE = "create table customer (id int primary key, last_name text)"


@pytest.fixture
async def hub(estate: Estate, opening: Open) -> AsyncGenerator[Hub]:
    await estate.production_does(TABLE, "insert into customer values (1, 'Doe'), (2, 'Roe')")
    await estate.uat_does(TABLE, "insert into customer values (1, 'old')")
    async with opening(
        [{"name": "customer"}], masking=MASKING, approval={"destructive": "ask"}
    ) as opened:
        yield opened


@pytest.fixture
async def environment(
    hub: Hub, kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> dict[str, str]:
    await lay_topics(kafka)
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "refresh.yaml").write_text(yaml.safe_dump(hub.config))
    return {
        **kafka.env,
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(folder),
        "SOURCE_DB_USER": hub.estate.reader,
        "SOURCE_DB_PASSWORD": READER_PASSWORD,
        "TARGET_DB_USER": hub.estate.writer,
        "TARGET_DB_PASSWORD": WRITER_PASSWORD,
        "REFRESHER_MASKING_KEY": KEY,
    }


async def typed(tmp_path: Path, environment: dict[str, str], *arguments: str) -> str:
    done = await asyncio.to_thread(
        penstock, "refresh", *arguments, state_dir=tmp_path, environment=environment
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.covers("S4-14", "S4-16", "S4-18", "S4-22", "C-29")
async def test_a_refresh_is_planned_approved_applied_listed_and_undone(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    names = "select string_agg(last_name, ',' order by id) from customer"
    access = {name: environment[name] for name in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL")}
    async with ServiceProcesses(environment, tmp_path / "logs") as services:
        await services.start("refresher")
        shown = await typed(tmp_path, access, "plan", "customer", "--sql")
        assert "last_name (personal)" in shown
        assert "swap, one transaction" in shown
        shown = await typed(tmp_path, access, "--table", "customer", "--wait")
        assert "all 1 rows of the target are replaced" in shown
        assert await hub.estate.in_uat(names) == "old"

        waiting = json.loads(await typed(tmp_path, access, "status", "--json"))["waiting"]
        (plan,) = waiting
        await typed(tmp_path, access, "approve", plan["plan_id"], "--wait")
        masked = await hub.estate.in_uat(names)
        assert len(masked) == len("Doe,Roe")
        assert masked not in ("old", "Doe,Roe")

        (line,) = json.loads(await typed(tmp_path, access, "history", "--json"))
        assert (line["rows_read"], line["rows_inserted"], line["rows_updated"]) == (2, 1, 1)
        assert set(line["phases"]) == {"read", "verify", "build", "wait", "lock"}

        await typed(tmp_path, access, "undo", plan["plan_id"], "--wait")
        assert await hub.estate.in_uat(names) == "old"
    actions = await hub.rows("select action, actor from meta.audit order by id")
    assert [row["action"] for row in actions] == [
        "refresh.requested",
        "refresh.planned",
        "refresh.requested",
        "refresh.planned",
        "refresh.approve-requested",
        "refresh.approved",
        "refresh.applied",
        "refresh.undo-requested",
        "refresh.undone",
    ]


async def test_bare_json_from_any_kafka_client_is_a_command(
    hub: Hub, environment: dict[str, str], kafka: KafkaAddress, tmp_path: Path
) -> None:
    async def runs() -> list[dict[str, Any]]:
        return await hub.rows("select dry_run, status from meta.runs where status = 'completed'")

    async with ServiceProcesses(environment, tmp_path / "logs") as services:
        await services.start("refresher")
        producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap_servers)
        await producer.start()
        try:
            await producer.send_and_wait(
                "refresh.requested", b'{"table": "customer", "dry_run": true}', key=b"customer"
            )
        finally:
            await producer.stop()
        (run,) = await eventually(runs, timeout=30)
    assert run["dry_run"] is True


@pytest.mark.covers("S4-15", "S4-16")
async def test_a_file_refreshes_once_from_the_command_line(
    hub: Hub, environment: dict[str, str], tmp_path: Path
) -> None:
    folder = Path(environment["PENSTOCK_CONFIG_DIRECTORY"])
    test_file = {
        "extends": "refresh.yaml",
        "approval": {"destructive": "auto"},
        "settings": {"verbose_logging": True},
    }
    (folder / "refresh-test.yaml").write_text(yaml.safe_dump(test_file))
    arguments = ("--config", str(folder / "refresh-test.yaml"), "--table", "customer")
    shown = await typed(tmp_path, environment, *arguments, "--dry-run")
    assert "customer: full_replace (configured)" in shown
    assert await hub.estate.in_uat("select count(*) from customer") == 1
    shown = await typed(tmp_path, environment, *arguments)
    assert "run completed" in shown
    assert await hub.estate.in_uat("select count(*) from customer") == 2
