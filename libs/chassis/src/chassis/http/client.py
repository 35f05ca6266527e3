"""The client: one request with its budget, its retries and its limits; httpx carries it, tenacity
repeats it.
"""

import asyncio
import contextlib
import logging
import ssl
from collections.abc import AsyncGenerator, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Literal

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    stop_after_attempt,
    stop_before_delay,
)

from chassis.clock import Clock
from chassis.errors import TransientError
from chassis.http.answers import Accept, Reply, parsed, refused
from chassis.http.budget import RateBudget, Sleep
from chassis.http.config import HttpConfig
from chassis.http.errors import (
    ApiAccessError,
    ApiBodyError,
    ApiRequestError,
    ApiTlsError,
    HttpUnavailableError,
    RateLimitedError,
)
from chassis.http.proxy.errors import ProxyFault, ProxyRefusal
from chassis.logs import get_logger
from chassis.retry import backoff_seconds
from contracts.errors import ErrorCategory

# It logs every address at INFO, with the query in which some APIs want their key.
logging.getLogger("httpx").setLevel(logging.WARNING)

Method = Literal["GET", "POST"]


class HttpClient:
    """Speaks to one API."""

    def __init__(
        self,
        config: HttpConfig,
        client: httpx.AsyncClient,
        *,
        budget: RateBudget,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._config = config
        self._client = client
        self._budget = budget
        self._clock = clock
        self._sleep = sleep
        self.requests = 0
        """Requests sent, repetitions included."""

    async def close(self) -> None:
        """Close every connection."""
        async with asyncio.timeout(self._config.connect_timeout_seconds):
            await self._client.aclose()

    async def fetch(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        method: Method = "GET",
        body: Mapping[str, Any] | None = None,
        accept: Accept = "json",
    ) -> Reply:
        """Return the data that the API gives for a request.

        `path` may also be a full address on the API's own host, as paging hands them out.

        Raises:
            HttpUnavailableError: it gave none, although it was asked as often as allowed.
            ApiAccessError: it refuses the credentials.
            ApiPlanError: the plan does not cover this.
            ApiItemError: this request is at fault.
            ApiTlsError: its certificate is not trusted.
        """
        request = self._client.build_request(method, self._address(path), params=params, json=body)
        what = f"{method} {request.url.path}"
        async for attempt in self._retrying():
            with attempt:
                await self._budget.take()
                headers, raw = await self._send(request, what)
                errors = self._config.error_fields
                data = parsed(raw, accept=accept, what=what, error_fields=errors)
                return Reply(data, headers)
        raise HttpUnavailableError(f"{what}: no attempt was made")  # pragma: no cover

    def _address(self, path: str) -> str:
        """Return the full address; credentials go to no other host."""
        if not path.startswith(("http://", "https://")):
            return f"{self._config.base_url}/{path.lstrip('/')}"
        own, asked = httpx.URL(self._config.base_url), httpx.URL(path)
        if (own.scheme, own.host, own.port) != (asked.scheme, asked.host, asked.port):
            raise ApiRequestError("the API refers to another host, which is not asked")
        return path

    def _retrying(self) -> AsyncRetrying:
        limits = self._config.retry
        return AsyncRetrying(
            retry=retry_if_exception_type(HttpUnavailableError),
            wait=_wait,
            stop=stop_after_attempt(limits.attempts) | stop_before_delay(limits.total_seconds),
            before_sleep=_announce,
            sleep=self._sleep,
            reraise=True,
        )

    async def _send(self, request: httpx.Request, what: str) -> tuple[Mapping[str, str], bytes]:
        self.requests += 1
        with translated(what):
            async with (
                asyncio.timeout(self._config.request_seconds),
                self._streamed(request) as response,
            ):
                error = refused(
                    response.status_code, response.headers, what=what, now=self._clock.now()
                )
                if response.status_code == HTTPStatus.NO_CONTENT:
                    return response.headers, b"null"
                if error is None:
                    return response.headers, await self._read(response, what)
        if isinstance(error, RateLimitedError) and error.retry_after:
            await self._budget.pause(error.retry_after)
        raise error

    @contextlib.asynccontextmanager
    async def _streamed(self, request: httpx.Request) -> AsyncGenerator[httpx.Response]:
        response = await self._client.send(request, stream=True)
        try:
            yield response
        finally:
            await response.aclose()

    async def _read(self, response: httpx.Response, what: str) -> bytes:
        chunks: list[bytes] = []
        size = 0
        async for chunk in response.aiter_bytes():
            size += len(chunk)
            if size > self._config.max_body_bytes:
                raise ApiBodyError(
                    f"{what}: the body is larger than {self._config.max_body_bytes} bytes",
                    category=ErrorCategory.MESSAGE_TOO_LARGE,
                )
            chunks.append(chunk)
        return b"".join(chunks)


@contextlib.contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn what the client library raises into the errors of this package.

    The texts of httpx are not passed on, our own of a proxy are: they hold no address.
    """
    try:
        yield
    except ProxyFault as error:
        if _is_about_trust(error):
            raise ApiTlsError(f"{what}: the certificate of the proxy is not trusted") from error
        kind = ApiAccessError if isinstance(error, ProxyRefusal) else HttpUnavailableError
        raise kind(f"{what}: {error}", category=ErrorCategory.PROXY_SETUP) from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        raise ApiRequestError(f"{what}: not a request that can be sent") from error
    except (httpx.HTTPError, TimeoutError) as error:
        if _is_about_trust(error):
            raise ApiTlsError(f"{what}: the certificate is not trusted") from error
        raise HttpUnavailableError(f"{what}: {_REASONS.get(type(error), 'broke off')}") from error


_REASONS: dict[type[Exception], str] = {
    TimeoutError: "took too long",
    httpx.ConnectTimeout: "no connection in time",
    httpx.ReadTimeout: "no answer in time",
    httpx.PoolTimeout: "no free connection in time",
    httpx.ConnectError: "no connection",
    httpx.RemoteProtocolError: "the answer broke off",
    httpx.DecodingError: "the answer's compression is damaged",
}


def _is_about_trust(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    retry_after = error.retry_after if isinstance(error, TransientError) else None
    return backoff_seconds(state.attempt_number, retry_after=retry_after)


def _announce(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    get_logger().warning(
        "http_retry_waits",
        attempt=state.attempt_number,
        delay=round(state.upcoming_sleep, 3),
        error=error,
    )
