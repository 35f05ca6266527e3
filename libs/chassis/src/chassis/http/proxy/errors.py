"""What goes wrong between us and a proxy.

    httpx.ProxyError
    └── ProxyFault             the proxy cannot be used now; the next attempt may succeed
        └── ProxyRefusal       it will say the same again: somebody has to change something
            └── LogonRefusal   it does not take user and password

They pass through httpcore and httpx, hence the root. No text holds an address or an account.
"""

import httpx


class ProxyFault(httpx.ProxyError):
    """The proxy cannot be used now."""


class ProxyRefusal(ProxyFault):
    """The proxy does not let us pass."""


class LogonRefusal(ProxyRefusal):
    """The proxy does not take user and password."""
