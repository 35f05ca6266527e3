"""The log of runs, in PostgreSQL."""

from collections.abc import Sequence

from chassis.db import Database
from console.ports.run_log import EndedRun, LogFilter

_COLUMNS = """
task_name, status, rows_updated, error_message, started_at, completed_at,
round(duration_seconds, 3)::float as duration_seconds
"""

# The three questions of the original, word for word but for the limits of their span.
_LATEST = f"""
select distinct on (task_name) {_COLUMNS} from meta.sync_logs
order by task_name, completed_at desc
"""  # noqa: S608 - a constant of this module

_LAST = f"select {_COLUMNS} from meta.sync_logs order by completed_at desc limit $1"  # noqa: S608

_FAILED = f"""
select {_COLUMNS} from meta.sync_logs
where status = 'failed' and completed_at > clock_timestamp() - make_interval(secs => $1)
order by completed_at desc
"""  # noqa: S608 - a constant of this module


class PostgresRunLog:
    """Runs that have ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: LogFilter) -> Sequence[EndedRun]:
        """Return the lines that a question is about."""
        async with self._database.connection() as connection:
            if wanted.latest:
                rows = await connection.fetch(_LATEST)
            elif wanted.failed_within_seconds is not None:
                rows = await connection.fetch(_FAILED, wanted.failed_within_seconds)
            else:
                rows = await connection.fetch(_LAST, wanted.last)
        return [EndedRun(**row) for row in rows]
