"""Values out of JSON documents: lenient about what is there, strict about what comes out.

A document belongs to a source, so any part of it may be absent or of another kind; what does not
fit becomes null, and the quality rules make that visible.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any, TypeAlias

import msgspec

from transformer.domain.rules import Child, Input, InputType

Value: TypeAlias = str | int | float | bool | date | Decimal | list[str] | None

_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_MAX_INTEGER = 2**63
_MAX_NUMERIC = Decimal(10) ** 26
_SMALLEST = Decimal(1).scaleb(-12)
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
_NUMBER = re.compile(
    r"[+-]?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?", re.ASCII
)
_DIGITS = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_GENERALIZED = re.compile(r"([0-9]{8})([0-9]{6})(?:\.[0-9]+)?Z", re.ASCII)
_UNSET_YEAR = 1
"""Some systems write a date that is not set as `0001-01-01T00:00:00Z`."""

_FILETIME_ZERO = datetime(1601, 1, 1, tzinfo=UTC)
_NEVER = 2**63 - 1
_DAY = re.compile(r"\s*([0-9]{4}-[0-9]{2}-[0-9]{2})", re.ASCII)


def read_input(document: Mapping[str, Any], item: Input) -> Value:
    """Take one input out of a document (or a row's scope)."""
    found = find(document, item.path)
    if item.type is InputType.TEXT:
        return _text(found, item.join)
    return _READERS[item.type](found)


def read_inputs(documents: Sequence[Mapping[str, Any]], item: Input) -> list[Value]:
    """Take one input out of many documents; the same as `read_input` for each, and faster."""
    keys = item.path.split(".")
    if len(keys) == 1:
        key = keys[0]
        found = [document.get(key) for document in documents]
    else:
        found = [_follow(document, keys) for document in documents]
    if item.type is not InputType.TEXT:
        reader = _READERS[item.type]
        return [reader(value) for value in found]
    join = item.join
    return [_plain(value) if type(value) is str else _text(value, join) for value in found]


def parse_document(text: str) -> dict[str, Any]:
    """Read a record, its decimals as they are written; one that is no JSON object has no values.

    The text is what PostgreSQL makes of `jsonb`: one value, and nothing around it.
    """
    document = _DECODER.decode(text)
    return document if isinstance(document, dict) else {}


def find(document: Any, path: str) -> Any:
    """Follow a path of keys (and places in lists, `*` for all); None where it ends early."""
    return _follow(document, path.split("."))


def _follow(value: Any, keys: list[str]) -> Any:
    for place, key in enumerate(keys, start=1):
        if isinstance(value, list):
            if key == "*":
                return _flat(_follow(item, keys[place:]) for item in value)
            value = value[int(key)] if key.isdecimal() and int(key) < len(value) else None
        elif isinstance(value, Mapping):
            value = value.get(key)
        else:
            return None
    return value


def _flat(values: Iterator[Any]) -> list[Any]:
    """Return what several items gave, in one list."""
    return [
        inner
        for value in values
        for inner in (value if isinstance(value, list) else [value])
        if inner is not None
    ]


def child_scopes(document: Mapping[str, Any], child: Child) -> Iterator[dict[str, Any]]:
    """Yield, for every row of a child table, what its inputs may name.

    That is the document's own keys, the items that the row stands in under the names of their
    lists, and what the lookups found.
    """
    tables = {
        name: {
            key: item
            for item in reversed(_items(find(document, lookup.list)))
            if isinstance(key := find(item, lookup.key), str)
        }
        for name, lookup in child.lookups.items()
    }
    for scope in _nest(dict(document), child.each.split(".")):
        for name, lookup in child.lookups.items():
            key = find(scope, lookup.equals)
            scope[name] = tables[name].get(key) if isinstance(key, str) else None
        yield scope


def _nest(scope: dict[str, Any], levels: list[str]) -> Iterator[dict[str, Any]]:
    if not levels:
        yield scope
        return
    name, *inner = levels
    for item in _items(scope.get(name)):
        content = item if isinstance(item, Mapping) else {}
        below = {inner[0]: content.get(inner[0])} if inner else {}
        yield from _nest({**scope, name: content, **below}, inner)


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [item for item in values if isinstance(item, str)]


def _plain(text: str) -> str | None:
    return text.strip() or None


def _text(value: Any, join: str) -> str | None:
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, (int, float, Decimal)):
        return str(value) if math.isfinite(value) else None
    return join.join(part for item in _strings(value) if (part := item.strip())) or None


def _integer(value: Any) -> int | None:
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        return int(value)
    if isinstance(value, Decimal) and value.adjusted() < len(str(_MAX_INTEGER)):
        value = int(value) if value == value.to_integral_value() else None
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= _MAX_INTEGER:
        return None
    return value


def _numeric(value: Any) -> Decimal | None:
    if type(value) is not Decimal:
        value = _as_decimal(value)
        if value is None:
            return None
    if not value.is_finite() or value.adjusted() > _MAX_NUMERIC.adjusted():
        return None
    number = value.quantize(_SMALLEST, context=_EXACT)
    return number if abs(number) < _MAX_NUMERIC else None


def _as_decimal(value: Any) -> Decimal | None:
    match value:
        case bool():
            return None
        case int():
            return Decimal(value)
        case float():
            return Decimal(repr(value))
        case str() if _NUMBER.fullmatch(text := value.strip()):
            return Decimal(text.replace(",", ""))
        case _:
            return None


def _double(value: Any) -> float | None:
    if isinstance(value, str):
        text = value.strip()
        value = text.replace(",", "") if _NUMBER.fullmatch(text) else None
    if (
        value is None
        or isinstance(value, bool)
        or not isinstance(value, (str, int, float, Decimal))
    ):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _moment(value: Any) -> datetime | None:
    if not isinstance(value, str):
        return None
    if match := _GENERALIZED.fullmatch(value.strip()):
        value = f"{match[1]}T{match[2]}Z"
    try:
        moment = datetime.fromisoformat(value.strip())
        if moment.year == _UNSET_YEAR:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _filetime(value: Any) -> datetime | None:
    ticks = _integer(value)
    if ticks is None or not 0 < ticks < _NEVER:
        return None
    try:
        return _FILETIME_ZERO + timedelta(microseconds=ticks // 10)
    except OverflowError:
        return None


def _date(value: Any) -> date | None:
    match = _DAY.match(value) if isinstance(value, str) else None
    if match is None or match[1].startswith("0001-"):
        return None
    try:
        return date.fromisoformat(match[1])
    except ValueError:
        return None


_READERS: Mapping[InputType, Callable[[Any], Value]] = {
    InputType.TEXTS: lambda value: [text for item in _items(value) if (text := _text(item, " "))],
    InputType.INTEGER: _integer,
    InputType.NUMERIC: _numeric,
    InputType.DOUBLE: _double,
    InputType.TIMESTAMPTZ: _moment,
    InputType.FILETIME: _filetime,
    InputType.BOOLEAN: lambda value: value if isinstance(value, bool) else None,
    InputType.DATE: _date,
    InputType.COUNT: lambda value: len(_items(value)),
    InputType.WORDS: lambda value: sum(len(text.split()) for text in _strings(value)),
}
