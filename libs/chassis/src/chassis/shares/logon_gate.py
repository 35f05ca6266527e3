"""One log-on at a time, and none while the account rests.

Eight connections that each try a stale password "once" are eight attempts, so every connection of a
process asks the same gate first.
"""

import threading
from collections.abc import Generator
from contextlib import contextmanager

from chassis.clock import Clock, SystemClock
from chassis.retry import REFUSED_SECONDS, backoff_seconds, rest_seconds
from chassis.shares.port import ShareLogonError, ShareUnavailableError
from chassis.shares.smb_wire import ShareRefusesAccountError


class LogonGate:
    """Shared by all connections that use one account; safe to use from many threads."""

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        refused_seconds: float = REFUSED_SECONDS,
    ) -> None:
        self._clock = clock or SystemClock()
        self._refused_seconds = refused_seconds
        self._lock = threading.Lock()
        self._refusals = 0
        self._failures = 0
        self._rests_until = float("-inf")
        self._is_refused = False

    @contextmanager
    def attempt(self) -> Generator[None]:
        """Hold the gate during one attempt to connect and log on.

        Raises:
            ShareLogonError: the last attempt was refused and the rest is not over; nothing was
                sent. Or this attempt was refused: then `retry_after` is the rest.
            ShareUnavailableError: likewise, for a server that does not answer.
        """
        with self._lock:
            self._check()
            try:
                yield
            except ShareLogonError as error:
                error.retry_after = self._rest_after_refusal()
                raise
            except ShareRefusesAccountError:
                # The log-on itself went well; another backend may try at once.
                self._refusals = self._failures = 0
                raise
            except ShareUnavailableError as error:
                error.retry_after = self._rest_after_failure()
                raise
            self._refusals = self._failures = 0

    def _check(self) -> None:
        remaining = self._rests_until - self._clock.monotonic()
        if remaining <= 0:
            return
        if self._is_refused:
            raise ShareLogonError(
                "The share refused the credentials; the next attempt comes later, because "
                "accounts get locked.",
                retry_after=remaining,
            )
        raise ShareUnavailableError(retry_after=remaining)

    def _rest_after_refusal(self) -> float:
        self._refusals += 1
        self._is_refused = True
        return self._rest(rest_seconds(self._refusals, first=self._refused_seconds))

    def _rest_after_failure(self) -> float:
        self._failures += 1
        self._is_refused = False
        return self._rest(backoff_seconds(self._failures))

    def _rest(self, seconds: float) -> float:
        self._rests_until = self._clock.monotonic() + seconds
        return seconds
