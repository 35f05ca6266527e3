"""Puts values into the requests that the configuration describes."""

from collections.abc import Mapping
from datetime import date
from urllib.parse import quote

from scanner.domain.cursors import parse_time
from scanner.settings.http import ITEM, Call, DayRange, SinceParameter


def filled(call: Call, item: str) -> Call:
    """Return a call for one item."""
    params = {name: text.replace(ITEM, item) for name, text in call.params.items()}
    # An item is a text of somebody else's: it must not lead to another path.
    path = call.path.replace(ITEM, quote(item, safe=""))
    return call.model_copy(update={"path": path, "params": params})


def since_text(since: SinceParameter, cursor: str) -> str:
    """Return a cursor as the source wants it."""
    if since.format == "date":
        return parse_time(cursor).date().isoformat()
    return cursor


def day_params(days: DayRange | None, *, first: date | None, today: date) -> Mapping[str, str]:
    """Return the parameters that ask for a range of days; all of them without `first`."""
    if days is None:
        return {}
    begin = max(days.start, first) if first else days.start
    end = days.today or today
    return {days.from_param: begin.isoformat(), days.to_param: end.isoformat()}
