"""Events on their way out: written in the transaction of their cause, relayed by
`chassis.bus.relay`.

An event's `sequence` is its outbox id, drawn at the end of the transaction while the producer
still holds the row lock of the key, so the order of sequences per key is the order of commits.
"""

import uuid
from dataclasses import dataclass
from typing import Any, Protocol

from chassis.bus.codec import encode_event
from chassis.bus.raw_headers import PackedHeaders, RawHeaders, pack
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


class _Executor(Protocol):
    async def fetch(self, query: str, *args: Any) -> list[Any]: ...

    async def execute(self, query: str, *args: Any) -> str: ...


@dataclass(frozen=True, slots=True)
class _Pending:
    topic: str
    key: bytes | None
    event: Event[Any] | None
    value: bytes | None
    headers: dict[str, str] | PackedHeaders
    declared: Topic | None = None


class Outbox:
    """Collects the events of one transaction."""

    def __init__(self, service: str, clock: Clock | None = None) -> None:
        self._service = service
        self._clock = clock or SystemClock()
        self._pending: list[_Pending] = []

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
        event_id = event_id or str(uuid.uuid4())
        key = topic.key(data)
        event: Event[Any] = Event(
            id=event_id,
            type=topic.name,
            source=f"/{self._service}",
            time=self._clock.now(),
            subject=key,
            dataschema=f"{topic.name}.json",
            correlationid=_lineage(cause) or correlation_id or event_id,
            causationid=cause.id if cause else None,
            traceparent=publishing(topic.name, cause.traceparent if cause else None),
            data=data,
        )
        self._pending.append(_Pending(topic.name, key.encode(), event, b"", {}, topic))

    def add_raw(self, topic: str, key: bytes, *, value: bytes, headers: dict[str, str]) -> None:
        """Queue a message as it is.

        What no topic takes is cut, and its size noted: a dead letter that can never be published
        would block the relay for ever.
        """
        if len(value) > MAX_MESSAGE_BYTES or len(key) > MAX_KEY_BYTES:
            headers = headers | {TRUNCATED_FROM: str(len(value))}
            key, value = key[:MAX_KEY_BYTES], value[:MAX_MESSAGE_BYTES]
        self._pending.append(_Pending(topic, key, None, value, headers))

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
        self._pending.append(_Pending(topic.name, key, None, value, pack(headers)))

    async def flush(self, connection: _Executor) -> None:
        """Draw the sequences and write what is queued.

        Raises:
            PermanentError: an event is larger than its topic allows; the transaction must fail.
        """
        if not self._pending:
            return
        rows = await connection.fetch(
            "select nextval('meta.outbox_id_seq') as id from generate_series(1, $1)",
            len(self._pending),
        )
        # Sorted, because a set-returning function promises no order.
        ids = sorted(row["id"] for row in rows)
        messages = [_render(pending, id_) for pending, id_ in zip(self._pending, ids, strict=True)]
        self._pending.clear()
        await connection.execute(
            "insert into meta.outbox (id, service, topic, key, value, headers) "
            "select id, $1, topic, key, value, headers "
            "from unnest($2::bigint[], $3::text[], $4::bytea[], $5::bytea[], $6::jsonb[]) "
            "as t (id, topic, key, value, headers)",
            self._service,
            ids,
            [message.topic for message in messages],
            [message.key for message in messages],
            [message.value for message in messages],
            [message.headers for message in messages],
        )
        await connection.execute("select pg_notify($1, $2)", NOTIFY_CHANNEL, self._service)


def record_bytes(key: bytes | None, value: bytes | None, headers: RawHeaders) -> int:
    """Return what Kafka counts of a message that is sent alone."""
    size = _BATCH_OVERHEAD + len(key or b"") + len(value or b"")
    return size + sum(
        _HEADER_OVERHEAD + len(name.encode("utf-8", "surrogatepass")) + len(text or b"")
        for name, text in headers
    )


def _render(pending: _Pending, sequence: int) -> _Pending:
    if pending.event is None or pending.declared is None or pending.key is None:
        return pending
    event = pending.event.model_copy(update={"sequence": sequence})
    value, headers = encode_event(event)
    size = len(value) + len(pending.key) + sum(map(len, headers)) + _BATCH_OVERHEAD
    size += sum(len(text.encode()) for text in headers.values())
    if size > pending.declared.max_message_bytes:
        # Refused here, in the cause's transaction; in the relay nobody could act on it any more.
        raise PermanentError(
            f"an event for `{pending.topic}` has {size} bytes, the limit is "
            f"{pending.declared.max_message_bytes}; large bodies travel by reference",
            category=ErrorCategory.MESSAGE_TOO_LARGE,
        )
    return _Pending(pending.topic, pending.key, None, value, headers)


def _lineage(cause: Event[Any] | None) -> str | None:
    return None if cause is None else cause.correlationid or cause.id
