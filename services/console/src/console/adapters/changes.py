"""Hears of changes from PostgreSQL: LISTEN for speed, and a look now and then for certainty.

A notification is lost while a connection is away, and none comes at all through a pooler that
shares connections by transaction. So what the tables look like is compared as well.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

import asyncpg

from chassis.db import Connection, Database
from chassis.errors import UnavailableError
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
        ear = _Ear()
        async with self._database.connection() as connection:
            connection.add_termination_listener(ear.lose)
            await connection.add_listener(CHANNEL, ear.hear)
            try:
                while True:
                    # Before the notifications are told: they may stand for the same change.
                    ear.heard |= await self._compare(connection)
                    ear.tell(announce)
                    await self._listen(ear, announce)
            finally:
                # A lost connection belongs to nobody any more and says so; that must not take the
                # place of what ends this, which may be a cancellation.
                with contextlib.suppress(asyncpg.InterfaceError, asyncpg.PostgresError, OSError):
                    connection.remove_termination_listener(ear.lose)
                    await connection.remove_listener(CHANNEL, ear.hear)

    async def _listen(self, ear: "_Ear", announce: Announce) -> None:
        """Tell what is heard, until it is time to compare again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._poll_seconds):
                while True:
                    await ear.wake.wait()
                    await asyncio.sleep(_GATHER_SECONDS)
                    ear.wake.clear()
                    ear.tell(announce)

    async def _compare(self, connection: Connection) -> set[str]:
        """Return what looks different from the last time."""
        marks = {what: str(await connection.fetchval(query)) for what, query in _MARKS.items()}
        known, self._marks = self._marks, marks
        return {what for what, mark in marks.items() if known.get(what, mark) != mark}


class _Ear:
    """What a connection hears: changes, and its own end."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self.wake = asyncio.Event()
        self._is_lost = False

    def hear(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        if payload in WHAT:
            self.heard.add(str(payload))
            self.wake.set()

    def lose(self, _connection: Any) -> None:
        self._is_lost = True
        self.wake.set()

    def tell(self, announce: Announce) -> None:
        """Announce what was heard.

        Raises:
            UnavailableError: nothing will be heard any more.
        """
        for what in sorted(self.heard):
            announce(what)
        self.heard.clear()
        if self._is_lost:
            raise UnavailableError("PostgreSQL closed the connection", dependency="postgresql")
