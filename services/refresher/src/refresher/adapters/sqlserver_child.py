"""The process in which the SQL Server driver runs: `python -m refresher.adapters.sqlserver_child`.

The driver's native parts cannot be cancelled from another thread, hold the interpreter lock for
seconds, and take the whole process along when they panic (ADR 0019). So each table is copied in a
process of its own, which is simply killed: the server rolls back what was open when the socket
closes. Requests come as lines of JSON on standard input, answers leave on standard output.
"""

import contextlib
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any, TextIO
from uuid import UUID

import mssql_python
import pyarrow as pa
from pydantic import TypeAdapter

from refresher.domain.catalog import TypeKind
from refresher.domain.masking import Masker
from refresher.domain.plan import Mask
from refresher.domain.tsql_errors import number_in
from refresher.domain.tsql_names import listed

_ORPHANED = 3
_WORDLESS_STATES = (
    "timeout expired",
    "communication link failure",
    "client unable to establish connection",
)
"""After these there is no number to ask for: it would be the one of an earlier error."""

_UNDESCRIBED = ("Failed to resolve column mappings", "Failed to retrieve destination metadata")
"""What the bulk loader says, before it sends a row, when a server that speaks T-SQL does not
describe the table as SQL Server does. Inserts go the other way."""

Request = dict[str, Any]
Say = Callable[[dict[str, Any]], None]


def requests(stdin: TextIO) -> Generator[Request]:
    """Yield requests; the process ends with its parent, in the middle of a load too."""
    waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def listen() -> None:
        for line in stdin:
            waiting.put(json.loads(line))
        # The parent is gone, or wants this to end: nothing that runs here is worth finishing.
        os._exit(_ORPHANED)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        yield waiting.get()


class CutOffError(Exception):
    """The connection broke while rows were read."""

    driver_error = "communication link failure"


def require_whole(cursor: mssql_python.Cursor) -> None:
    """Refuse a result that ended because its connection did.

    mssql-python 1.16 reports a connection that breaks between two rows as the end of the rows, and
    leaves the truth among the messages. A table cut short must never pass for the whole table, so
    the connection has to prove itself as well.
    """
    if any(state.startswith("[08") for state, _ in cursor.messages):
        raise CutOffError("the connection broke while rows were read")
    with cursor.connection.cursor() as probe:
        probe.execute("select @@spid").fetchone()


class Worker:
    """Holds the connections and carries requests out, one after the other."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._connections: dict[str, mssql_python.Connection] = {}

    def run(self, request: Request) -> None:
        """Carry one request out and answer it."""
        action = {"connect": self.connect, "query": self.query, "copy": self.copy}[request["do"]]
        try:
            self._say({"done": action(request)})
        # Native panics of the bulk loader are no `Exception`s, and none may end this process
        # without a word.
        except BaseException as error:  # noqa: BLE001
            self._say({"error": self._describe(error, request.get("on", ""))})

    def connect(self, request: Request) -> dict[str, Any]:
        """Open a connection under a name."""
        # Pooled connections keep settings of their last user.
        mssql_python.pooling(enabled=False)
        if request.get("ca_file"):
            # The driver has no word for a file of authorities; its TLS library reads this one.
            os.environ["SSL_CERT_FILE"] = request["ca_file"]  # noqa: TID251
        connection = mssql_python.connect(
            request["connection"], autocommit=True, timeout=request["login_timeout"]
        )
        connection.timeout = request["timeout"]
        self._connections[request["on"]] = connection
        for statement in request["settings"]:
            self._execute(connection, statement, ()).close()
        return {}

    def query(self, request: Request) -> dict[str, Any]:
        """Run one statement; all of its rows are returned."""
        connection = self._connections[request["on"]]
        connection.timeout = request["timeout"]
        with self._execute(connection, request["sql"], request["parameters"]) as cursor:
            return _result(cursor)

    def copy(self, request: Request) -> dict[str, Any]:
        """Stream a query's rows into a table, in batches that are never all in memory."""
        source = self._connections["source"]
        source.timeout = request["timeout"]
        with (
            self._execute(source, request["sql"], request["parameters"]) as reading,
            self._connections["target"].cursor() as writing,
        ):
            stream = Stream(request, self._say)
            loaded = self._load(request, stream, reading, writing)
        if loaded["rows_copied"] != stream.rows:
            raise RuntimeError(f"read {stream.rows} rows, loaded {loaded['rows_copied']}")
        return {"rows": stream.rows, "bytes": stream.bytes, "masks": stream.proofs()}

    def _load(
        self,
        request: Request,
        stream: "Stream",
        reading: mssql_python.Cursor,
        writing: mssql_python.Cursor,
    ) -> dict[str, Any]:
        batches = stream.batches(reading)
        try:
            loaded: dict[str, Any] = writing.bulkcopy_arrow(
                request["table"],
                batches,
                batch_size=request["batch_rows"],
                # The parent watches for silence; a length of time is no fault.
                timeout=0,
                column_mappings=request["columns"],
                keep_identity=True,
                keep_nulls=True,
                table_lock=True,
            )
        except RuntimeError as error:
            if str(error).startswith(_UNDESCRIBED) and stream.batches_read <= 1:
                return self._insert(request, chain(stream.peeked, batches), writing)
            # The loader turns the reader's errors into texts of its own.
            raise stream.failure or error from error
        return loaded

    def _insert(
        self,
        request: Request,
        batches: Iterable[pa.RecordBatch],
        writing: mssql_python.Cursor,
    ) -> dict[str, Any]:
        """Insert row by row, for servers that do not describe a table as the loader asks."""
        into = f"INSERT INTO {request['table']} ({listed(request['columns'])})"
        copied = 0
        for batch in batches:
            places = ", ".join(_place(column.type) for column in batch.columns)
            cells = [_parameters(column) for column in batch.columns]
            if batch.num_rows:
                rows = list(zip(*cells, strict=True))
                writing.executemany(f"{into} VALUES ({places})", rows)
            copied += batch.num_rows
        return {"rows_copied": copied}

    def _execute(
        self, connection: mssql_python.Connection, sql: str, parameters: Sequence[str]
    ) -> mssql_python.Cursor:
        cursor = connection.cursor()
        return cursor.execute(sql, *parameters)

    def _describe(self, error: BaseException, side: str) -> dict[str, Any]:
        state = getattr(error, "driver_error", "")
        message = str(error)
        number = number_in(message)
        if number is None and state and state.lower() not in _WORDLESS_STATES:
            number = self._last_error_number(side)
        return {
            "number": number,
            "state": state,
            "message": message,
            "type": type(error).__name__,
        }

    def _last_error_number(self, side: str) -> int | None:
        """Ask the session: the driver's errors carry no number."""
        connection = self._connections.get(side)
        if connection is None:
            return None
        with contextlib.suppress(mssql_python.Error), connection.cursor() as cursor:
            row = cursor.execute("select @@error").fetchone()
            return int(row[0]) if row else None
        return None


def _place(kind: pa.DataType) -> str:
    return "CONVERT(date, ?, 126)" if pa.types.is_date(kind) else "?"


def _parameters(column: pa.Array) -> list[Any]:
    """Return a column's values as the driver takes them: it refuses dates before 1753."""
    values: list[Any] = column.to_pylist()
    if pa.types.is_date(column.type):
        return [None if value is None else value.isoformat() for value in values]
    return values


class Masked:
    """One column that is masked on its way."""

    def __init__(self, position: int, mask: Mask, key: bytes) -> None:
        self.column = mask.column
        self.masker = Masker(mask, key)
        self._position = position
        self._is_uuid = mask.kind is TypeKind.UUID

    def apply(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch with this column masked."""
        field = batch.schema.field(self._position)
        values = batch.column(self._position).to_pylist()
        if self._is_uuid:
            values = [None if value is None else UUID(value) for value in values]
        masked = self.masker.many(values)
        if self._is_uuid:
            masked = [None if value is None else str(value) for value in masked]
        return batch.set_column(self._position, field, pa.array(masked, type=field.type))


class Stream:
    """The batches of one copy on their way from reader to loader."""

    def __init__(self, request: Request, say: Say) -> None:
        self._batch_rows = request["batch_rows"]
        self._rows_per_second: int | None = request["rows_per_second"]
        self._say = say
        self._maskers = [
            Masked(position, TypeAdapter(Mask).validate_python(mask), bytes.fromhex(request["key"]))
            for position, mask in request["masks"]
        ]
        self.rows = 0
        self.bytes = 0
        self.batches_read = 0
        self.peeked: list[pa.RecordBatch] = []
        """The first batch, until the loader has asked for another: it looks before it loads."""

        self.failure: Exception | None = None
        """Why reading ended before its time."""

    def batches(self, reading: mssql_python.Cursor) -> Generator[pa.RecordBatch]:
        """Yield each batch as the target takes it."""
        try:
            yield from self._read(reading)
        except Exception as error:
            self.failure = error
            raise

    def _read(self, reading: mssql_python.Cursor) -> Generator[pa.RecordBatch]:
        began = time.monotonic()
        for batch in reading.arrow_reader(self._batch_rows):
            self.rows += batch.num_rows
            self.bytes += batch.nbytes
            for masked in self._maskers:
                batch = masked.apply(batch)  # noqa: PLW2901 - columns are replaced one by one
            self.batches_read += 1
            self.peeked = [batch] if self.batches_read == 1 else []
            yield batch
            self._say({"progress": {"rows": self.rows, "bytes": self.bytes}})
            self._wait(began)
        require_whole(reading)

    def proofs(self) -> dict[str, dict[str, int]]:
        """Return what happened to each masked column."""
        return {masked.column: asdict(masked.masker.proof) for masked in self._maskers}

    def _wait(self, began: float) -> None:
        if self._rows_per_second is not None:
            due = began + self.rows / self._rows_per_second
            time.sleep(max(0.0, due - time.monotonic()))


def _result(cursor: mssql_python.Cursor) -> dict[str, Any]:
    """Return the first result that has rows; the sum of what the others changed."""
    affected = 0
    while cursor.description is None:
        affected += max(cursor.rowcount, 0)
        if not cursor.nextset():
            return {"columns": [], "rows": [], "affected": affected}
    columns = [column[0] for column in cursor.description]
    rows = [list(row) for row in cursor.fetchall()]
    require_whole(cursor)
    return {"columns": columns, "rows": rows, "affected": affected}


def main() -> None:
    """Serve the parent until it closes the pipe."""
    # Native libraries may write to file 1 as they like; the answers keep a copy of it.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer, default=str) + "\n")
        out.flush()

    worker = Worker(say)
    for request in requests(sys.stdin):
        worker.run(request)


if __name__ == "__main__":
    main()
