"""One log-on at a time while it is not known that it succeeds, and none while the account rests.

A client opens twenty connections at once. All clients of a process that use one account at one
proxy therefore ask one gate. Unlike that of the shares (`chassis.shares.logon_gate`) it opens after
a success: a proxy answers a log-on only when it has reached the target, and one slow target must
not hold up the others.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator
from weakref import WeakKeyDictionary

from chassis.clock import Clock
from chassis.http.proxy.address import Proxy
from chassis.http.proxy.errors import LogonRefusal, ProxyFault
from chassis.retry import REFUSED_SECONDS, rest_seconds

REFUSED = (
    "the proxy refuses the log-on; check user, domain and password: it is not tried again for "
    f"{REFUSED_SECONDS / 60:.0f} minutes or longer, because accounts get locked"
)

PROVEN_SECONDS = 60.0
"""So long after a success, log-ons may go side by side; a password may change at any time."""


class LogonGate:
    """Shared by all connections that use one account at one proxy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._refusals = 0
        self._faults = 0
        self._rests_until = float("-inf")
        self._proven_until = float("-inf")

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncGenerator[None]:
        """Hold the gate during one log-on.

        Raises:
            LogonRefusal: an earlier one was refused and the rest is not over; nothing was sent.
                Or this one was refused.
            ProxyFault: the proxy broke off one that went on meanwhile; nothing was sent. So it is
                not tried again until whoever waited has backed off.
        """
        if self._clock.monotonic() < self._proven_until:
            async with self._watched():
                yield
            return
        faults = self._faults
        async with self._lock:
            self._check()
            if self._faults != faults:
                raise ProxyFault("the proxy has just broken off another log-on")
            async with self._watched():
                yield

    def _check(self) -> None:
        if (rest := self._rests_until - self._clock.monotonic()) > 0:
            raise LogonRefusal(
                "the proxy has refused the log-on; the next attempt comes in "
                f"{rest:.0f} s at the earliest, because accounts get locked"
            )

    @contextlib.asynccontextmanager
    async def _watched(self) -> AsyncGenerator[None]:
        try:
            yield
        except LogonRefusal:
            self._refusals += 1
            self._proven_until = float("-inf")
            self._rests_until = self._clock.monotonic() + rest_seconds(self._refusals)
            raise
        except ProxyFault:
            self._faults += 1
            raise
        self._refusals = 0
        self._rests_until = float("-inf")
        self._proven_until = self._clock.monotonic() + PROVEN_SECONDS


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Proxy, LogonGate]] = WeakKeyDictionary()


def gate_for(proxy: Proxy, clock: Clock) -> LogonGate:
    """Return the gate of an account at a proxy; another password is another account."""
    gates = _gates.setdefault(asyncio.get_running_loop(), {})
    return gates.setdefault(proxy, LogonGate(clock))
