"""Authentication of requests; OAuth2 tokens are fetched once, kept, and renewed before they end."""

import asyncio
from collections.abc import AsyncGenerator
from http import HTTPStatus

import httpx
import orjson

from chassis.clock import Clock
from chassis.http.config import (
    AuthConfig,
    BasicAuth,
    BearerAuth,
    HeaderAuth,
    NoAuth,
    OAuth2Auth,
    QueryAuth,
    SecretLookup,
)
from chassis.http.errors import ApiAccessError, HttpUnavailableError

RENEW_BEFORE_SECONDS = 60.0
"""A token that ends sooner is not used for a request that may take a while."""

_DEFAULT_LIFE_SECONDS = 300.0


def make_auth(config: AuthConfig, secrets: SecretLookup, *, clock: Clock) -> httpx.Auth:
    """Return what signs the requests."""
    match config:
        case NoAuth():
            return httpx.Auth()
        case BearerAuth(token=token):
            return _Header("Authorization", f"Bearer {secrets[token]}")
        case HeaderAuth(name=name, value=value):
            return _Header(name, secrets[value])
        case QueryAuth(name=name, value=value):
            return _Query(name, secrets[value])
        case BasicAuth(username=username, password=password):
            return httpx.BasicAuth(secrets[username], secrets[password])
        case OAuth2Auth():
            return ClientCredentials(
                config,
                client=(secrets[config.client_id], secrets[config.client_secret]),
                clock=clock,
            )


class _Header(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.headers[self._name] = self._value
        yield request


class _Query(httpx.Auth):
    def __init__(self, name: str, value: str) -> None:
        self._name = name
        self._value = value

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        request.url = request.url.copy_set_param(self._name, self._value)
        yield request


class ClientCredentials(httpx.Auth):
    """OAuth2 client credentials (RFC 6749, 4.4): one token for all requests of a client."""

    def __init__(self, config: OAuth2Auth, *, client: tuple[str, str], clock: Clock) -> None:
        self._config = config
        self._client = client
        self._clock = clock
        self._token = ""
        self._ends_at = float("-inf")
        self._renewing = asyncio.Lock()

    async def async_auth_flow(
        self, request: httpx.Request
    ) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Put the token on the request; once more with a new one if it was revoked early."""
        for is_last in (False, True):
            if not self._is_fresh():
                async with self._renewing:
                    if not self._is_fresh():  # another request may have renewed it
                        self._take(await _read((yield self._token_request())))
            used = self._token
            request.headers["Authorization"] = f"Bearer {used}"
            response = yield request
            if is_last or response.status_code != HTTPStatus.UNAUTHORIZED:
                return
            if self._token == used:
                self._ends_at = float("-inf")

    def _is_fresh(self) -> bool:
        return self._clock.monotonic() < self._ends_at - RENEW_BEFORE_SECONDS

    def _token_request(self) -> httpx.Request:
        form = {"grant_type": "client_credentials"}
        if self._config.scope:
            form["scope"] = self._config.scope
        name, secret = self._client
        if self._config.client_in_body:
            form |= {"client_id": name, "client_secret": secret}
            return httpx.Request("POST", self._config.token_url, data=form)
        request = httpx.Request("POST", self._config.token_url, data=form)
        return next(httpx.BasicAuth(name, secret).auth_flow(request))

    def _take(self, response: httpx.Response) -> None:
        status = response.status_code
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS:
            raise HttpUnavailableError(f"the token server answered {status}", status=status)
        if status != HTTPStatus.OK:
            raise ApiAccessError(f"the token server answered {status}", status=status)
        try:
            document = orjson.loads(response.content)
            token = document["access_token"]
            life = float(document.get("expires_in", _DEFAULT_LIFE_SECONDS))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise HttpUnavailableError("the token server's answer holds no token") from error
        self._token = token
        # A short life is used up to its half, or each request would fetch a token of its own.
        self._ends_at = self._clock.monotonic() + max(life, life / 2 + RENEW_BEFORE_SECONDS)


async def _read(response: httpx.Response) -> httpx.Response:
    await response.aread()
    return response
