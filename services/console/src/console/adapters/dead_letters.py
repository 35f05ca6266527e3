"""Dead letters, in PostgreSQL."""

import json
import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chassis.db import Database
from console.domain.paging import PAGE_SIZE, Page, decode_cursor, encode_cursor
from console.ports.dead_letters import (
    BODY_BYTES,
    COUNTED,
    LetterBody,
    LetterDetail,
    LetterFilter,
    LetterGroup,
    LetterLine,
)

_GROUPS = 200
_MESSAGE = 300
_KEY_BYTES = 500
_HEX_BYTES = 2048

_LINE = """
id, service, consumer, topic, partition, "offset", category, error_class, message, event_id,
attempts, replays, size, failed_at, status, decided_at, decided_by
"""

_FITS = """
($1 = 'any' or status = $1)
and ($2 = '' or consumer = $2) and ($3 = '' or topic = $3) and ($4 = '' or category = $4)
and ($5 = '' or error_class = $5) and ($6 = '' or event_id = $6)
and ($7::uuid is null or drift_id = $7)
"""

_BY_REASON = f"""
select service, consumer, topic, category, error_class, count(*) as letters,
    min(failed_at) as first_failed_at, max(failed_at) as last_failed_at,
    -- The newest one's, without sorting: its time stands before it, in twenty characters.
    substr(max((to_char(failed_at, 'YYYYMMDDHH24MISSUS') || left(message, {_MESSAGE}))
        collate "C"), 21) as message
from meta.dead_letters where status = 'open'
group by service, consumer, topic, category, error_class
order by count(*) desc, max(failed_at) desc limit {_GROUPS}
"""  # noqa: S608 - the parts are constants of this module

_LIST = f"""
select {_LINE} from meta.dead_letters
where {_FITS} and ($8::timestamptz is null or (failed_at, id) < ($8, $9::uuid))
order by failed_at desc, id desc limit $10
"""  # noqa: S608 - as above

_COUNT = f"""
select count(*) from (select from meta.dead_letters where {_FITS} limit {COUNTED + 1}) few
"""  # noqa: S608 - as above

_CHOICES = """
select distinct consumer, topic, category, error_class from (
    select consumer, topic, category, error_class from meta.dead_letters
    order by failed_at desc limit 2000) recent
"""

_FIND = f"""
select {_LINE}, headers, chain, substring(key from 1 for {_KEY_BYTES}) as key, is_cut, drift_id,
    replay_of, run_id, decision_reason
from meta.dead_letters where id = $1
"""  # noqa: S608 - as above

_BODY = f"""
select substring(value from 1 for {BODY_BYTES}) as value, size from meta.dead_letters where id = $1
"""  # noqa: S608 - as above


class PostgresDeadLetters:
    """Rejected messages and what became of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self) -> Sequence[LetterGroup]:
        """Return open letters by reason and consumer, the most first."""
        async with self._database.connection() as connection:
            return [LetterGroup(**row) for row in await connection.fetch(_BY_REASON)]

    async def list(self, wanted: LetterFilter) -> Page[LetterLine]:
        """Return letters, the newest first."""
        place = _place(decode_cursor(wanted.cursor, parts=2))
        async with self._database.connection() as connection:
            rows = await connection.fetch(_LIST, *_conditions(wanted), *place, PAGE_SIZE + 1)
        items = [_line(row) for row in rows[:PAGE_SIZE]]
        if len(rows) <= PAGE_SIZE:
            return Page(items)
        last = items[-1]
        return Page(items, encode_cursor(last.failed_at.isoformat(), str(last.id)))

    async def count(self, wanted: LetterFilter) -> int:
        """Return how many letters fit, at most `COUNTED` + 1."""
        async with self._database.connection() as connection:
            found: int = await connection.fetchval(_COUNT, *_conditions(wanted))
        return found

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """Return consumers, topics and categories there are, for a filter."""
        async with self._database.connection() as connection:
            rows = await connection.fetch(_CHOICES)
        names = ("consumer", "topic", "category", "error_class")
        return {name: sorted({row[name] for row in rows}) for name in names}

    async def find(self, letter_id: uuid.UUID) -> LetterDetail | None:
        """Return a letter."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_FIND, letter_id)
        if row is None:
            return None
        facts = ("headers", "is_cut", "drift_id", "replay_of", "run_id", "decision_reason")
        return LetterDetail(
            line=_line(row),
            chain=row["chain"].split(" <- ") if row["chain"] else [],
            key=None if row["key"] is None else row["key"].decode("utf-8", "backslashreplace"),
            **{name: row[name] for name in facts},
        )

    async def body(self, letter_id: uuid.UUID) -> LetterBody | None:
        """Return a letter's body, cut to `BODY_BYTES`."""
        async with self._database.connection() as connection:
            row = await connection.fetchrow(_BODY, letter_id)
        return None if row is None else body_of(row["value"], row["size"])


def body_of(value: bytes | None, size: int) -> LetterBody:
    """Return the first bytes of a message in a form that people can read."""
    if not value:
        return LetterBody(text="", form="empty", shown_bytes=0, size=size)
    try:
        # A cut may go through a character.
        text = value.decode("utf-8", "strict" if len(value) >= size else "ignore")
        is_text = value[: len(text.encode())] == text.encode() and "\0" not in text
    except UnicodeDecodeError:
        is_text = False
    if not is_text:
        shown = value[:_HEX_BYTES]
        return LetterBody(text=shown.hex(" ", -2), form="binary", shown_bytes=len(shown), size=size)
    try:
        indented = json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return LetterBody(text=text, form="text", shown_bytes=len(value), size=size)
    return LetterBody(text=indented, form="json", shown_bytes=len(value), size=size)


def _conditions(wanted: LetterFilter) -> tuple[Any, ...]:
    return (
        wanted.status,
        wanted.consumer,
        wanted.topic,
        wanted.category,
        wanted.error_class,
        wanted.event_id,
        wanted.drift_id,
    )


def _place(place: tuple[str, ...] | None) -> tuple[datetime | None, uuid.UUID | None]:
    if place is None:
        return None, None
    try:
        return datetime.fromisoformat(place[0]), uuid.UUID(place[1])
    except ValueError:
        return None, None


def _line(row: Any) -> LetterLine:
    return LetterLine(**{name: row[name] for name in LetterLine.__slots__})
