"""Through a real Squid that wants NTLM or Negotiate, with users that Samba checks (S1-11)."""

import asyncio
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.http import HttpClient, HttpConfig, open_client
from chassis.http.errors import ApiAccessError, ApiTlsError, HttpUnavailableError
from tests.support.eventually import eventually
from tests.support.sample_api import Keys
from tests.support.scripted_proxy import ScriptedProxy
from tests.support.squid import FORBIDDEN_PORT, PASSWORD, Squid
from tests.support.tls_site import running_site, write_authority

pytestmark = pytest.mark.covers("S1-11")

_DOCUMENT = [{"symbol": "APAM"}]
_ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    b'Content-Length: 20\r\n\r\n[{"symbol": "APAM"}]'
)


SCHEMES = {"ntlm": "NTLM", "negotiate": "Negotiate"}


@pytest.fixture(scope="module")
def squids(folder: Path) -> Generator[dict[str, Squid]]:
    certificate = folder / "server.pem"
    both = {scheme: Squid("basic", scheme, certificate=certificate) for scheme in SCHEMES}
    try:
        for one in both.values():
            one.start()
        yield both
    finally:
        for one in both.values():
            one.remove()


@pytest.fixture(params=list(SCHEMES))
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def squid(squids: dict[str, Squid], scheme: str) -> Squid:
    return squids[scheme]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("authority")
    write_authority(folder)
    return folder


@pytest.fixture
async def site(folder: Path) -> AsyncGenerator[str]:
    async with running_site(folder) as port:
        yield f"https://localhost:{port}"


@pytest.fixture
async def plain_site() -> AsyncGenerator[str]:
    """Plain HTTP, and connections that are kept."""
    async with ScriptedProxy([[_ANSWER] * 9]).running() as site:
        yield f"http://127.0.0.1:{site.port}"


async def opened(
    base_url: str,
    squid: Squid,
    folder: Path | None,
    *,
    password: str = PASSWORD,
    proxy_url: str = "",
    **more: Any,
) -> HttpClient:
    document = {
        "base_url": base_url,
        "ca_file": str(folder / "ca.pem") if folder else None,
        "retry": {"attempts": 1},
        "proxy": {
            "url": "env:PROXY_URL",
            "username": "env:PROXY_USER",
            "password": "env:PROXY_PASSWORD",
            "domain": "MAPLE",
        },
        **more,
    }
    keys = {
        "PROXY_URL": proxy_url or f"http://localhost:{squid.port}",
        "PROXY_USER": "jdoe",
        "PROXY_PASSWORD": password,
    }
    return await open_client(HttpConfig.model_validate(document), Keys(keys), clock=SystemClock())


async def fetched(client: HttpClient) -> Any:
    try:
        return (await client.fetch("/prices")).data
    finally:
        await client.close()


def seen(squid: Squid, site: str) -> list[tuple[str, str, str]]:
    """Return status, user and log-on of the requests to one site; a tunnel is told at its end."""
    target = site.partition("//")[2]
    return [
        (status, user, logon)
        for _, url, status, user, logon in squid.requests()
        if url.removeprefix("http://").removesuffix("/prices") == target
    ]


async def logged(squid: Squid, site: str, least: int) -> list[tuple[str, str, str]]:
    def enough() -> list[tuple[str, str, str]]:
        return found if len(found := seen(squid, site)) >= least else []

    return await eventually(enough)


async def test_a_domain_user_passes_and_the_password_is_not_shown(
    site: str, squid: Squid, folder: Path, scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        assert await fetched(await opened(site, squid, folder)) == _DOCUMENT

    assert all(secret not in caplog.text for secret in ("TlRMTVNT", PASSWORD, "jdoe"))
    assert not [one for one in caplog.records if one.name.startswith("spnego")]
    name = SCHEMES[scheme]
    log = await logged(squid, site, 3)
    assert [(status, user, logon.partition(" ")[0]) for status, user, logon in log] == [
        ("407", "-", "-"),
        ("407", "-", name),
        ("200", r"MAPLE\jdoe", name),
    ]


async def test_a_kept_connection_logs_on_once_and_further_ones_ask_no_more(
    plain_site: str, squid: Squid
) -> None:
    client = await opened(plain_site, squid, None)

    for _ in range(3):
        await client.fetch("/prices")
    await asyncio.gather(*(client.fetch("/prices") for _ in range(4)))
    await client.close()

    def passed() -> list[str]:
        return [user for status, user, _ in seen(squid, plain_site) if status == "200"]

    assert await eventually(lambda: passed() == [r"MAPLE\jdoe"] * 4)
    # What was not forwarded, and what begins the log-on of each of the four.
    assert [status for status, _, _ in seen(squid, plain_site)].count("407") == 1 + 4


async def test_a_wrong_password_is_tried_once_by_all_clients_together(
    site: str, squid: Squid, folder: Path
) -> None:
    clients = [await opened(site, squid, folder, password="stale-password") for _ in range(3)]

    async def refused(client: HttpClient) -> str:
        with pytest.raises(ApiAccessError) as caught:
            await client.fetch("/prices")
        assert caught.value.category.value == "proxy_setup"
        assert "stale-password" not in repr(caught.value)
        assert "jdoe" not in repr(caught.value)
        return str(caught.value)

    told = await asyncio.gather(*(refused(client) for client in [*clients, clients[0]]))
    told.append(await refused(clients[0]))
    for client in clients:
        await client.close()

    told.sort(key=lambda text: "the proxy has refused" in text)
    assert told[0] == (
        "GET /prices: the proxy refuses the log-on; check user, domain and password: it is not "
        "tried again for 5 minutes or longer, because accounts get locked"
    )
    assert all("the proxy has refused the log-on; the next attempt" in text for text in told[1:])
    # The message that begins a log-on is short and says nothing of the password.
    log = await logged(squid, site, 6)
    assert len([logon for _, _, logon in log if len(logon) > 200]) == 1


async def test_a_host_that_the_proxy_forbids_is_told_as_such(squid: Squid, folder: Path) -> None:
    client = await opened(f"https://localhost:{FORBIDDEN_PORT}", squid, folder)

    with pytest.raises(ApiAccessError, match=r"does not allow a tunnel .* 403"):
        await fetched(client)


async def test_a_host_that_the_proxy_cannot_reach_is_an_outage(squid: Squid, folder: Path) -> None:
    client = await opened("https://localhost:1", squid, folder)

    with pytest.raises(HttpUnavailableError, match=r"the proxy cannot reach the API .* 503"):
        await fetched(client)


async def test_the_apis_certificate_is_checked_behind_the_proxy(site: str, squid: Squid) -> None:
    with pytest.raises(ApiTlsError, match="not trusted"):
        await fetched(await opened(site, squid, None))


async def test_the_proxy_itself_may_speak_tls_and_its_certificate_is_checked(
    site: str, squid: Squid, folder: Path
) -> None:
    address = f"https://localhost:{squid.tls_port}"

    assert await fetched(await opened(site, squid, folder, proxy_url=address)) == _DOCUMENT

    with pytest.raises(ApiTlsError, match="the certificate of the proxy is not trusted"):
        await fetched(await opened(site, squid, None, proxy_url=address))


async def test_a_proxy_without_a_configured_user_says_what_is_missing(
    site: str, squid: Squid, folder: Path
) -> None:
    client = await opened(site, squid, folder, proxy={"url": "env:PROXY_URL"})

    with pytest.raises(ApiAccessError, match="wants a log-on, but no user is configured"):
        await fetched(client)
