"""Sources with their scans, polls, errors and held deletions."""

import random
import uuid
from datetime import timedelta

from chassis.db import Connection
from tests.support.console_seed.ledger import HOSTILE, NOW, add_run, naughty


async def seed_sources(connection: Connection) -> None:
    """Add file and record sources with their scans, polls, errors and held deletions."""
    chance = random.Random(1)
    await _file_source(connection, "transcripts", 18_234, chance, every=timedelta(minutes=1))
    await _file_source(connection, "holdings", 412, chance, every=timedelta(minutes=15))
    for name in ("umich_api", "mcommunity", "tdx_people"):
        await _record_source(connection, name, chance)
    await connection.execute(
        "update scanner.scans set outcome = 'incomplete', failures = $1 where scan_id = ("
        "select scan_id from scanner.scans where source = 'holdings' "
        "order by started_at desc limit 1)",
        [{"path": "IWM/2026", "reason": "STATUS_NETWORK_NAME_DELETED: the share went away"}],
    )
    await connection.executemany(
        "insert into scanner.held_deletions (source, path, scan_id, reason, held_at) "
        "values ('transcripts', $1, $2, $3, $4)",
        [
            (
                f"Data/2019/Q{1 + n % 4}/Earnings Call/{text}-{n:04}.xml",
                uuid.uuid4(),
                "137 of 18234 files are missing, the limit is 50",
                NOW - timedelta(hours=2),
            )
            for n, text in enumerate([HOSTILE, *naughty()[:136]])
        ],
    )


async def _file_source(
    connection: Connection, name: str, files: int, chance: random.Random, *, every: timedelta
) -> None:
    for number in range(60):
        mode = "full" if number % 10 == 0 else "fast"
        began = every * number + timedelta(seconds=20)
        seconds = chance.uniform(12, 60) if mode == "full" else chance.uniform(0.4, 4)
        slot = NOW - every * number
        run_id = await add_run(
            connection,
            "scanner",
            "scan",
            name,
            ago=began,
            seconds=seconds,
            command_id=f"schedule/scan/{name}/{slot.isoformat()}",
            status="failed" if number == 17 else "completed",
            message="smb: the server does not answer" if number == 17 else None,
        )
        await connection.execute(
            "insert into scanner.scans (scan_id, source, mode, outcome, started_at, finished_at, "
            "directories, files, added, modified, deleted, held) "
            "values ($1, $2, $3, 'complete', $4, $5, 320, $6, $7, $8, $9, $10)",
            run_id,
            name,
            mode,
            NOW - began,
            NOW - began + timedelta(seconds=seconds),
            files if mode == "full" else chance.randint(0, 40),
            chance.choice([0, 0, 0, 2, 5, 31]),
            chance.choice([0, 0, 1]),
            chance.choice([0, 0, 0, 1]),
            137 if name == "transcripts" and number < 5 else 0,
        )


async def _record_source(connection: Connection, name: str, chance: random.Random) -> None:
    for number in range(30):
        began = timedelta(minutes=30 * number + 3)
        slot = NOW - timedelta(minutes=30 * number)
        run_id = await add_run(
            connection,
            "scanner",
            "scan",
            name,
            ago=began,
            seconds=chance.uniform(5, 90),
            command_id=f"schedule/scan/{name}/{slot.isoformat()}",
        )
        failed = 3 if number == 0 and name == "umich_api" else 0
        await connection.execute(
            "insert into scanner.polls (run_id, source, mode, outcome, started_at, finished_at, "
            "high_water, records, new, changed, unchanged, deleted, held, failed, gaps) "
            "values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, $12, $13)",
            run_id,
            name,
            "full" if number % 6 == 0 else "since",
            "partial" if failed else "complete",
            NOW - began,
            NOW - began + timedelta(seconds=chance.uniform(5, 90)),
            (NOW - began).isoformat(),
            5_012 if number % 6 == 0 else chance.randint(0, 60),
            chance.randint(0, 3),
            chance.randint(0, 12),
            chance.randint(0, 40),
            failed,
            ["page 7: HTTP 503"] if failed else [],
        )
        for place in range(failed):
            await connection.execute(
                "insert into meta.record_errors (service, run_id, source, external_id, category, "
                "error_class, message, occurred_at) values ('scanner', $1, $2, $3, $4, $5, $6, $7)",
                run_id,
                name,
                f"EmplId={40_000 + place}",
                "content_validation",
                "RecordError",
                f"`Work_Phone` is no text: {HOSTILE if place == 0 else '[12, 34]'}",
                NOW - began,
            )
    await connection.execute(
        "insert into scanner.high_waters values ($1, $2, $3, $4)",
        name,
        (NOW - timedelta(minutes=3)).isoformat(),
        uuid.uuid4(),
        NOW,
    )
