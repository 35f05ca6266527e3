"""Records from a query against PostgreSQL: read-only, streamed, with a cursor that skips nothing.

Rows do not become visible in the order of their cursor column: a transaction that began earlier may
commit later (C-46). So a poll's mark is only ever moved to where no open transaction can still add
a row below it; see `_SafeMark`.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import asyncpg
import orjson

from chassis.db import translate
from chassis.errors import PenstockError, UnavailableError
from contracts.errors import ErrorCategory
from scanner.adapters.json_values import as_json
from scanner.domain.cursors import CursorKind, parse_time, render_time
from scanner.domain.records import (
    Abilities,
    ById,
    Full,
    PollRequest,
    RawRecord,
    RecordPage,
    Since,
    SourceDescription,
)
from scanner.errors import SourceRefusedError
from scanner.settings.sql import SqlRecords

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

CLOSE_SECONDS = 5.0
_WAIT_SECONDS = 0.1
_REFUSED_CLASSES = ("28", "42", "3D", "3F", "22", "25006")
"""Credentials, rights, the query itself: waiting does not help."""


class PostgresRecords:
    """`RecordSource` on a PostgreSQL query."""

    def __init__(self, config: SqlRecords, *, url: str, cursor: CursorKind | None) -> None:
        self._config = config
        self._url = url
        self._cursor = cursor
        self._connection: Connection | None = None
        self._parameters = [item.typed() for item in config.parameters]

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`."""
        return Abilities(
            since=self._cursor is not None and self._config.cursor_column is not None,
            by_id=self._config.id_column is not None,
        )

    async def describe(self) -> SourceDescription:
        """Connect, and have the server look at the query."""
        connection = await self._connect()
        with self._translated():
            statement = await connection.prepare(self._select(""))
            columns = [attribute.name for attribute in statement.get_attributes()]
        twice = sorted({name for name in columns if columns.count(name) > 1})
        if twice:
            raise SourceRefusedError(f"the query gives these columns twice: {', '.join(twice)}")
        return SourceDescription("sql", f"PostgreSQL, {len(columns)} columns")

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the rows that are asked for, a page at a time."""
        connection = await self._connect()
        with self._translated():
            mark = None
            if self.abilities.since and not isinstance(request, ById):
                mark = await self._safe_mark(connection)
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                query, arguments = await self._request(connection, request)
                cursor = await connection.cursor(query, *arguments)
                while rows := await cursor.fetch(
                    self._config.page_size, timeout=self._config.timeout_seconds
                ):
                    yield RecordPage(tuple(_record(row) for row in rows))
        yield RecordPage((), high_water=mark)

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        try:
            await connection.close(timeout=CLOSE_SECONDS)
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            connection.terminate()

    async def _connect(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            with self._translated():
                self._connection = await asyncpg.connect(
                    self._url,
                    timeout=self._config.timeout_seconds,
                    command_timeout=self._config.timeout_seconds,
                    server_settings={
                        "application_name": "penstock-scanner",
                        "timezone": "UTC",
                        "default_transaction_read_only": "on",
                    },
                )
                await _read_json_as_values(self._connection)
        return self._connection

    def _select(self, condition: str) -> str:
        """Return the configured query, whose text is the operator's, with our condition on it."""
        return f"select * from (\n{self._config.query}\n) as penstock_q {condition}"  # noqa: S608

    async def _request(
        self, connection: Connection, request: PollRequest
    ) -> tuple[str, Sequence[Any]]:
        place = len(self._parameters) + 1
        match request:
            case Full():
                return self._select(""), self._parameters
            case ById(external_ids):
                column = _quoted(self._config.id_column)
                query = self._select(f"where {column}::text = any(${place}::text[])")
                return query, [*self._parameters, list(external_ids)]
            case Since(cursor):
                column = _quoted(self._config.cursor_column)
                query = self._select(f"where {column} >= ${place} order by {column}")
                statement = await connection.prepare(query)
                typed = self._typed(cursor, statement.get_parameters()[-1].name)
                return query, [*self._parameters, typed]

    def _typed(self, cursor: str, type_name: str) -> Any:
        if self._cursor is CursorKind.INTEGER:
            return int(cursor)
        moment = parse_time(cursor)
        if type_name == "timestamptz":
            return moment
        naive = moment.astimezone(UTC).replace(tzinfo=None)
        return naive.date() if type_name == "date" else naive

    async def _safe_mark(self, connection: Connection) -> str | None:
        """Return up to where the rows that this poll will see are all there will ever be.

        None where that cannot be said yet: then the same rows are read again by the next poll.
        """
        column = _quoted(self._config.cursor_column)
        row = await connection.fetchrow(
            _BOUNDS.format(column=column, query=self._config.query), *self._parameters
        )
        if row is None or row["highest"] is None:
            return None
        if self._cursor is CursorKind.TIMESTAMP:
            return self._safe_time(row)
        return str(row["highest"]) if await self._all_ended(connection, row["next_xid"]) else None

    def _safe_time(self, row: asyncpg.Record) -> str:
        """Return the highest time, or the begin of the oldest open transaction if that is lower.

        A row's time is usually that of its transaction's begin.
        """
        settled = row["now"].timestamp() - self._config.settle_seconds
        bounds = [_moment(row["highest"]), datetime.fromtimestamp(settled, UTC)]
        if row["oldest_begin"] is not None:
            bounds.append(row["oldest_begin"])
        return render_time(min(bounds))

    async def _all_ended(self, connection: Connection, next_xid: int) -> bool:
        """Wait until every transaction has ended that was open when the highest number was read."""
        deadline = time.monotonic() + self._config.settle_seconds
        while True:
            oldest: int = await connection.fetchval(_OLDEST_XID)
            if oldest >= next_xid:
                return True
            if time.monotonic() >= deadline:
                return False
            await asyncio.sleep(_WAIT_SECONDS)

    @contextlib.contextmanager
    def _translated(self) -> Any:
        try:
            yield
        except asyncpg.PostgresError as error:
            raise _translate(error) from error
        except (OSError, TimeoutError, asyncpg.InterfaceError) as error:
            raise UnavailableError(
                f"PostgreSQL does not answer: {type(error).__name__}",
                dependency="sql source",
                category=ErrorCategory.SOURCE_REQUEST,
            ) from error
        except ValueError as error:
            raise SourceRefusedError(
                f"the address or a value cannot be used ({type(error).__name__})",
                category=ErrorCategory.CONFIG_VALIDATION,
            ) from error


def _translate(error: asyncpg.PostgresError) -> PenstockError:
    state = error.sqlstate or ""
    if state.startswith(_REFUSED_CLASSES):
        text = type(error).__name__ if state.startswith("22") else str(error.args[0])
        is_access = state.startswith("28") or state == "42501"
        return SourceRefusedError(
            f"PostgreSQL refuses the query: {text}",
            category=ErrorCategory.SOURCE_ACCESS if is_access else ErrorCategory.SOURCE_REQUEST,
            sqlstate=state,
        )
    return translate(error)


async def _read_json_as_values(connection: Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=str, decoder=orjson.loads, format="text"
        )


def _record(row: asyncpg.Record) -> RawRecord:
    return {name: as_json(value) for name, value in row.items()}


def _moment(value: Any) -> datetime:
    if not isinstance(value, datetime):  # a date
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def _quoted(column: str | None) -> str:
    return 'penstock_q."' + (column or "").replace('"', '""') + '"'


# The oldest begin is that of the transactions this account may see; `pg_read_all_stats` shows all.
_BOUNDS = """
select max({column}) as highest,
       pg_snapshot_xmax(pg_current_snapshot())::text::bigint as next_xid,
       clock_timestamp() as now,
       (select min(xact_start) from pg_stat_activity
        where xact_start is not null and pid <> pg_backend_pid()
          and datname = current_database() and backend_type = 'client backend') as oldest_begin
from (
{query}
) as penstock_q
"""

_OLDEST_XID = "select pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
