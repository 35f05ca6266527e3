"""Looks up dead letters, and what became of their replays."""

import base64
import contextlib
import uuid
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from chassis.bus.raw_headers import pack
from chassis.db import Connection, Database
from chassis.dead_letters.letters import (
    Letter,
    LetterFilter,
    LetterGroup,
    find_letters,
    get_letter,
    group_letters,
)
from chassis.errors import PermanentError
from chassis.settings import DatabaseSettings
from contracts.topics import TOPICS

_SERVICE = "penstock"


class LetterError(PermanentError):
    """There is no such letter, or nothing can be done with it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Open letters of one dead-letter topic: what one command is about."""

    topic: str
    consumer: str
    count: int
    letter_ids: tuple[uuid.UUID, ...] = ()
    """Empty where a filter chose them."""


@contextlib.asynccontextmanager
async def reading_letters(settings: DatabaseSettings) -> AsyncGenerator[Connection]:
    """Open a connection that understands the table.

    Raises:
        TransientError: the database does not answer.
    """
    database = await Database.open(settings, _SERVICE)
    try:
        async with database.connection() as connection:
            yield connection
    finally:
        await database.close()


async def list_letters(
    settings: DatabaseSettings, wanted: LetterFilter, *, limit: int
) -> list[Letter]:
    """Return the newest letters."""
    async with reading_letters(settings) as connection:
        return await find_letters(connection, wanted, limit=limit)


async def list_groups(settings: DatabaseSettings, wanted: LetterFilter) -> list[LetterGroup]:
    """Return letters by the reason for which they are there."""
    async with reading_letters(settings) as connection:
        return await group_letters(connection, wanted)


async def find_letter(settings: DatabaseSettings, name: str) -> Letter:
    """Return the letter that an id, or the beginning of one, means.

    Raises:
        LetterError: it means none, or several.
    """
    async with reading_letters(settings) as connection:
        return await _resolve(connection, name)


async def choose(
    settings: DatabaseSettings, wanted: LetterFilter, names: Sequence[str]
) -> list[Chosen]:
    """Return the open letters that are meant, by the topic that a command has to name.

    Raises:
        LetterError: a letter that was named is not there, or is decided already.
    """
    async with reading_letters(settings) as connection:
        letters = [await _resolve(connection, name) for name in names]
        for letter in letters:
            if letter.status != "open":
                raise LetterError(
                    f"letter {letter.id} was {letter.status} by {letter.decided_by} "
                    f"at {letter.decided_at:%Y-%m-%d %H:%M:%S} UTC"
                )
        ids = tuple(letter.id for letter in letters)
        groups = await group_letters(connection, replace(wanted, letter_ids=ids))
    counts: dict[tuple[str, str], int] = {}
    for group in groups:
        place = (group.topic, group.consumer)
        counts[place] = counts.get(place, 0) + group.count
    return [
        Chosen(
            _dead_letter_topic(topic, consumer),
            consumer,
            count,
            tuple(item.id for item in letters if (item.topic, item.consumer) == (topic, consumer)),
        )
        for (topic, consumer), count in sorted(counts.items())
    ]


async def refusals(settings: DatabaseSettings, run_id: str, *, limit: int) -> list[tuple[str, str]]:
    """Return the letters that a run refused to replay, and why."""
    async with reading_letters(settings) as connection:
        rows = await connection.fetch(
            "select external_id, message from meta.record_errors "
            "where run_id = $1::text::uuid order by id limit $2",
            run_id,
            limit,
        )
    return [(row["external_id"], row["message"]) for row in rows]


def as_json(letter: Letter, *, is_whole: bool = False) -> dict[str, Any]:
    """Return a letter for programs; its bytes only where the whole is asked for."""
    left_out = {"key", "value", "original_headers"} | (set() if is_whole else {"headers"})
    fields = {name: getattr(letter, name) for name in Letter.__slots__ if name not in left_out}
    if not is_whole:
        return fields
    return fields | {
        "key_text": _text(letter.key),
        "key_base64": _base64(letter.key),
        "value_text": _text(letter.value),
        "value_base64": _base64(letter.value),
        "original_headers_base64": pack(letter.original_headers)["base64"],
    }


async def _resolve(connection: Connection, name: str) -> Letter:
    rows = await connection.fetch(
        "select id from meta.dead_letters where starts_with(id::text, $1) limit 2", name.lower()
    )
    if not rows:
        raise LetterError(f"there is no dead letter {name}; it may be trimmed")
    if len(rows) > 1:
        raise LetterError(f"several dead letters begin with {name}; write more of the id")
    letter = await get_letter(connection, rows[0]["id"])
    if letter is None:
        raise LetterError(f"there is no dead letter {name} any more")
    return letter


def _dead_letter_topic(origin: str, consumer: str) -> str:
    for topic in TOPICS:
        if topic.name == origin:
            return topic.dead_letters_of(consumer)
    raise LetterError(f"this version knows no topic `{origin}`")


def _text(data: bytes | None) -> str | None:
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
