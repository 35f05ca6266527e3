"""The parent's end of a driver process: requests go in as lines, answers come out.

An answer that does not come in time, a cancelled task and a closed service all end the same way:
the process is killed, and the server rolls back what it had open.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from refresher.adapters.sqlserver_errors import DriverDiedError, DriverSilentError, to_error
from refresher.domain.catalog import Side
from refresher.domain.plan import Mask
from refresher.domain.verification import MaskProof

_MODULE = "refresher.adapters.sqlserver_child"
_LINE_BYTES = 64 * 1024 * 1024
"""The largest answer: the catalog of a database with very many columns."""

_GRACE_SECONDS = 5.0

Progress = Callable[[int, int], Awaitable[None]]
"""Told the rows and bytes copied so far; may raise to cancel."""


async def _unheard(_rows: int, _bytes: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement returned."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    affected: int

    def records(self) -> list[dict[str, Any]]:
        """Return the rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOrder:
    """One query whose rows go into one table."""

    sql: str
    parameters: Sequence[str] = ()
    table: str
    """Quoted, with its schema."""

    columns: Sequence[str]
    """Of the table, in the order of the query's; always mapped by name."""

    batch_rows: int
    rows_per_second: int | None = None
    masks: Sequence[Mask] = ()
    key: bytes = field(default=b"", repr=False)
    """Of the masks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What a copy did."""

    rows: int
    bytes: int
    masks: Mapping[str, MaskProof]


class DriverProcess:
    """One driver process; use it as an asynchronous context manager, for one table."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        """Start the process."""
        await self.start()
        return self

    async def start(self) -> None:
        """Start the process; `close` ends it."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE_BYTES,
        )

    async def __aexit__(self, *_: object) -> None:
        """Close the process."""
        await self.close()

    async def close(self) -> None:
        """Kill the process: whatever it had open is rolled back by the server."""
        process = self._process
        if process is None:
            return
        self.kill()
        async with asyncio.timeout(_GRACE_SECONDS):
            await process.wait()

    def kill(self) -> None:
        """End the process at once; every request in flight fails."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    @property
    def is_alive(self) -> bool:
        """Whether requests can still be answered."""
        return self._process is not None and self._process.returncode is None

    async def connect(
        self,
        side: Side,
        connection: str,
        *,
        login_seconds: float,
        statement_seconds: float,
        settings: Sequence[str] = (),
        ca_file: str | None = None,
    ) -> None:
        """Open a connection; `settings` are statements that prepare the session."""
        await self._ask(
            {
                "do": "connect",
                "on": side.value,
                "connection": connection,
                "login_timeout": max(1, round(login_seconds)),
                "timeout": max(1, round(statement_seconds)),
                "settings": list(settings),
                "ca_file": ca_file,
            },
            silence=login_seconds + statement_seconds + _GRACE_SECONDS,
        )

    async def query(self, side: Side, sql: str, *parameters: str, seconds: float) -> Result:
        """Run one statement and return its rows, all of them."""
        answer = await self._ask(
            {
                "do": "query",
                "on": side.value,
                "sql": sql,
                "parameters": list(parameters),
                "timeout": max(1, round(seconds)),
            },
            silence=seconds + _GRACE_SECONDS,
        )
        rows = tuple(tuple(row) for row in answer["rows"])
        return Result(tuple(answer["columns"]), rows, answer["affected"])

    async def copy(
        self, order: CopyOrder, *, silence: float, progress: Progress = _unheard
    ) -> Copied:
        """Copy a query's rows from the source to a table of the target.

        Args:
            order: What is copied.
            silence: Seconds without a finished batch after which the process is killed.
            progress: Told after each batch.
        """
        request = {
            "do": "copy",
            "on": Side.SOURCE.value,
            "sql": order.sql,
            "parameters": list(order.parameters),
            "table": order.table,
            "columns": list(order.columns),
            "batch_rows": order.batch_rows,
            "rows_per_second": order.rows_per_second,
            "masks": [(order.columns.index(mask.column), asdict(mask)) for mask in order.masks],
            "key": order.key.hex(),
            # The driver's own limit is for the first row; then silence is watched here.
            "timeout": max(1, round(silence)),
        }
        done = await self._ask(request, silence=silence + _GRACE_SECONDS, progress=progress)
        proofs = {name: MaskProof(**counts) for name, counts in done["masks"].items()}
        return Copied(rows=done["rows"], bytes=done["bytes"], masks=proofs)

    async def _ask(
        self, request: dict[str, Any], *, silence: float, progress: Progress | None = None
    ) -> dict[str, Any]:
        is_answered = False
        try:
            async with contextlib.aclosing(self._answers(request, silence)) as answers:
                async for answer in answers:
                    if "progress" in answer and progress is not None:
                        await progress(answer["progress"]["rows"], answer["progress"]["bytes"])
                    if "error" in answer:
                        is_answered = True
                        raise to_error(answer["error"], what=request["do"])
                    if "done" in answer:
                        is_answered = True
                        done: dict[str, Any] = answer["done"]
                        return done
            raise DriverDiedError(exit_code=await self._exit_code())
        finally:
            if not is_answered:
                # Cancelled or silent: nobody knows what it does, so it does nothing any more.
                self.kill()

    async def _answers(
        self, request: dict[str, Any], silence: float
    ) -> AsyncGenerator[dict[str, Any]]:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None:
            raise DriverDiedError(exit_code=None)
        with contextlib.suppress(ConnectionError):  # then there is no answer either
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        while True:
            try:
                async with asyncio.timeout(silence):
                    line = await process.stdout.readline()
            except TimeoutError as error:
                raise DriverSilentError(seconds=silence) from error
            if not line:
                return
            yield json.loads(line)

    async def _exit_code(self) -> int | None:
        if self._process is None:
            return None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GRACE_SECONDS):
                return await self._process.wait()
        return None
