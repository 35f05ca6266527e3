"""What a Kafka record must look like to be an event, and what is said when it is none."""

import json
from typing import Any

import pytest

from chassis.bus.codec import decode_event, encode_event
from chassis.bus.records import Record
from chassis.errors import MessageDecodeError
from contracts.commands import ScanRequested
from contracts.envelope import Event
from contracts.errors import ErrorCategory
from contracts.files import FileChanged
from contracts.topics import FILE_CHANGED, SCAN_REQUESTED, Topic

CANARY = "hunter2-canary"
MOMENT_MS = 1_767_323_045_678  # 2026-01-02T03:04:05.678Z

DATA = {
    "change": "added",
    "source": "nas",
    "path": "Outputs/ä.xml",
    "current": {"modified_at": "2026-01-02T03:04:05Z", "size_bytes": 3},
    "scan_id": "s-1",
}
ATTRIBUTES = {
    "specversion": "1.0",
    "id": "e-1",
    "type": "file.changed",
    "source": "/scanner",
    "time": "2026-01-02T03:04:06Z",
    "subject": "nas/Outputs/ä.xml",
    "sequence": 7,
    "correlationid": "c-1",
    "causationid": "c-0",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
}
STRUCTURED = {"content-type": b"application/cloudevents+json; charset=UTF-8"}


def record(
    value: bytes | None, headers: dict[str, bytes] | None = None, *, topic: Topic = FILE_CHANGED
) -> Record:
    return Record(
        topic=topic.name,
        partition=2,
        offset=41,
        key=b"k",
        value=value,
        headers=tuple((headers or {}).items()),
        timestamp_ms=MOMENT_MS,
    )


def structured(**changes: Any) -> bytes:
    return json.dumps(ATTRIBUTES | {"data": DATA} | changes, ensure_ascii=False).encode()


def binary_headers(**changes: bytes) -> dict[str, bytes]:
    headers = {f"ce_{name}": str(value).encode() for name, value in ATTRIBUTES.items()}
    return headers | {"content-type": b"application/json"} | changes


def check(event: Event[FileChanged]) -> None:
    assert (event.id, event.type, event.source) == ("e-1", "file.changed", "/scanner")
    assert event.time.isoformat() == "2026-01-02T03:04:06+00:00"
    assert event.subject == "nas/Outputs/ä.xml"
    assert (event.sequence, event.correlationid, event.causationid) == (7, "c-1", "c-0")
    assert event.traceparent == ATTRIBUTES["traceparent"]
    assert event.data.path == "Outputs/ä.xml"
    assert event.data.current is not None
    assert event.data.current.size_bytes == 3


# --- what is read


@pytest.mark.parametrize(
    "content_type",
    [
        b"application/cloudevents+json",
        b"application/cloudevents+json; charset=UTF-8",
        b"Application/CloudEvents+JSON",
    ],
)
def test_a_structured_event_is_read(content_type: bytes) -> None:
    check(decode_event(FILE_CHANGED, record(structured(), {"content-type": content_type})))


def test_a_structured_event_without_a_content_type_is_read() -> None:
    check(decode_event(FILE_CHANGED, record(structured())))


def test_a_binary_event_is_read() -> None:
    value = json.dumps(DATA, ensure_ascii=False).encode()

    check(decode_event(FILE_CHANGED, record(value, binary_headers())))


def test_the_content_type_decides_between_the_modes_not_the_repeated_headers() -> None:
    headers = binary_headers(ce_id=b"another") | STRUCTURED

    check(decode_event(FILE_CHANGED, record(structured(), headers)))


def test_a_header_that_is_no_text_does_not_hide_a_good_event() -> None:
    headers = STRUCTURED | {"x-trace": b"\xff\xfe", "traceparent": b"\x80"}

    check(decode_event(FILE_CHANGED, record(structured(), headers)))


def test_an_event_comes_back_as_it_was_written() -> None:
    event = decode_event(FILE_CHANGED, record(structured()))

    value, headers = encode_event(event)
    again = decode_event(
        FILE_CHANGED, record(value, {name: text.encode() for name, text in headers.items()})
    )

    assert again == event
    assert headers == {
        "content-type": "application/cloudevents+json",
        "ce_id": "e-1",
        "ce_type": "file.changed",
        "traceparent": ATTRIBUTES["traceparent"],
    }


def test_an_event_without_a_trace_has_no_trace_header() -> None:
    event = decode_event(FILE_CHANGED, record(structured(traceparent=None)))

    value, headers = encode_event(event)

    assert "traceparent" not in headers
    assert b"traceparent" not in value


# --- commands


def test_a_bare_command_is_identified_by_its_place_in_the_log() -> None:
    event = decode_event(
        SCAN_REQUESTED, record(b'{"source": "nas", "dry_run": true}', topic=SCAN_REQUESTED)
    )

    assert event.id == "scan.requested/2/41"
    assert (event.type, event.source) == ("scan.requested", "/kafka")
    assert event.time.isoformat() == "2026-01-02T03:04:05.678000+00:00"
    assert event.data == ScanRequested(source="nas", dry_run=True)


def test_a_bare_command_with_an_id_is_identified_by_it() -> None:
    value = b'{"source": "nas", "command_id": "my-1"}'

    event = decode_event(SCAN_REQUESTED, record(value, topic=SCAN_REQUESTED))

    assert (event.id, event.data.command_id) == ("my-1", "my-1")


@pytest.mark.parametrize(
    "headers",
    [{}, {"content-type": b"application/json"}, {"content-type": b"text/plain"}],
    ids=["kcat", "json", "text"],
)
def test_a_bare_command_needs_no_particular_header(headers: dict[str, bytes]) -> None:
    event = decode_event(SCAN_REQUESTED, record(b'{"source":"nas"}', headers, topic=SCAN_REQUESTED))

    assert event.data == ScanRequested(source="nas")


@pytest.mark.parametrize("headers", [{}, STRUCTURED], ids=["bare", "structured"])
def test_a_command_may_have_its_envelope(headers: dict[str, bytes]) -> None:
    value = structured(type="scan.requested", data={"source": "nas"})

    event = decode_event(SCAN_REQUESTED, record(value, headers, topic=SCAN_REQUESTED))

    assert (event.id, event.data.source) == ("e-1", "nas")


def test_a_bare_event_is_not_accepted_where_an_envelope_is_required() -> None:
    with pytest.raises(MessageDecodeError):
        decode_event(FILE_CHANGED, record(json.dumps(DATA).encode()))


# --- what is refused

UNREADABLE: dict[str, tuple[bytes | None, dict[str, bytes]]] = {
    "no value": (None, STRUCTURED),
    "empty": (b"", STRUCTURED),
    "no json": (b"<xml/>", STRUCTURED),
    "half": (structured()[:-1], STRUCTURED),
    "no utf-8": (b'{"id": "\xff"}', STRUCTURED),
    "a list": (b"[" + structured() + b"]", {"content-type": b"application/cloudevents-batch+json"}),
    "avro": (b"Obj\x01", {"content-type": b"application/cloudevents+avro"}),
    "another type": (structured(type="file.changed.v2"), STRUCTURED),
    "no data": (json.dumps(ATTRIBUTES).encode(), STRUCTURED),
    "old version": (structured(specversion="0.3"), STRUCTURED),
    "naive time": (structured(time="2026-01-02T03:04:06"), STRUCTURED),
    "huge number": (structured(sequence=10**400), STRUCTURED),
    "negative": (structured(sequence=-1), STRUCTURED),
    "deep": (b'{"data":' * 5000 + b"1" + b"}" * 5000, STRUCTURED),
    "binary: no json": (b"<xml/>", binary_headers()),
    "binary: deep": (b"[" * 5000, binary_headers()),
    "binary: infinite": (b'{"n": 1e999}', binary_headers()),
    "binary: broken id": (json.dumps(DATA).encode(), binary_headers(ce_id=b"\xff")),
    "binary: empty": (b"", binary_headers()),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_event_is_refused_as_unreadable(case: str) -> None:
    value, headers = UNREADABLE[case]

    with pytest.raises(MessageDecodeError) as refusal:
        decode_event(FILE_CHANGED, record(value, headers))

    assert refusal.value.category is ErrorCategory.MESSAGE_DECODE


@pytest.mark.parametrize(
    "value",
    [
        b"nas",
        b'"nas"',
        b"[]",
        b"null",
        b"{}",
        b'{"source": ""}',
        b'{"source": "nas", "command_id": 5}',
        b'{"source": "nas", "command_id": ""}',
        b'{"source": "nas", "surprise": ' + b"[" * 600 + b"]" * 600 + b"}",
        b'{"source": NaN}',
        b"\xff\xfe",
    ],
    ids=lambda value: value[:30].decode("latin-1"),
)
def test_what_is_no_command_is_refused_as_unreadable(value: bytes) -> None:
    with pytest.raises(MessageDecodeError) as refusal:
        decode_event(SCAN_REQUESTED, record(value, topic=SCAN_REQUESTED))

    assert refusal.value.category is ErrorCategory.MESSAGE_DECODE


def test_a_timestamp_out_of_range_is_refused_like_any_unreadable_message() -> None:
    strange = record(b'{"source":"nas"}', topic=SCAN_REQUESTED)._replace(timestamp_ms=2**62)

    with pytest.raises(MessageDecodeError, match="timestamp"):
        decode_event(SCAN_REQUESTED, strange)


def test_a_message_above_the_limit_has_a_category_of_its_own() -> None:
    padding = FILE_CHANGED.max_message_bytes - len(structured())
    fits, too_large = structured() + b" " * padding, structured() + b" " * (padding + 1)

    check(decode_event(FILE_CHANGED, record(fits, STRUCTURED)))
    with pytest.raises(MessageDecodeError, match="262145 bytes") as refusal:
        decode_event(FILE_CHANGED, record(too_large, STRUCTURED))
    assert refusal.value.category is ErrorCategory.MESSAGE_TOO_LARGE


SECRETIVE: dict[str, tuple[Topic, bytes, dict[str, bytes]]] = {
    "value": (FILE_CHANGED, structured(time=CANARY), STRUCTURED),
    "type": (FILE_CHANGED, structured(type=CANARY), STRUCTURED),
    "nested": (FILE_CHANGED, structured(data=DATA | {"change": CANARY}), STRUCTURED),
    "fragment": (FILE_CHANGED, b'{"password": "' + CANARY.encode(), STRUCTURED),
    "binary": (FILE_CHANGED, CANARY.encode(), binary_headers()),
    "attribute": (FILE_CHANGED, json.dumps(DATA).encode(), binary_headers(ce_time=CANARY.encode())),
    "command": (SCAN_REQUESTED, f'{{"source": "nas", "password": "{CANARY}"}}'.encode(), {}),
    "bare text": (SCAN_REQUESTED, CANARY.encode(), {}),
}


@pytest.mark.parametrize("case", SECRETIVE)
def test_the_reason_never_quotes_the_message(case: str) -> None:
    topic, value, headers = SECRETIVE[case]

    with pytest.raises(MessageDecodeError) as refusal:
        decode_event(topic, record(value, headers, topic=topic))

    error: BaseException | None = refusal.value
    while error is not None:
        assert CANARY not in str(error)
        error = error.__cause__


def test_the_reason_names_the_fields() -> None:
    value = json.dumps({"mode": "sideways", "surprise": 1}).encode()

    with pytest.raises(MessageDecodeError) as refusal:
        decode_event(SCAN_REQUESTED, record(value, topic=SCAN_REQUESTED))

    assert str(refusal.value) == (
        "the message breaks its contract: `data.source`: Field required; "
        "`data.mode`: Input should be 'auto', 'fast' or 'full'; "
        "`data.surprise`: Extra inputs are not permitted"
    )


def test_a_long_or_strange_field_name_does_not_swell_the_reason() -> None:
    value = json.dumps({"source": "nas"} | {f"\x00{'x' * 50_000}{n}": 1 for n in range(9)}).encode()

    with pytest.raises(MessageDecodeError) as refusal:
        decode_event(SCAN_REQUESTED, record(value, topic=SCAN_REQUESTED))

    assert len(str(refusal.value)) < 1000
    assert "\x00" not in str(refusal.value)
