"""Masks: personal values become others of the same type, length and shape, in flight.

A mask depends on the key, the class and the value, and on nothing else: the same address is masked
alike in every table and in every refresh, so joins survive. Different values of one shape get
different masks (docs/decisions/0017).
"""

import hashlib
import hmac
import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias
from uuid import UUID

from refresher.domain.catalog import TypeKind
from refresher.domain.config import MaskMethod
from refresher.domain.permutation import permutation
from refresher.domain.plan import Mask
from refresher.domain.shapes import has_alphabet, mask_text
from refresher.domain.verification import MaskProof

MaskFunction: TypeAlias = Callable[[Any], Any]
_Keyed: TypeAlias = Callable[[Any, bytes], Any]

_DAY = timedelta(days=1)
_MICROSECOND = timedelta(microseconds=1)

_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "int": 2**31 - 1, "tinyint": 255}
_BIGGEST = 2**63 - 1


class Outcome(IntEnum):
    """What became of one value."""

    MASKED = 0
    EMPTY = 1
    """Null, or nothing in it to hide: no letter and no digit."""

    UNCHANGED = 2


class Masker:
    """Masks the values of one column and counts what it did."""

    def __init__(self, mask: Mask, key: bytes) -> None:
        self._function = mask_function(mask, key)
        self._may_repeat = mask.method in (MaskMethod.FIXED, MaskMethod.NULL)
        self.counts = [0] * len(Outcome)
        """Values so far, by outcome; an adapter that remembers masks counts here itself."""

    def __call__(self, value: Any) -> Any:
        """Return the mask of a value, and count it."""
        masked, outcome = self.apply(value)
        self.counts[outcome] += 1
        return masked

    def apply(self, value: Any) -> tuple[Any, Outcome]:
        """Return the mask of a value and what became of it, without counting."""
        if value is None:
            return None, Outcome.EMPTY
        masked = self._function(value)
        if masked != value or self._may_repeat:
            return masked, Outcome.MASKED
        return masked, Outcome.UNCHANGED if _has_substance(value) else Outcome.EMPTY

    @property
    def proof(self) -> MaskProof:
        """What happened so far."""
        return MaskProof(
            masked=self.counts[Outcome.MASKED],
            empty=self.counts[Outcome.EMPTY],
            unchanged=self.counts[Outcome.UNCHANGED],
        )


def mask_function(mask: Mask, key: bytes) -> MaskFunction:
    """Return the function that masks one column's values (never called with None)."""
    if mask.kind is TypeKind.JSON:
        return _json_mask(mask, key)
    return _scalar_mask(
        mask.kind,
        mask.method,
        key=_class_key(key, mask.mask_class),
        value=mask.value,
        largest=_LARGEST.get(mask.type, _BIGGEST),
    )


def supports(kind: TypeKind, method: MaskMethod) -> bool:
    """Return whether a method can mask a kind of column; the planner refuses the rest."""
    if method in (MaskMethod.KEEP, MaskMethod.NULL):
        return True
    return (kind, method) in _FUNCTIONS or (kind is TypeKind.JSON and method is not MaskMethod.DAY)


def _class_key(key: bytes, mask_class: str) -> bytes:
    return hmac.digest(key, mask_class.encode(), "sha256")


def _scalar_mask(
    kind: TypeKind, method: MaskMethod, *, key: bytes, value: str | None, largest: int
) -> MaskFunction:
    match method:
        case MaskMethod.KEEP:
            return _same
        case MaskMethod.NULL:
            return _nothing
        case MaskMethod.FIXED:
            return lambda _: value
        case _:
            function = _FUNCTIONS[kind, method]
    if kind is TypeKind.INTEGER:
        return lambda number: mask_number(number, key, largest=largest)
    return lambda item: function(item, key)


def _same(value: Any) -> Any:
    return value


def _nothing(_: Any) -> None:
    return None


def mask_number(number: int, key: bytes, *, largest: int = _BIGGEST) -> int:
    """Return another whole number of the same sign and as many digits."""
    magnitude = abs(number)
    digits = len(str(magnitude))
    low = 10 ** (digits - 1) if digits > 1 or number < 0 else 0
    high = min(10**digits - 1, max(largest, magnitude))
    tweak = b"number\0%d\0%d" % (digits, high)
    masked = low + permutation(key).move(magnitude - low, high - low + 1, tweak)
    return masked if number >= 0 else -masked


def _mask_decimal(value: Decimal, key: bytes) -> Decimal:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return value  # not a number, or infinite
    whole = int("".join(map(str, digits)))
    if whole == 0:
        return value
    tweak = b"%d" % exponent
    masked = mask_number(whole, hmac.digest(key, tweak, "sha256"), largest=10 ** len(str(whole)))
    return Decimal((sign, tuple(map(int, str(masked))), exponent))


def _mask_float(value: float, key: bytes) -> float:
    if value != value or value in (float("inf"), float("-inf")) or value == 0:  # noqa: PLR0124
        return value
    return float(_mask_decimal(Decimal(repr(value)), key))


def _mask_date(value: date, key: bytes) -> date:
    first = date(value.year, 1, 1)
    days = (date(value.year, 12, 31) - first).days + 1
    day = permutation(key).move((value - first).days, days, b"day\0%d" % value.year)
    return first + day * _DAY


def _mask_moment(value: datetime, key: bytes) -> datetime:
    first = value.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    days = (date(value.year, 12, 31) - first.date()).days + 1
    size = days * _DAY // _MICROSECOND
    place = (value - first) // _MICROSECOND
    masked = permutation(key).move(place, size, b"moment\0%d" % value.year)
    return first + masked * _MICROSECOND


def _mask_uuid(value: UUID, key: bytes) -> UUID:
    digest = hmac.digest(key, value.bytes, "sha256")
    return UUID(bytes=digest[:16], version=value.version if value.version in range(1, 6) else None)


def _mask_bytes(value: bytes, key: bytes) -> bytes:
    return hashlib.shake_128(hmac.digest(key, value, "sha256")).digest(len(value))


_FUNCTIONS: dict[tuple[TypeKind, MaskMethod], _Keyed] = {
    (TypeKind.TEXT, MaskMethod.SHAPE): mask_text,
    (TypeKind.TEXT, MaskMethod.FIXED): lambda text, _: text,
    (TypeKind.INTEGER, MaskMethod.NUMBER): mask_number,
    (TypeKind.INTEGER, MaskMethod.SHAPE): mask_number,
    (TypeKind.NUMERIC, MaskMethod.NUMBER): _mask_decimal,
    (TypeKind.NUMERIC, MaskMethod.SHAPE): _mask_decimal,
    (TypeKind.FLOAT, MaskMethod.NUMBER): _mask_float,
    (TypeKind.DATE, MaskMethod.DAY): _mask_date,
    (TypeKind.TIMESTAMP, MaskMethod.DAY): _mask_moment,
    (TypeKind.TIMESTAMPTZ, MaskMethod.DAY): _mask_moment,
    (TypeKind.UUID, MaskMethod.SHAPE): _mask_uuid,
    (TypeKind.BINARY, MaskMethod.SHAPE): _mask_bytes,
}


def _has_substance(value: Any) -> bool:
    """Return whether a value has anything to hide: a text of dashes has not."""
    if isinstance(value, str):
        return has_alphabet(value)
    if isinstance(value, int | float | Decimal):
        return bool(value) and value == value  # noqa: PLR0124 - NaN stays NaN
    return bool(value)


# --- JSON --------------------------------------------------------------------------------------
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\*|\d+)\]")
_RAW = "\0raw:"
_RAW_DUMPED = re.compile(r'"\\u0000raw:([^"]*)"')


def _json_mask(mask: Mask, key: bytes) -> MaskFunction:
    """Return a function from JSON text to JSON text.

    Every leaf is masked by its path's class; leaves that no path names by the column's own.
    """
    rest = _leaf_mask(mask.method, _class_key(key, mask.mask_class), mask.value)
    paths = [
        (read_path(path), _leaf_mask(method, _class_key(key, name), value))
        for path, name, method, value in mask.json_paths
    ]

    def leaf(path: tuple[str, ...], value: Any) -> Any:
        for pattern, function in paths:
            if _fits(pattern, path):
                return function(value)
        return rest(value)

    def function(text: str) -> str:
        # Numbers with a point keep their digits: 1.10 must not become 1.1.
        document = json.loads(text, parse_float=lambda number: _RAW + number)
        dumped = json.dumps(_walk(document, (), leaf), ensure_ascii=False)
        return _RAW_DUMPED.sub(r"\1", dumped)

    return function


def read_path(path: str) -> tuple[str, ...]:
    """Return the steps of `$.contact.phones[*]`.

    Raises:
        ValueError: the path is written otherwise.
    """
    if not path.startswith("$"):
        raise ValueError(f"{path!r} does not begin with `$`")
    steps = tuple(name or f"[{index}]" for name, index in _STEP.findall(path[1:]))
    if _STEP.sub("", path[1:]):
        raise ValueError(f"{path!r} is not of the form `$.name.list[*]`")
    return steps


def _fits(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Return whether a path lies at or below a pattern."""
    return len(path) >= len(pattern) and all(
        step == found or (step == "[*]" and found.startswith("["))
        for step, found in zip(pattern, path, strict=False)
    )


def _walk(value: Any, path: tuple[str, ...], leaf: Callable[[tuple[str, ...], Any], Any]) -> Any:
    if isinstance(value, dict):
        return {name: _walk(item, (*path, name), leaf) for name, item in value.items()}
    if isinstance(value, list):
        return [_walk(item, (*path, f"[{index}]"), leaf) for index, item in enumerate(value)]
    return value if value is None or isinstance(value, bool) else leaf(path, value)


def _leaf_mask(method: MaskMethod, key: bytes, fixed: str | None) -> MaskFunction:
    def function(value: Any) -> Any:
        match method:
            case MaskMethod.KEEP:
                return value
            case MaskMethod.NULL:
                return None
            case MaskMethod.FIXED:
                return fixed
            case _:
                return _shaped(value)

    def _shaped(value: Any) -> Any:
        if isinstance(value, int):
            return mask_number(value, key)
        if value.startswith(_RAW):
            return _RAW + format(_mask_decimal(Decimal(value[len(_RAW) :]), key), "f")
        return mask_text(value, key)

    return function
