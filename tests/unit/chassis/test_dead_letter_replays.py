"""What a replay sends, and what it refuses; whom it is for."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from chassis.bus.codec import decode_event
from chassis.bus.dead_letters import dead_letter_headers, is_for_another
from chassis.bus.records import Record
from chassis.dead_letters.model import Letter
from chassis.dead_letters.replay import replay_headers, why_not
from chassis.errors import PermanentError
from contracts.topics import FILE_CHANGED, MAX_MESSAGE_BYTES, SCAN_REQUESTED

ID = uuid.UUID("6b0e2a5c-7b0c-4d52-9c6c-3f6a3f1f7d11")
MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def letter(**changes: Any) -> Letter:
    fields: dict[str, Any] = {
        "id": ID,
        "service": "ingestor",
        "consumer": "ingestor",
        "topic": "file.changed",
        "partition": 0,
        "offset": 7,
        "key": b"k",
        "value": b"v",
        "size": 1,
        "is_cut": False,
        "original_headers": [("ce_id", b"e-1")],
        "headers": {},
        "category": "content_parse",
        "error_class": "PermanentError",
        "message": "no XML",
        "chain": "PermanentError",
        "attempts": 1,
        "event_id": "e-1",
        "drift_id": None,
        "replay_of": None,
        "replays": 0,
        "failed_at": MOMENT,
        "status": "open",
        "decided_at": None,
        "decided_by": None,
        "decision_reason": None,
        "run_id": None,
    }
    return Letter(**fields | changes)


def test_a_replay_has_the_originals_headers_and_says_whose_and_for_whom_it_is() -> None:
    before = [("ce_id", b"e-1"), ("x-replay-of", b"old"), ("x-dlq-message", b"old")]

    assert replay_headers(letter(original_headers=before, replays=2)) == [
        ("ce_id", b"e-1"),
        ("x-replay-of", str(ID).encode()),
        ("x-replay-count", b"3"),
        ("x-replay-for", b"ingestor"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, None),
        ({"replays": 2}, None),
        ({"replays": 3}, "was replayed 3 times"),
        ({"is_cut": True, "size": 300_000}, "only the beginning of the message is kept"),
        ({"value": b"v" * MAX_MESSAGE_BYTES}, None),
        ({"value": b"v" * MAX_MESSAGE_BYTES, "key": b"k" * 8000}, "takes 266240"),
        ({"value": None, "key": None}, None),
    ],
)
def test_what_cannot_come_back_is_refused_in_a_sentence(
    changes: dict[str, Any], reason: str | None
) -> None:
    told = why_not(letter(**changes), FILE_CHANGED)

    assert (told is None) if reason is None else (told is not None and reason in told)


def record(*headers: tuple[str, bytes], value: bytes = b"{}") -> Record:
    return Record("scan.requested", 1, 2, None, value, headers, 1)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([("ce_id", b"1")], False),
        ([("ce_id", b"1"), ("x-replay-for", b"ingestor")], False),
        ([("ce_id", b"1"), ("x-replay-for", b"transformer")], True),
        ([("x-replay-for", b"\xff")], True),
        ([("x-replay-for", b"transformer"), ("ce_id", b"1")], False),
    ],
)
def test_a_message_for_another_consumer_is_told_by_its_last_header(
    headers: list[tuple[str, bytes]], *, expected: bool
) -> None:
    assert is_for_another(record(*headers), "ingestor") is expected


def test_a_bare_command_that_is_replayed_twice_is_one_command() -> None:
    value = b'{"source": "nas"}'
    replayed = [record(("x-replay-of", str(ID).encode()), value=value)._replace(offset=offset)
                for offset in (5, 6)]  # fmt: skip

    assert {decode_event(SCAN_REQUESTED, item).id for item in replayed} == {f"replay/{ID}"}
    assert decode_event(SCAN_REQUESTED, record(value=value)).id == "scan.requested/1/2"


def test_a_message_that_a_schema_drift_holds_back_carries_its_id() -> None:
    def headers_of(**facts: Any) -> dict[str, str]:
        return dead_letter_headers(
            record(), PermanentError("held", **facts), consumer="c", attempts=1, failed_at=MOMENT
        )

    assert headers_of(drift_id=str(ID))["x-dlq-drift-id"] == str(ID)
    assert headers_of(drift_id=ID)["x-dlq-drift-id"] == str(ID)
    assert "x-dlq-drift-id" not in headers_of(drift_id=None)
    assert "x-dlq-drift-id" not in headers_of()
