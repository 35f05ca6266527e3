"""How values look: the filters of the templates."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from console.domain.values import shown
from console.ports.entities import VALUE_CHARACTERS
from console.ports.overview import COUNT_LIMIT

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_KIB = 1024

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""


def utc(moment: datetime | None, *, seconds: bool = True) -> str:
    """Return a moment as UTC text."""
    if moment is None:
        return NOTHING
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M" + (":%S" if seconds else ""))


def iso(moment: datetime) -> str:
    """Return a moment for the `datetime` attribute."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def duration(value: float | timedelta | None) -> str:
    """Return a span in its two largest units: `1 h 05 min`."""
    if value is None:
        return NOTHING
    seconds = value.total_seconds() if isinstance(value, timedelta) else float(value)
    if seconds < 1:
        return f"{max(0, seconds * 1000):.0f} ms"
    return _short(seconds) if seconds < _MINUTE else _long(round(seconds))


def _short(seconds: float) -> str:
    # Below ten, tenths say something.
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004


def _long(seconds: int) -> str:
    if seconds < _HOUR:
        return f"{seconds // _MINUTE} min {seconds % _MINUTE:02} s"
    if seconds < _DAY:
        return f"{seconds // _HOUR} h {seconds % _HOUR // _MINUTE:02} min"
    return f"{seconds // _DAY} d {seconds % _DAY // _HOUR} h"


def rough(seconds: float) -> str:
    """Return a span as one says it in passing: `20 min`, `3 d`."""
    if seconds < _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f} min"
    return _long(round(seconds)) if seconds < _DAY else f"{seconds // _DAY:.0f} d"


def number(value: float | None) -> str:
    """Return a count with thin spaces between thousands."""
    if value is None:
        return NOTHING
    text = f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}")


def size(value: float | None) -> str:
    """Return a size in bytes with a binary unit."""
    if value is None:
        return NOTHING
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < _KIB:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= _KIB
    return f"{value:.1f} TiB"


def pretty(value: Any) -> str:
    """Return a value as indented JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False, default=str)


def sentence(value: str) -> str:
    """Return an enumerated word as people write it: `completed-with-errors`."""
    return value.replace("-", " ").replace("_", " ")


def at_most(value: int) -> str:
    """Return a count that stopped at the limit as such: `10 000+`."""
    return number(value) + ("+" if value >= COUNT_LIMIT else "")


def compact(value: Any) -> str:
    """Return a value as JSON in one line."""
    return json.dumps(value, ensure_ascii=False, default=str)


def value(told: Any) -> str | None:
    """Return a value of a record as text that a page bears; None stays None."""
    return shown(told, VALUE_CHARACTERS)


def pair(value: str) -> tuple[str, str]:
    """Return a choice whose text is its value."""
    return value, value


FILTERS: Mapping[str, Callable[..., Any]] = {
    "utc": utc,
    "iso": iso,
    "duration": duration,
    "number": number,
    "size": size,
    "pretty": pretty,
    "sentence": sentence,
    "pair": pair,
    "at_most": at_most,
    "compact": compact,
    "value": value,
}
