"""SQL Server's types: how they are written, compared, and brought across without losing a digit."""

import re
from dataclasses import dataclass, replace

from refresher.domain.catalog import Column, TypeKind
from refresher.domain.tsql_names import quote
from refresher.domain.values import Value, ValueType

_TYPE = re.compile(
    r"^(?P<name>\w+)(?:\((?P<size>max|\d+)(?:,\s*(?P<scale>\d+))?\))?$", re.IGNORECASE
)
_INTEGERS = ("tinyint", "smallint", "int", "bigint")
_MAX = 2**31
_CLR = ("hierarchyid", "geometry", "geography")
_TEXTS = ("char", "varchar", "nchar", "nvarchar", "text", "ntext")
_BYTES = ("binary", "varbinary", "image")
_FULL_SCALE = 7

KINDS = {
    **dict.fromkeys(_TEXTS, TypeKind.TEXT),
    **dict.fromkeys(_INTEGERS, TypeKind.INTEGER),
    **dict.fromkeys(("decimal", "numeric", "money", "smallmoney"), TypeKind.NUMERIC),
    **dict.fromkeys(("float", "real"), TypeKind.FLOAT),
    **dict.fromkeys(("datetime", "datetime2", "smalldatetime"), TypeKind.TIMESTAMP),
    **dict.fromkeys((*_BYTES, *_CLR), TypeKind.BINARY),
    "bit": TypeKind.BOOLEAN,
    "date": TypeKind.DATE,
    "datetimeoffset": TypeKind.TIMESTAMPTZ,
    "time": TypeKind.TIME,
    "uniqueidentifier": TypeKind.UUID,
    "json": TypeKind.JSON,
}
"""What every type is; those that are missing are `other`, and must be classified by name."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A type's name and its numbers."""

    name: str
    size: int | None
    scale: int | None


def parts(text: str) -> Parts:
    """Return the parts of a type's text, e.g. of `decimal(18,2)`."""
    found = _TYPE.match(text)
    if found is None:
        return Parts(text.lower(), None, None)
    size, scale = found["size"], found["scale"]
    limit = _MAX if size and size.lower() == "max" else int(size) if size else None
    return Parts(found["name"].lower(), limit, int(scale) if scale else None)


def spell(name: str, *, max_length: int, precision: int, scale: int) -> str:
    """Return a type as `CREATE TABLE` takes it, from the numbers of `sys.columns`."""
    match name:
        case "char" | "varchar" | "binary" | "varbinary":
            return f"{name}({'max' if max_length < 0 else max_length})"
        case "nchar" | "nvarchar":
            return f"{name}({'max' if max_length < 0 else max_length // 2})"
        case "decimal" | "numeric":
            return f"{name}({precision},{scale})"
        case "datetime2" | "datetimeoffset" | "time":
            return f"{name}({scale})"
        case "float":
            return f"float({precision})"
        case _:
            return name


def compare(source: Column, target: Column) -> str:
    """Return `same`, `wider` (the source's holds more) or `incompatible`."""
    if source.facts.get("code_page") != target.facts.get("code_page") and not _is_unicode(target):
        return "incompatible"
    if source.type == target.type:
        return "same"
    return "wider" if _is_wider(parts(source.type), parts(target.type)) else "incompatible"


def _is_unicode(column: Column) -> bool:
    return parts(column.type).name not in ("char", "varchar", "text")


def _is_wider(source: Parts, target: Parts) -> bool:
    if source.name in _INTEGERS and target.name in _INTEGERS:
        return _INTEGERS.index(source.name) > _INTEGERS.index(target.name)
    if {source.name, target.name} <= {"decimal", "numeric"}:
        # Another scale would change how every value is written.
        return source.scale == target.scale and (source.size or 0) > (target.size or 0)
    if (source.name, target.name) in {("float", "real"), ("nvarchar", "varchar")}:
        return source.name == "float" or (source.size or 0) >= (target.size or 0)
    grows = source.name == target.name and source.name in ("varchar", "nvarchar", "varbinary")
    return grows and (source.size or 0) > (target.size or 0)


def declare(column: Column, *, nullable: bool | None = None) -> str:
    """Return a column as `CREATE TABLE` takes it: type, collation and whether it may be null."""
    is_nullable = column.is_nullable if nullable is None else nullable
    collation = f" COLLATE {column.collation}" if column.collation else ""
    null = "NULL" if is_nullable else "NOT NULL"
    return f"{quote(column.name)} {column.type}{collation} {null}"


def followed(target: Column, source: Column) -> Column:
    """Return the target's column after it has followed the source's wider type."""
    return replace(target, type=source.type, kind=source.kind, length=source.length)


def as_added(column: Column) -> Column:
    """Return a column of the source as the target gets it: it may be null, and draws nothing."""
    return replace(column, is_nullable=True, identity=None, default=None)


_LOWEST = {
    "tinyint": Value(ValueType.INTEGER, "0"),
    "smallint": Value(ValueType.INTEGER, str(-(2**15))),
    "int": Value(ValueType.INTEGER, str(-(2**31))),
    "bigint": Value(ValueType.INTEGER, str(-(2**63))),
    "date": Value(ValueType.DATE, "0001-01-01"),
    "datetime": Value(ValueType.TIMESTAMP, "1753-01-01T00:00:00"),
    "smalldatetime": Value(ValueType.TIMESTAMP, "1900-01-01T00:00:00"),
    "datetime2": Value(ValueType.TIMESTAMP, "0001-01-01T00:00:00"),
}


def lowest(column: Column) -> Value | None:
    """Return the smallest value of a column's type, where bounds of that type are known."""
    return _LOWEST.get(parts(column.type).name)


# --- the way across ----------------------------------------------------------------------------
def landing_type(text: str) -> str | None:
    """Return the type in which a column must land, or None when it may go straight to staging.

    The driver's Arrow form ends at microseconds and in UTC, and knows no CLR types.
    """
    found = parts(text)
    scale = _FULL_SCALE if found.size is None else found.size
    if found.name == "datetimeoffset" or (found.name == "datetime2" and scale == _FULL_SCALE):
        return "varchar(34)"
    return "varbinary(max)" if found.name in _CLR else None


def leave(name: str, text: str) -> str:
    """Return how a column that must land is read from the source."""
    landing = landing_type(text)
    style = ", 121" if landing == "varchar(34)" else ""
    return f"CONVERT({landing}, {name}{style})"


def arrive(name: str, text: str) -> str:
    """Return how a column that landed goes on to staging."""
    style = ", 121" if landing_type(text) == "varchar(34)" else ""
    return f"CONVERT({text}, {name}{style})"


# --- comparing ---------------------------------------------------------------------------------
def exact(name: str, text: str) -> str:
    """Return an expression that is equal only when every bit is.

    Collations call texts equal that are not, and xml and CLR types cannot be compared at all. A
    text is hashed and not turned into bytes: servers exist that do so through a code page, in which
    two letters become one.
    """
    found = parts(text).name
    if found in _WORDS:
        return _hashed(f"CONVERT(nvarchar(max), {name})")
    return f"CONVERT(varbinary(max), {name})" if found in (*_BYTES, *_CLR) else name


def rendered(name: str, text: str) -> str:
    """Return a value as text for a checksum, alike on every server and in every language.

    Without commas, and never `N`: so values can be put side by side. Joining bytes would be
    shorter, but there are servers that add them up as numbers.
    """
    found = parts(text).name
    if found in _WORDS:
        return _digits(_hashed(f"CONVERT(nvarchar(max), {name})"))
    if found in (*_BYTES, *_CLR):
        return _digits(_hashed(f"CONVERT(varbinary(max), {name})"))
    return as_text(name, text)


def as_text(name: str, text: str) -> str:
    """Return a number or a moment as text that both sides write alike."""
    found = parts(text).name
    if found in ("float", "real"):
        return f"CONVERT(varchar(64), {name}, 3)"
    if found in ("money", "smallmoney"):
        # As a decimal: its own styles round on some servers.
        return f"CONVERT(varchar(64), CONVERT(decimal(19, 4), {name}))"
    style = ", 121" if KINDS.get(found) in _MOMENTS else ""
    return f"CONVERT(varchar(64), {name}{style})"


_MOMENTS = (TypeKind.DATE, TypeKind.TIMESTAMP, TypeKind.TIMESTAMPTZ, TypeKind.TIME)
_WORDS = (*_TEXTS, "json", "xml")
"""Compared as Unicode: the bytes of `varchar` depend on its code page."""


def _hashed(value: str) -> str:
    return f"HASHBYTES('SHA2_256', {value})"


def _digits(digest: str) -> str:
    """Return the first 128 bits of a digest as two numbers."""
    halves = (f"CONVERT(varchar(20), CONVERT(bigint, SUBSTRING({digest}, {n}, 8)))" for n in (1, 9))
    return " + ':' + ".join(halves)
