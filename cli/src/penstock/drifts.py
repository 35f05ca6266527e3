"""Looks up the inbox of schema changes, and what became of a decision."""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chassis.db import Connection, Database
from chassis.errors import PermanentError, UnavailableError
from chassis.settings import DatabaseSettings
from contracts import dead_letters as header
from contracts.drifts import FieldChange, change_of
from penstock.messages import TopicReader
from penstock.runs import CommandRefusedError

_SERVICE = "penstock"
_POLL_SECONDS = 0.2


class DriftError(PermanentError):
    """There is no such schema drift."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftEntry:
    """One entry of the inbox."""

    id: str
    service: str
    dataset: str
    kind: str
    status: str
    detected_at: datetime
    changes: tuple[FieldChange, ...]
    sample: dict[str, Any] | None
    affected: tuple[str, ...]
    held: int
    """Dead letters that wait for the decision."""

    run_id: str | None
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None

    def as_json(self) -> dict[str, Any]:
        """Return the entry for programs."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return fields | {"changes": [change.as_json() for change in self.changes]}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a service did with a decision."""

    text: str
    run_id: str | None
    """The run that takes up what was held back."""


async def list_drifts(
    settings: DatabaseSettings, *, status: str | None, service: str | None, limit: int
) -> list[DriftEntry]:
    """Return the newest entries; those that wait come first."""
    async with _reading(settings) as connection:
        rows = await connection.fetch(_LIST, status, service, limit)
    return [_entry(row) for row in rows]


async def find_drift(settings: DatabaseSettings, name: str) -> DriftEntry:
    """Return the entry that an id, or the beginning of one, means.

    Raises:
        DriftError: it means none, or several.
    """
    async with _reading(settings) as connection:
        rows = await connection.fetch(_FIND, name.lower())
    if len(rows) != 1:
        several = "several schema drifts begin" if rows else "no schema drift begins"
        raise DriftError(f"{several} with {name!r}")
    return _entry(rows[0])


async def follow_decision(
    settings: DatabaseSettings,
    command_id: str,
    *,
    dead_letters: TopicReader,
    patience_seconds: float,
) -> Outcome:
    """Return what the service that saw the change did with a decision.

    Raises:
        CommandRefusedError: it refused the decision, and why.
        UnavailableError: it has not answered in time.
    """
    deadline = time.monotonic() + patience_seconds
    async with _reading(settings) as connection:
        while time.monotonic() < deadline:
            for record in await dead_letters.read():
                if record.header(header.EVENT_ID) == command_id:
                    raise CommandRefusedError(record.header(header.MESSAGE))
            row = await connection.fetchrow(_OUTCOME, command_id)
            if row is not None:
                run_id = row["run_id"]
                return Outcome(row["outcome"], None if run_id is None else str(run_id))
            await asyncio.sleep(_POLL_SECONDS)
    raise UnavailableError(f"no service has answered the decision {command_id}; does it run?")


@contextlib.asynccontextmanager
async def _reading(settings: DatabaseSettings) -> AsyncGenerator[Connection]:
    database = await Database.open(settings, _SERVICE)
    try:
        async with database.connection() as connection:
            yield connection
    finally:
        await database.close()


def _entry(row: Any) -> DriftEntry:
    fields = dict(row)
    for name in ("id", "run_id"):
        fields[name] = None if fields[name] is None else str(fields[name])
    fields["changes"] = tuple(change_of(change) for change in fields["changes"])
    fields["affected"] = tuple(fields["affected"])
    return DriftEntry(**fields)


_ENTRY = """
select d.id, d.service, d.dataset, d.kind, d.status, d.detected_at, d.changes, d.sample,
       d.affected, d.run_id, d.decided_at, d.decided_by, d.reason,
       (select count(*) from meta.dead_letters l
        where l.drift_id = d.id and l.status = 'open') as held
from meta.drifts d
"""

# The parts are constants of this module.
_LIST = f"""
{_ENTRY}
where ($1::text is null or d.status = $1) and ($2::text is null or d.service = $2)
order by d.status = 'waiting' desc, d.detected_at desc
limit $3
"""

_FIND = f"{_ENTRY} where starts_with(d.id::text, $1) limit 2"

_OUTCOME = """
select outcome, run_id from meta.commands
where topic = 'schema.decision-requested' and command_id = $1
"""
