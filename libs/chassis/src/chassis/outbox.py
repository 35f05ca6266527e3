"""Events on their way out: written in the transaction of their cause, relayed by
`chassis.bus.relay`.

An event's `sequence` is its outbox id, drawn at the end of the transaction while the producer
still holds the row lock of the key, so the order of sequences per key is the order of commits.
"""

import os
import struct
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import orjson

from chassis.bus.drafts import Draft, DraftEncoder, check, render
from chassis.bus.raw_headers import RawHeaders, pack
from chassis.clock import Clock, SystemClock
from chassis.errors import PermanentError
from chassis.tracing import publishing
from contracts.dead_letters import TRUNCATED_FROM
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.topics import MAX_MESSAGE_BYTES, Topic
from contracts.types import Message

NOTIFY_CHANNEL = "penstock_outbox"

_BATCH_OVERHEAD = 256
"""What Kafka's limit counts beside key, value and header texts: the batch's and the record's own
fields."""

_HEADER_OVERHEAD = 8
"""What the lengths of a header's name and value take."""

MAX_KEY_BYTES = 8 * 1024
"""A dead letter's key is cut to so much."""


_COLUMNS = ("service", "id", "topic", "key", "value", "headers")
_COPY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_COPY_END = b"\xff\xff"
_FIELD_COUNT = struct.pack("!h", len(_COLUMNS))
_ID = struct.Struct("!iq")
_ID_BYTES = 8
_LENGTH = struct.Struct("!i")
_NULL = _LENGTH.pack(-1)
_JSONB_VERSION = b"\x01"
_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class _Connection(Protocol):
    async def fetchval(self, query: str, *args: Any) -> Any: ...

    async def execute(self, query: str, *args: Any) -> str: ...

    async def copy_to_table(
        self,
        table_name: str,
        *,
        source: Any,
        columns: Any,
        schema_name: str,
        format: Any,  # noqa: A002 - the driver's name
    ) -> str: ...


class _Row(NamedTuple):
    """A message as it is stored."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: bytes


class Outbox:
    """Collects the events of one transaction."""

    def __init__(self, service: str, clock: Clock | None = None) -> None:
        self._service = service
        self._source = f"/{service}"
        self._clock = clock or SystemClock()
        self._pending: list[Draft | _Row] = []

    def add(
        self,
        topic: Topic,
        data: Message,
        *,
        cause: Event[Any] | None,
        event_id: str | None,
        correlation_id: str | None = None,
    ) -> None:
        """Queue an event."""
        ids = None if event_id is None else [event_id]
        self.add_all(topic, [data], causes=[cause], event_ids=ids, correlation_id=correlation_id)

    def add_all(
        self,
        topic: Topic,
        data: Sequence[Message],
        *,
        causes: Iterable[Event[Any] | None],
        event_ids: Sequence[str] | None,
        correlation_id: str | None = None,
    ) -> None:
        """Queue events of one topic and one time."""
        keys = [topic.key(item) for item in data]
        self.add_rendered(
            topic,
            keys,
            map(render, data),
            causes=causes,
            event_ids=event_ids,
            correlation_id=correlation_id,
        )

    def add_rendered(
        self,
        topic: Topic,
        keys: Sequence[str],
        data: Iterable[bytes],
        *,
        causes: Iterable[Event[Any] | None],
        event_ids: Sequence[str] | None = None,
        correlation_id: str | None = None,
    ) -> None:
        """Queue the same, given what `topic.key` and the model make of the data."""
        ids = _new_ids(len(keys)) if event_ids is None else event_ids
        now = self._clock.now()
        self._pending.extend(
            Draft(
                topic,
                self._source,
                event_id,
                now,
                key,
                _lineage(cause) or correlation_id or event_id,
                cause.id if cause else None,
                publishing(topic.name, cause.traceparent if cause else None),
                content,
            )
            for key, content, event_id, cause in zip(keys, data, ids, causes, strict=True)
        )

    def add_raw(self, topic: str, key: bytes, *, value: bytes, headers: dict[str, str]) -> None:
        """Queue a message as it is.

        What no topic takes is cut, and its size noted: a dead letter that can never be published
        would block the relay for ever.
        """
        if len(value) > MAX_MESSAGE_BYTES or len(key) > MAX_KEY_BYTES:
            headers = headers | {TRUNCATED_FROM: str(len(value))}
            key, value = key[:MAX_KEY_BYTES], value[:MAX_MESSAGE_BYTES]
        self._pending.append(_Row(topic, key, value, orjson.dumps(headers)))

    def add_again(
        self, topic: Topic, key: bytes | None, *, value: bytes | None, headers: RawHeaders
    ) -> None:
        """Queue a message as it once came in, byte by byte.

        Raises:
            PermanentError: the topic does not take it; the relay could only try for ever.
        """
        size = record_bytes(key, value, headers)
        if size > topic.max_record_bytes:
            raise PermanentError(
                f"with its headers the message has {size} bytes; `{topic.name}` takes "
                f"{topic.max_record_bytes}",
                category=ErrorCategory.MESSAGE_TOO_LARGE,
            )
        self._pending.append(_Row(topic.name, key, value, orjson.dumps(pack(headers))))

    async def flush(self, connection: _Connection) -> None:
        """Draw the sequences and write what is queued.

        Raises:
            PermanentError: an event is larger than its topic allows; the transaction must fail.
        """
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        check(item for item in pending if isinstance(item, Draft))
        drawn = await connection.fetchval(
            "select array(select nextval('meta.outbox_id_seq') from generate_series(1, $1))",
            len(pending),
        )
        # Sorted, because a set-returning function promises no order.
        ids = sorted(drawn)
        rows = _as_copy(self._service, zip(ids, pending, strict=True))
        await connection.copy_to_table(
            "outbox",
            source=_once(rows),
            columns=_COLUMNS,
            schema_name="meta",
            format="binary",
        )
        await connection.execute("select pg_notify($1, $2)", NOTIFY_CHANNEL, self._service)


async def _once(content: bytes) -> AsyncGenerator[bytes]:
    yield content


def _as_copy(service: str, messages: Iterable[tuple[int, Draft | _Row]]) -> bytes:
    """Return messages as COPY reads them in its binary format."""
    encoder, length = DraftEncoder(), _LENGTH.pack
    start = _FIELD_COUNT + _field(service)
    topics: dict[str, bytes] = {}
    parts = [_COPY_HEADER]
    for id_, message in messages:
        row = _encode(encoder, message, id_) if isinstance(message, Draft) else message
        topic, key, value, headers = row
        parts += (
            start,
            _ID.pack(_ID_BYTES, id_),
            topics.get(topic) or topics.setdefault(topic, _field(topic)),
            _NULL if key is None else length(len(key)),
            key or b"",
            _NULL if value is None else length(len(value)),
            value or b"",
            length(len(_JSONB_VERSION) + len(headers)),
            _JSONB_VERSION,
            headers,
        )
    parts.append(_COPY_END)
    return b"".join(parts)


def _field(text: str) -> bytes:
    content = text.encode()
    return _LENGTH.pack(len(content)) + content


def record_bytes(key: bytes | None, value: bytes | None, headers: RawHeaders) -> int:
    """Return what Kafka counts of a message that is sent alone."""
    size = _BATCH_OVERHEAD + len(key or b"") + len(value or b"")
    return size + sum(
        _HEADER_OVERHEAD + len(name.encode("utf-8", "surrogatepass")) + len(text or b"")
        for name, text in headers
    )


def _encode(encoder: DraftEncoder, event: Draft, sequence: int) -> _Row:
    topic, key = event.declared, event.subject.encode()
    value, headers, header_bytes = encoder.encode(event, sequence)
    size = len(value) + len(key) + header_bytes + _BATCH_OVERHEAD
    if size > topic.max_message_bytes:
        # Refused here, in the cause's transaction; in the relay nobody could act on it any more.
        raise PermanentError(
            f"an event for `{topic.name}` has {size} bytes, the limit is "
            f"{topic.max_message_bytes}; large bodies travel by reference",
            category=ErrorCategory.MESSAGE_TOO_LARGE,
        )
    return _Row(topic.name, key, value, headers)


def _new_ids(count: int) -> list[str]:
    """Return random UUIDs of version 4; asked for one by one they cost several times as much."""
    digits = os.urandom(16 * count).hex()
    return [
        f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANTS[text[16]]}{text[17:20]}-{text[20:]}"
        for text in (digits[start : start + 32] for start in range(0, len(digits), 32))
    ]


def _lineage(cause: Event[Any] | None) -> str | None:
    return None if cause is None else cause.correlationid or cause.id
