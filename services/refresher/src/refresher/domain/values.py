"""Bounds of windows as typed values that survive JSON.

A bound is a parameter of a statement, never a part of its text: formatted dates and numbers are
where incremental copies of other tools lose rows.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Scalar: TypeAlias = int | Decimal | date | datetime | str


class ValueType(StrEnum):
    """What a bound is."""

    INTEGER = "integer"
    NUMERIC = "numeric"
    DATE = "date"
    TIMESTAMP = "timestamp"
    """Without a time zone."""

    TIMESTAMPTZ = "timestamptz"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Value:
    """One bound: its type, and its text in ISO form."""

    type: ValueType
    text: str

    @classmethod
    def of(cls, value: Scalar) -> "Value":
        """Return the bound that `value` is."""
        match value:
            case datetime():
                kind = ValueType.TIMESTAMP if value.tzinfo is None else ValueType.TIMESTAMPTZ
                return cls(kind, value.isoformat())
            case date():
                return cls(ValueType.DATE, value.isoformat())
            case int():
                return cls(ValueType.INTEGER, str(value))
            case Decimal():
                return cls(ValueType.NUMERIC, str(value))
            case _:
                return cls(ValueType.TEXT, value)

    @property
    def scalar(self) -> Scalar:
        """The bound as Python has it."""
        match self.type:
            case ValueType.INTEGER:
                return int(self.text)
            case ValueType.NUMERIC:
                return Decimal(self.text)
            case ValueType.DATE:
                return date.fromisoformat(self.text)
            case ValueType.TIMESTAMP | ValueType.TIMESTAMPTZ:
                return datetime.fromisoformat(self.text)
            case ValueType.TEXT:
                return self.text

    def minus_rows(self, rows: int) -> "Value":
        """Return an identity bound so many numbers lower."""
        return Value(self.type, str(Decimal(self.text) - rows))

    def minus(self, span: timedelta) -> "Value":
        """Return a bound in time so much earlier."""
        scalar = self.scalar
        if not isinstance(scalar, date):
            raise TypeError(f"{self.type.value} is no time")
        return Value.of(scalar - span)

    def is_beyond(self, other: "Value") -> bool:
        """Return whether this bound lies above another one of the same column."""
        return compare(self, other) > 0

    def __str__(self) -> str:
        """Return the text that a plan shows."""
        return self.text


def compare(left: Value, right: Value) -> int:
    """Return -1, 0 or 1: how two bounds of one column stand to each other."""
    first, second = _comparable(left), _comparable(right)
    return (first > second) - (first < second)


def _comparable(value: Value) -> Decimal:
    scalar = value.scalar
    match scalar:
        case datetime():
            moment = scalar if scalar.tzinfo else scalar.replace(tzinfo=UTC)
            span = moment - datetime(1970, 1, 1, tzinfo=UTC)
            return Decimal(span.days * 86_400_000_000 + span.seconds * 1_000_000) + Decimal(
                span.microseconds
            )
        case date():
            return Decimal((scalar - date(1970, 1, 1)).days * 86_400_000_000)
        case int() | Decimal():
            return Decimal(scalar)
        case _:
            raise TypeError("text bounds have no order that both databases share")
