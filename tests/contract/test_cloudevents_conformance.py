"""Our envelope against the official CloudEvents SDK: each side reads what the other writes, in
both modes of the Kafka binding.
"""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from cloudevents.core.bindings.kafka import (
    KafkaMessage,
    from_structured,
    to_binary,
    to_structured,
)
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from chassis.bus.codec import decode_event, encode_event
from chassis.bus.records import Record
from contracts.commands import ScanRequested
from contracts.envelope import Event
from contracts.files import FileChange, FileChanged, FileFingerprint
from contracts.topics import FILE_CHANGED, SCAN_REQUESTED, Topic

MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def our_event() -> Event[FileChanged]:
    return Event[FileChanged](
        id="e-1",
        type="file.changed",
        source="/scanner",
        time=MOMENT,
        subject="nas/Ünïcode 名.xml",
        dataschema="file.changed.json",
        sequence=7,
        correlationid="c-1",
        causationid="c-0",
        traceparent=TRACE,
        data=FileChanged(
            change=FileChange.ADDED,
            source="nas",
            path="Ünïcode 名.xml",
            current=FileFingerprint(modified_at=MOMENT, size_bytes=2**40),
            scan_id="s",
        ),
    )


def their_event(**changes: Any) -> Any:
    attributes: dict[str, Any] = {
        "id": "e-2",
        "type": "scan.requested",
        "source": "urn:example:cron",
        "time": datetime(2026, 1, 2, 5, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        "subject": "nas",
        "datacontenttype": "application/json",
        "correlationid": "c-9",
        "traceparent": TRACE,
    }
    return CloudEvent(attributes | changes, {"source": "nas", "reason": "täglich", "dry_run": True})


def received(message: Any, topic: Topic) -> Record:
    key = message.key.encode() if isinstance(message.key, str) else message.key
    return Record(topic.name, 0, 0, key, message.value, tuple(message.headers.items()), 0)


def test_the_sdk_reads_what_we_write() -> None:
    value, headers = encode_event(our_event())
    message = KafkaMessage(
        headers={name: text.encode() for name, text in headers.items()}, key=b"k", value=value
    )

    event = from_structured(message, JSONFormat())

    assert event.get_specversion() == "1.0"
    assert (event.get_id(), event.get_type(), event.get_source()) == (
        "e-1",
        "file.changed",
        "/scanner",
    )
    assert event.get_time() == MOMENT
    assert event.get_subject() == "nas/Ünïcode 名.xml"
    assert event.get_dataschema() == "file.changed.json"
    assert event.get_datacontenttype() == "application/json"
    assert event.get_extension("sequence") == 7
    assert event.get_extension("correlationid") == "c-1"
    assert event.get_extension("causationid") == "c-0"
    assert event.get_extension("traceparent") == TRACE
    assert event.get_data() == {
        "change": "added",
        "source": "nas",
        "path": "Ünïcode 名.xml",
        "current": {"modified_at": "2026-01-02T03:04:05.678900Z", "size_bytes": 2**40},
        "scan_id": "s",
    }


def test_the_headers_that_we_repeat_say_the_same_as_the_value() -> None:
    value, headers = encode_event(our_event())
    body = json.loads(value)

    assert headers["ce_id"] == body["id"]
    assert headers["ce_type"] == body["type"]
    assert headers["traceparent"] == body["traceparent"]


@pytest.mark.parametrize("write", [to_structured, to_binary], ids=["structured", "binary"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"datacontenttype": "application/json; charset=utf-8"},
        {"partitionkey": "nas", "priority": 5},
    ],
    ids=["plain", "charset", "extensions"],
)
def test_we_read_what_the_sdk_writes(write: Any, changes: dict[str, Any]) -> None:
    message = write(their_event(**changes), JSONFormat())

    event = decode_event(SCAN_REQUESTED, received(message, SCAN_REQUESTED))

    assert (event.id, event.type, event.source) == ("e-2", "scan.requested", "urn:example:cron")
    assert event.time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (event.subject, event.correlationid, event.traceparent) == ("nas", "c-9", TRACE)
    assert event.data == ScanRequested(source="nas", reason="täglich", dry_run=True)


@pytest.mark.parametrize("write", [to_structured, to_binary], ids=["structured", "binary"])
def test_an_event_survives_the_way_through_the_sdk(write: Any) -> None:
    value, headers = encode_event(our_event())
    encoded = {name: text.encode() for name, text in headers.items()}
    theirs = from_structured(KafkaMessage(headers=encoded, key=b"k", value=value), JSONFormat())

    message = write(theirs, JSONFormat())

    assert decode_event(FILE_CHANGED, received(message, FILE_CHANGED)) == our_event()
