"""How one value of SQL Server's types lies on the wire (MS-TDS 2.2.5), in both directions.

Values cross this module in a form that JSON can carry: integers, floats, booleans, text; decimals,
dates and times as text with every digit; bytes as `0x...`.
"""

import datetime as dt
import re
import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Context, Decimal

Value = int | float | bool | str | None

_EPOCH = dt.date(1, 1, 1)
_DATETIME_EPOCH = dt.date(1900, 1, 1)
_EXACT = Context(prec=40)
"""The default context rounds to 28 digits, and a decimal has up to 38."""

_MAX = 0xFFFF
_NULL_CHUNKS = 0xFFFFFFFFFFFFFFFF
_UNKNOWN_CHUNKS = 0xFFFFFFFFFFFFFFFE
_COLLATION = bytes.fromhex("0904d00034")
"""SQL_Latin1_General_CP1_CI_AS."""

_INTEGERS = {"tinyint": 1, "smallint": 2, "int": 4, "bigint": 8}
_CHARACTERS = {"char": 0xAF, "varchar": 0xA7, "nchar": 0xEF, "nvarchar": 0xE7}
_BINARIES = {"binary": 0xAD, "varbinary": 0xA5}
_TIMES = {"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}
_SIZED = {
    "bit": (0x68, 1),
    "real": (0x6D, 4),
    "float": (0x6D, 8),
    "money": (0x6E, 8),
    "smallmoney": (0x6E, 4),
    "datetime": (0x6F, 8),
    "smalldatetime": (0x6F, 4),
    "uniqueidentifier": (0x24, 16),
}
_FIXED = {
    0x30: ("tinyint", 1),
    0x32: ("bit", 1),
    0x34: ("smallint", 2),
    0x38: ("int", 4),
    0x3A: ("smalldatetime", 4),
    0x3B: ("real", 4),
    0x3C: ("money", 8),
    0x3D: ("datetime", 8),
    0x3E: ("float", 8),
    0x7A: ("smallmoney", 4),
    0x7F: ("bigint", 8),
}


class Bytes:
    """A message that is read from its front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def is_empty(self) -> bool:
        return self._at >= len(self._data)

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError(f"message ends {end - len(self._data)} bytes too early")
        self._at, start = end, self._at
        return self._data[start:end]

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def text(self, characters: int) -> str:
        return self.take(2 * characters).decode("utf-16-le")

    def rest(self) -> bytes:
        return self.take(len(self._data) - self._at)


@dataclass(frozen=True, slots=True)
class SqlType:
    """A column's type as `CREATE TABLE` spells it, for instance `decimal(18,2)`."""

    name: str
    size: int = 0
    """Length in characters or bytes (`max` is 65535), precision of a decimal."""
    scale: int = 0

    @classmethod
    def parse(cls, text: str) -> "SqlType":
        found = re.fullmatch(r"(\w+)(?:\((max|\d+)(?:,(\d+))?\))?", text.replace(" ", ""))
        if found is None:
            raise ValueError(f"not a type: {text!r}")
        name, size, scale = found.groups()
        if name in _TIMES:
            return cls(name, 0, int(size or 7))
        return cls(name, _MAX if size == "max" else int(size or 0), int(scale or 0))

    @property
    def is_long(self) -> bool:
        return self.name == "xml" or self.size == _MAX

    @property
    def is_text(self) -> bool:
        return self.name in _CHARACTERS

    @property
    def time_size(self) -> int:
        return 3 if self.scale <= 2 else 4 if self.scale <= 4 else 5

    def __str__(self) -> str:
        if self.name in _TIMES:
            return f"{self.name}({self.scale})"
        if self.name in {"decimal", "numeric"}:
            return f"{self.name}({self.size},{self.scale})"
        if self.size and self.name in _CHARACTERS | _BINARIES:
            return f"{self.name}({'max' if self.size == _MAX else self.size})"
        return self.name


# --- what a type looks like --------------------------------------------------------------------
def write_type(kind: SqlType) -> bytes:  # noqa: PLR0911 - one line per type
    """Encode TYPE_INFO."""
    name = kind.name
    if name in _INTEGERS:
        return bytes([0x26, _INTEGERS[name]])
    if name in _SIZED:
        return bytes(_SIZED[name])
    if name in {"decimal", "numeric"}:
        code = 0x6A if name == "decimal" else 0x6C
        return bytes([code, 1 + _decimal_size(kind.size), kind.size, kind.scale])
    if name == "date":
        return b"\x28"
    if name == "xml":
        return b"\xf1\x00"
    if name in _TIMES:
        return bytes([_TIMES[name], kind.scale])
    size = kind.size * 2 if name[0] == "n" and not kind.is_long else kind.size
    if name in _BINARIES:
        return struct.pack("<BH", _BINARIES[name], size)
    return struct.pack("<BH", _CHARACTERS[name], size) + _COLLATION


def read_type(data: Bytes) -> SqlType:  # noqa: C901, PLR0911 - as above
    """Decode TYPE_INFO."""
    code = data.number(1)
    if code in _FIXED:
        return SqlType(_FIXED[code][0], size=-1)
    if code == 0x28:
        return SqlType("date")
    if code == 0xF1:
        data.take(1)
        return SqlType("xml")
    for name, known in _TIMES.items():
        if code == known:
            return SqlType(name, 0, data.number(1))
    if code in {0x6A, 0x6C}:
        data.take(1)
        return SqlType("decimal" if code == 0x6A else "numeric", data.number(1), data.number(1))
    if code in {0x24, 0x26, 0x68, 0x6D, 0x6E, 0x6F}:
        size = data.number(1)
        integers = [(0x26, name, bytes_) for name, bytes_ in _INTEGERS.items()]
        others = [(number, name, bytes_) for name, (number, bytes_) in _SIZED.items()]
        return next(SqlType(n) for c, n, s in (*integers, *others) if (c, s) == (code, size))
    for name, known in (_CHARACTERS | _BINARIES).items():
        if code == known:
            size = data.number(2)
            if name in _CHARACTERS:
                data.take(5)
            return SqlType(name, size // 2 if name[0] == "n" and size != _MAX else size)
    raise ValueError(f"type 0x{code:02x} is not spoken here")


# --- what a value looks like -------------------------------------------------------------------
def write_value(kind: SqlType, value: Value) -> bytes:
    """Encode one cell of a result row."""
    if kind.is_long:
        return _write_chunks(None if value is None else _content(kind, value))
    if kind.name in _CHARACTERS | _BINARIES:
        if value is None:
            return b"\xff\xff"
        content = _content(kind, value)
        return struct.pack("<H", len(content)) + content
    if value is None:
        return b"\x00"
    content = _content(kind, value)
    return bytes([len(content)]) + content


def read_value(kind: SqlType, data: Bytes) -> Value:
    """Decode one cell of a bulk row or one parameter."""
    if kind.is_long:
        content = _read_chunks(data)
        return None if content is None else _VALUES[kind.name](kind, content)
    if kind.size == -1:
        width = next(size for name, size in _FIXED.values() if name == kind.name)
        return _VALUES[kind.name](kind, data.take(width))
    if kind.name in _CHARACTERS | _BINARIES:
        size = data.number(2)
        return None if size == 0xFFFF else _VALUES[kind.name](kind, data.take(size))
    size = data.number(1)
    return None if size == 0 else _VALUES[kind.name](kind, data.take(size))


def _write_chunks(content: bytes | None) -> bytes:
    if content is None:
        return struct.pack("<Q", _NULL_CHUNKS)
    chunk = struct.pack("<I", len(content)) + content if content else b""
    return struct.pack("<Q", len(content)) + chunk + struct.pack("<I", 0)


def _read_chunks(data: Bytes) -> bytes | None:
    if data.number(8) == _NULL_CHUNKS:
        return None
    parts = []
    while size := data.number(4):
        parts.append(data.take(size))
    return b"".join(parts)


def _content(kind: SqlType, value: Value) -> bytes:  # noqa: C901, PLR0911 - as above
    text = str(value)
    match kind.name:
        case "tinyint" | "smallint" | "int" | "bigint":
            return int(text).to_bytes(_INTEGERS[kind.name], "little", signed=kind.name != "tinyint")
        case "bit":
            return bytes([bool(value)])
        case "real":
            return struct.pack("<f", float(text))
        case "float":
            return struct.pack("<d", float(text))
        case "decimal" | "numeric":
            unscaled = int(Decimal(text).scaleb(kind.scale, _EXACT))
            size = _decimal_size(kind.size)
            return bytes([unscaled >= 0]) + abs(unscaled).to_bytes(size, "little")
        case "money":
            high, low = divmod(int(Decimal(text).scaleb(4)), 1 << 32)
            return struct.pack("<iI", high, low)
        case "nchar" | "nvarchar" | "xml":
            return text.encode("utf-16-le")
        case "char" | "varchar":
            return text.encode("cp1252")
        case "binary" | "varbinary":
            return bytes.fromhex(text.removeprefix("0x"))
        case "uniqueidentifier":
            return uuid.UUID(text).bytes_le
        case _:
            return _moment(kind, text)


def _moment(kind: SqlType, text: str) -> bytes:
    """Encode `2024-02-29 13:14:15.1234567 +02:00`, as far as the type has these parts."""
    if kind.name == "date":
        return (dt.date.fromisoformat(text) - _EPOCH).days.to_bytes(3, "little")
    day, _, rest = text.partition(" ") if kind.name != "time" else ("", "", text)
    clock, _, offset = rest.partition(" ")
    whole, _, digits = clock.partition(".")
    seconds = dt.timedelta(
        **dict(zip(("hours", "minutes", "seconds"), map(int, whole.split(":")), strict=True))
    ).seconds
    if kind.name == "datetime":
        ticks = round(float(f"0.{digits or 0}") * 300) + seconds * 300
        return struct.pack("<iI", (dt.date.fromisoformat(day) - _DATETIME_EPOCH).days, ticks)
    if kind.name == "smalldatetime":
        days = (dt.date.fromisoformat(day) - _DATETIME_EPOCH).days
        return struct.pack("<HH", days, seconds // 60)
    units: int = seconds * 10**kind.scale + int(digits.ljust(kind.scale, "0")[: kind.scale] or 0)
    minutes = _minutes(offset) if kind.name == "datetimeoffset" else 0
    days = (dt.date.fromisoformat(day) - _EPOCH).days if day else 0
    if minutes:  # stored in UTC
        span, step = 24 * 3600 * 10**kind.scale, 60 * 10**kind.scale
        days, units = divmod(days * span + units - minutes * step, span)
    encoded = units.to_bytes(kind.time_size, "little")
    if kind.name != "time":
        encoded += days.to_bytes(3, "little")
    return encoded + (struct.pack("<h", minutes) if kind.name == "datetimeoffset" else b"")


def _minutes(offset: str) -> int:
    sign = -1 if offset.startswith("-") else 1
    hours, _, minutes = offset.lstrip("+-").partition(":")
    return sign * (int(hours or 0) * 60 + int(minutes or 0))


def _read_decimal(kind: SqlType, content: bytes) -> str:
    unscaled = int.from_bytes(content[1:], "little") * (1 if content[0] else -1)
    return str(Decimal(unscaled).scaleb(-kind.scale, _EXACT))


def _read_money(_kind: SqlType, content: bytes) -> str:
    if len(content) == 4:
        return str(Decimal(int.from_bytes(content, "little", signed=True)).scaleb(-4))
    high, low = struct.unpack("<iI", content)
    return str(Decimal((high << 32) + low).scaleb(-4))


def _read_datetime(kind: SqlType, content: bytes) -> str:
    if kind.name == "smalldatetime":
        days, minutes = struct.unpack("<HH", content)
        seconds, ticks = minutes * 60, 0
    else:
        days, all_ticks = struct.unpack("<iI", content)
        seconds, ticks = divmod(all_ticks, 300)
    day = _DATETIME_EPOCH + dt.timedelta(days=days)
    return f"{day} {_clock(seconds)}.{round(ticks * 10 / 3):03d}"


def _read_moment(kind: SqlType, content: bytes) -> str:
    ticks = int.from_bytes(content[: kind.time_size], "little")
    rest = content[kind.time_size :]
    seconds, fraction = divmod(ticks, 10**kind.scale)
    if kind.name == "time":
        return _with_fraction(kind, seconds, fraction)
    days = int.from_bytes(rest[:3], "little")
    offset = ""
    if kind.name == "datetimeoffset":
        minutes = struct.unpack("<h", rest[3:])[0]
        days, seconds = divmod(days * 86400 + seconds + minutes * 60, 86400)
        offset = f" {'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"
    day = _EPOCH + dt.timedelta(days=days)
    return f"{day} {_with_fraction(kind, seconds, fraction)}{offset}"


def _with_fraction(kind: SqlType, seconds: int, fraction: int) -> str:
    return _clock(seconds) + (f".{fraction:0{kind.scale}d}" if kind.scale else "")


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _decimal_size(precision: int) -> int:
    return 4 if precision <= 9 else 8 if precision <= 19 else 12 if precision <= 28 else 16


def _read_integer(kind: SqlType, content: bytes) -> int:
    return int.from_bytes(content, "little", signed=kind.name != "tinyint")


def _read_float(_kind: SqlType, content: bytes) -> float:
    value: float = struct.unpack("<f" if len(content) == 4 else "<d", content)[0]
    return value


_VALUES: dict[str, Callable[[SqlType, bytes], Value]] = {
    **dict.fromkeys(_INTEGERS, _read_integer),
    **dict.fromkeys(("real", "float"), _read_float),
    **dict.fromkeys(("decimal", "numeric"), _read_decimal),
    **dict.fromkeys(("money", "smallmoney"), _read_money),
    **dict.fromkeys(("datetime", "smalldatetime"), _read_datetime),
    **dict.fromkeys(_TIMES, _read_moment),
    **dict.fromkeys(("nchar", "nvarchar", "xml"), lambda _, content: content.decode("utf-16-le")),
    **dict.fromkeys(("char", "varchar"), lambda _, content: content.decode("cp1252")),
    **dict.fromkeys(_BINARIES, lambda _, content: "0x" + content.hex()),
    "bit": lambda _, content: bool(content[0]),
    "date": lambda _, content: str(_EPOCH + dt.timedelta(days=int.from_bytes(content, "little"))),
    "uniqueidentifier": lambda _, content: str(uuid.UUID(bytes_le=content)),
}
