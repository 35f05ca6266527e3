"""Values of records as short texts."""

import json
from typing import Any


def shown(value: Any, longest: int, *, indent: int | None = None) -> str | None:
    """Return a value as text: texts as they are, the rest as JSON; None stays None."""
    if value is None:
        return None
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str, indent=indent)
    )
    return cut(text, longest)


def cut(text: str, longest: int) -> str:
    """Return a text that is no longer than that."""
    return text if len(text) <= longest else text[: longest - 1] + "…"
