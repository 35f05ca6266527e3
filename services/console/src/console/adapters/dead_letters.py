"""Dead letters, in PostgreSQL."""

import base64
import json
import uuid
from collections.abc import Mapping, Sequence

from chassis.bus.raw_headers import pack
from chassis.db import Connection, Database
from chassis.dead_letters.letters import WHERE, find_letters, get_letter, group_letters
from chassis.dead_letters.model import Letter
from chassis.dead_letters.model import LetterFilter as Conditions
from chassis.dead_letters.model import LetterGroup as Group
from console.domain.paging import PAGE_SIZE, Page, decode_moment, id_range, page_of
from console.domain.values import cut
from console.ports.dead_letters import (
    BODY_BYTES,
    COUNTED,
    LetterBody,
    LetterDetail,
    LetterFilter,
    LetterGroup,
    LetterLine,
    LetterMessage,
)

_MESSAGE = 300
_KEY_BYTES = 500
_HEX_BYTES = 2048

_COUNT = f"""
select count(*) from (select from meta.dead_letters where {WHERE} limit {COUNTED + 1}) few
"""  # noqa: S608 - the parts are constants

_CHOICES = """
select distinct consumer, topic, category, error_class from (
    select consumer, topic, category, error_class from meta.dead_letters
    order by failed_at desc limit 2000) recent
"""

_BEGIN_SO = "select id from meta.dead_letters where id between $1 and $2 limit 1000"

_BODY = f"""
select substring(value from 1 for {BODY_BYTES}) as value, size from meta.dead_letters where id = $1
"""  # noqa: S608 - as above


class PostgresDeadLetters:
    """Rejected messages and what became of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def groups(self, wanted: LetterFilter) -> Sequence[LetterGroup]:
        """Return letters by reason and consumer, the most first."""
        async with self._database.connection() as connection:
            conditions = await _conditions(connection, wanted)
            found = await group_letters(connection, conditions) if conditions else []
        return [_group(group) for group in found]

    async def list(self, wanted: LetterFilter) -> Page[LetterLine]:
        """Return letters, the newest first."""
        place = decode_moment(wanted.cursor)
        async with self._database.connection() as connection:
            conditions = await _conditions(connection, wanted)
            if conditions is None:
                return Page([])
            found = await find_letters(connection, conditions, limit=PAGE_SIZE + 1, before=place)
        return page_of(
            [_line(letter) for letter in found], lambda letter: (letter.failed_at, letter.id)
        )

    async def count(self, wanted: LetterFilter) -> int:
        """Return how many letters fit, at most `COUNTED` + 1."""
        async with self._database.connection() as connection:
            conditions = await _conditions(connection, wanted)
            if conditions is None:
                return 0
            found: int = await connection.fetchval(_COUNT, *conditions.arguments())
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
            letter = await get_letter(connection, letter_id)
        if letter is None:
            return None
        key = None if letter.key is None else letter.key[:_KEY_BYTES]
        return LetterDetail(
            line=_line(letter),
            headers=letter.headers,
            key=None if key is None else key.decode("utf-8", "backslashreplace"),
        )

    async def message(self, letter_id: uuid.UUID) -> LetterMessage | None:
        """Return a letter's message as it came in."""
        async with self._database.connection() as connection:
            letter = await get_letter(connection, letter_id)
        if letter is None:
            return None
        return LetterMessage(
            key=_base64(letter.key),
            value=_base64(letter.value),
            headers=pack(letter.original_headers)["base64"],
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


async def _conditions(connection: Connection, wanted: LetterFilter) -> Conditions | None:
    """Return what a filter means; None where no letter can fit."""
    ids: Sequence[uuid.UUID] = ()
    if wanted.id:
        rows = await connection.fetch(_BEGIN_SO, *id_range(wanted.id))
        if not rows:
            return None
        ids = [row["id"] for row in rows]
    return Conditions(
        consumer=wanted.consumer or None,
        topic=wanted.topic or None,
        status=None if wanted.status == "any" else wanted.status,
        letter_ids=ids,
        event_ids=wanted.event_id,
        category=wanted.category or None,
        error_class=wanted.error_class or None,
        failed_after=wanted.failed_after,
        failed_before=wanted.failed_before,
        drift_id=wanted.drift_id,
    )


def _group(group: Group) -> LetterGroup:
    return LetterGroup(
        consumer=group.consumer,
        topic=group.topic,
        category=group.category,
        error_class=group.error_class,
        letters=group.count,
        first_failed_at=group.oldest_at,
        last_failed_at=group.newest_at,
        message=cut(group.message, _MESSAGE),
    )


def _line(letter: Letter) -> LetterLine:
    return LetterLine(**{name: getattr(letter, name) for name in LetterLine.__slots__})


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
