"""Connections that go through a proxy, as httpcore's pool asks for them.

The pool believes that it speaks to the target. NTLM proves a connection, not a request, so it has
to be done where connections are made: `CONNECT`, challenge, answer, all on one connection, which is
then the tunnel.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncGenerator, Iterable
from http import HTTPStatus

import httpcore

from chassis.http.proxy.address import Proxy
from chassis.http.proxy.errors import LogonRefusal, ProxyFault, ProxyRefusal
from chassis.http.proxy.gate import REFUSED, LogonGate
from chassis.http.proxy.line import Answer, Line
from chassis.http.proxy.logon import Logon, Scheme, choice

_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


class TunnelBackend(httpcore.AsyncNetworkBackend):
    """Opens connections to targets through one proxy."""

    def __init__(self, proxy: Proxy, *, trust: ssl.SSLContext, gate: LogonGate) -> None:
        self._proxy = proxy
        self._trust = trust
        self._gate = gate
        self._network = httpcore.AnyIOBackend()
        self.scheme: Scheme | None = None
        """What the proxy wanted last; the next connections begin with it."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,  # noqa: ARG002 - as above
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,  # noqa: ARG002 - as above
    ) -> httpcore.AsyncNetworkStream:
        """Return a connection to the target, after the log-on; TLS comes later.

        Raises:
            ProxyFault: there is none.
        """
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            async with asyncio.timeout(timeout):
                return await self._tunnel(target)
        except TimeoutError as error:
            raise ProxyFault("no tunnel through the proxy in time") from error

    async def sleep(self, seconds: float) -> None:
        """Wait, as the pool asks for between attempts."""
        await asyncio.sleep(seconds)

    async def _tunnel(self, target: str) -> httpcore.AsyncNetworkStream:
        scheme, account = self.scheme, self._proxy.account
        if scheme is None or account is None:
            async with self._dialled() as line:
                answer = await line.ask(target)
                if not answer.wants_logon:
                    _demand_tunnel(answer)
                    return line.stream
                account, scheme = choice(answer.offers, account)
                self.scheme = scheme
        # On a connection of its own: after a refusal some proxies close theirs without a word.
        async with self._dialled() as line:
            logon = Logon(scheme, account, proxy_host=self._proxy.host)
            async with self._gate.attempt():
                answer = await self._proven(line, target, logon)
            _demand_tunnel(answer)
            return line.stream

    @contextlib.asynccontextmanager
    async def _dialled(self) -> AsyncGenerator[Line]:
        """Lend a connection to the proxy; it is closed unless it becomes a tunnel."""
        stream = await self._connected()
        line = Line(stream)
        try:
            yield line
        except BaseException:
            await stream.aclose()
            raise
        if not line.is_tunnel:
            await stream.aclose()

    async def _connected(self) -> httpcore.AsyncNetworkStream:
        proxy = self._proxy
        try:
            stream = await self._network.connect_tcp(proxy.host, proxy.port)
            return await self._secured(stream) if proxy.is_tls else stream
        except httpcore.NetworkError as error:
            raise ProxyFault("no connection to the proxy") from error

    async def _secured(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        try:
            return await stream.start_tls(self._trust, self._proxy.host)
        except BaseException:
            await stream.aclose()
            raise

    async def _proven(self, line: Line, target: str, logon: Logon) -> Answer:
        """Return what the proxy says once it knows who we are."""
        challenge = ""
        while not logon.is_over:
            answer = await line.ask(target, logon.message(challenge))
            if not answer.wants_logon:
                if not logon.is_told:
                    _demand_tunnel(answer)  # within the gate: an outage proves no password
                return answer
            challenge = answer.offers.get(logon.scheme, "")
            if not challenge or not line.is_reusable:
                break
        if logon.is_told:
            raise LogonRefusal(REFUSED)
        if challenge:
            raise ProxyFault("the proxy closes the connection in the middle of a log-on")
        self.scheme = None
        raise ProxyFault("the proxy does not go on with the log-on that it has offered")


def _demand_tunnel(answer: Answer) -> None:
    if answer.is_open:
        return
    told = f"(it answered {answer.status})"
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR or answer.status in _PASSING:
        raise ProxyFault(f"the proxy cannot reach the API {told}")
    raise ProxyRefusal(f"the proxy does not allow a tunnel to the API's host and port {told}")
