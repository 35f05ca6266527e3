"""Puts a client together: trust, proxy, authentication, budget."""

import asyncio
import ssl
from urllib.parse import urlsplit

import httpx

from chassis.clock import Clock
from chassis.db import Database
from chassis.errors import PermanentError
from chassis.http.auth import make_auth
from chassis.http.budget import NoBudget, PostgresRateBudget, RateBudget, Sleep
from chassis.http.client import HttpClient
from chassis.http.config import HttpConfig, ProxyConfig, SecretLookup, references
from chassis.http.proxy.address import Account, Proxy
from chassis.http.tls import trust
from chassis.redaction import register_secrets
from chassis.shares.port import Share
from contracts.errors import ErrorCategory

USER_AGENT = "penstock"


class ProxyError(PermanentError):
    """The proxy settings are unusable."""

    default_category = ErrorCategory.PROXY_SETUP


async def open_client(
    config: HttpConfig,
    secrets: SecretLookup,
    *,
    clock: Clock,
    database: Database | None = None,
    share: Share | None = None,
    sleep: Sleep = asyncio.sleep,
) -> HttpClient:
    """Return a client that is ready; no request is sent.

    Args:
        config: Where the API is and how it is spoken to.
        secrets: What the configuration's references stand for.
        clock: Tells the time.
        database: Where the budget is kept, if the configuration has one.
        share: Where the authority's certificate lies, if the configuration says so.
        sleep: How to wait.

    Raises:
        CertificateError: the configured authority cannot be used.
        ProxyError: the proxy's address cannot be used.
        TransientError: the share does not answer.
    """
    sections = (config.auth, *([config.proxy] if config.proxy else []))
    register_secrets(secrets[name] for section in sections for name in references(section))
    proxy = make_proxy(config.proxy, secrets) if config.proxy else None
    trusted = await trust(config, share=share, clock=clock)
    client = httpx.AsyncClient(
        auth=make_auth(config.auth, secrets, clock=clock),
        headers={"User-Agent": USER_AGENT, **config.headers},
        verify=trusted,
        transport=_through(proxy, config, trusted, clock=clock) if proxy else None,
        timeout=httpx.Timeout(config.timeout_seconds, connect=config.connect_timeout_seconds),
        limits=httpx.Limits(max_connections=config.connections),
        follow_redirects=False,
        # A proxy that some variable of the machine names must not see what we send.
        trust_env=False,
    )
    return HttpClient(
        config,
        client,
        budget=_budget(config, database, clock, sleep=sleep),
        clock=clock,
        sleep=sleep,
    )


def make_proxy(config: ProxyConfig, secrets: SecretLookup) -> Proxy:
    r"""Return the proxy with its log-on as `DOMAIN\user`.

    User and password never become part of an address: nothing in them needs escaping, and no text
    that quotes the address shows them.

    Raises:
        ProxyError: the address cannot be used.
    """
    address = secrets[config.url]
    if "://" not in address:
        address = f"http://{address}"
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        raise ProxyError("the proxy's address is not of the form http://host:port, without user")
    if config.username is None:
        return Proxy(address)
    user = secrets[config.username]
    domain = secrets[config.domain] if config.domain.startswith("env:") else config.domain
    if domain:
        user = f"{domain}\\{user}"
    password = secrets[config.password] if config.password else ""
    return Proxy(address, Account(user, password))


def _through(
    proxy: Proxy, config: HttpConfig, trusted: ssl.SSLContext, *, clock: Clock
) -> httpx.AsyncBaseTransport:
    # Few sources have a proxy.
    from chassis.http.proxy.transport import ProxyTransport  # noqa: PLC0415

    return ProxyTransport(proxy, trust=trusted, connections=config.connections, clock=clock)


def _budget(
    config: HttpConfig, database: Database | None, clock: Clock, *, sleep: Sleep
) -> RateBudget:
    if config.budget is None or database is None:
        return NoBudget(clock, sleep=sleep)
    return PostgresRateBudget(database, config.credential(), config=config.budget, sleep=sleep)
