"""A proxy, or a site, that says what a test has written down and then closes or falls silent."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncGenerator, Iterable
from dataclasses import dataclass, field

# A challenge as Samba's ntlm_auth makes it.
CHALLENGE = base64.b64encode(
    bytes.fromhex(
        "4e544c4d53535000020000000400040038000000358282e20123456789abcdef00000000000000002c002c003c"
        "000000060100000000000f56004d000200040056004d000100040056004d00040000000300040076006d000700"
        "0800ec9882047add010000000000"
    )
).decode()


def refusal(*offers: str, body: bytes = b"who are you?", more: str = "") -> bytes:
    """Return a 407 that offers ways to log on."""
    lines = [f"Proxy-Authenticate: {offer}\r\n" for offer in offers]
    head = f"HTTP/1.1 407 Who\r\n{''.join(lines)}{more}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


@dataclass(slots=True)
class ScriptedProxy:
    """Answers the first connection by the first script, and so on; the last serves all others.

    A script is a list of answers, one for each request; with None in it the proxy falls silent.
    """

    scripts: list[list[bytes | None]]
    port: int = 0
    heads: list[str] = field(default_factory=list)
    """The requests as they came."""

    _connections: int = 0
    _nobody: asyncio.Event = field(default_factory=asyncio.Event)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["ScriptedProxy"]:
        self._nobody.set()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self.is_left()

    async def is_left(self) -> None:
        """Wait until every connection has ended."""
        async with asyncio.timeout(5):
            await self._nobody.wait()

    def logons(self) -> list[str]:
        """Return how each request logged on, empty where it did not."""
        return [_logon(head.split("\r\n")) for head in self.heads]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        self._connections += 1
        self._nobody.clear()
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await self._follow(script, reader, writer)
        writer.close()
        self._connections -= 1
        if self._connections == 0:
            self._nobody.set()

    async def _follow(
        self,
        script: Iterable[bytes | None],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        for answer in script:
            self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
            if answer is None:
                break
            writer.write(answer)
            await writer.drain()
        else:
            return
        await reader.read()  # until the client leaves


def _logon(lines: Iterable[str]) -> str:
    for line in lines:
        name, _, value = line.partition(": ")
        if name.lower() == "proxy-authorization":
            return value
    return ""
