"""An HTTPS server with a certificate of an authority that nobody knows, and a corporate proxy."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509

from tests.support.authority import Authority

_BODY = b'[{"symbol": "APAM"}]'
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def write_authority(folder: Path, *, days: float = 90) -> None:
    """Write `ca.pem`, and `server.pem` with key and certificate for `localhost`."""
    authority = Authority(folder, days=days)
    pair = authority.issue("localhost", days=days, host=x509.DNSName("localhost"))
    authority.file.rename(folder / "ca.pem")
    (folder / "server.pem").write_bytes(pair.key.read_bytes() + pair.certificate.read_bytes())


@contextlib.asynccontextmanager
async def running_site(folder: Path) -> AsyncGenerator[int]:
    """Serve one JSON document over TLS; yields the port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(_ANSWER % (len(_BODY), _BODY))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "localhost", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@dataclass(slots=True)
class CorporateProxy:
    """Lets CONNECT pass for one user, who logs on by Basic."""

    user: str
    password: str
    port: int = 0
    logons: list[str] = field(default_factory=list)
    targets: list[str] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator["CorporateProxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            _, target, *_ = head.split(" ")
            self.targets.append(target)
            if self._logon(head) != f"{self.user}:{self.password}":
                writer.write(
                    b"HTTP/1.1 407 Proxy Authentication Required\r\n"
                    b'Proxy-Authenticate: Basic realm="maple"\r\nContent-Length: 0\r\n\r\n'
                )
                await writer.drain()
            else:
                host, _, port = target.rpartition(":")
                await self._tunnel(reader, writer, host, int(port))
        writer.close()

    def _logon(self, head: str) -> str:
        for line in head.split("\r\n"):
            name, _, value = line.partition(": ")
            if name.lower() == "proxy-authorization":
                told = base64.b64decode(value.removeprefix("Basic ")).decode()
                self.logons.append(told)
                return told
        return ""

    @staticmethod
    async def _tunnel(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
    ) -> None:
        far_reader, far_writer = await asyncio.open_connection(host, port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await writer.drain()
        async with asyncio.TaskGroup() as group:
            group.create_task(_pump(reader, far_writer))
            group.create_task(_pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()
