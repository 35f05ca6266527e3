"""What a client asks: packets put together, then the parts of login, call and bulk load."""

import asyncio
import struct
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from tests.support.tds.cells import Bytes, SqlType, Value, read_type, read_value
from tests.support.tds.channel import Channel

BATCH, CALL, ATTENTION, BULK, TRANSACTION, LOGIN, PRELOGIN = 1, 3, 6, 7, 14, 16, 18
PREPARE, EXECUTE, PREPARE_AND_EXECUTE, UNPREPARE, EXECUTE_SQL = 11, 12, 13, 15, 10
_LAST = 0x01
_BY_NUMBER = 0xFFFF


class HungUpError(Exception):
    """The client closed the connection."""


async def read_packets(reader: Channel) -> AsyncGenerator[tuple[int, bytes, bool]]:
    """Yield kind, content and whether it is the last, packet by packet, of one message."""
    is_last = False
    while not is_last:
        try:
            head = await reader.readexactly(8)
            kind, status, size = struct.unpack(">BBH", head[:4])
            content = await reader.readexactly(size - 8)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise HungUpError from error
        is_last = bool(status & _LAST)
        yield kind, content, is_last


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in."""

    user: str
    password: str
    database: str
    packet_size: int


def read_login(content: bytes) -> Login:
    """Decode LOGIN7."""
    packet_size = struct.unpack_from("<I", content, 8)[0]

    def text(at: int) -> bytes:
        offset, length = struct.unpack_from("<HH", content, at)
        return content[offset : offset + 2 * length]

    swapped = bytes(((b ^ 0xA5) << 4 | (b ^ 0xA5) >> 4) & 0xFF for b in text(44))
    return Login(
        text(40).decode("utf-16-le"),
        swapped.decode("utf-16-le"),
        text(68).decode("utf-16-le"),
        packet_size,
    )


def without_headers(content: bytes) -> Bytes:
    """Skip ALL_HEADERS."""
    return Bytes(content[struct.unpack_from("<I", content)[0] :])


@dataclass(frozen=True, slots=True)
class Call:
    """A remote procedure call."""

    procedure: int | str
    parameters: tuple[Value, ...]


def read_call(content: bytes) -> Call:
    """Decode an RPC request."""
    data = without_headers(content)
    length = data.number(2)
    procedure: int | str = data.number(2) if length == _BY_NUMBER else data.text(length)
    data.take(2)
    parameters = []
    while not data.is_empty:
        data.text(data.number(1))
        data.take(1)
        parameters.append(read_value(read_type(data), data))
    return Call(procedure, tuple(parameters))


@dataclass(frozen=True, slots=True)
class Loaded:
    """The columns and rows of a bulk load."""

    columns: dict[str, str]
    rows: list[list[Value]]


def read_bulk(content: bytes) -> Loaded:
    """Decode COLMETADATA and the rows that follow it."""
    data = Bytes(content)
    if data.number(1) != 0x81:
        raise ValueError("a bulk load begins with its columns")
    kinds: dict[str, SqlType] = {}
    for _ in range(data.number(2)):
        data.take(6)
        kind = read_type(data)
        kinds[data.text(data.number(1))] = kind
    rows: list[list[Value]] = []
    while not data.is_empty and (token := data.number(1)) != 0xFD:
        missing = data.take((len(kinds) + 7) // 8) if token == 0xD2 else bytes(len(kinds))
        rows.append(
            [
                None if missing[at // 8] & 1 << at % 8 else read_value(kind, data)
                for at, kind in enumerate(kinds.values())
            ]
        )
    return Loaded({name: str(kind) for name, kind in kinds.items()}, rows)
