"""The process in which the SQL Server driver reads: `python -m scanner.adapters.sql_server_child`.

The driver's native parts cannot be cancelled from another thread and may take the process along
(docs/decisions/0019), so a poll gets a process of its own that is simply killed. Requests come as
lines of JSON on standard input, answers leave on standard output; a full pipe holds the reading
back.
"""

import json
import os
import sys
from collections.abc import Iterator
from typing import Any

import mssql_python

from scanner.adapters.json_values import as_json

Request = dict[str, Any]
Answer = dict[str, Any]


class CutOffError(Exception):
    """The connection broke while rows were read."""

    driver_error = "communication link failure"


def require_whole(cursor: mssql_python.Cursor) -> None:
    """Refuse a result that ended because its connection did.

    The driver reports a connection that breaks between two rows as the end of the rows, and leaves
    the truth among the messages.
    """
    if any(state.startswith("[08") for state, _ in cursor.messages):
        raise CutOffError("the connection broke while rows were read")
    with cursor.connection.cursor() as probe:
        probe.execute("select @@spid").fetchone()


class Reader:
    """Holds the connection and carries requests out, one after the other."""

    def __init__(self) -> None:
        self._connection: mssql_python.Connection | None = None

    def answers(self, request: Request) -> Iterator[Answer]:
        """Carry one request out."""
        if request["do"] == "connect":
            yield self._connect(request)
        else:
            yield from self._read(request)

    def _connect(self, request: Request) -> Answer:
        mssql_python.pooling(enabled=False)
        self._connection = mssql_python.connect(
            request["connection"], autocommit=True, timeout=request["timeout"]
        )
        self._connection.timeout = request["timeout"]
        return {"done": True}

    def _read(self, request: Request) -> Iterator[Answer]:
        if self._connection is None:
            raise CutOffError("there is no connection")
        with self._connection.cursor() as cursor:
            cursor.execute(request["sql"], *request["parameters"])
            columns = [column[0] for column in cursor.description]
            yield {"columns": columns}
            while rows := cursor.fetchmany(request["page_size"]):
                records = [
                    {name: as_json(value) for name, value in zip(columns, row, strict=True)}
                    for row in rows
                ]
                yield {"records": records}
            require_whole(cursor)
        yield {"done": True}


def describe(error: Exception) -> Answer:
    """Return an error as the parent reads it."""
    return {
        "error": {
            "type": type(error).__name__,
            "state": getattr(error, "driver_error", ""),
            "message": str(error),
        }
    }


def main() -> None:
    """Serve the parent until it closes the pipe."""
    # Native libraries may write to file 1 as they like; the answers keep a copy of it.
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    reader = Reader()
    for line in sys.stdin:
        try:
            for answer in reader.answers(json.loads(line)):
                out.write(json.dumps(answer) + "\n")
                out.flush()
        # Whatever else happens ends this process, which the parent takes for an outage.
        except (mssql_python.Error, CutOffError, RuntimeError, ValueError) as error:
            out.write(json.dumps(describe(error)) + "\n")
            out.flush()


if __name__ == "__main__":
    main()
