"""The tokens of a server's answer (MS-TDS 2.2.7)."""

import struct
from collections.abc import Iterable, Mapping

from tests.support.tds.cells import SqlType, Value, write_type, write_value

_SERVER = "scripted"
_ENDS_TRANSACTION = 10
_MORE, _ERROR, _COUNT, _ATTENTION = 0x01, 0x02, 0x10, 0x20
_NULLABLE = 0x0001
_IDENTITY = 0x0010


def done(
    affected: int | None = None,
    *,
    failed: bool = False,
    attention: bool = False,
    more: bool = False,
) -> bytes:
    """The end of a batch, or of one of its results when there are `more`."""
    status = (
        (_COUNT if affected is not None else 0)
        | (_MORE if more else 0)
        | (_ERROR if failed else 0)
        | (_ATTENTION if attention else 0)
    )
    return struct.pack("<BHHQ", 0xFD, status, 0, affected or 0)


def end_of_call(handle: int | None, affected: int | None, *, failed: bool = False) -> bytes:
    """The end of a procedure call; a prepared statement's handle is returned."""
    inner = struct.pack("<BHHQ", 0xFF, _MORE | _COUNT, 0, affected or 0)
    answer = b"" if failed else inner
    answer += struct.pack("<Bi", 0x79, 0)
    if handle is not None:
        answer += b"\xac" + struct.pack("<H", 0) + b"\x00" + b"\x01" + struct.pack("<IH", 0, 0)
        answer += write_type(SqlType("int")) + write_value(SqlType("int"), handle)
    return answer + struct.pack("<BHHQ", 0xFE, _ERROR if failed else 0, 0, 0)


def message(number: int, text: str, severity: int) -> bytes:
    """An error (severity above 10) or a piece of information."""
    body = struct.pack("<iBB", number, 1, severity) + _long_text(text) + _text(_SERVER) + _text("")
    body += struct.pack("<I", 1)
    return struct.pack("<BH", 0xAA if severity > 10 else 0xAB, len(body)) + body


def columns(described: Mapping[str, str], *, identity: str | None = None) -> bytes:
    """The head of a result set."""
    answer = struct.pack("<BH", 0x81, len(described))
    for name, kind in described.items():
        flags = _NULLABLE | (_IDENTITY if name == identity else 0)
        answer += struct.pack("<IH", 0, flags) + write_type(SqlType.parse(kind)) + _text(name)
    return answer


def row(kinds: Iterable[SqlType], values: Iterable[Value]) -> bytes:
    """One row of a result set."""
    cells = (write_value(kind, value) for kind, value in zip(kinds, values, strict=True))
    return b"\xd1" + b"".join(cells)


def table_described(described: Mapping[str, str], *, identity: str | None) -> bytes:
    """What the bulk loader asks of a table: transactions open, columns, collations."""
    number = {"": "int"}
    collations = {"colid": "int", "name": "nvarchar(128)", "collation": "nvarchar(128)"}
    collated = [
        (at, name, "SQL_Latin1_General_CP1_CI_AS")
        for at, (name, kind) in enumerate(described.items(), 1)
        if SqlType.parse(kind).is_text
    ]
    kinds = [SqlType.parse(kind) for kind in collations.values()]
    return b"".join(
        [
            columns(number) + row([SqlType("int")], [0]) + done(1, more=True),
            columns(described, identity=identity) + done(0, more=True),
            columns(collations) + b"".join(row(kinds, cells) for cells in collated),
            done(len(collated)),
        ]
    )


def logged_in(database: str, packet_size: int) -> bytes:
    """The answer to a good login."""
    return (
        _changed_text(1, database, "master")
        + _changed_text(4, str(packet_size), "4096")
        + _changed_bytes(7, bytes.fromhex("0904d00034"), b"")
        + _login_ack()
        + b"\xae\xff"
        + done()
    )


def transaction_began(descriptor: int) -> bytes:
    """From here on the client names this transaction in every request."""
    return _changed_bytes(8, struct.pack("<Q", descriptor), b"") + done()


def transaction_ended(descriptor: int, *, committed: bool) -> bytes:
    """The answer to commit and rollback, and what a deadlock's victim is told."""
    kind = 9 if committed else _ENDS_TRANSACTION
    return _changed_bytes(kind, b"", struct.pack("<Q", descriptor))


def prelogin(*, encrypted: bool) -> bytes:
    """Version 16, no MARS, encryption of everything or not at all."""
    encryption = b"\x01" if encrypted else b"\x02"
    options = {0: bytes([16, 0, 0x10, 0, 0, 0]), 1: encryption, 2: b"\x00", 3: b"", 4: b"\x00"}
    head, body = b"", b""
    offset = 5 * len(options) + 1
    for code, value in options.items():
        head += struct.pack(">BHH", code, offset + len(body), len(value))
        body += value
    return head + b"\xff" + body


def _login_ack() -> bytes:
    body = b"\x01" + bytes.fromhex("74000004") + _text("Microsoft SQL Server")
    body += bytes([16, 0, 0x10, 0])
    return struct.pack("<BH", 0xAD, len(body)) + body


def _changed_text(kind: int, new: str, old: str) -> bytes:
    body = bytes([kind]) + _text(new) + _text(old)
    return struct.pack("<BH", 0xE3, len(body)) + body


def _changed_bytes(kind: int, new: bytes, old: bytes) -> bytes:
    body = bytes([kind, len(new)]) + new + bytes([len(old)]) + old
    return struct.pack("<BH", 0xE3, len(body)) + body


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode("utf-16-le")


def _long_text(text: str) -> bytes:
    return struct.pack("<H", len(text)) + text.encode("utf-16-le")
