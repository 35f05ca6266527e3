"""The state of the hub in one read, each part bounded by an index or a limit."""

from typing import Any

from chassis.db import Connection, Database
from console.adapters.run_lines import COLUMNS, run_line
from console.ports.overview import COUNT_LIMIT, Figures, Freshness, Hour, Overview
from contracts.runs import RunStatus

_OPEN_SHOWN = 20
_PROBLEMS_SHOWN = 8
_TASKS_SHOWN = 200


def _some(source: str) -> str:
    """Return a count that stops at the limit."""
    return f"(select count(*) from (select 1 from {source} limit {COUNT_LIMIT}) found)"  # noqa: S608


_FAILED = """
meta.runs r where finished_at > clock_timestamp() - interval '24 hours'
and status in ('failed', 'abandoned')
and not exists (
    select 1 from meta.runs later
    where later.service = r.service and later.kind = r.kind and later.target = r.target
      and later.queued_at > r.queued_at and later.status = 'completed')
"""

_ERRORS = """
meta.record_errors where service = any($1)
and occurred_at > clock_timestamp() - interval '24 hours'
"""

_FIGURES = f"""
select {_some("meta.runs where status = 'running'")} as running,
       {_some("meta.runs where status = 'queued'")} as queued,
       {_some(_FAILED)} as failed_runs,
       {_some(_ERRORS)} as record_errors,
       {_some("scanner.held_deletions")} as held_deletions,
       {_some("refresher.plans where status = 'waiting'")} as waiting_approvals,
       {_some("meta.dead_letters where status = 'open'")} as open_dead_letters,
       {_some("meta.drifts where status = 'waiting'")} as waiting_drifts,
       {_some("meta.outbox")} as outbox_waiting,
       coalesce((select extract(epoch from clock_timestamp() - created_at)::float
                 from meta.outbox order by id limit 1), 0) as outbox_seconds
"""  # noqa: S608 - the parts are constants of this module

_OPEN = f"""
select {COLUMNS} from meta.runs r where status = 'running'
union all
(select {COLUMNS} from meta.runs r where status = 'queued' order by queued_at limit {_OPEN_SHOWN})
order by started_at nulls last, queued_at limit {_OPEN_SHOWN}
"""  # noqa: S608 - as above

_PROBLEMS = f"""
select {COLUMNS} from meta.runs r
where finished_at > clock_timestamp() - interval '7 days'
  and status in ('failed', 'abandoned', 'completed-with-errors')
order by finished_at desc limit {_PROBLEMS_SHOWN}
"""  # noqa: S608 - as above

# Goes from task to task along the index instead of through all runs.
_FRESHNESS = f"""
with recursive task as (
    (select service, kind, target from meta.runs order by service, kind, target limit 1)
    union all
    select following.* from task cross join lateral (
        select service, kind, target from meta.runs r
        where (r.service, r.kind, r.target) > (task.service, task.kind, task.target)
        order by service, kind, target limit 1) following
)
select task.*, ended.run_id, ended.status, ended.finished_at, succeeded.finished_at as succeeded_at
from (select * from task limit {_TASKS_SHOWN}) task
cross join lateral (
    select run_id, status, finished_at from meta.runs r
    where (r.service, r.kind, r.target) = (task.service, task.kind, task.target)
      and finished_at is not null and not dry_run
    order by queued_at desc limit 1) ended
left join lateral (
    select finished_at from meta.runs r
    where (r.service, r.kind, r.target) = (task.service, task.kind, task.target)
      and status in ('completed', 'completed-with-errors') and not dry_run
    order by queued_at desc limit 1) succeeded on true
order by ended.status in ('failed', 'abandoned') desc, succeeded.finished_at nulls first
"""  # noqa: S608 - as above

_HOURS = """
select hour.begins_at,
       count(r.run_id) filter (where r.status = 'completed') as completed,
       count(r.run_id) filter (where r.status = 'completed-with-errors') as troubled,
       count(r.run_id) filter (where r.status in ('failed', 'abandoned')) as failed
from generate_series(date_trunc('hour', clock_timestamp()) - interval '23 hours',
                     date_trunc('hour', clock_timestamp()), interval '1 hour') as hour (begins_at)
left join meta.runs r
    on r.finished_at >= hour.begins_at and r.finished_at < hour.begins_at + interval '1 hour'
group by hour.begins_at order by hour.begins_at
"""

_SERVICES = ["scanner", "ingestor", "transformer", "refresher", "wrds_sync"]


class PostgresOverviews:
    """Reads the state of the hub."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self) -> Overview:
        """Return the state at this moment."""
        async with self._database.connection() as connection:
            figures = await connection.fetchrow(_FIGURES, _SERVICES)
            return Overview(
                figures=Figures(**dict(figures or {})),
                open_runs=[run_line(row) for row in await connection.fetch(_OPEN)],
                problems=[run_line(row) for row in await connection.fetch(_PROBLEMS)],
                freshness=await _freshness(connection),
                hours=[Hour(**row) for row in await connection.fetch(_HOURS)],
            )


async def _freshness(connection: Connection) -> list[Freshness]:
    rows: list[Any] = await connection.fetch(_FRESHNESS)
    return [Freshness(**{**row, "status": RunStatus(row["status"])}) for row in rows]
