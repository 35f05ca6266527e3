"""The ledger of plans and refreshes, in our own database."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from chassis.db import Connection
from refresher.domain import plan as plans
from refresher.domain.catalog import Side
from refresher.domain.modes import LastRefresh
from refresher.domain.statements import Tally
from refresher.domain.values import Value, ValueType
from refresher.ports import StoredPlan, TableOutcome

_STORE = """
insert into refresher.plans
    (plan_id, run_id, target, status, plan, digest, requester, reason, is_forced)
values ($1, $2::uuid, $3, $4, $5::text::jsonb, $6, $7, $8, $9)
on conflict (plan_id) do nothing
"""
_FIND = """
select plan_id, run_id, target, status, plan::text as plan, requester, is_forced
from refresher.plans
where plan_id = $1 or run_id::text = $1
order by plan_id = $1 desc, created_at desc
limit 1
"""
_MARK = """
update refresher.plans
set status = $2, message = coalesce($3, message), decided_by = coalesce($4, decided_by),
    decided_at = case when $4::text is null then decided_at else clock_timestamp() end
where plan_id = $1
"""
_APPLIED = """
update refresher.plans
set status = 'applied', applied_at = clock_timestamp(),
    undo_until = clock_timestamp() + make_interval(secs => $2)
where plan_id = $1
"""
_RECORD = """
insert into refresher.refreshes
    (plan_id, run_id, table_key, asked_mode, mode, mode_reason, strategy, swap, window_low,
     window_high, watermark, is_sweep, rows_read, bytes_read, rows_inserted, rows_updated,
     rows_deleted, rows_kept, masked, phases, schema_hash, checksum, swap_attempts)
values ($1, $2::uuid, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,
    $19, $20, $21, $22, $23)
on conflict (plan_id, table_key) do nothing
"""
_LAST = """
select distinct on (table_key) table_key, finished_at, watermark, schema_hash, rows_read, mode,
    phases,
    (select max(swept.finished_at) from refresher.refreshes swept
     where swept.table_key = done.table_key and swept.is_sweep and swept.undone_at is null)
        as swept_at
from refresher.refreshes done
where table_key = any($1::text[]) and undone_at is null
order by table_key, id desc
"""
_NEWER = """
select mine.table_key from refresher.refreshes mine
where mine.plan_id = $1 and exists (
    select from refresher.refreshes later
    where later.table_key = mine.table_key and later.id > mine.id and later.undone_at is null)
order by 1
"""
_EXPIRED = """
select plan_id, run_id, target, status, plan::text as plan, requester, is_forced
from refresher.plans
where undo_until is not null and undo_until < clock_timestamp()
order by created_at
limit 20
"""
_KEPT = """
select plan_id from refresher.plans
where undo_until is not null or status in ('approved', 'applying')
"""
_SETTLE = """
update refresher.plans p
set status = 'failed', message = coalesce(p.message, 'its run ended without an outcome')
where p.status = 'applying' and not exists (
    select from meta.runs r
    where r.service = 'refresher' and r.status in ('queued', 'running')
      and (r.run_id = p.run_id or r.checkpoint ->> 'plan_id' = p.plan_id
           or r.parameters ->> 'plan' = p.plan_id))
"""
_MEET = """
insert into refresher.databases (fingerprint, role)
select * from unnest($1::text[], $2::text[])
on conflict (fingerprint, role) do update set last_seen_at = clock_timestamp()
"""


class PostgresLedger:
    """Remembers plans and their outcomes."""

    async def store(
        self, connection: Connection, stored: StoredPlan, *, reason: str | None
    ) -> None:
        """Remember a new plan."""
        await connection.execute(
            _STORE,
            stored.plan.plan_id,
            stored.run_id,
            stored.target,
            stored.status,
            plans.to_json(stored.plan),
            plans.digest(stored.plan),
            stored.requester,
            reason,
            stored.is_forced,
        )

    async def find(self, connection: Connection, plan_id: str) -> StoredPlan | None:
        """Return a plan by its id, or by the id of the run that applied it."""
        row = await connection.fetchrow(_FIND, plan_id)
        return None if row is None else _stored(row)

    async def mark(
        self,
        connection: Connection,
        plan_id: str,
        status: str,
        *,
        message: str | None = None,
        decided_by: str | None = None,
    ) -> None:
        """Change what became of a plan."""
        await connection.execute(_MARK, plan_id, status, message, decided_by)

    async def applied(self, connection: Connection, plan_id: str, *, keep_hours: float) -> None:
        """Say that a plan is applied, and until when it can be undone."""
        await connection.execute(_APPLIED, plan_id, keep_hours * 3600.0)

    async def record(
        self, connection: Connection, stored: StoredPlan, outcomes: Sequence[TableOutcome]
    ) -> None:
        """Remember what was done to tables; a repetition changes nothing."""
        await connection.executemany(_RECORD, [_outcome(stored, item) for item in outcomes])

    async def last_refreshes(
        self, connection: Connection, keys: Collection[str]
    ) -> Mapping[str, LastRefresh]:
        """Return each table's last refresh that was not undone."""
        rows = await connection.fetch(_LAST, list(keys))
        return {row["table_key"]: _last(row) for row in rows}

    async def recorded(self, connection: Connection, plan_id: str) -> set[str]:
        """Return the tables that a plan has swapped and not taken back."""
        rows = await connection.fetch(
            "select table_key from refresher.refreshes where plan_id = $1 and undone_at is null",
            plan_id,
        )
        return {row["table_key"] for row in rows}

    async def newer(self, connection: Connection, plan_id: str) -> list[str]:
        """Return tables of a plan that were refreshed again after it."""
        return [row["table_key"] for row in await connection.fetch(_NEWER, plan_id)]

    async def undone(self, connection: Connection, plan_id: str) -> None:
        """Say that a plan was undone."""
        await connection.execute(
            "update refresher.refreshes set undone_at = clock_timestamp() where plan_id = $1",
            plan_id,
        )
        await connection.execute(
            "update refresher.plans set status = 'undone', undo_until = null where plan_id = $1",
            plan_id,
        )

    async def expired(self, connection: Connection) -> list[StoredPlan]:
        """Return applied plans whose replaced rows need not be kept any longer."""
        return [_stored(row) for row in await connection.fetch(_EXPIRED)]

    async def forgotten(self, connection: Connection, plan_id: str) -> None:
        """Say that what undo would need is gone."""
        await connection.execute(
            "update refresher.plans set undo_until = null where plan_id = $1", plan_id
        )

    async def settle(self, connection: Connection) -> None:
        """Mark as failed what was being applied by runs that have ended since."""
        await connection.execute(_SETTLE)

    async def kept(self, connection: Connection) -> list[str]:
        """Return the plans whose tables in the target are still needed."""
        return [row["plan_id"] for row in await connection.fetch(_KEPT)]

    async def meet(self, connection: Connection, fingerprints: Mapping[Side, str]) -> None:
        """Remember that databases were seen in their roles."""
        await connection.execute(
            _MEET, list(fingerprints.values()), [side.value for side in fingerprints]
        )

    async def known_sources(self, connection: Connection) -> list[str]:
        """Return the fingerprints of every database that was ever a source."""
        rows = await connection.fetch(
            "select fingerprint from refresher.databases where role = 'source'"
        )
        return [row["fingerprint"] for row in rows]

    async def next_token(self, connection: Connection) -> int:
        """Draw a fence token, higher than all before."""
        token: int = await connection.fetchval("select nextval('refresher.fence_seq')")
        return token

    async def audit(
        self,
        connection: Connection,
        *,
        actor: str,
        action: str,
        subject: str,
        details: Mapping[str, Any],
    ) -> None:
        """Add a line to the audit trail."""
        await connection.execute(
            "insert into meta.audit (service, actor, action, subject, details) "
            "values ('refresher', $1, $2, $3, $4)",
            actor,
            action,
            subject,
            dict(details),
        )


def _stored(row: Any) -> StoredPlan:
    return StoredPlan(
        plan=plans.from_json(row["plan"]),
        run_id=str(row["run_id"]),
        target=row["target"],
        status=row["status"],
        requester=row["requester"],
        is_forced=row["is_forced"],
    )


def _outcome(stored: StoredPlan, item: TableOutcome) -> tuple[Any, ...]:
    table, loaded, swapped = item.table, item.loaded, item.swapped
    window = table.window
    watermark = table.watermark
    phases = {
        **loaded["seconds"],
        "wait": swapped.wait_seconds,
        "lock": swapped.lock_seconds,
    }
    return (
        stored.plan.plan_id,
        stored.run_id,
        table.key,
        table.asked_mode.value,
        table.mode.value,
        table.mode_reason,
        table.strategy.value,
        table.swap.value,
        window.low.text if window else None,
        window.high.text if window and window.high else None,
        {"type": watermark.type.value, "text": watermark.text} if watermark else None,
        item.is_sweep,
        loaded["rows"],
        loaded["bytes"],
        item.tallies.get(Tally.INSERTED, 0),
        item.tallies.get(Tally.UPDATED, 0),
        item.tallies.get(Tally.DELETED, 0),
        item.tallies.get(Tally.KEPT, 0),
        loaded["masked"],
        phases,
        table.schema_hash,
        loaded["checksum"],
        swapped.attempts,
    )


def _last(row: Any) -> LastRefresh:
    mark = row["watermark"]
    seconds = sum(row["phases"].get(phase, 0.0) for phase in ("read", "build", "verify", "lock"))
    return LastRefresh(
        finished_at=row["finished_at"],
        watermark=Value(ValueType(mark["type"]), mark["text"]) if mark else None,
        schema_hash=row["schema_hash"],
        source_rows=row["rows_read"] if row["mode"] == "full_replace" else None,
        swept_at=row["swept_at"],
        rows_per_second=row["rows_read"] / seconds if seconds and row["rows_read"] else None,
    )
