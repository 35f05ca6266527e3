"""Which proxy, and who we are there."""

from dataclasses import dataclass, field

import httpx


@dataclass(frozen=True, slots=True)
class Account:
    r"""A user of the proxy, as `DOMAIN\user` where it has a domain."""

    user: str = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy and the account that it is used with; its text shows neither."""

    url: str = field(repr=False)
    """`http://host:port`, without user; `https://` where the proxy itself is spoken to over TLS."""

    account: Account | None = None

    @property
    def host(self) -> str:
        """The name or address, an IPv6 address without brackets."""
        return httpx.URL(self.url).host

    @property
    def port(self) -> int:
        """The port; that of the scheme if the address has none."""
        return httpx.URL(self.url).port or (443 if self.is_tls else 80)

    @property
    def is_tls(self) -> bool:
        """Whether the proxy itself is spoken to over TLS."""
        return self.url.startswith("https://")
