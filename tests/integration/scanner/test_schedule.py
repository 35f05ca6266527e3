import pytest

from chassis.runs import RunWorker
from scanner import metrics
from scanner.adapters.inventory import PostgresInventory
from scanner.adapters.scans import PostgresScans
from scanner.jobs import Housekeeping, Schedule, scan_jobs
from tests.integration.scanner.harness import SOURCE, Harness


def schedule(harness: Harness) -> Schedule:
    return Schedule(harness.database, harness.catalog(), clock=harness.clock)


async def runs(harness: Harness) -> list[str]:
    rows = await harness.fetch("select command_id from meta.runs order by queued_at")
    return [row["command_id"] for row in rows]


@pytest.mark.covers("S1-35")
async def test_an_interval_starts_one_scan_however_many_replicas_there_are(
    harness: Harness,
) -> None:
    replicas = [schedule(harness), schedule(harness)]
    for replica in replicas:
        await replica.step()
    harness.clock.advance(20)
    for replica in [*replicas, schedule(harness)]:
        await replica.step()
    assert await runs(harness) == ["schedule/scan/transcripts/2026-03-01T12:00:00+00:00"]


async def test_the_next_interval_starts_the_next_scan_once_the_last_has_ended(
    harness: Harness,
) -> None:
    harness.tree.write("Data/a.xml")
    replica = schedule(harness)
    worker = RunWorker(harness.database, scan_jobs(harness.job()), clock=harness.clock)
    await replica.step()
    harness.clock.advance(60)
    await replica.step()
    assert len(await runs(harness)) == 1
    assert await worker.step()
    harness.clock.advance(60)
    await replica.step()
    assert len(await runs(harness)) == 2
    rows = await harness.fetch("select status, counts from meta.runs order by queued_at")
    assert rows[0]["status"] == "completed"
    assert rows[0]["counts"]["new"] == 1


async def test_housekeeping_repeats_measures_and_forgets(harness: Harness) -> None:
    harness.tree.write("Data/a.xml")
    await harness.scan()
    harness.clock.advance(3601)
    house = Housekeeping(
        harness.database,
        harness.catalog(),
        harness.repeater(),
        inventory=PostgresInventory(harness.database),
        history=PostgresScans(harness.database),
        known=metrics.INVENTORY_FILES,
        clock=harness.clock,
    )
    await house.step()
    assert len(await harness.take_events()) == 1
    assert metrics.INVENTORY_FILES.labels(SOURCE)._value.get() == 1
