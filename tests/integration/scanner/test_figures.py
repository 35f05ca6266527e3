"""Freshness and held deletions are read from the tables, whichever replica scanned."""

import uuid

from scanner import metrics
from scanner.adapters.figures import SourceFigures
from tests.support.databases import opened


async def test_a_replica_that_never_scanned_knows_how_fresh_every_source_is(
    database_url: str,
) -> None:
    async with opened(database_url, "scanner") as database:
        async with database.connection() as connection:
            await connection.executemany(
                "insert into scanner.scans "
                "(scan_id, source, mode, outcome, started_at, finished_at)"
                " values ($1, 'papers', 'full', $2, to_timestamp($3), to_timestamp($3))",
                [
                    (uuid.uuid4(), "complete", 1000.0),
                    (uuid.uuid4(), "complete", 2000.0),
                    (uuid.uuid4(), "incomplete", 3000.0),
                ],
            )
            await connection.execute(
                "insert into scanner.polls (run_id, source, mode, outcome, started_at, finished_at)"
                " values ($1, 'prices', 'since', 'complete', to_timestamp(5), to_timestamp(6))",
                uuid.uuid4(),
            )
            await connection.execute(
                "insert into scanner.held_deletions (source, path, scan_id, reason, held_at) "
                "select 'papers', n::text, $1, 'too many', now() from generate_series(1, 4) n",
                uuid.uuid4(),
            )

        await SourceFigures(database, lambda: ["papers", "prices", "new"]).measure()

    complete = {
        name: metrics.LAST_COMPLETE.labels(name)._value.get()
        for name in ("papers", "prices", "new")
    }
    assert complete == {"papers": 2000.0, "prices": 6.0, "new": 0.0}
    assert metrics.HELD_DELETIONS.labels("papers")._value.get() == 4
    assert metrics.HELD_DELETIONS.labels("prices")._value.get() == 0
