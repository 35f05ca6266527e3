"""CloudEvents to and from Kafka records, following the Kafka protocol binding, version 1.0.2.

Written in structured mode, with `ce_id`, `ce_type` and `traceparent` repeated as headers so that
tools can filter without parsing. Both modes are read; a command may also be the bare JSON of its
data.
"""

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from chassis.bus.records import Record
from chassis.errors import MessageDecodeError
from contracts.dead_letters import REPLAY_OF
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.topics import Topic
from contracts.types import Message

STRUCTURED = "application/cloudevents+json"
_OUR_CONTENT_TYPE = ("content-type", STRUCTURED.encode())
"""As `encode_event` writes it, first: nearly all messages are recognised by it at once."""

_BINARY_ATTRIBUTES = (
    "specversion",
    "id",
    "type",
    "source",
    "time",
    "subject",
    "dataschema",
    "sequence",
    "correlationid",
    "causationid",
    "traceparent",
)


@cache
def _adapter(data: type[Message]) -> TypeAdapter[Event[Any]]:
    return TypeAdapter(Event[data])  # type: ignore[valid-type]


def encode_event(event: Event[Any]) -> tuple[bytes, dict[str, str]]:
    """Render an event in structured mode: the value and the headers."""
    headers = {"content-type": STRUCTURED, "ce_id": event.id, "ce_type": event.type}
    if event.traceparent:
        headers["traceparent"] = event.traceparent
    return event.model_dump_json(exclude_none=True).encode(), headers


def decode_event(topic: Topic, record: Record) -> Event[Any]:
    """Read the event in a record of `topic`.

    Raises:
        MessageDecodeError: it is none, is too large, or its data breaks the contract.
    """
    return event_decoder(topic)(record)


@cache
def event_decoder(topic: Topic) -> Callable[[Record], Event[Any]]:
    """Return `decode_event` for one topic, with everything looked up that can be: it runs once a
    message.
    """
    validate = _adapter(topic.data).validator.validate_json

    def decode(record: Record) -> Event[Any]:
        value = record.value
        if value is None:
            raise MessageDecodeError("the message has no value")
        if len(value) > topic.max_message_bytes:
            raise _too_large(topic, value)
        try:
            if record.headers and record.headers[0] == _OUR_CONTENT_TYPE:
                event: Event[Any] = validate(value)
            else:
                event = _decode_foreign(topic, record, value)
        except ValidationError as error:
            raise MessageDecodeError(_describe(error)) from error
        except (orjson.JSONDecodeError, UnicodeDecodeError) as error:
            raise MessageDecodeError(f"the message is not JSON: {error}") from error
        if event.type != topic.name:
            raise MessageDecodeError(f"the message is of another type than {topic.name!r}")
        return event

    return decode


def _too_large(topic: Topic, value: bytes) -> MessageDecodeError:
    return MessageDecodeError(
        f"the message has {len(value)} bytes, the limit of `{topic.name}` is "
        f"{topic.max_message_bytes}",
        category=ErrorCategory.MESSAGE_TOO_LARGE,
    )


def _decode_foreign(topic: Topic, record: Record, value: bytes) -> Event[Any]:
    """Read what `encode_event` did not write: other producers, binary mode, bare commands."""
    adapter = _adapter(topic.data)
    # Media types are compared without regard to case.
    content_type = (record.header("content-type") or "").lower()
    if content_type.startswith(STRUCTURED):
        return adapter.validate_json(value)
    if content_type.startswith("application/cloudevents"):
        raise MessageDecodeError("of the formats of CloudEvents only JSON is read, one a message")
    if record.header("ce_specversion") is not None:
        return adapter.validate_python(_from_binary(record, value))
    if topic.is_command:
        return _decode_command(topic, record, value)
    # A structured event whose producer left the header out still says what it is.
    return adapter.validate_json(value)


def _from_binary(record: Record, value: bytes) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        name: text
        for name in _BINARY_ATTRIBUTES
        if (text := record.header(f"ce_{name}")) is not None
    }
    return {**attributes, "data": orjson.loads(value)}


def _decode_command(topic: Topic, record: Record, value: bytes) -> Event[Any]:
    body = orjson.loads(value)
    if not isinstance(body, dict):
        raise MessageDecodeError("a bare command must be a JSON object")
    if "specversion" in body and "data" in body:
        return _adapter(topic.data).validate_json(value)
    # Its place in the log identifies a bare command: a redelivery is the same command. A replay
    # may be published twice; the letter that it replays identifies it.
    letter = record.header(REPLAY_OF)
    place = f"replay/{letter}" if letter else f"{record.topic}/{record.partition}/{record.offset}"
    envelope = {
        "id": body.get("command_id") or place,
        "type": topic.name,
        "source": "/kafka",
        "time": _produced_at(record),
        "data": body,
    }
    return _adapter(topic.data).validate_python(envelope)


def _produced_at(record: Record) -> datetime:
    try:
        return record.timestamp
    except (OverflowError, OSError, ValueError) as error:
        raise MessageDecodeError("the message's timestamp is no time") from error


def _describe(error: ValidationError) -> str:
    """Name the fields and what is wrong with them, without the values: they may be secret."""
    problems = [
        f"`{_field(item['loc'])}`: {item['msg']}"
        for item in error.errors(include_input=False, include_url=False)[:5]
    ]
    return "the message breaks its contract: " + "; ".join(problems)


def _field(location: tuple[int | str, ...]) -> str:
    # The name of a field that nobody knows is as long as its sender likes.
    parts = [ascii(part)[1:-1][:60] if isinstance(part, str) else str(part) for part in location]
    return ".".join(parts) or "message"
