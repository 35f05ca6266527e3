"""The scanner as a process, with a file source and a record source side by side."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml

from chassis.bus.topics import apply_topics
from chassis.db import Database
from chassis.settings import KafkaSettings
from contracts.topics import topic_specs
from scanner import metrics
from scanner.adapters.record_inventory import PostgresRecordInventory
from scanner.adapters.record_polls import PostgresPolls
from scanner.domain.descent import nominal_slot
from scanner.handlers.record_catalog import RecordCatalog
from scanner.jobs import Housekeeping, Schedule
from tests.integration.scanner.harness import running
from tests.integration.scanner.record_harness import SOURCE, RecordHarness
from tests.support.addresses import KafkaAddress
from tests.support.command_line import penstock
from tests.support.eventually import eventually
from tests.support.hub import open_database
from tests.support.record_rigs import PASSWORD_VARIABLE, SqlRig


async def count(database: Database, query: str) -> int:
    async with database.connection() as connection:
        found: int = await connection.fetchval(query)
    return found


@pytest.mark.covers("S2-01", "S2-29")
async def test_a_command_scans_files_or_polls_records_by_the_name_of_its_source(
    kafka: KafkaAddress, database_url: str, tmp_path: Path
) -> None:
    rig = SqlRig(database_url)
    await rig.put({"ann": "Ann Ash", "bob": "Bob Birch"})
    folder = tmp_path / "share" / "Data"
    folder.mkdir(parents=True)
    entries: list[dict[str, Any]] = [
        {
            "name": "people",
            "records": rig.records(),
            "scan": {"entity_type": "user", "id": ["id"], "interval_seconds": 86400, **rig.scan()},
        },
        {
            "name": "letters",
            "share": {"kind": "local", "root": str(tmp_path / "share")},
            "scan": {"paths": ["Data"], "interval_seconds": 86400},
        },
    ]
    (tmp_path / "sources.yaml").write_text(yaml.safe_dump({"version": 1, "sources": entries}))
    settings = KafkaSettings.model_validate(kafka.env)
    await apply_topics(settings, topic_specs())
    environment = {
        **kafka.env,
        "DATABASE_URL": database_url,
        "PENSTOCK_CONFIG_DIRECTORY": str(tmp_path),
        "SCANNER_SCHEDULE": "false",
        PASSWORD_VARIABLE: rig.secret or "",
    }
    database = await open_database(database_url, "tester")
    try:
        async with running(environment, tmp_path):
            for source in ("people", "letters"):
                done = await asyncio.to_thread(
                    penstock, "scan", source, "--wait", state_dir=tmp_path, environment=environment
                )
                assert done.returncode == 0, done.stdout + done.stderr
            query = "select count(*) from scanner.records where state = 'announced'"
            assert await count(database, query) == 2

            async def relayed() -> bool:
                return await count(database, "select count(*) from meta.outbox") == 0

            await eventually(relayed)
    finally:
        await database.close()


async def test_the_schedule_starts_one_poll_per_interval(records: RecordHarness) -> None:
    records.scan = {"interval_seconds": 3600}
    catalog = RecordCatalog({SOURCE: records.entry()})
    for _ in range(3):
        await Schedule(records.database, catalog, clock=records.clock).step()
        records.clock.advance(600)
    rows = await records.fetch("select command_id from meta.runs")
    slot = nominal_slot(records.clock.now(), records.entry().scan.interval)
    assert [row["command_id"] for row in rows] == [f"schedule/scan/staff/{slot.isoformat()}"]


async def test_housekeeping_repeats_measures_and_forgets_records(records: RecordHarness) -> None:
    records.tell(a={}, b={})
    await records.poll()
    records.clock.advance(3601)
    house = Housekeeping(
        records.database,
        RecordCatalog({SOURCE: records.entry()}),
        records.repeater(),
        inventory=PostgresRecordInventory(records.database),
        history=PostgresPolls(records.database, "scanner"),
        known=metrics.RECORDS_KNOWN,
        clock=records.clock,
    )
    await house.step()
    due = await records.fetch("select external_id from scanner.due_records order by 1")
    assert [row["external_id"] for row in due] == ["a", "b"]
    assert metrics.RECORDS_KNOWN.labels(SOURCE)._value.get() == 2
