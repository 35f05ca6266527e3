"""Looks up runs that have ended, as `meta.sync_logs` tells them (S3-08)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import orjson

from chassis.db import translated_errors
from chassis.settings import DatabaseSettings

_COLUMNS = (
    "task_name, status, rows_updated, error_message, started_at, completed_at, duration_seconds"
)

# The three questions of the original, word for word but for the limits of their span.
_LATEST = f"""
select distinct on (task_name) {_COLUMNS} from meta.sync_logs
order by task_name, completed_at desc
"""  # noqa: S608 - a constant of this module

_LAST = f"select {_COLUMNS} from meta.sync_logs order by completed_at desc limit $1"  # noqa: S608

_FAILED = f"""
select {_COLUMNS} from meta.sync_logs
where status = 'failed' and completed_at > clock_timestamp() - $1::interval
order by completed_at desc
"""  # noqa: S608 - a constant of this module


@dataclass(frozen=True, slots=True)
class EndedRun:
    """One line of the log."""

    task_name: str
    """Kind and target: `scan:fmp_prices`."""

    status: str
    rows_updated: int
    error_message: str | None
    started_at: datetime
    completed_at: datetime
    duration_seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return the line for programs."""
        return {name: getattr(self, name) for name in self.__slots__}


async def latest_runs(database: DatabaseSettings) -> list[EndedRun]:
    """Return the latest run of every task."""
    return await _ask(database, _LATEST)


async def last_runs(database: DatabaseSettings, count: int) -> list[EndedRun]:
    """Return the runs that ended last."""
    return await _ask(database, _LAST, count)


async def failed_runs(database: DatabaseSettings, span: timedelta) -> list[EndedRun]:
    """Return the runs that failed within a span up to now."""
    return await _ask(database, _FAILED, span)


def as_json_lines(runs: list[EndedRun]) -> str:
    """Return runs as a JSON list."""
    return orjson.dumps([run.as_json() for run in runs], option=orjson.OPT_INDENT_2).decode()


async def _ask(database: DatabaseSettings, query: str, *arguments: object) -> list[EndedRun]:
    with translated_errors():
        connection = await asyncpg.connect(database.url.get_secret_value(), timeout=30)
        try:
            rows = await connection.fetch(query, *arguments, timeout=60)
        finally:
            await connection.close(timeout=10)
    return [
        EndedRun(**{**row, "duration_seconds": round(float(row["duration_seconds"]), 3)})
        for row in rows
    ]
