"""The audit trail, in PostgreSQL."""

from collections.abc import Mapping, Sequence
from typing import Any

from chassis.db import Database
from console.domain.paging import PAGE_SIZE, Page, decode_cursor, page_of
from console.ports.audit import Audit, AuditEntry, AuditFilter

SERVICE = "console"

_RECORD = (
    "insert into meta.audit (service, actor, action, subject, details) values ($1, $2, $3, $4, $5)"
)

_LIST = """
select id, at, service, actor, action, subject, details
from meta.audit
where ($1::bigint is null or id < $1)
  and ($2 = '' or actor = $2)
  and ($3 = '' or action = $3)
  and ($4 = '' or strpos(lower(subject), lower($4)) > 0)
order by id desc
limit $5
"""

_ACTIONS = """
select distinct action
from (select action from meta.audit order by id desc limit 10000) recent
order by action limit 100
"""


class PostgresAudit:
    """Who did what."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(
        self, actor: str, action: str, *, subject: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write an entry of the console's own."""
        async with self._database.connection() as connection:
            await connection.execute(_RECORD, SERVICE, actor, action, subject, dict(details or {}))

    async def list(self, wanted: AuditFilter) -> Page[AuditEntry]:
        """Return entries, the newest first."""
        place = decode_cursor(wanted.cursor, parts=1)
        before = int(place[0]) if place and place[0].isdecimal() else None
        async with self._database.connection() as connection:
            rows = await connection.fetch(
                _LIST, before, wanted.actor, wanted.action, wanted.subject, PAGE_SIZE + 1
            )
        return page_of([AuditEntry(**row) for row in rows], lambda entry: (entry.id,))

    async def actions(self) -> Sequence[str]:
        """Return the actions there are lately."""
        async with self._database.connection() as connection:
            return [row["action"] for row in await connection.fetch(_ACTIONS)]


class UnauditedLooks:
    """An audit trail to read, for whoever may look at everything without us."""

    def __init__(self, trail: Audit) -> None:
        self._trail = trail

    async def record(
        self, actor: str, action: str, *, subject: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write nothing."""

    async def list(self, wanted: AuditFilter) -> Page[AuditEntry]:
        """Return entries, the newest first."""
        return await self._trail.list(wanted)

    async def actions(self) -> Sequence[str]:
        """Return the actions there are lately."""
        return await self._trail.actions()
