"""Records out of the bodies of answers."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from chassis.http.errors import ApiBodyError
from scanner.domain.hashing import find
from scanner.domain.records import RawRecord
from scanner.settings.http import Body


def records_of(data: Any, form: Body) -> list[RawRecord]:
    """Return the records of a parsed answer.

    Raises:
        ApiBodyError: the answer does not look as configured; nothing is concluded from it.
    """
    if form.format == "csv":
        return _csv_records(data, form)
    found = find(data, form.record_path) if form.record_path else data
    if isinstance(found, Mapping):
        found = [found] if found else []
    if found is None and _is_empty(data):
        return []
    if not isinstance(found, Sequence) or isinstance(found, str):
        raise ApiBodyError(f"there is no list of records in {form.record_path or 'the body'!r}")
    if strange := next((item for item in found if not isinstance(item, Mapping)), None):
        raise ApiBodyError(f"a record is a {type(strange).__name__}, not an object")
    inherited = {name: find(data, path) for name, path in form.inherit.items()}
    return [{**inherited, **item} for item in found] if inherited else list(found)


def total_of(data: Any, form: Body) -> int | None:
    """Return how many records the answer says there are."""
    found = find(data, form.total_path) if form.total_path else None
    return found if isinstance(found, int) and found >= 0 else None


def _is_empty(data: Any) -> bool:
    """`{}` and `null` are how some APIs say that there is nothing."""
    return data is None or (isinstance(data, Mapping) and not data)


def _csv_records(text: str, form: Body) -> list[RawRecord]:
    reader = csv.DictReader(io.StringIO(text), delimiter=form.delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise ApiBodyError("the body is not readable CSV") from error
    if missing := [name for name in form.numbers if name not in (reader.fieldnames or ())]:
        raise ApiBodyError(f"the CSV lacks the columns {', '.join(missing)}")
    if any(None in row or None in row.values() for row in rows):
        raise ApiBodyError("a row of the CSV has not as many fields as its header")
    return [{**row, **{name: _number(row[name]) for name in form.numbers}} for row in rows]


def _number(text: str) -> int | float | str | None:
    if not text.strip():
        return None
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
