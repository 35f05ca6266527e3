"""What a proxy offers, and what has to be said to it; pyspnego makes the messages of NTLM."""

import base64
import logging
import re
import struct
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING

from chassis.http.proxy.address import Account
from chassis.http.proxy.errors import LogonRefusal, ProxyFault, ProxyRefusal
from chassis.http.proxy.gate import REFUSED

if TYPE_CHECKING:
    import spnego

# It logs every message at DEBUG; what answers a challenge can be tried against guessed passwords.
logging.getLogger("spnego").setLevel(logging.WARNING)

_TOKEN = re.compile(r"[A-Za-z0-9+/]+=*")
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')


class Scheme(StrEnum):
    """A way to log on, the preferred first: Basic shows the password to whoever listens."""

    NTLM = "ntlm"
    NEGOTIATE = "negotiate"
    BASIC = "basic"


def offers(values: Iterable[str]) -> dict[str, str]:
    """Return the schemes of `Proxy-Authenticate` in lower case, each with its token or nothing."""
    found: dict[str, str] = {}
    for value in values:
        for part in _QUOTED.sub('""', value).split(","):
            name, _, rest = part.strip().partition(" ")
            if name and "=" not in name:  # else it is a further parameter of the scheme before
                token = _TOKEN.fullmatch(rest.strip())
                found[name.lower()] = token.group() if token else ""
    return found


def choice(offered: Iterable[str], account: Account | None) -> tuple[Account, Scheme]:
    """Return who logs on and how: by the best of the schemes that the proxy offers.

    Raises:
        ProxyRefusal: there is nobody who could, or no scheme that we speak.
    """
    if account is None:
        raise ProxyRefusal("the proxy wants a log-on, but no user is configured for it")
    names = set(offered)
    for scheme in Scheme:
        if scheme in names:
            return account, scheme
    raise ProxyRefusal("the proxy offers neither NTLM nor Negotiate nor Basic to log on")


_MESSAGES = {Scheme.NTLM: 2, Scheme.NEGOTIATE: 3, Scheme.BASIC: 1}
"""How many of ours there are; Negotiate may end after two."""

_NAMES = {Scheme.NTLM: "NTLM", Scheme.NEGOTIATE: "Negotiate"}


class Logon:
    """What one connection says to prove who it is; `Proxy-Authorization`, message by message."""

    def __init__(self, scheme: Scheme, account: Account, *, proxy_host: str) -> None:
        self.scheme = scheme
        self._account = account
        self._context = None if scheme is Scheme.BASIC else _context(scheme, account, proxy_host)
        self._said = 0

    @property
    def is_told(self) -> bool:
        """Whether what proves the password has been said; a further 407 then refuses it."""
        return self._said >= min(_MESSAGES[self.scheme], 2)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to say."""
        return self._said >= _MESSAGES[self.scheme]

    def message(self, challenge: str) -> str:
        """Return what answers a challenge; the first message answers none.

        Raises:
            ProxyFault: the challenge is not one.
            LogonRefusal: likewise, after the password has been proven or not: so some refuse.
        """
        was_told = self.is_told
        self._said += 1
        if self._context is None:
            return basic(self._account)
        try:
            token = self._context.step(base64.b64decode(challenge, validate=True) or None)
        except _mistakes() as error:
            if was_told:
                raise LogonRefusal(REFUSED) from error
            raise ProxyFault("the proxy's challenge cannot be understood") from error
        return f"{_NAMES[self.scheme]} {base64.b64encode(token or b'').decode()}"


def basic(account: Account) -> str:
    """Return user and password in the clear, more or less."""
    pair = f"{account.user}:{account.password}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def _context(scheme: Scheme, account: Account, proxy_host: str) -> "spnego.ContextProxy":
    import spnego  # noqa: PLC0415 - a quarter of a second, and few proxies want it

    # Its own NTLM for either: no Kerberos tickets or libraries of the machine are looked for.
    ours = {
        Scheme.NTLM: spnego.NegotiateOptions.use_ntlm,
        Scheme.NEGOTIATE: spnego.NegotiateOptions.use_negotiate,
    }
    return spnego.client(
        spnego.Password(account.user, account.password),
        hostname=proxy_host,
        service="HTTP",
        protocol=scheme.value,
        options=ours[scheme],
    )


def _mistakes() -> tuple[type[Exception], ...]:
    from spnego.exceptions import SpnegoError  # noqa: PLC0415 - as above

    # It reads what comes from the network without checking every field first.
    return (SpnegoError, ValueError, LookupError, OverflowError, struct.error)
