"""A client's connection, in the clear or under TLS as TDS does it: the handshake travels inside
packets of the protocol, everything after it is TLS as usual.
"""

import asyncio
import ssl
from collections.abc import Callable

_HANDSHAKE_PACKET = 18
_READ_BYTES = 64 * 1024


class Channel:
    """What the session reads from and writes to."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._plain = b""

    async def secure(self, certificate: str) -> None:
        """Do the handshake; from here on everything is encrypted."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # TDS 7 stops at this version; TDS 8 begins with TLS and is another protocol.
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(certificate)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._hand_over()
                head = await self._reader.readexactly(8)
                size = int.from_bytes(head[2:4], "big") - 8
                self._incoming.write(await self._reader.readexactly(size))
        await self._hand_over()
        self._tls = tls

    async def _hand_over(self) -> None:
        content = self._outgoing.read()
        if content:
            head = bytes([_HANDSHAKE_PACKET, 1]) + (len(content) + 8).to_bytes(2, "big")
            self._writer.write(head + bytes(4) + content)
            await self._writer.drain()

    async def readexactly(self, size: int) -> bytes:
        """Return so many bytes of what the client says."""
        if self._tls is None:
            return await self._reader.readexactly(size)
        while len(self._plain) < size:
            self._plain += await self._decrypted(self._tls.read)
        part, self._plain = self._plain[:size], self._plain[size:]
        return part

    async def _decrypted(self, read: Callable[[int], bytes]) -> bytes:
        while True:
            try:
                content = read(_READ_BYTES)
            except ssl.SSLWantReadError:
                raw = await self._reader.read(_READ_BYTES)
                if not raw:
                    raise asyncio.IncompleteReadError(b"", None) from None
                self._incoming.write(raw)
            else:
                if not content:
                    raise asyncio.IncompleteReadError(b"", None)
                return content

    def write(self, content: bytes) -> None:
        """Say something to the client."""
        if self._tls is not None:
            self._tls.write(content)
            content = self._outgoing.read()
        self._writer.write(content)

    async def drain(self) -> None:
        """Wait until it is on its way."""
        await self._writer.drain()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
