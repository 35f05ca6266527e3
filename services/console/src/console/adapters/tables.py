"""Tables, plans and refreshes, as the refresher's tables tell them."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.db import Connection, Database
from console.adapters.run_lines import COLUMNS, recent_runs, run_line
from console.ports.runs import RunLine
from console.ports.tables import (
    PlanDetail,
    PlanLine,
    PreviewState,
    RefreshFilter,
    RefreshLine,
    SeenDatabase,
    SideState,
    TableDetail,
    TableLine,
)

_SERVICE = "refresher"
_ALL = "all"
_REFRESHING = ("refresh", "refresh-apply", "refresh-undo")
_TABLES = 1000
_HISTORY = 50
_PLANS = 10

_LIST = """
select table_key, settings, source_rows, source_is_estimate, source_bytes, source_hash,
    target_rows, target_is_estimate, target_bytes, target_hash, drift, problem, observed_at
from refresher.table_states
where $1::text is null or table_key = $1
order by position limit $2
"""

_REFRESH = """
f.plan_id, f.run_id::text as run_id, f.finished_at, f.table_key, f.mode, f.mode_reason, f.swap,
f.window_low, f.window_high, f.watermark ->> 'text' as watermark, f.rows_read, f.rows_inserted,
f.rows_updated, f.rows_deleted, f.rows_kept, f.masked, f.phases, f.schema_hash, f.checksum,
f.undone_at, f.bytes_read, f.swap_attempts, p.undo_until, p.requester
"""

_LATEST = f"""
select {_REFRESH} from unnest($1::text[]) as t (key) cross join lateral (
    select * from refresher.refreshes f where f.table_key = t.key
    order by f.finished_at desc limit 1) f
join refresher.plans p using (plan_id)
"""  # noqa: S608 - the parts are constants of this module

_OF_TABLE = f"""
select {_REFRESH} from refresher.refreshes f join refresher.plans p using (plan_id)
where f.table_key = $1 order by f.finished_at desc limit $2
"""  # noqa: S608 - as above

_REFRESHES = f"""
select {_REFRESH} from refresher.refreshes f join refresher.plans p using (plan_id)
where $1 = '' or f.table_key = $1 order by f.finished_at desc, f.id desc limit $2
"""  # noqa: S608 - as above

_LATEST_OF_ALL = f"""
select distinct on (f.table_key) {_REFRESH}
from refresher.refreshes f join refresher.plans p using (plan_id)
order by f.table_key, f.finished_at desc limit {_TABLES}
"""  # noqa: S608 - as above

_DATABASES = """
select role, fingerprint, last_seen_at from refresher.databases
order by role, last_seen_at desc limit 100
"""

# Dry runs aside: they say what would be, not what is.
_NEWEST_RUNS = f"""
select {COLUMNS}
from unnest($1::text[]) as t (key) cross join unnest($2::text[]) as k (kind) cross join lateral (
    select * from meta.runs r
    where r.service = 'refresher' and r.kind = k.kind and r.target = t.key and not r.dry_run
    order by r.queued_at desc limit 1) r
"""  # noqa: S608 - as above

_PLAN = """
plan_id, run_id::text as run_id, target, status, requester, reason, created_at, decided_by,
decided_at, applied_at, undo_until, is_forced, message,
coalesce(plan -> 'destructive', '[]') as destructive
"""

_WAITING = f"""
select {_PLAN} from refresher.plans where status = 'waiting' order by created_at desc limit 50
"""  # noqa: S608 - as above

_PLANS_OF = f"""
select {_PLAN} from (
    select * from refresher.plans order by created_at desc limit 2000) p
where target = any($1::text[]) order by created_at desc limit $2
"""  # noqa: S608 - as above

_FIND_PLAN = f"""
select {_PLAN}, plan from refresher.plans where plan_id = $1 or run_id = $2
order by plan_id = $1 desc, created_at desc limit 1
"""  # noqa: S608 - as above

_PREVIEW = f"""
select s.command_id, r.run_id is not null as has_run, {COLUMNS},
    v.side, v.columns, v.rows, v.taken_at, v.expires_at
from console.commands s
left join meta.commands c on c.command_id = s.command_id and c.topic = s.topic
left join meta.runs r on r.run_id = c.run_id
left join refresher.previews v on v.run_id = c.run_id and v.expires_at > clock_timestamp()
where s.command_id = $1 and s.target = $2 and s.topic = 'refresh.preview-requested'
"""  # noqa: S608 - as above


class PostgresTables:
    """Tables, plans, refreshes and previews."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(self) -> Sequence[TableLine]:
        """Return every table of the configuration, in its order."""
        async with self._database.connection() as connection:
            return await _lines(connection, None)

    async def waiting(self) -> Sequence[PlanLine]:
        """Return plans that wait for approval, the newest first."""
        async with self._database.connection() as connection:
            return [_plan(row) for row in await connection.fetch(_WAITING)]

    async def find(self, key: str) -> TableDetail | None:
        """Return a table."""
        async with self._database.connection() as connection:
            lines = await _lines(connection, key)
            if not lines:
                return None
            both = [key, _ALL]
            return TableDetail(
                line=lines[0],
                history=[_refresh(row) for row in await connection.fetch(_OF_TABLE, key, _HISTORY)],
                runs=await recent_runs(
                    connection, _SERVICE, _REFRESHING, targets=both, limit=_HISTORY
                ),
                plans=[_plan(row) for row in await connection.fetch(_PLANS_OF, both, _PLANS)],
            )

    async def plan(self, name: str) -> PlanDetail | None:
        """Return a plan by its id, or by the id of the run that made it."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND_PLAN, name, _uuid(name))
        return None if row is None else PlanDetail(line=_plan(row), plan=row["plan"])

    async def refreshes(self, wanted: RefreshFilter) -> Sequence[RefreshLine]:
        """Return refreshes, the newest first."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_REFRESHES, wanted.table, wanted.limit)
        return [_refresh(row) for row in rows]

    async def latest(self) -> Sequence[RefreshLine]:
        """Return the last refresh of every table that ever had one, by table."""
        async with self._database.connection() as connection:
            return [_refresh(row) for row in await connection.fetch(_LATEST_OF_ALL)]

    async def databases(self) -> Sequence[SeenDatabase]:
        """Return the databases that were seen, by role."""
        async with self._database.connection() as connection:
            return [SeenDatabase(**row) for row in await connection.fetch(_DATABASES)]

    async def preview(self, key: str, command_id: str) -> PreviewState | None:
        """Return rows that a command has asked for; None if there is no such command."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_PREVIEW, command_id, key)
        if row is None:
            return None
        return PreviewState(
            run=run_line(row) if row["has_run"] else None,
            side=row["side"],
            columns=row["columns"] or [],
            rows=row["rows"],
            taken_at=row["taken_at"],
            expires_at=row["expires_at"],
        )


async def _lines(connection: Connection, key: str | None) -> list[TableLine]:
    rows = await connection.fetch(_LIST, key, _TABLES)
    keys = [row["table_key"] for row in rows]
    latest = {row["table_key"]: _refresh(row) for row in await connection.fetch(_LATEST, keys)}
    runs = await _newest_runs(connection, keys)
    waiting = {row["target"]: row["plan_id"] for row in await connection.fetch(_WAITING)}
    return [
        TableLine(
            key=row["table_key"],
            settings=row["settings"],
            source=_side(row, "source"),
            target=_side(row, "target"),
            drift=row["drift"],
            problem=row["problem"],
            observed_at=row["observed_at"],
            last=latest.get(row["table_key"]),
            run=runs.get(row["table_key"]),
            waiting=waiting.get(row["table_key"], waiting.get(_ALL)),
        )
        for row in rows
    ]


async def _newest_runs(connection: Connection, keys: Sequence[str]) -> Mapping[str, RunLine]:
    found: dict[str, RunLine] = {}
    rows = await connection.fetch(_NEWEST_RUNS, [*keys, _ALL], list(_REFRESHING))
    for run in sorted((run_line(row) for row in rows), key=lambda run: run.queued_at):
        # A run of all tables is one of each.
        for key in keys if run.target == _ALL else [run.target]:
            found[key] = run
    return found


def _uuid(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _side(row: Any, side: str) -> SideState:
    return SideState(
        rows=row[f"{side}_rows"],
        is_estimate=row[f"{side}_is_estimate"],
        size_bytes=row[f"{side}_bytes"],
        columns_hash=row[f"{side}_hash"],
    )


def _refresh(row: Any) -> RefreshLine:
    return RefreshLine(**{name: row[name] for name in RefreshLine.__slots__})


def _plan(row: Any) -> PlanLine:
    return PlanLine(**{name: row[name] for name in PlanLine.__slots__})
