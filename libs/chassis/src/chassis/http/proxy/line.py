"""One connection to a proxy, as long as it is asked for a tunnel; h11 reads the answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import h11
import httpcore

from chassis.http.proxy.errors import ProxyFault
from chassis.http.proxy.logon import offers

MAX_ANSWER_BYTES = 1024 * 1024
"""Proxies refuse with a page for people; it is read, for the connection must be used on."""

_READ_BYTES = 65536


@dataclass(frozen=True, slots=True)
class Answer:
    """What a proxy says to a request for a tunnel."""

    status: int
    offers: dict[str, str]
    """The schemes to log on with, each with its challenge or nothing."""

    @property
    def is_open(self) -> bool:
        """Whether the tunnel is there."""
        return HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def wants_logon(self) -> bool:
        """Whether the proxy asks who we are."""
        return self.status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED


class Line:
    """Asks for a tunnel, several times if need be; whoever awaits it sets the deadline."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.stream = stream
        self.is_tunnel = False
        """Whether it leads to the target now."""
        self._http = h11.Connection(h11.CLIENT)

    @property
    def is_reusable(self) -> bool:
        """Whether the proxy lets us ask again on this connection."""
        return self._http.our_state is h11.DONE and self._http.their_state is h11.DONE

    async def ask(self, target: str, authorization: str | None = None) -> Answer:
        """Return what the proxy says to `CONNECT`.

        Raises:
            ProxyFault: it breaks off, or says something else than HTTP.
        """
        if self.is_reusable:
            self._http.start_next_cycle()
        headers = [("Host", target), ("Proxy-Connection", "keep-alive")]
        if authorization is not None:
            headers.append(("Proxy-Authorization", authorization))
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        try:
            for event in (request, h11.EndOfMessage()):
                await self.stream.write(self._http.send(event) or b"")
            return await self._answer()
        except (h11.ProtocolError, httpcore.NetworkError) as error:
            raise ProxyFault("the proxy breaks the connection off") from error

    async def _answer(self) -> Answer:
        response = await self._event()
        while isinstance(response, h11.InformationalResponse):
            response = await self._event()
        if not isinstance(response, h11.Response):
            raise ProxyFault("the proxy breaks the connection off")
        answer = Answer(response.status_code, offers(_challenges(response)))
        if not answer.is_open:
            await self._read_body()
        elif self._http.trailing_data[0]:
            raise ProxyFault("the proxy says more than that the tunnel is open")
        self.is_tunnel = answer.is_open
        return answer

    async def _read_body(self) -> None:
        size = 0
        while isinstance(event := await self._event(), h11.Data):
            size += len(event.data)
            if size > MAX_ANSWER_BYTES:
                raise ProxyFault("the proxy's answer has no end")

    async def _event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self.stream.read(_READ_BYTES))
        return event


def _challenges(response: h11.Response) -> Iterator[str]:
    for name, value in response.headers:
        if name == b"proxy-authenticate":
            yield value.decode("latin-1")
