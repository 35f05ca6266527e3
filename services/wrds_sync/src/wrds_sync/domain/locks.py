"""Who writes a data set, how that is proven, and when the proof has lapsed (S5-01 … S5-07).

An expiry is judged by any host; whether a process lives only by its own host and PID namespace,
because elsewhere the same number means another process or none.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict

from contracts.types import Identifier, Name, UtcDatetime, Whole

LOCK_TIMEOUT = timedelta(hours=4)
"""From the last refresh; refreshed every minute, so only a dead or stopped writer gets there."""


class LockToken(BaseModel):
    """The content of a lock file, and the proof of having written it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    dataset: Name
    writer_id: Identifier
    """Drawn for each acquisition: tells two writers of one PID apart."""

    pid: Whole
    hostname: Identifier
    process_mark: Identifier | None = None
    """Boot, PID namespace and start of the writing process; tells a re-used PID (None: unknown)."""

    fencing: Whole
    """Grows with every acquisition of the data set; a manifest never takes a smaller one."""

    lease_token: Whole | None = None
    """The token of the PostgreSQL lease that this writer holds; None without a database."""

    acquired_at: UtcDatetime
    refreshed_at: UtcDatetime
    expires_at: UtcDatetime

    def is_same_holder(self, other: "LockToken") -> bool:
        """Return whether both prove the same acquisition."""
        return self.writer_id == other.writer_id and self.fencing == other.fencing


@dataclass(frozen=True, slots=True, kw_only=True)
class Observer:
    """Who judges a lock."""

    hostname: str
    pid: int
    namespace: str | None
    """Boot and PID namespace, the first parts of a `process_mark`; None where unknown."""

    lease_token: int | None = None
    """The token of the lease that the observer holds: it ends every smaller one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessState:
    """What the observer's system says of the PID in the lock."""

    is_alive: bool
    mark: str | None = None
    is_ours: bool = False
    """Whether this very process wrote the lock and has not released it."""


def must_probe(token: LockToken, observer: Observer) -> bool:
    """Return whether the observer's system can tell if the writer lives."""
    if token.hostname != observer.hostname:
        return False
    if token.process_mark is None or observer.namespace is None:
        return True
    return token.process_mark.startswith(observer.namespace + "/")


def judge(
    token: LockToken, observer: Observer, *, process: ProcessState | None, now: datetime
) -> str | None:
    """Return why a lock is stale, or None while it stands.

    Args:
        token: The lock.
        observer: Who asks.
        process: The writer's process; None where `must_probe` says that nobody here can know.
        now: The observer's time.
    """
    if token.expires_at <= now:
        return "expired"
    if _is_superseded(token, observer):
        return "lease taken over"
    return None if process is None else _judge_process(token, observer, process)


def _judge_process(token: LockToken, observer: Observer, process: ProcessState) -> str | None:
    if not process.is_alive:
        return "process dead"
    is_unknown_self = token.pid == observer.pid and not process.is_ours
    is_other = None not in (token.process_mark, process.mark) and token.process_mark != process.mark
    return "process id re-used" if is_unknown_self or is_other else None


def _is_superseded(token: LockToken, observer: Observer) -> bool:
    return (
        token.lease_token is not None
        and observer.lease_token is not None
        and token.lease_token < observer.lease_token
    )
