"""`transform` runs, from the command to the last page."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.db import Transaction
from chassis.errors import UnavailableError
from chassis.runs import RunContext, RunWorker, submit
from contracts.runs import RunCounts
from tests.integration.transformer.hub import Hub, open_hub
from tests.support.eventually import eventually
from tests.support.paths import PROJECT
from tests.unit.transformer.calls import document
from transformer.adapters.entity_files import load_entities
from transformer.domain.entity import Entity
from transformer.handlers.recompute import Tally

COUNT = 7


@pytest.fixture
async def hub(database_url: str) -> AsyncGenerator[Hub]:
    """A transformer with pages of 3, and 7 calls in bronze, one of them invalid."""
    async with open_hub(database_url, load_entities(PROJECT / "config"), page=3) as opened:
        for number in range(COUNT):
            content = document(sections=[]) if number == 0 else document()
            await opened.store(f"T/{number}", f"{number}.xml", content)
        yield opened


async def run(
    hub: Hub, job: Any = None, *, dry_run: bool = False, **parameters: Any
) -> dict[str, Any]:
    """Queue a run, have a worker execute it, and return its row in the ledger."""
    async with hub.database.transaction() as transaction:
        run_id = await submit(
            transaction,
            service="transformer",
            kind="transform",
            target="transcript",
            parameters={"entity_type": "transcript"} | parameters,
            dry_run=dry_run,
        )
    worker = RunWorker(hub.database, {"transform": job or hub.job}, clock=SystemClock())
    assert await worker.step()
    (row,) = await hub.rows("select * from meta.runs where run_id = $1", uuid.UUID(run_id))
    return row


def counts(**changes: int) -> dict[str, int]:
    return RunCounts(**changes).model_dump()


@pytest.mark.covers("S2-19")
async def test_a_run_transforms_everything(hub: Hub) -> None:
    row = await run(hub)
    assert row["counts"] == counts(processed=7, new=6, failed=1)
    assert row["status"] == "completed-with-errors"
    assert row["checkpoint"]["after"] == "T/6"
    assert await hub.rows("select run_id, external_id from meta.record_errors") == [
        {"run_id": row["run_id"], "external_id": "T/0"}
    ]
    assert await hub.value("select count(*) from silver.transcripts") == 6
    again = await run(hub)
    assert again["counts"] == counts(processed=7, unchanged=6, failed=1)
    assert len(await hub.announced()) == 6


async def test_a_run_transforms_the_entities_it_is_asked_for(hub: Hub) -> None:
    row = await run(hub, entity_ids=["T/5", "T/2", "T/404"])
    assert row["counts"] == counts(processed=3, new=2, unchanged=1)
    found = await hub.rows("select entity_id from silver.transcripts order by entity_id")
    assert [item["entity_id"] for item in found] == ["T/2", "T/5"]


@pytest.mark.covers("S2-18", "C-11")
async def test_a_run_transforms_what_bronze_stored_since(hub: Hub) -> None:
    since = await hub.value("select max(ingested_at) from bronze.heads")
    await hub.store("T/3", "3.xml", document(title="Later"))
    later = await run(hub, changed_since=(since + timedelta(microseconds=1)).isoformat())
    assert later["counts"] == counts(processed=1, new=1)
    overlap = await run(hub, changed_since=since.isoformat())
    assert overlap["counts"] == counts(processed=2, new=1, unchanged=1)


@pytest.mark.covers("S2-37")
async def test_a_dry_run_counts_and_writes_nothing(hub: Hub) -> None:
    await hub.transform("T/1", "T/2")
    await hub.store("T/1", "1.xml", document(title="Changed"))
    await hub.delete("T/2", "2.xml")
    before = await hub.digests()
    row = await run(hub, dry_run=True)
    assert row["counts"] == counts(processed=7, new=4, changed=1, deleted=1, failed=1)
    assert await hub.digests() == before
    assert await hub.value("select count(*) from silver.heads") == 2
    assert await hub.value("select count(*) from meta.record_errors") == 0
    assert row["checkpoint"] is None


async def test_an_interrupted_run_goes_on_behind_its_last_page(hub: Hub) -> None:
    pages = 0

    async def breaking(context: RunContext) -> RunCounts:
        report = context.report

        async def once(*args: Any, **kwargs: Any) -> None:
            nonlocal pages
            pages += 1
            await report(*args, **kwargs)
            if pages == 1:
                raise UnavailableError("the network is away")

        context.report = once  # type: ignore[method-assign]
        return await hub.job(context)

    interrupted = await run(hub, breaking)
    assert (interrupted["status"], interrupted["checkpoint"]["after"]) == ("queued", "T/2")
    # Not before the back-off has passed.
    await eventually(RunWorker(hub.database, {"transform": breaking}, clock=SystemClock()).step)
    (row,) = await hub.rows("select status, counts, attempts from meta.runs")
    assert row["counts"] == counts(processed=7, new=6, failed=1)
    assert (row["attempts"], pages) == (2, 3)


async def test_a_page_that_was_written_beside_one_that_fails_is_not_kept(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    apply, written = hub.recompute.apply, asyncio.Event()

    async def breaking(transaction: Transaction, entity: Entity, ids: Any, **options: Any) -> Tally:
        tally = await apply(transaction, entity, ids, **options)
        if "T/0" not in ids:
            written.set()
            return tally
        async with asyncio.timeout(30):
            await written.wait()
        raise UnavailableError("the network is away")

    with monkeypatch.context() as broken:
        broken.setattr(hub.recompute, "apply", breaking)
        row = await run(hub)
    assert (row["status"], row["checkpoint"]) == ("queued", None)
    assert await hub.value("select count(*) from silver.heads") == 0
    assert await hub.announced() == []

    await eventually(RunWorker(hub.database, {"transform": hub.job}, clock=SystemClock()).step)
    (row,) = await hub.rows("select counts, checkpoint from meta.runs")
    assert row["counts"] == counts(processed=7, new=6, failed=1)
    assert row["checkpoint"] == {"after": "T/6", "counts": row["counts"]}
    assert len(await hub.announced()) == 6


async def test_pages_and_batches_over_the_same_calls_do_not_wait_in_a_circle(hub: Hub) -> None:
    ids = [f"T/{number}" for number in range(COUNT)]
    for _ in range(3):
        for number in range(1, COUNT):
            await hub.store(f"T/{number}", f"{number}.xml", document(title=str(uuid.uuid4())))
        async with asyncio.timeout(15):  # less than anybody waits for a lock
            row, *_ = await asyncio.gather(run(hub), hub.transform(*ids), hub.transform(*ids))
        assert row["counts"]["processed"] == COUNT
    versions = await hub.rows("select version, count(*) from silver.transcripts group by 1")
    assert versions == [{"version": 3, "count": 6}]


async def test_a_run_mends_rows_that_somebody_else_touched(hub: Hub) -> None:
    await run(hub)
    before = await hub.digests()
    await hub.execute(
        "update silver.transcripts set title = 'x' where entity_id = 'T/1'; "
        "delete from silver.transcripts where entity_id = 'T/2'; "
        "delete from silver.transcript_turns where entity_id = 'T/3'; "
        "update silver.origins set winners = '{}'"
    )
    await run(hub)
    assert await hub.digests() == before


@pytest.mark.parametrize("parameters", [{"entity_type": "unheard-of"}, {"entity_ids": "all"}])
async def test_a_run_that_cannot_be_fails_with_a_sentence(
    hub: Hub, parameters: dict[str, Any]
) -> None:
    row = await run(hub, **parameters)
    assert row["status"] == "failed"
    assert "unheard-of" in row["message"] or "entity_ids" in row["message"]
