"""Requests through a proxy, as httpx sends them.

`https` goes through tunnels. So does plain `http` where the proxy wants NTLM, which proves a
connection; otherwise the proxy is asked to forward it, because many allow tunnels to port 443 only.
"""

import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from http import HTTPStatus

import httpcore
import httpx

from chassis.clock import Clock
from chassis.http.proxy.address import Account, Proxy
from chassis.http.proxy.errors import LogonRefusal
from chassis.http.proxy.gate import REFUSED, gate_for
from chassis.http.proxy.logon import Scheme, basic, choice, offers
from chassis.http.proxy.tunnel import TunnelBackend

_KEPT_SECONDS = 5.0
"""How long an idle connection is kept; httpx's own default."""

_ERRORS: dict[type[Exception], type[httpx.TransportError]] = {
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.PoolTimeout: httpx.PoolTimeout,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ReadError: httpx.ReadError,
    httpcore.WriteError: httpx.WriteError,
    httpcore.UnsupportedProtocol: httpx.UnsupportedProtocol,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}


class ProxyTransport(httpx.AsyncBaseTransport):
    """Sends requests through one proxy."""

    def __init__(
        self, proxy: Proxy, *, trust: ssl.SSLContext, connections: int, clock: Clock
    ) -> None:
        self._proxy = proxy
        self._gate = gate_for(proxy, clock)
        self._backend = TunnelBackend(proxy, trust=trust, gate=self._gate)
        self._tunnels = TunnelTransport(self._backend, trust=trust, connections=connections)
        self._forward = httpx.AsyncHTTPTransport(
            proxy=httpx.Proxy(proxy.url, ssl_context=trust if proxy.is_tls else None),
            verify=trust,
            limits=httpx.Limits(max_connections=connections),
            trust_env=False,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the target's answer; its body is read by who wants it.

        Raises:
            ProxyFault: the proxy does not let it pass.
        """
        known = self._backend.scheme
        if request.url.scheme == "https" or known in (Scheme.NTLM, Scheme.NEGOTIATE):
            return await self._tunnels.handle_async_request(request)
        if known is Scheme.BASIC and self._proxy.account is not None:
            return await self._signed(request, self._proxy.account)
        return await self._forwarded(request)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._tunnels.aclose()
        await self._forward.aclose()

    async def _forwarded(self, request: httpx.Request) -> httpx.Response:
        answer = await self._forward.handle_async_request(request)
        if answer.status_code != HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
            return answer
        await answer.aclose()
        offered = offers(answer.headers.get_list("proxy-authenticate"))
        account, self._backend.scheme = choice(offered, self._proxy.account)
        if self._backend.scheme is Scheme.BASIC:
            return await self._signed(request, account)
        return await self._tunnels.handle_async_request(request)

    async def _signed(self, request: httpx.Request, account: Account) -> httpx.Response:
        signed = httpx.Request(
            request.method,
            request.url,
            headers=[*request.headers.raw, (b"Proxy-Authorization", basic(account).encode())],
            stream=request.stream,
            extensions=request.extensions,
        )
        async with self._gate.attempt():
            answer = await self._forward.handle_async_request(signed)
            if answer.status_code == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
                await answer.aclose()
                raise LogonRefusal(REFUSED)
        return answer


class TunnelTransport(httpx.AsyncBaseTransport):
    """Sends requests through tunnels of one proxy."""

    def __init__(
        self, backend: httpcore.AsyncNetworkBackend, *, trust: ssl.SSLContext, connections: int
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trust,
            max_connections=connections,
            keepalive_expiry=_KEPT_SECONDS,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Return the target's answer; its body is read by who wants it."""
        url = request.url
        asked = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _translated():
            answer = await self._pool.handle_async_request(asked)
        return httpx.Response(
            status_code=answer.status,
            headers=answer.headers,
            stream=_Body(answer),
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _translated():
            async for part in self._answer.aiter_stream():
                yield part

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Turn httpcore's errors into those of httpx, which have the same names."""
    try:
        yield
    except tuple(_ERRORS) as error:
        raise _ERRORS[type(error)](str(error)) from error
