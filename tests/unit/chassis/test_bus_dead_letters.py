"""The headers of a dead letter: complete, redacted, and never themselves a reason to fail."""

from datetime import UTC, datetime

import orjson
import pytest

from chassis.bus.dead_letters import category_of, dead_letter_headers
from chassis.bus.records import Record
from chassis.errors import MessageDecodeError, PermanentError, TransientError
from contracts.errors import ErrorCategory

FAILED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def headers_of(error: BaseException, *originals: tuple[str, bytes]) -> dict[str, str]:
    record = Record("file.changed", 3, 17, b"k", b"v", originals, 1_767_323_045_000)
    return dead_letter_headers(record, error, consumer="ingestor", attempts=2, failed_at=FAILED_AT)


def caused(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except type(error) as raised:
        return raised


def test_the_headers_say_where_it_was_and_why_it_failed() -> None:
    error = caused(MessageDecodeError("no JSON"), ValueError("line 1"))

    assert headers_of(error, ("ce_id", b"e-1"), ("content-type", b"x/y")) == {
        "ce_id": "e-1",
        "content-type": "x/y",
        "x-dlq-topic": "file.changed",
        "x-dlq-partition": "3",
        "x-dlq-offset": "17",
        "x-dlq-group": "ingestor",
        "x-dlq-category": "message_decode",
        "x-dlq-error-class": "MessageDecodeError",
        "x-dlq-message": "no JSON",
        "x-dlq-exception-chain": "MessageDecodeError <- ValueError",
        "x-dlq-attempts": "2",
        "x-dlq-failed-at": "2026-01-02T03:04:05+00:00",
        "x-dlq-event-id": "e-1",
    }


@pytest.mark.parametrize(
    ("error", "category"),
    [
        (MessageDecodeError(), ErrorCategory.MESSAGE_DECODE),
        (PermanentError(category=ErrorCategory.CONTENT_PARSE), ErrorCategory.CONTENT_PARSE),
        (TransientError(), ErrorCategory.MAIN_EXECUTION),
        (KeyError("x"), ErrorCategory.MAIN_EXECUTION),
    ],
)
def test_an_error_is_counted_under_its_category(error: Exception, category: ErrorCategory) -> None:
    assert category_of(error) is category


@pytest.mark.covers("S1-28")
def test_credentials_do_not_reach_a_dead_letter() -> None:
    headers = headers_of(PermanentError("GET https://user:hunter2@host/x?token=abcdef failed"))

    assert "hunter2" not in headers["x-dlq-message"]
    assert "abcdef" not in headers["x-dlq-message"]


def test_an_error_without_a_text_is_named() -> None:
    assert headers_of(KeyError())["x-dlq-message"] == "KeyError"


def test_a_long_reason_is_cut_to_a_kibibyte_without_half_a_character() -> None:
    message = headers_of(PermanentError("ä" * 5000))["x-dlq-message"]

    assert message == "ä" * 512


def test_causes_of_the_same_class_are_all_named() -> None:
    error = caused(PermanentError("a"), caused(PermanentError("b"), OSError("c")))

    chain = headers_of(error)["x-dlq-exception-chain"]

    assert chain == "PermanentError <- PermanentError <- OSError"


def test_a_circle_of_causes_ends() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__cause__, second.__cause__ = second, first

    assert headers_of(first)["x-dlq-exception-chain"] == "ValueError <- KeyError"


def test_a_context_that_was_hidden_on_purpose_stays_hidden() -> None:
    error = PermanentError("said well")
    error.__context__ = KeyError("detail")
    assert headers_of(error)["x-dlq-exception-chain"] == "PermanentError <- KeyError"

    error.__suppress_context__ = True  # what `raise ... from None` does

    assert headers_of(error)["x-dlq-exception-chain"] == "PermanentError"


@pytest.mark.parametrize("text", ["a\x00b", "a\ud83db"], ids=["nul", "half a character"])
def test_what_postgresql_cannot_store_is_escaped(text: str) -> None:
    headers = headers_of(PermanentError(text), ("x-note", b"a\x00b"), ("\x00", b"1"))

    stored = orjson.dumps(headers)
    assert b"\\u0000" not in stored
    assert headers["x-note"] == "a\\x00b"


def test_an_unreadable_header_of_the_original_is_left_out_and_counted() -> None:
    headers = headers_of(PermanentError("x"), ("bad", b"\xff"), ("good", b"1"), ("bad2", b"\x80"))

    assert headers["good"] == "1"
    assert "bad" not in headers
    assert headers["x-dlq-headers-dropped"] == "2"


def test_headers_too_large_for_the_topic_are_left_out_and_counted() -> None:
    huge = [(f"h{number}", b"x" * 10_000) for number in range(10)]

    headers = headers_of(PermanentError("x"), *huge, ("ce_id", b"e-1"))

    assert headers["ce_id"] == "e-1"
    assert sum(len(name) + len(text) for name, text in headers.items()) < 40_000
    assert headers["x-dlq-headers-dropped"] == "7"


def test_the_second_death_tells_its_own_reason() -> None:
    replayed = (("x-dlq-message", b"old"), ("x-dlq-truncated-from", b"9"), ("ce_id", b"e-1"))

    headers = headers_of(PermanentError("new"), *replayed)

    assert headers["x-dlq-message"] == "new"
    assert "x-dlq-truncated-from" not in headers
    assert "x-dlq-headers-dropped" not in headers


def test_a_header_without_a_value_is_left_out() -> None:
    nothing: bytes = None  # type: ignore[assignment]

    assert "empty" not in headers_of(PermanentError("x"), ("empty", nothing))
