"""Records from a query against SQL Server: streamed, with a cursor that skips nothing.

The driver runs in a process of its own (docs/decisions/0019); giving up means killing it. A cursor
of whole numbers is a `rowversion`: the server itself says below which one nothing can still be
committed (C-46). A time has no such bound, so a young one is no mark.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Any

from chassis.errors import PenstockError, UnavailableError
from chassis.logs import redact
from contracts.errors import ErrorCategory
from scanner.domain.cursors import CursorKind, parse_time, render_time
from scanner.domain.records import (
    Abilities,
    ById,
    Full,
    PollRequest,
    RecordPage,
    Since,
    SourceDescription,
)
from scanner.errors import SourceRefusedError
from scanner.settings.sql import SqlRecords

_MODULE = "scanner.adapters.sql_server_child"
_LINE_BYTES = 256 * 1024 * 1024
"""The largest answer: a page of large rows."""

_GRACE_SECONDS = 5.0
_OUTAGES = (
    "communication link failure",
    "timeout expired",
    "client unable to establish connection",
    "deadlock",
    "tcp provider",
)
_ACCESS = ("login failed", "cannot open database", "permission was denied")


class SqlServerRecords:
    """`RecordSource` on a SQL Server query."""

    def __init__(self, config: SqlRecords, *, connection: str, cursor: CursorKind | None) -> None:
        self._config = config
        self._connection = connection
        self._cursor = cursor
        self._process: asyncio.subprocess.Process | None = None
        self._parameters = [str(item.typed()) for item in config.parameters]

    @property
    def abilities(self) -> Abilities:
        """Which requests it can answer beside `Full`."""
        return Abilities(
            since=self._cursor is not None and self._config.cursor_column is not None,
            by_id=self._config.id_column is not None,
        )

    async def describe(self) -> SourceDescription:
        """Connect, and have the server look at the query."""
        columns: list[str] = []
        async for answer in self._rows("top 0 *", ""):
            columns = answer.get("columns", columns)
        if twice := sorted({name for name in columns if columns.count(name) > 1}):
            raise SourceRefusedError(f"the query gives these columns twice: {', '.join(twice)}")
        return SourceDescription("sql", f"SQL Server, {len(columns)} columns")

    async def poll(self, request: PollRequest) -> AsyncGenerator[RecordPage]:
        """Tell the rows that are asked for, a page at a time."""
        mark = None
        if self.abilities.since and not isinstance(request, ById):
            mark = await self._safe_mark()
        condition, value = self._condition(request)
        async with contextlib.aclosing(self._rows("*", condition, *value)) as answers:
            async for answer in answers:
                if "records" in answer:
                    yield RecordPage(tuple(answer["records"]))
        yield RecordPage((), high_water=mark)

    async def close(self) -> None:
        """Kill the process; the server ends what it had open."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()

    def _condition(self, request: PollRequest) -> tuple[str, tuple[str, ...]]:
        match request:
            case Full():
                return "", ()
            case ById(external_ids):
                text = f"cast({_quoted(self._config.id_column)} as nvarchar(512))"
                listed = json.dumps(list(external_ids))
                choices = "(select [value] from openjson(?))"
                return f"where {text} in {choices}", (listed,)
            case Since(cursor):
                column, kind = self._cursor_column()
                value = cursor
                if self._cursor is CursorKind.TIMESTAMP:
                    value = render_time(parse_time(cursor)).removesuffix("Z")
                return f"where {column} >= cast(? as {kind}) order by {column}", (value,)

    def _cursor_column(self) -> tuple[str, str]:
        column = _quoted(self._config.cursor_column)
        if self._cursor is CursorKind.INTEGER:
            return f"cast({column} as bigint)", "bigint"
        return column, "datetime2(7)"

    async def _safe_mark(self) -> str | None:
        """Return up to where the rows that this poll will see are all there will ever be."""
        column, _ = self._cursor_column()
        bounds = f"max({column}) as highest, " + (
            "cast(min_active_rowversion() as bigint) - 1 as bound"
            if self._cursor is CursorKind.INTEGER
            else "sysutcdatetime() as bound"
        )
        found: dict[str, Any] = {}
        async for answer in self._rows(bounds, ""):
            for record in answer.get("records", ()):
                found = record
        if found.get("highest") is None:
            return None
        if self._cursor is CursorKind.INTEGER:
            return str(min(int(found["highest"]), int(found["bound"])))
        settled = parse_time(found["bound"]) - timedelta(seconds=self._config.settle_seconds)
        return render_time(min(parse_time(found["highest"]), settled))

    async def _rows(
        self, columns: str, condition: str, *values: str
    ) -> AsyncGenerator[dict[str, Any]]:
        """Ask for the configured query, whose text is the operator's, with our condition on it."""
        query = self._config.query
        sql = f"select {columns} from (\n{query}\n) as penstock_q {condition}"  # noqa: S608
        request = {
            "do": "read",
            "sql": sql,
            "parameters": [*self._parameters, *values],
            "page_size": self._config.page_size,
        }
        process = await self._connected()
        async with contextlib.aclosing(self._ask(process, request)) as answers:
            async for answer in answers:
                yield answer

    async def _connected(self) -> asyncio.subprocess.Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
        )
        request = {
            "do": "connect",
            "connection": self._connection,
            "timeout": max(1, round(self._config.timeout_seconds)),
        }
        async for _ in self._ask(self._process, request):
            pass
        return self._process

    async def _ask(
        self, process: asyncio.subprocess.Process, request: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any]]:
        """Send a request and yield its answers; whoever stops listening ends the process.

        Raises:
            UnavailableError: the server does not answer, or the connection broke.
            SourceRefusedError: it refuses the log-on or the query.
        """
        is_answered = False
        try:
            await _send(process, request)
            while True:
                answer = await self._next(process)
                if "error" in answer:
                    is_answered = True
                    raise _to_error(answer["error"])
                if "done" in answer:
                    is_answered = True
                    return
                yield answer
        finally:
            if not is_answered and process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()

    async def _next(self, process: asyncio.subprocess.Process) -> dict[str, Any]:
        if process.stdout is None:
            raise _lost("the driver's process has no output")
        try:
            async with asyncio.timeout(self._config.timeout_seconds + _GRACE_SECONDS):
                line = await process.stdout.readline()
        except TimeoutError as error:
            raise _lost("SQL Server said nothing for too long") from error
        if not line:
            raise _lost("the driver's process ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


async def _send(process: asyncio.subprocess.Process, request: dict[str, Any]) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(ConnectionError):  # then there is no answer either
        process.stdin.write(json.dumps(request).encode() + b"\n")
        await process.stdin.drain()


def _lost(text: str) -> UnavailableError:
    return UnavailableError(text, dependency="sql source", category=ErrorCategory.SOURCE_REQUEST)


def _to_error(report: dict[str, str]) -> PenstockError:
    text = f"{report['state']} {report['message']}".lower()
    if any(word in text for word in _ACCESS):
        return SourceRefusedError(
            f"SQL Server refuses the log-on: {redact(report['message'])}",
            category=ErrorCategory.SOURCE_ACCESS,
        )
    if any(word in text for word in _OUTAGES):
        return _lost(f"SQL Server does not answer: {redact(report['message'])}")
    return SourceRefusedError(f"SQL Server refuses the query: {redact(report['message'])}")


def _quoted(column: str | None) -> str:
    return "penstock_q.[" + (column or "").replace("]", "]]") + "]"
