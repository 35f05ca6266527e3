"""Logging on through a real identity provider, which makes mistakes on request."""

from collections.abc import AsyncGenerator, Generator
from urllib.parse import urlsplit

import httpx
import pytest
from joserfc.jwk import RSAKey

from chassis.db import Database
from tests.integration.console.browser import Console, open_console, visible
from tests.support.oidc_provider import CLIENT_ID, CLIENT_SECRET, OidcProvider, oidc_provider


@pytest.fixture(scope="module")
def running() -> Generator[OidcProvider]:
    with oidc_provider() as provider:
        yield provider


@pytest.fixture
def provider(running: OidcProvider) -> OidcProvider:
    running.claims = {"sub": "4711", "preferred_username": "Ann", "groups": ["ops", "all"]}
    running.signs_with = None
    return running


@pytest.fixture
async def console(database: Database, provider: OidcProvider) -> AsyncGenerator[Console]:
    async with open_console(
        database,
        CONSOLE_OIDC_ISSUER=provider.issuer,
        CONSOLE_OIDC_CLIENT_ID=CLIENT_ID,
        CONSOLE_OIDC_CLIENT_SECRET=CLIENT_SECRET,
        CONSOLE_OIDC_VIEWERS="all",
        CONSOLE_OIDC_OPERATORS="ops,others",
    ) as console:
        yield console


async def _go(client: httpx.AsyncClient) -> str:
    """Follow the browser's way to the provider; return the address it is sent back to."""
    away = (await client.get("/login/oidc?next=/audit")).headers["location"]
    async with httpx.AsyncClient() as outside:
        back = urlsplit((await outside.get(away)).headers["location"])
    return f"{back.path}?{back.query}"


async def test_who_the_provider_vouches_for_gets_the_role_of_their_groups(
    console: Console, provider: OidcProvider
) -> None:
    client = await console.anonymous()
    back = await _go(client)
    answer = await client.get(back)
    assert (answer.status_code, answer.headers["location"]) == (303, "/audit")
    me = (await client.get("/api/v1/me")).json()
    assert (me["name"], me["role"]) == ("ann", "operator")

    # Each time anew: who leaves the group is less the next time; nobody else gets the name.
    provider.claims |= {"groups": "all", "preferred_username": "ann"}
    await client.get(await _go(client))
    assert (await client.get("/api/v1/me")).json()["role"] == "viewer"
    provider.claims |= {"sub": "4712"}
    other = await console.anonymous()
    await other.get(await _go(other))
    assert (await other.get("/api/v1/me")).json()["name"].startswith("ann#")
    logins = [entry for entry in await console.audit() if entry["action"] == "login"]
    assert [entry["details"]["way"] for entry in logins] == ["oidc"] * 3


async def test_an_answer_counts_once_and_in_the_browser_that_asked(
    console: Console, provider: OidcProvider
) -> None:
    client, other = await console.anonymous(), await console.anonymous()
    back = await _go(client)
    before = provider.redeemed
    assert (await other.get(back)).status_code == 401
    assert provider.redeemed == before
    # It was not used up by the attempt.
    assert (await client.get(back)).status_code == 303
    assert (await client.get(back)).status_code == 401
    assert (await client.get(back.replace("code=", "code=x"))).status_code == 401


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"},
        {"aud": "another-client"},
        {"nonce": "of another log-on"},
        {"exp": 1_700_000_000},
        {"azp": "another-client", "aud": [CLIENT_ID, "another-client"]},
    ],
    ids=["issuer", "audience", "nonce", "expired", "authorized party"],
)
async def test_a_token_that_is_not_for_us_is_refused(
    console: Console, provider: OidcProvider, lie: dict[str, object]
) -> None:
    client = await console.anonymous()
    provider.claims |= lie
    assert (await client.get(await _go(client))).status_code == 401


async def test_a_signature_of_another_key_is_refused(
    console: Console, provider: OidcProvider
) -> None:
    client = await console.anonymous()
    provider.signs_with = RSAKey.generate_key(2048, {"kid": str(provider.key.kid)})
    assert (await client.get(await _go(client))).status_code == 401


async def test_a_new_key_of_the_provider_is_fetched(
    console: Console, provider: OidcProvider
) -> None:
    client = await console.anonymous()
    await client.get(await _go(client))
    provider.key = RSAKey.generate_key(2048, {"kid": "2"})
    assert (await client.get(await _go(client))).status_code == 303


async def test_who_has_no_role_stays_outside_and_stands_in_the_audit(
    console: Console, provider: OidcProvider
) -> None:
    client = await console.anonymous()
    provider.claims["groups"] = ["strangers"]
    answer = await client.get(await _go(client))
    assert answer.status_code == 401
    assert "no role here" in visible(answer.text)
    assert (await console.audit())[-1]["action"] == "login.failed"


async def test_who_is_locked_here_stays_outside(console: Console) -> None:
    client = await console.anonymous()
    await client.get(await _go(client))
    async with console.database.connection() as connection:
        await connection.execute("update console.users set is_active = false")
    assert (await client.get(await _go(client))).status_code == 401
