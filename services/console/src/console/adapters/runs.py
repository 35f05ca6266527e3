"""The ledger of runs, as pages show it."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.db import Connection, Database
from console.domain.paging import PAGE_SIZE, Page, decode_moment, page_of
from console.ports.runs import RunDetail, RunError, RunFilter, RunLine, SentCommand
from contracts.runs import RunStatus

_HISTORY = 30
_ERRORS = 50

_LINE = """
run_id, service, kind, target, status, dry_run, requester, counts, total, message,
cancel_requested, queued_at, started_at, finished_at,
extract(epoch from coalesce(finished_at, clock_timestamp()) - started_at)::float as seconds
"""

# The list of states and not a condition for each, so that one plan serves every filter.
_LIST = f"""
select {_LINE}
from meta.runs
where ($1 = '' or service = $1)
  and ($2 = '' or kind = $2)
  and ($3::text[] is null or status = any($3))
  and ($4 = '' or strpos(lower(target), lower($4)) > 0)
  and ($5::timestamptz is null or (queued_at, run_id) < ($5, $6::uuid))
order by queued_at desc, run_id desc
limit $7
"""  # noqa: S608 - the parts are constants of this module

_FIND = f"""
select {_LINE}, reason, parameters, checkpoint, attempts, failures, r.command_id, heartbeat_at,
       available_at,
       (select topic from meta.commands c
        where c.run_id = r.run_id and c.service = r.service limit 1) as command_topic
from meta.runs r
where run_id = $1
"""  # noqa: S608 - as above

_OF_TARGET = f"""
select {_LINE} from meta.runs
where service = $1 and kind = $2 and target = $3
order by queued_at desc limit {_HISTORY}
"""  # noqa: S608 - as above

_RECORD_ERRORS = """
select occurred_at as at, category, error_class, message, source, external_id
from meta.record_errors
where service = $1 and run_id = $2 and occurred_at >= $3
order by occurred_at desc limit $4
"""

_CHOICES = """
select distinct service, kind from (
    select service, kind from meta.runs order by queued_at desc limit 10000) recent
"""

_COMMAND = """
select asked.command_id, coalesce(s.topic, c.topic, refused.topic) as topic,
       coalesce(s.target, c.target, '') as target, coalesce(s.actor, c.requester, '') as actor,
       coalesce(s.sent_at, c.received_at, refused.failed_at) as sent_at, c.run_id,
       refused.message as refusal,
       coalesce(c.outcome, case when refused.message is not null then 'refused' end) as outcome
from (select $1::text as command_id) asked
left join console.commands s on s.command_id = asked.command_id
left join meta.commands c
    on c.command_id = asked.command_id and (s.topic is null or c.topic = s.topic)
left join lateral (
    select d.message, d.topic, d.failed_at from meta.dead_letters d
    where d.failed_at >= coalesce(s.sent_at, clock_timestamp() - interval '1 day')
      and d.event_id = asked.command_id and (s.topic is null or d.topic = s.topic)
    limit 1) refused on true
where coalesce(s.topic, c.topic, refused.topic) is not null
limit 1
"""

_BODY = "select topic, body from meta.commands where run_id = $1 order by received_at limit 1"

_STATES: Mapping[str, Sequence[str]] = {
    "open": (RunStatus.QUEUED, RunStatus.RUNNING),
    "failed": (RunStatus.FAILED, RunStatus.ABANDONED, RunStatus.COMPLETED_WITH_ERRORS),
}


class PostgresRuns:
    """Runs and the commands that led to them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self, wanted: RunFilter) -> Page[RunLine]:
        """Return runs, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LIST, *_arguments(wanted))
        return page_of([_line(row) for row in rows], lambda run: (run.queued_at, run.run_id))

    async def find(self, run_id: uuid.UUID) -> RunDetail | None:
        """Return a run."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND, run_id)
            if row is None:
                return None
            return await _detail(connection, row)

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """Return the services and kinds there are."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CHOICES)
        return {name: sorted({row[name] for row in rows}) for name in ("service", "kind")}

    async def command(self, command_id: str) -> SentCommand | None:
        """Return a command, given here or elsewhere."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_COMMAND, command_id)
            if row is None:
                return None
            run = row["run_id"] and await connection.fetchrow(_FIND, row["run_id"])
        facts = {name: value for name, value in row.items() if name != "run_id"}
        return SentCommand(**facts, run=_line(run) if run else None)

    async def command_body(self, run_id: uuid.UUID) -> tuple[str, Mapping[str, Any]] | None:
        """Return topic and body of the command that led to a run."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_BODY, run_id)
        return (row["topic"], row["body"]) if row else None


def _arguments(wanted: RunFilter) -> tuple[Any, ...]:
    states = None
    if wanted.state is not None:
        states = list(_STATES.get(wanted.state, (wanted.state,)))
    return (
        wanted.service,
        wanted.kind,
        states,
        wanted.target,
        *(decode_moment(wanted.cursor) or (None, None)),
        PAGE_SIZE + 1,
    )


def _line(row: Any) -> RunLine:
    facts = {name: row[name] for name in RunLine.__slots__}
    return RunLine(**facts | {"status": RunStatus(row["status"])})


async def _detail(connection: Connection, row: Any) -> RunDetail:
    place = (row["service"], row["kind"], row["target"])
    history = await connection.fetch(_OF_TARGET, *place)
    errors = await connection.fetch(
        _RECORD_ERRORS, row["service"], row["run_id"], row["queued_at"], _ERRORS
    )
    facts = ("reason", "parameters", "checkpoint", "attempts", "failures", "command_id")
    return RunDetail(
        line=_line(row),
        command_topic=row["command_topic"],
        heartbeat_at=row["heartbeat_at"],
        available_at=row["available_at"],
        errors=[RunError(**error) for error in errors],
        history=[_line(item) for item in history],
        **{name: row[name] for name in facts},
    )
