"""The client against a real server that fails in every way an API does."""

from collections.abc import AsyncGenerator, Generator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from chassis.clock import SystemClock
from chassis.errors import PenstockError
from chassis.http import HttpClient, HttpConfig, open_client
from chassis.http.errors import (
    ApiAccessError,
    ApiBodyError,
    ApiNotFoundError,
    ApiPlanError,
    ApiRequestError,
    HttpUnavailableError,
    RateLimitedError,
)
from tests.support.sample_api import KEYS, Keys, SampleServer, running_sample_api

PRICES = "/stable/historical-price-eod/full"
APAM = {"symbol": "APAM", "from": "2023-11-06", "to": "2023-11-08"}


@pytest.fixture(scope="module")
def server() -> Generator[SampleServer]:
    with running_sample_api(None, "--token-seconds", "1000") as running:
        yield running


@pytest.fixture(autouse=True)
async def no_faults(server: SampleServer) -> None:
    await server.plan()


class Waits:
    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


@pytest.fixture
def waits() -> Waits:
    return Waits()


async def opened(server: SampleServer, waits: Waits, **more: Any) -> HttpClient:
    document = {
        "base_url": server.url,
        "auth": {"kind": "query", "name": "apikey", "value": "env:FMP_API_KEY"},
        "timeout_seconds": 1,
        **more,
    }
    return await open_client(
        HttpConfig.model_validate(document), Keys(KEYS), clock=SystemClock(), sleep=waits
    )


@pytest.fixture
async def client(server: SampleServer, waits: Waits) -> AsyncGenerator[HttpClient]:
    one = await opened(server, waits)
    yield one
    await one.close()


@pytest.mark.covers("S2-01")
async def test_a_request_brings_the_parsed_body(client: HttpClient) -> None:
    reply = await client.fetch(PRICES, params=APAM)

    assert [bar["date"] for bar in reply.data] == ["2023-11-08", "2023-11-07", "2023-11-06"]
    assert reply.data[0]["close"] == 35.33


@pytest.mark.covers("S3-10")
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_an_outage_is_waited_for_with_growing_pauses(
    server: SampleServer, client: HttpClient, waits: Waits, status: int
) -> None:
    await server.plan({"kind": "status", "status": status, "times": 3})

    reply = await client.fetch(PRICES, params=APAM)

    assert len(reply.data) == 3
    assert await server.requests() == 4
    first, second, third = waits.seconds
    assert 0.2 <= first <= 0.4 <= second <= 0.8 <= third <= 1.6


@pytest.mark.covers("S3-10", "C-21")
async def test_attempts_have_an_end(server: SampleServer, client: HttpClient) -> None:
    await server.plan({"kind": "status", "status": 503})

    with pytest.raises(HttpUnavailableError, match="answered 503"):
        await client.fetch(PRICES, params=APAM)

    assert await server.requests() == 5


@pytest.mark.covers("S3-11", "C-21")
@pytest.mark.parametrize(("told", "least"), [("2", 10), ("17", 17), (None, 10)])
async def test_after_429_the_pause_is_as_long_as_told_and_at_least_ten_seconds(
    server: SampleServer, client: HttpClient, waits: Waits, told: str | None, least: float
) -> None:
    await server.plan({"kind": "status", "status": 429, "retry_after": told, "times": 1})

    await client.fetch(PRICES, params=APAM)

    assert max(waits.seconds) >= least - 0.1
    assert max(waits.seconds) < least + 1


async def test_retry_after_may_be_a_date(
    server: SampleServer, client: HttpClient, waits: Waits
) -> None:
    moment = datetime(2099, 1, 1, tzinfo=UTC)
    await server.plan(
        {"kind": "status", "status": 429, "retry_after": f"{moment:%a, %d %b %Y %H:%M:%S} GMT"}
    )

    with pytest.raises(RateLimitedError) as caught:
        await client.fetch(PRICES, params=APAM)

    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 1e9
    assert waits.seconds == []  # longer than the request may last: whoever asked decides


@pytest.mark.covers("S3-12", "S3-13", "C-21")
@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, ApiRequestError),
        (401, ApiAccessError),
        (402, ApiPlanError),
        (403, ApiAccessError),
        (404, ApiNotFoundError),
        (302, ApiRequestError),
    ],
)
async def test_what_waiting_cannot_mend_is_told_at_once(
    server: SampleServer, client: HttpClient, status: int, expected: type[PenstockError]
) -> None:
    await server.plan({"kind": "status", "status": status})

    with pytest.raises(expected, match=f"answered {status}"):
        await client.fetch(PRICES, params=APAM)

    assert await server.requests() == 1


@pytest.mark.covers("C-21")
async def test_a_server_that_says_nothing_is_left_after_the_timeout(
    server: SampleServer, waits: Waits
) -> None:
    await server.plan({"kind": "hang", "times": 1})
    client = await opened(server, waits, timeout_seconds=0.3)

    reply = await client.fetch(PRICES, params=APAM)

    assert len(reply.data) == 3
    assert await server.requests() == 2
    await client.close()


@pytest.mark.covers("C-21")
async def test_a_truncated_body_is_asked_for_again_and_never_taken_for_data(
    server: SampleServer, client: HttpClient
) -> None:
    await server.plan({"kind": "truncate", "times": 2})
    reply = await client.fetch(PRICES, params=APAM)
    assert len(reply.data) == 3

    await server.plan({"kind": "truncate"})
    with pytest.raises(HttpUnavailableError, match="not whole JSON"):
        await client.fetch(PRICES, params=APAM)


@pytest.mark.covers("C-21")
@pytest.mark.parametrize("accept", ["json", "csv"])
async def test_an_error_that_is_told_as_a_success_is_an_error(
    server: SampleServer, client: HttpClient, accept: Any
) -> None:
    await server.plan({"kind": "error-body"})

    with pytest.raises(ApiBodyError, match="error in its body"):
        await client.fetch(PRICES, params=APAM, accept=accept)


@pytest.mark.covers("S1-28")
async def test_no_error_tells_the_key_or_the_query(
    server: SampleServer, client: HttpClient, caplog: pytest.LogCaptureFixture
) -> None:
    await server.plan({"kind": "status", "status": 401})

    with caplog.at_level("DEBUG"), pytest.raises(ApiAccessError) as caught:
        await client.fetch(PRICES, params=APAM)

    assert str(caught.value) == (
        "GET /stable/historical-price-eod/full: the API answered 401 (credentials or rights)"
    )
    assert not [record for record in caplog.records if record.name == "httpx"]


async def test_a_wrong_key_is_refused(server: SampleServer, waits: Waits) -> None:
    client = await opened(server, waits, auth={"kind": "none"})

    with pytest.raises(ApiAccessError):
        await client.fetch(PRICES, params=APAM)
    await client.close()


async def test_a_body_that_is_too_large_is_not_read_to_its_end(
    server: SampleServer, waits: Waits
) -> None:
    client = await opened(server, waits, max_body_bytes=100)

    with pytest.raises(ApiBodyError, match="larger than 100 bytes"):
        await client.fetch(PRICES, params=APAM)
    await client.close()


async def test_credentials_go_to_no_other_host(client: HttpClient) -> None:
    with pytest.raises(ApiRequestError, match="another host"):
        await client.fetch("http://127.0.0.2:1/paging/link")


@pytest.mark.covers("S2-01")
async def test_an_oauth_token_is_fetched_once_and_again_when_it_was_revoked(
    server: SampleServer, waits: Waits
) -> None:
    departments = "/um/bf/Department/v2/DeptData"
    client = await opened(
        server,
        waits,
        auth={
            "kind": "oauth2",
            "token_url": f"{server.url}/um/oauth2/token",
            "client_id": "env:UMICH_CLIENT_ID",
            "client_secret": "env:UMICH_CLIENT_SECRET",
            "scope": "department",
        },
    )

    for _ in range(3):
        await client.fetch(departments)
    assert await server.requests("/um/oauth2/token") == 1

    await server.plan({"kind": "status", "status": 401, "path": departments, "times": 1})
    await client.fetch(departments)
    assert await server.requests("/um/oauth2/token") == 1  # one more, counted anew

    await server.plan({"kind": "status", "status": 401, "path": departments})
    with pytest.raises(ApiAccessError):
        await client.fetch(departments)
    assert await server.requests(departments) == 2
    await client.close()


async def test_nobody_listening_is_an_outage(waits: Waits) -> None:
    client = await opened(SampleServer("http://127.0.0.1:1"), waits)

    with pytest.raises(HttpUnavailableError, match="no connection"):
        await client.fetch(PRICES)
    await client.close()


async def test_a_request_carries_our_name(waits: Waits) -> None:
    client = await opened(SampleServer("http://127.0.0.1:1"), waits)

    assert isinstance(client._client, httpx.AsyncClient)
    assert client._client.headers["user-agent"] == "penstock"
    await client.close()
