"""Cursors of record sources: how far everything was told, and what is asked for again below that.

A cursor is the source's own mark, never our clock at the end of a run: rows that changed while the
run was reading would be skipped (C-11).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum


class CursorKind(StrEnum):
    """What a source's marks are."""

    TIMESTAMP = "timestamp"
    INTEGER = "integer"
    """A row version, an update sequence number."""


@dataclass(frozen=True, slots=True)
class Overlap:
    """How much is read again below a mark."""

    kind: CursorKind
    span: timedelta = timedelta(0)
    count: int = 0

    def below(self, mark: str) -> str:
        """Return the cursor from which to ask, given the mark of the last success."""
        if self.kind is CursorKind.INTEGER:
            return str(max(0, int(mark) - self.count))
        return render_time(parse_time(mark) - self.span)


def render_time(moment: datetime) -> str:
    """Return a time as cursors are written: RFC 3339 in UTC with microseconds."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def parse_time(mark: str) -> datetime:
    """Return the time that a mark stands for; one without a zone is taken as UTC."""
    moment = datetime.fromisoformat(mark)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def is_mark(kind: CursorKind, mark: str) -> bool:
    """Return whether a text can be a mark of that kind."""
    try:
        if kind is CursorKind.INTEGER:
            return int(mark) >= 0
        parse_time(mark)
    except ValueError:
        return False
    return True


def highest(kind: CursorKind, marks: Iterable[str | None]) -> str | None:
    """Return the highest of several marks, as it was written; None if there is none."""
    found = [mark for mark in marks if mark is not None and is_mark(kind, mark)]
    if kind is CursorKind.INTEGER:
        return max(found, key=int, default=None)
    return max(found, key=parse_time, default=None)
