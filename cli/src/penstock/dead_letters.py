"""Looks up dead letters, and chooses those that a command is about."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from chassis.bus.raw_headers import pack, unpack
from chassis.dead_letters.model import Letter, LetterFilter, LetterGroup
from chassis.errors import PermanentError
from contracts.topics import TOPICS
from penstock.console_api import ConsoleApi, NotAllowedError, is_id

_LETTER = TypeAdapter(Letter)
_GROUPS = TypeAdapter(list[LetterGroup])


class LetterError(PermanentError):
    """There is no such letter, or nothing can be done with it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Open letters of one dead-letter topic: what one command is about."""

    topic: str
    consumer: str
    count: int
    letter_ids: tuple[UUID, ...] = ()
    """Empty where a filter chose them."""


def list_letters(api: ConsoleApi, wanted: LetterFilter, *, limit: int) -> list[Letter]:
    """Return the newest letters, without their messages."""
    lines = api.pages("/dead-letters", **_conditions(wanted), limit=limit)
    return [_letter(line) for line in lines]


def list_groups(api: ConsoleApi, wanted: LetterFilter) -> list[LetterGroup]:
    """Return letters by the reason for which they are there."""
    return _GROUPS.validate_python(
        [
            {
                **group,
                "count": group["letters"],
                "oldest_at": group["first_failed_at"],
                "newest_at": group["last_failed_at"],
            }
            for group in api.get("/letter-groups", **_conditions(wanted))
        ]
    )


def find_letter(api: ConsoleApi, name: str) -> tuple[Letter, bool]:
    """Return the letter that an id, or the beginning of one, means; and whether its message may be
    seen by whoever asks.

    Raises:
        LetterError: it means none, or several.
    """
    line = _resolve(api, name)
    headers = api.get(f"/dead-letters/{line['id']}")["headers"]
    try:
        message = api.get(f"/dead-letters/{line['id']}/message")
    except NotAllowedError:
        return _letter(line, headers), False
    return _letter(line, headers, message), True


def choose(api: ConsoleApi, wanted: LetterFilter, names: Sequence[str]) -> list[Chosen]:
    """Return the open letters that are meant, by the topic that a command has to name.

    Raises:
        LetterError: a letter that was named is not there, or is decided already.
    """
    if names:
        return _by_topic([_named(api, wanted, name) for name in names])
    counts: dict[tuple[str, str], int] = {}
    for group in list_groups(api, wanted):
        place = (group.topic, group.consumer)
        counts[place] = counts.get(place, 0) + group.count
    return [
        Chosen(_dead_letter_topic(topic, consumer), consumer, count)
        for (topic, consumer), count in sorted(counts.items())
    ]


def _named(api: ConsoleApi, wanted: LetterFilter, name: str) -> Letter | None:
    """Return the open letter that a name means; None where a filter passes it over."""
    letter = _letter(_resolve(api, name))
    if letter.status != "open":
        raise LetterError(
            f"letter {letter.id} was {letter.status} by {letter.decided_by} "
            f"at {letter.decided_at:%Y-%m-%d %H:%M:%S} UTC"
        )
    found = api.pages("/dead-letters", **_conditions(wanted), id=str(letter.id), limit=1)
    return letter if found else None


def _by_topic(letters: Sequence[Letter | None]) -> list[Chosen]:
    ids: dict[tuple[str, str], dict[UUID, None]] = {}
    for letter in letters:
        if letter is not None:
            ids.setdefault((letter.topic, letter.consumer), {})[letter.id] = None
    return [
        Chosen(_dead_letter_topic(topic, consumer), consumer, len(of_topic), tuple(of_topic))
        for (topic, consumer), of_topic in sorted(ids.items())
    ]


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


def _resolve(api: ConsoleApi, name: str) -> Mapping[str, Any]:
    found = (
        api.pages("/dead-letters", id=name.lower(), status="any", limit=2) if is_id(name) else []
    )
    if not found:
        raise LetterError(f"there is no dead letter {name}; it may be trimmed")
    if len(found) > 1:
        raise LetterError(f"several dead letters begin with {name}; write more of the id")
    line: Mapping[str, Any] = found[0]
    return line


def _conditions(wanted: LetterFilter) -> dict[str, Any]:
    return {
        "status": wanted.status or "any",
        "consumer": wanted.consumer,
        "topic": wanted.topic,
        "event_id": list(wanted.event_ids) or None,
        "category": wanted.category,
        "error_class": wanted.error_class,
        "failed_after": wanted.failed_after and wanted.failed_after.isoformat(),
        "failed_before": wanted.failed_before and wanted.failed_before.isoformat(),
        "drift_id": wanted.drift_id and str(wanted.drift_id),
    }


def _letter(
    line: Mapping[str, Any],
    headers: Mapping[str, Any] | None = None,
    message: Mapping[str, Any] | None = None,
) -> Letter:
    told = message or {"key": None, "value": None, "headers": []}
    return _LETTER.validate_python(
        {
            **line,
            "headers": headers or {},
            "key": _bytes(told["key"]),
            "value": _bytes(told["value"]),
            "original_headers": unpack({"base64": told["headers"]}),
        }
    )


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


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
