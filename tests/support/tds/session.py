"""One client's connection to the scripted server."""

import asyncio
import contextlib
import json
import re
import ssl
from collections import defaultdict
from collections.abc import Callable
from itertools import count
from typing import Any, TextIO

from tests.support.tds import requests, tokens
from tests.support.tds.cells import SqlType
from tests.support.tds.channel import Channel
from tests.support.tds.requests import Call, HungUpError
from tests.support.tds.script import Answer, Done, Drop, Fail, Hang, Load, Rows, Script

_TRANSACTION = 0x1122334455
_BEGIN, _COMMIT, _ROLLBACK = 5, 7, 8
_UNWRITTEN = Fail(50000, "the script has no rule for this statement")
_UNKNOWN_TABLE = Fail(208, "Invalid object name.")
_REFUSED = Fail(18456, "Login failed for user.", severity=14)
_GONE = (HungUpError, ConnectionError, asyncio.IncompleteReadError, ssl.SSLError)
_PROBE = Rows({"": "int"}, ((52,),))
_SESSION = re.compile(
    r"^(set (?!fmtonly)|declare @\w+ varbinary|use |if @@trancount)", re.IGNORECASE
)
"""What the driver says by itself, or what has no result worth scripting."""


class State:
    """What the connections of a server share."""

    def __init__(self, script: Script, out: TextIO) -> None:
        self._out = out
        self._connections = count(1)
        self.follow(script)

    def follow(self, script: Script) -> None:
        """Begin a new script."""
        self.script = script
        self._used: defaultdict[str, int] = defaultdict(int)

    def next_connection(self) -> int:
        return next(self._connections)

    def say(self, event: str, **facts: Any) -> None:
        """Write one line for the test to read."""
        self._out.write(json.dumps({"event": event, **facts}) + "\n")
        self._out.flush()

    def answer(self, statement: str) -> Answer | None:
        """Return the next answer of the first rule that matches."""
        folded = " ".join(statement.split())
        for rule in self.script.rules:
            if re.search(rule.pattern, folded, re.IGNORECASE):
                used = self._used[rule.pattern]
                self._used[rule.pattern] += 1
                return rule.answers[min(used, len(rule.answers) - 1)]
        return None


class Session:
    """Speaks with one client until one side has enough."""

    def __init__(
        self, state: State, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._state = state
        self._channel = Channel(reader, writer)
        self._packet_size = 4096
        self._number = state.next_connection()
        self._prepared: dict[int, str] = {}
        self._load: Load | None = None
        self._in_transaction = False

    async def run(self) -> None:
        """Answer until the client hangs up or the script says so."""
        with contextlib.suppress(*_GONE):
            while True:
                await self._answer_one()
        self._say("closed")
        self._channel.close()

    def _say(self, event: str, **facts: Any) -> None:
        self._state.say(event, connection=self._number, **facts)

    async def _answer_one(self) -> None:
        content = b""
        kind = 0
        async for kind, part, _ in requests.read_packets(self._channel):
            drained = self._load is not None and self._load.is_drained and kind == requests.BULK
            content = b"" if drained else content + part
            limit = self._load.drop_after_bytes if self._load and kind == requests.BULK else None
            if limit is not None and len(content) >= limit:
                raise HungUpError
        match kind:
            case requests.PRELOGIN:
                await self._prelogin()
            case requests.LOGIN:
                await self._login(content)
            case requests.BATCH:
                await self._batch(requests.without_headers(content).rest().decode("utf-16-le"))
            case requests.CALL:
                await self._call(requests.read_call(content))
            case requests.TRANSACTION:
                await self._transaction(content)
            case requests.BULK:
                await self._bulk(content)
            case requests.ATTENTION:
                self._say("attention")
                await self._send(tokens.done(attention=True))
            case _:
                raise HungUpError

    async def _prelogin(self) -> None:
        certificate = self._state.script.certificate
        await self._send(tokens.prelogin(encrypted=certificate is not None))
        if certificate is not None:
            await self._channel.secure(certificate)
            self._say("secured")

    async def _login(self, content: bytes) -> None:
        login = requests.read_login(content)
        known = self._state.script.users.get(login.user) == login.password
        self._say("login", user=login.user, database=login.database, accepted=known)
        if not known:
            await self._fail(_REFUSED, tokens.done(failed=True))
            raise HungUpError
        self._packet_size = login.packet_size or 4096
        await self._send(tokens.logged_in(login.database, self._packet_size))

    async def _batch(self, statement: str) -> None:
        if "sp_tablecollations" in statement:
            await self._describe(statement)
            return
        self._say("batch", sql=statement)
        await self._reply(self._find(statement), lambda n, failed: tokens.done(n, failed=failed))

    async def _describe(self, statement: str) -> None:
        known = self._state.script.tables
        table = next((t for t in known if t.name == "*" or f"N'{t.name}'" in statement), None)
        if table is None:
            await self._fail(_UNKNOWN_TABLE, tokens.done(failed=True))
            return
        await self._send(tokens.table_described(table.columns, identity=table.identity))

    async def _call(self, call: Call) -> None:
        handle: int | None = None
        values = call.parameters
        match call.procedure:
            case requests.PREPARE_AND_EXECUTE:
                handle, statement = len(self._prepared) + 1, str(values[2])
                self._prepared[handle], values = statement, values[3:]
            case requests.EXECUTE if isinstance(values[0], int):
                statement, values = self._prepared[values[0]], values[1:]
            case requests.EXECUTE_SQL:
                statement, values = str(values[0]), values[2:]
            case requests.UNPREPARE:
                await self._send(tokens.end_of_call(None, None))
                return
            case _:
                statement = f"exec {call.procedure}"
        self._say("call", sql=statement, parameters=list(values))
        await self._reply(
            self._find(statement), lambda n, failed: tokens.end_of_call(handle, n, failed=failed)
        )

    def _find(self, statement: str) -> Answer:
        answer = self._state.answer(statement)
        if answer is not None:
            return answer
        if statement == "select @@spid":
            return _PROBE
        if _SESSION.search(statement.strip()):
            return Done()
        self._say("unwritten", sql=statement)
        return _UNWRITTEN

    async def _reply(self, answer: Answer, end: Callable[[int | None, bool], bytes]) -> None:
        match answer:
            case Done(affected):
                await self._send(end(affected, False))
            case Rows():
                await self._rows(answer, end)
            case Fail():
                await self._fail(answer, end(None, True))
            case Load():
                self._load = answer
                await self._send(end(0, False))
            case Drop():
                raise HungUpError
            case Hang():
                await self._hang()

    async def _rows(self, answer: Rows, end: Callable[[int | None, bool], bytes]) -> None:
        kinds = [SqlType.parse(kind) for kind in answer.columns.values()]
        stop = answer.pause_after if answer.pause_after is not None else answer.drop_after
        encoded = [tokens.row(kinds, values) for values in answer.rows[:stop]]
        head = tokens.columns(answer.columns)
        if answer.fail is not None:
            await self._fail(answer.fail, end(None, True), before=head + b"".join(encoded))
            return
        if stop is None:
            await self._send_often(head, b"".join(encoded), answer.times)
            await self._send(end(len(answer.rows) * answer.times, False))
            return
        await self._send(head + b"".join(encoded), is_whole=False)
        if answer.drop_after is not None:
            raise HungUpError
        await self._hang()

    async def _hang(self) -> None:
        self._say("hanging")
        async for kind, _, _ in requests.read_packets(self._channel):
            if kind == requests.ATTENTION:
                self._say("attention")
                await self._send(tokens.done(attention=True))

    async def _fail(self, answer: Fail, end: bytes, *, before: bytes = b"") -> None:
        told = tokens.message(answer.number, answer.message, answer.severity)
        if answer.ends_transaction and self._in_transaction:
            self._in_transaction = False
            told += tokens.transaction_ended(_TRANSACTION, committed=False)
        await self._send(before + told + end)

    async def _transaction(self, content: bytes) -> None:
        request = requests.without_headers(content).number(2)
        names = {_BEGIN: "begin", _COMMIT: "commit", _ROLLBACK: "rollback"}
        self._say(names[request])
        if request == _BEGIN:
            self._in_transaction = True
            await self._send(tokens.transaction_began(_TRANSACTION))
            return
        self._in_transaction = False
        committed = request == _COMMIT
        await self._send(
            tokens.transaction_ended(_TRANSACTION, committed=committed) + tokens.done()
        )

    async def _bulk(self, content: bytes) -> None:
        if self._load is not None and self._load.is_drained:
            await self._send(tokens.done(0))
            return
        loaded = requests.read_bulk(content)
        self._say("bulk", columns=loaded.columns, rows=loaded.rows)
        answer = (self._load and self._load.answer) or Done(len(loaded.rows))
        await self._reply(answer, lambda n, failed: tokens.done(n, failed=failed))

    async def _send_often(self, head: bytes, rows: bytes, times: int) -> None:
        await self._send(head, is_whole=False)
        for _ in range(times):
            await self._send(rows, is_whole=False)

    async def _send(self, content: bytes, *, is_whole: bool = True) -> None:
        size = self._packet_size - 8
        parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
        for number, part in enumerate(parts, 1):
            is_last = is_whole and number == len(parts)
            head = bytes([4, is_last]) + (len(part) + 8).to_bytes(2, "big")
            self._channel.write(head + bytes([0, 0, number & 0xFF, 0]) + part)
        await self._channel.drain()
