"""What an answer of an API means."""

from datetime import UTC, datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chassis.clock import SystemClock
from chassis.errors import PermanentError, TransientError
from chassis.http import HttpClient, HttpConfig, NoBudget
from chassis.http.answers import parsed, refused
from chassis.http.errors import ApiBodyError, HttpUnavailableError, RateLimitedError
from contracts.errors import ErrorCategory

NOW = datetime(2026, 3, 1, 5, 0, tzinfo=UTC)


@pytest.mark.covers("S3-10", "S3-12", "S3-13", "C-21")
@given(st.integers(100, 599))
def test_every_status_is_a_success_or_one_kind_of_error(status: int) -> None:
    error = refused(status, {}, what="GET /a", now=NOW)

    if 200 <= status < 300:
        assert error is None
    elif status in (408, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524):
        assert isinstance(error, TransientError)
    else:
        assert isinstance(error, PermanentError)


@pytest.mark.covers("S3-11", "C-21")
@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("", 10),
        ("0", 10),
        ("9", 10),
        ("30", 30),
        ("soon", 10),
        ("-5", 10),
        ("Sun, 01 Mar 2026 05:01:00 GMT", 60),
        ("Sun, 01 Mar 2026 04:00:00 GMT", 10),
    ],
)
def test_the_pause_after_429_has_a_floor(header: str, seconds: float) -> None:
    error = refused(429, {"retry-after": header}, what="GET /a", now=NOW)

    assert isinstance(error, RateLimitedError)
    assert error.retry_after == seconds


def test_an_outage_may_say_how_long_it_lasts() -> None:
    error = refused(503, {"retry-after": "120"}, what="GET /a", now=NOW)

    assert isinstance(error, HttpUnavailableError)
    assert error.retry_after == 120
    assert error.category is ErrorCategory.SOURCE_REQUEST


@pytest.mark.covers("C-21")
@pytest.mark.parametrize(
    "body",
    [b'{"Error Message": "Limit"}', b'{"error": {"code": 1}}', b"<html>log on</html>", b" <xml/>"],
)
def test_an_error_in_the_clothes_of_a_success_is_no_data(body: bytes) -> None:
    with pytest.raises(ApiBodyError):
        parsed(body, accept="json", what="GET /a", error_fields=("Error Message", "error"))


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"error": null, "items": []}', {"error": None, "items": []}),
        (b'\xef\xbb\xbf[{"a": 1}]', [{"a": 1}]),
        (b"null", None),
        (
            b'[{"Error Message": "a record may be called so"}]',
            [{"Error Message": "a record may be called so"}],
        ),
    ],
)
def test_what_is_data(body: bytes, expected: object) -> None:
    found = parsed(body, accept="json", what="GET /a", error_fields=("Error Message", "error"))

    assert found == expected


@pytest.mark.covers("C-21")
@given(st.integers(1, 60))
def test_a_body_that_was_cut_anywhere_is_never_data(cut: int) -> None:
    body = b'[{"symbol":"APAM","date":"2023-11-08","close":35.33,"note":""}]'

    with pytest.raises(HttpUnavailableError):
        parsed(body[:cut], accept="json", what="GET /a", error_fields=())


@pytest.mark.parametrize("body", [b'{"Error Message": "no"}', b"{}"])
def test_an_object_where_a_csv_is_expected_is_an_error(body: bytes) -> None:
    with pytest.raises(ApiBodyError):
        parsed(body, accept="csv", what="GET /a", error_fields=("Error Message",))


async def test_no_content_is_an_answer() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(204))
    clock = SystemClock()
    async with httpx.AsyncClient(transport=transport, trust_env=False) as http:
        config = HttpConfig(base_url="https://api.example.org")
        client = HttpClient(config, http, budget=NoBudget(clock), clock=clock)

        assert (await client.fetch("/a")).data is None
