"""Proxies that misbehave, each step of a log-on at a time; and those that offer Basic alone."""

import base64
from typing import Any

import pytest

from chassis.clock import SystemClock
from chassis.errors import PenstockError
from chassis.http import HttpClient, HttpConfig, open_client
from chassis.http.errors import ApiAccessError, HttpUnavailableError
from chassis.http.proxy.gate import REFUSED
from tests.support.sample_api import Keys
from tests.support.scripted_proxy import CHALLENGE, ScriptedProxy, refusal

pytestmark = pytest.mark.covers("S1-11")

ASKS = refusal("NTLM", 'Basic realm="maple"')
CHALLENGES = refusal(f"NTLM {CHALLENGE}")
REJECTED = "oQcwBaADCgEC"  # SPNEGO's own word for no
DATA = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"


async def opened(
    proxy: ScriptedProxy, base_url: str = "https://api.example", *, connect_seconds: float = 10
) -> HttpClient:
    document: dict[str, Any] = {
        "base_url": base_url,
        "retry": {"attempts": 1},
        "connect_timeout_seconds": connect_seconds,
        "proxy": {"url": "env:PROXY_URL", "username": "env:PROXY_USER", "password": "env:PROXY_PW"},
    }
    keys = {
        "PROXY_URL": f"http://127.0.0.1:{proxy.port}",
        "PROXY_USER": r"MAPLE\jdoe",
        "PROXY_PW": "pa@ss:w/ör#d",
    }
    return await open_client(HttpConfig.model_validate(document), Keys(keys), clock=SystemClock())


@pytest.mark.parametrize(
    ("script", "kind", "told"),
    [
        ([None], HttpUnavailableError, "no tunnel through the proxy in time"),
        (
            [ASKS],
            HttpUnavailableError,
            "the proxy does not go on with the log-on that it has offered",
        ),
        ([CHALLENGES, None], HttpUnavailableError, "no tunnel through the proxy in time"),
        ([], HttpUnavailableError, "the proxy breaks the connection off"),
        ([CHALLENGES], HttpUnavailableError, "the proxy breaks the connection off"),
        ([b"SSH-2.0-OpenSSH\r\n\r\n"], HttpUnavailableError, "the proxy breaks the connection off"),
        (
            [refusal(f"NTLM {CHALLENGE}", more="Connection: close\r\n")],
            HttpUnavailableError,
            "the proxy closes the connection in the middle of a log-on",
        ),
        (
            [refusal(f"NTLM {CHALLENGE[:40]}")],
            HttpUnavailableError,
            "the proxy's challenge cannot be understood",
        ),
        (
            [CHALLENGES, CHALLENGES],
            ApiAccessError,
            REFUSED,
        ),
        (
            [CHALLENGES, refusal(f"NTLM {CHALLENGE}", more="Connection: close\r\n")],
            ApiAccessError,
            REFUSED,
        ),
        (
            [refusal(f"Negotiate {CHALLENGE}"), refusal(f"Negotiate {REJECTED}")],
            ApiAccessError,
            REFUSED,
        ),
        (
            [refusal("NTLM", body=bytes(2_000_000))],
            HttpUnavailableError,
            "the proxy's answer has no end",
        ),
        (
            [b"HTTP/1.1 200 OK\r\n\r\nand more"],
            HttpUnavailableError,
            "the proxy says more than that the tunnel is open",
        ),
        (
            [refusal("Kerberos", 'Digest realm="a, NTLM", nonce="b"')],
            ApiAccessError,
            "the proxy offers neither NTLM nor Negotiate nor Basic to log on",
        ),
    ],
)
async def test_each_fault_has_its_sentence_and_leaves_no_connection(
    script: list[bytes | None], kind: type[PenstockError], told: str
) -> None:
    async with ScriptedProxy([script]).running() as proxy:
        client = await opened(proxy, connect_seconds=0.3 if None in script else 10)
        with pytest.raises(kind) as caught:
            await client.fetch("/prices")

        assert str(caught.value) == f"GET /prices: {told}"
        assert caught.value.category.value == "proxy_setup"
        await proxy.is_left()
        await client.close()


async def test_nobody_listening_is_an_outage_of_the_proxy() -> None:
    client = await opened(ScriptedProxy([[]], port=1))

    with pytest.raises(HttpUnavailableError, match="no connection to the proxy"):
        await client.fetch("/prices")
    await client.close()


async def test_a_refused_basic_log_on_is_not_repeated() -> None:
    async with ScriptedProxy([[refusal('Basic realm="maple"')]]).running() as proxy:
        client = await opened(proxy)
        for told in ("the proxy refuses the log-on", "the proxy has refused the log-on"):
            with pytest.raises(ApiAccessError, match=told):
                await client.fetch("/prices")
        await client.close()

    pair = base64.b64encode("MAPLE\\jdoe:pa@ss:w/ör#d".encode()).decode()
    assert proxy.logons() == ["", f"Basic {pair}"]


async def test_a_proxy_that_offers_basic_forwards_plain_http() -> None:
    basic = refusal('Basic realm="maple"')
    async with ScriptedProxy([[basic], [DATA, DATA]]).running() as proxy:
        client = await opened(proxy, "http://api.example")
        assert [(await client.fetch("/prices")).data for _ in range(2)] == [[], []]
        await client.close()

    assert {head.split("\r\n")[0] for head in proxy.heads} == {
        "GET http://api.example/prices HTTP/1.1"
    }
    first, *others = proxy.logons()
    assert first == ""
    assert {logon.partition(" ")[0] for logon in others} == {"Basic"}
    assert len(others) == 2


async def test_plain_http_tells_a_refused_log_on_too() -> None:
    async with ScriptedProxy([[refusal('Basic realm="maple"')] * 2]).running() as proxy:
        client = await opened(proxy, "http://api.example")
        with pytest.raises(ApiAccessError, match="the proxy refuses the log-on"):
            await client.fetch("/prices")
        await client.close()

    assert len(proxy.heads) == 2
