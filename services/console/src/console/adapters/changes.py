"""Hears of changes from PostgreSQL: LISTEN for speed, and a look now and then for certainty.

A notification is lost while a connection is away, and none comes at all through a pooler that
shares connections by transaction. So what the tables look like is compared as well.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from chassis.db import Connection, Database
from chassis.errors import TransientError
from console.ports.changes import WHAT, Announce

CHANNEL = "penstock_changes"
POLL_SECONDS = 5.0

_GATHER_SECONDS = 0.2
"""Changes within so short a time are announced once."""

_MARKS: Mapping[str, str] = {
    "runs": """
select concat((select max(finished_at) from meta.runs),
              (select md5(string_agg(concat(run_id, status, counts, message, cancel_requested), ','
                                     order by run_id))
               from (select * from meta.runs where status = 'running'
                     union all
                     (select * from meta.runs where status = 'queued'
                      order by queued_at desc limit 100)) open_runs))
""",
    "dead-letters": """
select concat((select max(failed_at) from meta.dead_letters),
              (select count(*) from (select 1 from meta.dead_letters where status = 'open'
                                     limit 10000) some_open))
""",
    "drifts": "select concat(max(detected_at), max(decided_at)) from meta.drifts",
}
"""A text each that differs when something has changed."""


class PostgresChanges:
    """Listens on one connection."""

    def __init__(self, database: Database, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._database = database
        self._poll_seconds = poll_seconds
        self._marks: dict[str, str] = {}

    async def watch(self, announce: Announce) -> None:
        """Announce changes for as long as the connection lasts."""
        heard: set[str] = set()
        wake = asyncio.Event()

        def notified(_connection: Any, _pid: int, _channel: str, payload: object) -> None:
            if payload in WHAT:
                heard.add(str(payload))
                wake.set()

        async with self._database.connection() as connection:
            await connection.add_listener(CHANNEL, notified)
            try:
                while True:
                    # Before the notifications are told: they may stand for the same change.
                    heard |= await self._compare(connection)
                    _tell(heard, announce)
                    await self._hear(wake, heard, announce)
            finally:
                with contextlib.suppress(TransientError, OSError):
                    await connection.remove_listener(CHANNEL, notified)

    async def _hear(self, wake: asyncio.Event, heard: set[str], announce: Announce) -> None:
        """Tell what is heard, until it is time to compare again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                while True:
                    await wake.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
                    wake.clear()
                    _tell(heard, announce)

    async def _compare(self, connection: Connection) -> set[str]:
        """Return what looks different from the last time."""
        marks = {what: str(await connection.fetchval(query)) for what, query in _MARKS.items()}
        known, self._marks = self._marks, marks
        return {what for what, mark in marks.items() if known.get(what, mark) != mark}


def _tell(heard: set[str], announce: Announce) -> None:
    for what in sorted(heard):
        announce(what)
    heard.clear()
