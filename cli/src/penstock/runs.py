"""Follow a command from its record to the end of its run, as `meta.commands` and `meta.runs` tell
it.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import asyncpg

from chassis.bus.records import Record
from chassis.db import translated_errors
from chassis.errors import PermanentError, UnavailableError
from chassis.settings import DatabaseSettings
from contracts import dead_letters as header
from contracts.errors import ErrorCategory
from contracts.runs import RunCounts, RunStatus
from penstock.messages import TopicReader

_POLL_SECONDS = 0.2
_HINT_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunState:
    """A run at one moment."""

    run_id: str
    status: RunStatus
    counts: RunCounts
    total: int | None
    message: str | None
    seconds: float | None
    """How long it has run; None while it is queued."""


class CommandRefusedError(PermanentError):
    """The service refused the command."""

    default_category = ErrorCategory.MESSAGE_DECODE


_STATE = """
select r.run_id, r.status, r.counts, r.total, r.message, c.outcome,
       extract(epoch from coalesce(r.finished_at, clock_timestamp()) - r.started_at) as seconds
from meta.commands c
left join meta.runs r using (run_id)
where c.command_id = $1
"""


async def follow_command(
    database: DatabaseSettings,
    command_id: str,
    *,
    dead_letters: TopicReader,
    patience_seconds: float,
    on_change: Callable[[RunState | None], None],
) -> RunState:
    """Return the final state of the run that a command led to.

    Args:
        database: Where commands and runs are recorded.
        command_id: What was sent.
        dead_letters: Where the service puts commands it refuses.
        patience_seconds: Until we stop looking; the run goes on.
        on_change: Told every state that was seen; None after a while without any.

    Raises:
        CommandRefusedError: the service did not accept it, and why.
        UnavailableError: the database does not answer, or the run has not ended in time.
    """
    started = time.monotonic()
    with translated_errors():
        connection = await asyncpg.connect(database.url.get_secret_value(), timeout=30)
        try:
            await connection.set_type_codec(
                "jsonb", schema="pg_catalog", encoder=str, decoder=RunCounts.model_validate_json
            )
            while time.monotonic() - started < patience_seconds:
                _raise_if_refused(await dead_letters.read(), command_id)
                state = await _read(connection, command_id)
                if state is not None or time.monotonic() - started > _HINT_SECONDS:
                    on_change(state)
                if state is not None and state.status.is_final:
                    return state
                await asyncio.sleep(_POLL_SECONDS)
        finally:
            await connection.close(timeout=10)
    raise UnavailableError(
        f"command {command_id} has not ended within {patience_seconds:.0f} s; "
        "what was accepted goes on, and is listed in meta.runs"
    )


async def _read(
    connection: "asyncpg.Connection[asyncpg.Record]", command_id: str
) -> RunState | None:
    row = await connection.fetchrow(_STATE, command_id, timeout=30)
    if row is None:
        return None
    if row["run_id"] is None:
        raise CommandRefusedError(f"the command was not run: {row['outcome']}")
    return RunState(
        run_id=str(row["run_id"]),
        status=RunStatus(row["status"]),
        counts=row["counts"],
        total=row["total"],
        message=row["message"],
        seconds=float(row["seconds"]) if row["seconds"] is not None else None,
    )


def _raise_if_refused(records: list[Record], command_id: str) -> None:
    for record in records:
        if record.header(header.EVENT_ID) == command_id:
            raise CommandRefusedError(record.header(header.MESSAGE))
