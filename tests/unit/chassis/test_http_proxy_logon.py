import base64
from typing import Any

import pytest

from chassis.http.proxy.address import Account, Proxy
from chassis.http.proxy.errors import ProxyFault, ProxyRefusal
from chassis.http.proxy.logon import Logon, Scheme, choice, offers
from tests.support.scripted_proxy import CHALLENGE

ACCOUNT = Account(r"MAPLE\jdoe", "pa@ss:w/ör#d")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], {}),
        ([""], {}),
        (["NTLM"], {"ntlm": ""}),
        (["NTLM TlRMTVNTUAACAA=="], {"ntlm": "TlRMTVNTUAACAA=="}),
        (["Negotiate", "NTLM", 'Basic realm="x"'], {"negotiate": "", "ntlm": "", "basic": ""}),
        (["Negotiate, NTLM , BASIC realm=x"], {"negotiate": "", "ntlm": "", "basic": ""}),
        (['Digest realm="a, NTLM", nonce="b\\", Basic", qop="auth"'], {"digest": ""}),
        (["Basic realm=x, charset=UTF-8, NTLM"], {"basic": "", "ntlm": ""}),
    ],
)
def test_offers_are_read_from_one_header_or_many(
    values: list[str], expected: dict[str, str]
) -> None:
    assert offers(values) == expected


@pytest.mark.covers("S1-11")
@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        (["basic", "negotiate", "ntlm"], Scheme.NTLM),
        (["basic", "negotiate"], Scheme.NEGOTIATE),
        (["digest", "basic"], Scheme.BASIC),
    ],
)
def test_a_scheme_that_keeps_the_password_to_itself_is_preferred(
    offered: list[str], expected: Scheme
) -> None:
    assert choice(offered, ACCOUNT) == (ACCOUNT, expected)


@pytest.mark.parametrize(
    ("offered", "account", "told"),
    [
        (["digest"], ACCOUNT, "neither NTLM nor Negotiate nor Basic"),
        (["ntlm"], None, "no user is configured"),
    ],
)
def test_where_no_log_on_is_possible_the_reason_is_told(
    offered: list[str], account: Account | None, told: str
) -> None:
    with pytest.raises(ProxyRefusal, match=told):
        choice(offered, account)


def test_ntlm_tells_in_its_second_message_and_then_has_no_more_to_say() -> None:
    logon = Logon(Scheme.NTLM, ACCOUNT, proxy_host="proxy")
    assert logon.message("").startswith("NTLM TlRMTVNTUAAB")
    assert (logon.is_told, logon.is_over) == (False, False)

    name, _, token = logon.message(CHALLENGE).partition(" ")

    assert (logon.is_told, logon.is_over) == (True, True)
    proof = base64.b64decode(token)
    assert name == "NTLM"
    assert proof.startswith(b"NTLMSSP\x00\x03\x00\x00\x00")
    assert "MAPLE".encode("utf-16-le") in proof
    assert "jdoe".encode("utf-16-le") in proof
    assert ACCOUNT.password.encode("utf-16-le") not in proof


def test_basic_says_all_at_once() -> None:
    logon = Logon(Scheme.BASIC, Account("jdoe", "secret"), proxy_host="proxy")

    assert logon.message("") == "Basic amRvZTpzZWNyZXQ="
    assert (logon.is_told, logon.is_over) == (True, True)


def is_answered(challenge: bytes, scheme: Scheme = Scheme.NTLM) -> bool:
    logon = Logon(scheme, ACCOUNT, proxy_host="proxy")
    logon.message("")
    try:
        logon.message(base64.b64encode(challenge).decode())
    except ProxyFault as fault:
        assert str(fault) == "the proxy's challenge cannot be understood"  # noqa: PT017
        return False
    return True


@pytest.mark.parametrize("scheme", [Scheme.NTLM, Scheme.NEGOTIATE])
def test_a_challenge_that_is_cut_off_or_damaged_is_a_fault_of_the_proxy(scheme: Scheme) -> None:
    whole = base64.b64decode(CHALLENGE)
    assert is_answered(whole, scheme)

    # What follows the header may be missing: old servers tell neither version nor target.
    assert not any(is_answered(whole[:length], scheme) for length in range(1, 48, 3))
    for at in range(8, len(whole), 4):  # answered or not, but no error of another kind
        is_answered(whole[:at] + b"\xff" + whole[at + 1 :], scheme)


@pytest.mark.covers("S1-27")
@pytest.mark.parametrize("shown", [ACCOUNT, Proxy("http://proxy.maple.example:8080", ACCOUNT)])
def test_the_texts_of_account_and_proxy_show_neither(shown: Any) -> None:
    assert all(part not in repr(shown) for part in ("jdoe", "ör#d", "maple.example"))


@pytest.mark.parametrize(
    ("url", "host", "port", "is_tls"),
    [
        ("http://proxy:8080", "proxy", 8080, False),
        ("http://proxy", "proxy", 80, False),
        ("https://proxy", "proxy", 443, True),
        ("http://[::1]:3128", "::1", 3128, False),
    ],
)
def test_an_address_is_taken_apart(url: str, host: str, port: int, is_tls: bool) -> None:  # noqa: FBT001 - a value of the table
    proxy = Proxy(url)
    assert (proxy.host, proxy.port, proxy.is_tls) == (host, port, is_tls)
