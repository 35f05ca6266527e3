"""Values of databases and directories in the forms that JSON has."""

import base64
import math
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any

from scanner.domain.cursors import render_time


def as_json(value: Any) -> Any:
    """Return a value as JSON can carry it, without loss: decimals and large integers as text."""
    found: Any
    match value:
        case None | bool() | str():
            found = value
        case int():
            found = value if -(2**63) <= value < 2**63 else str(value)
        case float():
            found = value if math.isfinite(value) else str(value)
        case bytes() | bytearray() | memoryview():
            found = base64.b64encode(value).decode("ascii")
        case Mapping():
            found = {str(name): as_json(item) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            found = [as_json(item) for item in value]
        case _:
            found = _as_text(value)
    return found


def _as_text(value: object) -> str:
    match value:
        case datetime():
            return render_time(value) if value.tzinfo else value.isoformat()
        case date() | time():
            return value.isoformat()
        case timedelta():
            return f"{value.total_seconds():.6f}"
        case _:
            return str(value)
