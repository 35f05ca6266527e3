"""Masks: personal values become others of the same type, length and shape, in flight.

A mask depends on the key, the class and the value, and on nothing else: the same address is masked
alike in every table and in every refresh, so joins survive. Different values of one shape get
different masks (docs/decisions/0017).
"""

import hashlib
import hmac
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias
from uuid import UUID

import numpy as np

from refresher.domain.catalog import TypeKind
from refresher.domain.columns import mask_uuids
from refresher.domain.config import MaskMethod
from refresher.domain.permutation import permutation
from refresher.domain.plan import Mask
from refresher.domain.shapes import mask_text, text_mask
from refresher.domain.verification import MaskProof

MaskFunction: TypeAlias = Callable[[Any], Any]
_Keyed: TypeAlias = Callable[[Any, bytes], Any]
_Many: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]

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
        self.mask = mask
        self.key = class_key(key, mask.mask_class)
        """Of the class; adapters mask whole columns with it."""

        self._function = _many_mask(mask, key)
        self._may_repeat = mask.method in (MaskMethod.FIXED, MaskMethod.NULL)
        self.counts = [0] * len(Outcome)
        """Values so far, by outcome; an adapter that masks by itself counts here."""

    def __call__(self, value: Any) -> Any:
        """Return the mask of a value, and count it."""
        return self.many([value])[0]

    def many(self, values: Sequence[Any]) -> list[Any]:
        """Return the masks of values, and count them."""
        found = self.apply(values)
        for _, outcome in found:
            self.counts[outcome] += 1
        return [masked for masked, _ in found]

    def apply(self, values: Sequence[Any]) -> list[tuple[Any, Outcome]]:
        """Return the masks of values and what became of each, without counting."""
        masks = iter(self._function([value for value in values if value is not None]))
        return [
            (None, Outcome.EMPTY) if value is None else self._judge(value, next(masks))
            for value in values
        ]

    def _judge(self, value: Any, masked: Any) -> tuple[Any, Outcome]:
        if masked != value or self._may_repeat:
            return masked, Outcome.MASKED
        return masked, Outcome.UNCHANGED if self._has_substance(value) else Outcome.EMPTY

    def _has_substance(self, value: Any) -> bool:
        """Return whether a value has anything to hide: a text of dashes has not."""
        if isinstance(value, str):
            return text_mask(self.key).has_alphabet(value)
        if isinstance(value, int | float | Decimal):
            return bool(value) and value == value  # noqa: PLR0124 - NaN stays NaN
        return bool(value)

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
    many = _many_mask(mask, key)
    return lambda value: many([value])[0]


def _many_mask(mask: Mask, key: bytes) -> _Many:
    """Return the function that masks many values of a column, None not among them."""
    if mask.kind is TypeKind.JSON:
        return _Documents(mask, key).mask
    one = class_key(key, mask.mask_class)
    if (mask.kind, mask.method) == (TypeKind.TEXT, MaskMethod.SHAPE):
        return lambda texts: text_mask(one).mask_texts(texts)
    function = _scalar_mask(
        mask.kind, mask.method, key=one, value=mask.value, largest=largest_of(mask)
    )
    return lambda values: [function(value) for value in values]


def largest_of(mask: Mask) -> int:
    """Return the largest number that a column takes."""
    return _LARGEST.get(mask.type, _BIGGEST)


def supports(kind: TypeKind, method: MaskMethod) -> bool:
    """Return whether a method can mask a kind of column; the planner refuses the rest."""
    if method in (MaskMethod.KEEP, MaskMethod.NULL):
        return True
    return (kind, method) in _FUNCTIONS or (kind is TypeKind.JSON and method is not MaskMethod.DAY)


def class_key(key: bytes, mask_class: str) -> bytes:
    """Return the key of a class: equal values of different classes get different masks."""
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
    row = np.frombuffer(value.bytes, np.uint8).reshape(1, -1)
    return UUID(bytes=mask_uuids(row, key).tobytes())


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


# --- JSON --------------------------------------------------------------------------------------
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\*|\d+)\]")
_RAW = "\0raw:"
_RAW_DUMPED = re.compile(r'"\\u0000raw:([^"]*)"')


class _Documents:
    """Masks JSON texts leaf by leaf.

    Every leaf is masked by its path's class; leaves that no path names by the column's own. Texts
    wait until all of them are known, because many are masked in little more time than one.
    """

    def __init__(self, mask: Mask, key: bytes) -> None:
        self._rest = _LeafMask(mask.method, class_key(key, mask.mask_class), mask.value)
        self._paths = [
            (read_path(path), _LeafMask(method, class_key(key, name), value))
            for path, name, method, value in mask.json_paths
        ]

    def mask(self, texts: Sequence[str]) -> list[str]:
        """Return the masked texts."""
        # Numbers with a point keep their digits: 1.10 must not become 1.1.
        documents = [json.loads(text, parse_float=lambda number: _RAW + number) for text in texts]
        waiting: dict[_LeafMask, list[str]] = defaultdict(list)

        def gather(path: tuple[str, ...], value: Any) -> None:
            leaf = self._leaf(path)
            if leaf.shapes(value):
                waiting[leaf].append(value)

        for document in documents:
            _walk(document, (), gather)
        ready = {
            leaf: iter(text_mask(leaf.key).mask_texts(values)) for leaf, values in waiting.items()
        }
        return [self._written(document, ready) for document in documents]

    def _written(self, document: Any, ready: Mapping["_LeafMask", Iterator[str]]) -> str:
        def put(path: tuple[str, ...], value: Any) -> Any:
            leaf = self._leaf(path)
            return next(ready[leaf]) if leaf.shapes(value) else leaf.other(value)

        return _RAW_DUMPED.sub(r"\1", json.dumps(_walk(document, (), put), ensure_ascii=False))

    def _leaf(self, path: tuple[str, ...]) -> "_LeafMask":
        return next((leaf for pattern, leaf in self._paths if _fits(pattern, path)), self._rest)


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


@dataclass(frozen=True, slots=True)
class _LeafMask:
    """What becomes of the leaves of one class."""

    method: MaskMethod
    key: bytes
    fixed: str | None

    def shapes(self, value: Any) -> bool:
        """Return whether a leaf is a text that gets another of its shape."""
        is_other = self.method in (MaskMethod.KEEP, MaskMethod.NULL, MaskMethod.FIXED)
        return not is_other and isinstance(value, str) and not value.startswith(_RAW)

    def other(self, value: Any) -> Any:
        """Return the mask of any other leaf."""
        match self.method:
            case MaskMethod.KEEP:
                return value
            case MaskMethod.NULL:
                return None
            case MaskMethod.FIXED:
                return self.fixed
            case _ if isinstance(value, int):
                return mask_number(value, self.key)
            case _:
                number = _mask_decimal(Decimal(value[len(_RAW) :]), self.key)
                return _RAW + format(number, "f")
