import pytest

from chassis.blobs.failures import deadline_seconds, refused, unavailable
from chassis.errors import PermanentError, TransientError, UnavailableError
from contracts.errors import ErrorCategory


@pytest.mark.parametrize("status", [500, 502, 503, 504, 507, 408, 409, 429])
def test_what_passes_by_itself_is_unavailable(status: int) -> None:
    assert isinstance(refused("put k", status=status), UnavailableError)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "RequestTimeout"), (400, "ExpiredToken"), (403, "RequestTimeTooSkewed")],
)
def test_some_codes_pass_whatever_their_status(status: int, code: str) -> None:
    assert isinstance(refused("put k", status=status, code=code), UnavailableError)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_an_operator_must_mend_is_asked_once_a_minute(status: int) -> None:
    error = refused("put k", status=status)
    assert type(error) is TransientError
    assert error.retry_after == 60.0


def test_anything_else_is_permanent_and_says_what_was_asked() -> None:
    error = refused("put k", status=400, code="KeyTooLongError")
    assert isinstance(error, PermanentError)
    assert str(error) == "the object store answered put k with 400 KeyTooLongError"
    assert error.category is ErrorCategory.STORAGE
    assert error.facts == {"dependency": "s3", "status": 400, "code": "KeyTooLongError"}


def test_no_answer_is_an_outage() -> None:
    assert unavailable("put k took too long").facts == {"dependency": "s3"}


def test_a_large_body_gets_more_time() -> None:
    assert deadline_seconds() == 30.0
    assert deadline_seconds(50 * 1024 * 1024) == 80.0
