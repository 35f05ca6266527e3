"""Data sets of the mirror with partitions, vintages, restatements, a lock and a disk."""

import random
from datetime import timedelta
from typing import Any

from chassis.db import Connection
from tests.support.console_seed.ledger import NOW, add_run


async def seed_datasets(connection: Connection) -> None:
    """Add data sets of the mirror with partitions, vintages, restatements, a lock and a disk."""
    chance = random.Random(3)
    sets = (
        ("crsp_daily", "crsp", "daily", "crsp.dsf", 26),
        ("crsp_monthly", "crsp", "monthly", "crsp.msf", 1),
        ("compustat_annual", "compustat", "annual", "comp.funda", 24),
        ("ff_factors", "famafrench", "daily", "ff.factors_daily", 1),
        ("ibes_summary", "ibes", "monthly", "ibes.statsum_epsus", 0),
    )
    for name, vendor, frequency, source_table, years in sets:
        vintages = await _vintages(connection, name, years, chance) if years else []
        await _dataset_state(
            connection, (name, vendor, frequency, source_table), years, vintages, chance
        )
        for number in range(20):
            is_failed = number == 4 or (name == "ibes_summary" and number == 0)
            await add_run(
                connection,
                "wrds_sync",
                "wrds-sync",
                name,
                ago=timedelta(days=number, minutes=chance.randint(1, 40)),
                seconds=chance.uniform(20, 2000),
                status="failed" if is_failed else "completed",
                message="the archive does not answer" if is_failed else None,
            )
    await connection.execute(
        "insert into wrds_sync.volumes values ('mirror', 2000000000000, 320000000000, 'warning')"
    )
    await connection.execute(
        "insert into meta.leases values ('wrds_sync/crsp_daily', 'wrds-sync-7c9f', 41, $1, $2)",
        NOW - timedelta(minutes=12),
        NOW + timedelta(hours=1),
    )


async def _vintages(
    connection: Connection, name: str, years: int, chance: random.Random
) -> list[str]:
    names: list[str] = []
    for number in range(12, 0, -1):
        moment = NOW - timedelta(days=number)
        vintage = f"{moment:%Y%m%dT%H%M%S}Z-{chance.getrandbits(64):016x}"
        await connection.execute(
            "insert into wrds_sync.vintages values ($1, $2, $3, $4, $4, $5, $6, $7, $8)",
            name,
            vintage,
            names[-1] if names else None,
            moment,
            1_200_000 * years + 300 * (12 - number),
            88_000_000 * years,
            years,
            f"{moment:%Y-%m-%d}",
        )
        if names and number % 3 == 0:
            changed, removed = chance.randint(1, 900), chance.choice([0, 0, 12])
            await connection.execute(
                "insert into wrds_sync.restatements values ($1, $2, $3, $4, 300, $5, $6, $7)",
                name,
                vintage,
                names[-1],
                moment,
                removed,
                changed,
                {
                    "partitions": [
                        {
                            "year": 2025,
                            "rows_before": 1_200_000,
                            "rows_after": 1_200_300,
                            "added": 300,
                            "removed": removed,
                            "changed": changed,
                            "changed_columns": {"ret": changed, "prc": changed // 2},
                            "examples": ["permno=10107, date=2025-03-04"],
                        }
                    ]
                },
            )
        names.append(vintage)
    return names


async def _dataset_state(
    connection: Connection,
    place: tuple[str, str, str, str],
    years: int,
    vintages: list[str],
    chance: random.Random,
) -> None:
    name, vendor, frequency, _ = place
    is_yearly = years > 1
    partitions: list[dict[str, Any]] = [
        {
            "year": 2026 - n if is_yearly else 0,
            "path": f"wrds/{vendor}/{frequency}/{2026 - n if is_yearly else 'all'}.parquet",
            "rows": chance.randint(900_000, 1_300_000),
            "size_bytes": chance.randint(60_000_000, 99_000_000),
            "sha256": f"{chance.getrandbits(256):064x}",
            "lower": f"{2026 - n}-01-02",
            "upper": f"{2026 - n}-12-31",
            "written_at": (NOW - timedelta(days=n)).isoformat(),
        }
        for n in range(years)
    ]
    progress = {
        "status": "running" if name == "crsp_daily" else "completed",
        "mode": "incremental",
        "started_at": (NOW - timedelta(minutes=12)).isoformat(),
        "last_checkpoint": (NOW - timedelta(minutes=2)).isoformat(),
        "years_completed": [2024, 2025],
        "years_remaining": [2026] if name == "crsp_daily" else [],
        "total_rows_synced": 2_400_000,
        "message": None,
    }
    lock = {
        "is_stale": False,
        "reason": "held",
        "pid": 4711,
        "hostname": "wrds-sync-7c9f",
        "fencing": 41,
        "acquired_at": (NOW - timedelta(minutes=12)).isoformat(),
        "refreshed_at": (NOW - timedelta(seconds=30)).isoformat(),
        "expires_at": (NOW + timedelta(hours=4)).isoformat(),
    }
    await connection.execute(
        "insert into wrds_sync.states values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
        "$13, $14, $15, $16)",
        *place,
        vintages[-1] if vintages else None,
        True if vintages else None,
        NOW - timedelta(hours=5) if vintages else None,
        sum(item["rows"] for item in partitions) if vintages else None,
        sum(item["size_bytes"] for item in partitions) if vintages else None,
        "2026-11-20" if vintages else None,
        partitions,
        vintages[-3:],
        progress if vintages else None,
        lock if name == "crsp_daily" else None,
        "not a manifest: ValidationError" if name == "ff_factors" else None,
        NOW - timedelta(seconds=40),
    )
