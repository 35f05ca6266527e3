"""Dead letters of the ingestor, replayed: what was mended is taken up, what is newer stays."""

from collections.abc import Callable
from typing import Any

import pytest

from chassis.bus.raw_headers import as_sent
from chassis.bus.records import Record
from chassis.clock import SystemClock
from chassis.dead_letters.replay import REPLAY, replay_jobs
from chassis.runs import RunWorker, submit
from contracts.files import FileChange
from contracts.topics import FILE_CHANGED
from tests.integration.ingestor.ingestion import Ingestion
from tests.support.letters import no_wait
from tests.support.runs import fetch, shorten_waits, until_idle

ADDED, MODIFIED = FileChange.ADDED, FileChange.MODIFIED
PATH = "Data/2024/Q1/Banks/RY/RY-CA_Q1_2024_Raw_12345_7.xml"
GOOD = b"<transcript><body><speaker id='1'><plist><p>one</p></plist></speaker></body></transcript>"
DEAD = FILE_CHANGED.dead_letters_of("ingestor")


@pytest.fixture
def replay(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    shorten_waits(monkeypatch)
    clock = SystemClock()
    worker = RunWorker(ingestion.database, replay_jobs(clock, sleep=no_wait), clock=clock)

    async def run() -> None:
        """Replay every open letter, and hand the ingestor what comes of it."""
        async with ingestion.database.transaction() as transaction:
            await submit(
                transaction,
                service="ingestor",
                kind=REPLAY,
                target=DEAD,
                parameters={"topic": DEAD},
            )
        await until_idle(worker)
        rows = await fetch(
            ingestion.database,
            "delete from meta.outbox where topic = 'file.changed' returning key, value, headers",
        )
        await ingestion.applier.drive([_record(row, next(ingestion._offsets)) for row in rows])

    return run


def _record(row: dict[str, Any], offset: int) -> Record:
    headers: Any = as_sent(row["headers"])
    return Record(FILE_CHANGED.name, 0, offset, row["key"], row["value"], headers, 1)


async def letters(ingestion: Ingestion) -> list[tuple[Any, ...]]:
    return await ingestion.rows(
        'select status, category, replays from meta.dead_letters order by "offset"'
    )


async def test_a_broken_transcript_is_taken_up_by_a_replay_once_the_file_is_repaired(
    ingestion: Ingestion, replay: Callable[[], Any]
) -> None:
    ingestion.put(PATH, GOOD[:-9])
    await ingestion.tell(ADDED, PATH)
    assert await letters(ingestion) == [("open", "content_parse", 0)]

    await replay()
    broken = ("replayed", "content_parse", 0)
    assert await letters(ingestion) == [broken, ("open", "content_parse", 1)]

    ingestion.put(PATH, GOOD)
    await replay()
    assert await letters(ingestion) == [broken, ("replayed", "content_parse", 1)]
    assert await ingestion.published() == [("stored", PATH, 1)]

    # The scan that finds the repaired file has nothing to add.
    await ingestion.tell(MODIFIED, PATH)
    assert await ingestion.published() == [("stored", PATH, 1), ("unchanged", PATH, 1)]


async def test_an_older_event_that_is_replayed_after_a_newer_one_changes_nothing(
    ingestion: Ingestion, replay: Callable[[], Any]
) -> None:
    ingestion.put(PATH, GOOD[:-9])
    await ingestion.tell(ADDED, PATH)
    ingestion.put(PATH, GOOD)
    await ingestion.tell(MODIFIED, PATH)
    state = "select external_id, version, sequence, is_deleted, content_hash from bronze.heads"
    heads = await ingestion.rows(state)
    published = await ingestion.published()
    assert published == [("stored", PATH, 1)]

    ingestion.put(PATH, GOOD.replace(b"one", b"two"))  # of which no event has told yet
    await replay()

    assert await ingestion.rows(state) == heads
    assert await ingestion.rows("select count(*) from bronze.raw_entities") == [(1,)]
    assert await ingestion.published() == published
    assert await letters(ingestion) == [("replayed", "content_parse", 0)]
