"""Through a corporate proxy with a domain user, and trusting the house's own authority."""

import tempfile
from collections.abc import AsyncGenerator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from chassis.clock import SystemClock
from chassis.errors import PenstockError
from chassis.http import HttpClient, HttpConfig, open_client
from chassis.http.errors import ApiAccessError, ApiTlsError
from chassis.http.open import ProxyError, make_proxy
from chassis.http.tls import CertificateError
from chassis.logs import redact
from chassis.shares.local import LocalShare
from chassis.shares.port import Share, ShareNotFoundError
from tests.support.sample_api import Keys
from tests.support.tls_site import CorporateProxy, running_site, write_authority

PASSWORD = "pa@ss:w/ör#d"  # everything that would need escaping in an address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_authority(tmp_path)
    return tmp_path


@pytest.fixture
async def site(folder: Path) -> AsyncGenerator[str]:
    async with running_site(folder) as port:
        yield f"https://localhost:{port}"


@pytest.fixture
async def proxy() -> AsyncGenerator[CorporateProxy]:
    async with CorporateProxy(r"MAPLE\jdoe", PASSWORD).running() as running:
        yield running


async def opened(
    site: str, secrets: Mapping[str, str] | None = None, share: Share | None = None, **more: Any
) -> HttpClient:
    document = {"base_url": site, "retry": {"attempts": 1}, **more}
    return await open_client(
        HttpConfig.model_validate(document),
        Keys(secrets or {}),
        clock=SystemClock(),
        share=share,
    )


async def fetched(client: HttpClient) -> Any:
    try:
        return (await client.fetch("/prices")).data
    finally:
        await client.close()


def proxied(proxy: CorporateProxy, password: str = PASSWORD) -> dict[str, Any]:
    return {
        "secrets": {
            "PROXY_URL": f"127.0.0.1:{proxy.port}",
            "PROXY_USER": "jdoe",
            "PROXY_PASSWORD": password,
            "PROXY_DOMAIN": "MAPLE",
        },
        "proxy": {
            "url": "env:PROXY_URL",
            "username": "env:PROXY_USER",
            "password": "env:PROXY_PASSWORD",
            "domain": "env:PROXY_DOMAIN",
        },
    }


@pytest.mark.covers("S1-11")
async def test_a_proxy_gets_the_domain_user_and_a_password_with_any_character(
    site: str, folder: Path, proxy: CorporateProxy
) -> None:
    client = await opened(site, ca_file=str(folder / "ca.pem"), **proxied(proxy))

    assert await fetched(client) == [{"symbol": "APAM"}]
    assert proxy.logons == [rf"MAPLE\jdoe:{PASSWORD}"]
    assert proxy.targets == [site.removeprefix("https://")] * 2  # asked without the password first


@pytest.mark.covers("S1-11", "S1-27")
async def test_a_refused_proxy_log_on_is_told_without_address_and_password(
    site: str, folder: Path, proxy: CorporateProxy
) -> None:
    wrong = "wrong-password-1"
    client = await opened(site, ca_file=str(folder / "ca.pem"), **proxied(proxy, wrong))

    with pytest.raises(ApiAccessError) as caught:
        await fetched(client)

    assert str(caught.value).startswith("GET /prices: the proxy refuses the log-on; check user, ")
    assert caught.value.category.value == "proxy_setup"
    assert redact(f"x {wrong} x") == "x *** x"


@pytest.mark.covers("S1-11")
@pytest.mark.parametrize("address", ["jdoe:secret@proxy:8080", "ftp://proxy", "http://"])
def test_an_address_that_cannot_be_a_proxys_is_refused_and_not_repeated(address: str) -> None:
    config = HttpConfig.model_validate({"base_url": "https://a", "proxy": {"url": "env:PROXY_URL"}})
    assert config.proxy is not None

    with pytest.raises(ProxyError) as caught:
        make_proxy(config.proxy, Keys({"PROXY_URL": address}))

    assert "jdoe" not in str(caught.value)


@pytest.mark.covers("S1-10")
async def test_an_unknown_authority_is_not_trusted_and_that_is_final(site: str) -> None:
    client = await opened(site)

    with pytest.raises(ApiTlsError, match="not trusted"):
        await fetched(client)


@pytest.mark.covers("S1-10", "C-08")
async def test_the_certificate_is_fetched_from_the_share_and_its_copy_is_gone(
    site: str, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies = tmp_path / "copies"
    copies.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    share = LocalShare(folder)

    client = await opened(site, share=share, ca_share={"path": "ca.pem"})

    assert await fetched(client) == [{"symbol": "APAM"}]
    assert list(copies.iterdir()) == []
    ends = REGISTRY.get_sample_value("penstock_ca_not_after_timestamp_seconds", {"file": "ca.pem"})
    assert ends is not None
    left = datetime.fromtimestamp(ends, UTC) - SystemClock().now()
    assert timedelta(days=89) < left < timedelta(days=91)


@pytest.mark.covers("S1-10")
@pytest.mark.parametrize(
    ("content", "expected"),
    [(b"no certificate", CertificateError), (None, ShareNotFoundError)],
)
async def test_a_certificate_that_cannot_be_used_leaves_no_copy_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: bytes | None,
    expected: type[PenstockError],
) -> None:
    copies, root = tmp_path / "copies", tmp_path / "share"
    copies.mkdir()
    root.mkdir()
    if content is not None:
        (root / "house.pem").write_bytes(content)
    monkeypatch.setattr(tempfile, "tempdir", str(copies))
    share = LocalShare(root)

    with pytest.raises(expected):
        await opened("https://localhost:1", share=share, ca_share={"path": "house.pem"})

    assert list(copies.iterdir()) == []


@pytest.mark.covers("S1-10")
async def test_an_authority_that_has_ended_is_told_with_its_day(tmp_path: Path) -> None:
    write_authority(tmp_path, days=-1)

    with pytest.raises(CertificateError, match=r"`ca.pem` ended on \d{4}-\d\d-\d\d"):
        await opened("https://localhost:1", ca_file=str(tmp_path / "ca.pem"))
