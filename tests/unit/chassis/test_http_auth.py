"""Tokens of OAuth2: kept, renewed in time, and fetched once for all who wait."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from chassis.http.auth import ClientCredentials
from chassis.http.config import OAuth2Auth
from chassis.http.errors import ApiAccessError, HttpUnavailableError
from chassis.redaction import redact
from tests.support.clocks import HandClock

CONFIG = OAuth2Auth(
    kind="oauth2",
    token_url="https://id.example.org/token",
    client_id="env:CLIENT_ID",
    client_secret="env:CLIENT_SECRET",
    scope="department",
)


class Site:
    """Gives tokens and says who asked with which."""

    def __init__(self, answer: Callable[[int], httpx.Response]) -> None:
        self.tokens = 0
        self.used: list[str] = []
        self.forms: list[str] = []
        self._answer = answer

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path == "/token":
            self.tokens += 1
            self.forms.append(request.content.decode())
            return self._answer(self.tokens)
        self.used.append(request.headers["authorization"])
        return httpx.Response(200, json=[])


def token(number: int, **more: Any) -> httpx.Response:
    return httpx.Response(
        200, json={"access_token": f"token-number-{number}", "expires_in": 600, **more}
    )


def client(site: Site, clock: HandClock, config: OAuth2Auth = CONFIG) -> httpx.AsyncClient:
    auth = ClientCredentials(config, client=("name", "word"), clock=clock)
    return httpx.AsyncClient(auth=auth, transport=httpx.MockTransport(site), trust_env=False)


@pytest.mark.covers("S2-01")
async def test_a_token_is_used_until_a_minute_before_its_end() -> None:
    site, clock = Site(token), HandClock()
    async with client(site, clock) as http:
        for clock.seconds in (0, 100, 539, 541, 600):
            await http.get("https://api.example.org/a")

    assert site.used == ["Bearer token-number-1"] * 3 + ["Bearer token-number-2"] * 2
    assert site.forms[0] == "grant_type=client_credentials&scope=department"


async def test_requests_at_once_fetch_one_token() -> None:
    site = Site(token)
    async with client(site, HandClock()) as http, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(http.get("https://api.example.org/a"))

    assert site.tokens == 1


async def test_a_token_with_a_short_life_is_still_used_more_than_once() -> None:
    site, clock = Site(lambda number: token(number, expires_in=30)), HandClock()
    async with client(site, clock) as http:
        for clock.seconds in (0, 10, 14, 16):
            await http.get("https://api.example.org/a")

    assert site.tokens == 2


async def test_credentials_may_go_as_form_fields() -> None:
    site = Site(token)
    config = CONFIG.model_copy(update={"client_in_body": True, "scope": None})
    async with client(site, HandClock(), config) as http:
        await http.get("https://api.example.org/a")

    assert site.forms == ["grant_type=client_credentials&client_id=name&client_secret=word"]


@pytest.mark.covers("S3-12")
@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (httpx.Response(401, json={"error": "invalid_client"}), ApiAccessError),
        (httpx.Response(400, json={"error": "invalid_scope"}), ApiAccessError),
        (httpx.Response(503), HttpUnavailableError),
        (httpx.Response(429), HttpUnavailableError),
        (httpx.Response(200, text="<html>"), HttpUnavailableError),
        (httpx.Response(200, json=["no object"]), HttpUnavailableError),
        (httpx.Response(200, json={"token_type": "Bearer"}), HttpUnavailableError),
    ],
)
async def test_without_a_token_nothing_is_asked(
    answer: httpx.Response, expected: type[Exception]
) -> None:
    site = Site(lambda _: answer)
    async with client(site, HandClock()) as http:
        with pytest.raises(expected):
            await http.get("https://api.example.org/a")

    assert site.used == []


@pytest.mark.covers("S1-28")
async def test_a_token_is_recognised_in_a_text_by_its_form() -> None:
    site = Site(lambda _: token(77))
    async with client(site, HandClock()) as http:
        await http.get("https://api.example.org/a")

    # By its form only: a service that runs for months must not collect every token it had.
    assert redact(f"it sent {site.used[0]}") == "it sent Bearer ***"
