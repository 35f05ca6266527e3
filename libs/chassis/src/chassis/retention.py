"""Forgets what nobody asks for any more: ended runs, commands, failures of records, audit entries,
dead letters.

Every service does it for all, an hour apart and a thousand rows at a time; rows that another one is
deleting are passed over.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from chassis.clock import Clock
from chassis.db import Database
from chassis.logs import get_logger
from chassis.periodic import repeat
from contracts.topics import DEAD_LETTER_DAYS

EVERY_SECONDS = 3600.0
ROWS_AT_ONCE = 1000

DECIDED_DAYS = 7
"""How long a letter stands after it was replayed or discarded: as long as the topic that it came
from keeps the message, because until then a log that is read again brings it back."""


@dataclass(frozen=True, slots=True)
class _Trim:
    """One statement: `$1` is how many rows, `$2` the time before which they are forgotten."""

    name: str
    sql: str
    days: int


class Retention:
    """The housekeeping of the tables that all services share."""

    def __init__(
        self, database: Database, *, history_days: int, audit_days: int, clock: Clock
    ) -> None:
        self._database = database
        self._clock = clock
        self._trims = (
            _Trim("runs", _RUNS, history_days),
            # A run that was the last of its task is kept, but not longer than the audit.
            _Trim("last runs", _LAST_RUNS, max(audit_days, history_days)),
            _Trim("commands", _COMMANDS, history_days),
            _Trim("record errors", _RECORD_ERRORS, history_days),
            _Trim("audit", _AUDIT, audit_days),
            _Trim("decided dead letters", _DECIDED_LETTERS, DECIDED_DAYS),
            _Trim("expired dead letters", _EXPIRED_LETTERS, DEAD_LETTER_DAYS),
        )

    async def run(self) -> None:
        """Trim for as long as the process lives."""
        await repeat(self.step, every_seconds=EVERY_SECONDS, event="retention_waits")

    async def step(self) -> dict[str, int]:
        """Trim everything once; return how many rows of what are gone."""
        now = self._clock.now()
        gone = {
            trim.name: await self._trim(trim, now - timedelta(days=trim.days))
            for trim in self._trims
        }
        if any(gone.values()):
            get_logger().info(
                "history_trimmed", **{k.replace(" ", "_"): v for k, v in gone.items()}
            )
        return gone

    async def _trim(self, trim: _Trim, before: datetime) -> int:
        gone = 0
        while True:
            async with self._database.connection() as connection:
                done = await connection.execute(trim.sql, ROWS_AT_ONCE, before)
            count = int(done.rpartition(" ")[2])
            gone += count
            if count < ROWS_AT_ONCE:
                return gone


# The last run of a task in each status is kept: schedules and incremental work ask for it.
_RUNS = """
delete from meta.runs where run_id in (
    select r.run_id from meta.runs r
    where r.finished_at < $2 and exists (
        select 1 from meta.runs later
        where later.service = r.service and later.kind = r.kind and later.target = r.target
          and later.status = r.status and later.finished_at > r.finished_at)
    limit $1 for update of r skip locked)
"""

_LAST_RUNS = """
delete from meta.runs where run_id in (
    select run_id from meta.runs where finished_at < $2 limit $1 for update skip locked)
"""

_COMMANDS = """
delete from meta.commands where (service, topic, command_id) in (
    select c.service, c.topic, c.command_id from meta.commands c
    where c.received_at < $2 and not exists (
        select 1 from meta.runs r where r.run_id = c.run_id and r.finished_at is null)
    limit $1 for update of c skip locked)
"""

_RECORD_ERRORS = """
delete from meta.record_errors where id in (
    select id from meta.record_errors where occurred_at < $2 limit $1 for update skip locked)
"""

_AUDIT = """
delete from meta.audit where id in (
    select id from meta.audit where at < $2 order by at limit $1 for update skip locked)
"""

_DECIDED_LETTERS = """
delete from meta.dead_letters where id in (
    select id from meta.dead_letters where status <> 'open' and decided_at < $2
    limit $1 for update skip locked)
"""

# Open or not: the message is gone from the dead-letter topic as well.
_EXPIRED_LETTERS = """
delete from meta.dead_letters where id in (
    select id from meta.dead_letters where failed_at < $2 limit $1 for update skip locked)
"""
