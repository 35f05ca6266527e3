"""The services as processes: who is there, how far they are, what they lack."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

SERVICES = ("scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """What one process at a time may do."""

    name: str
    holder: str
    token: int
    acquired_at: datetime
    expires_at: datetime
    is_held: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a consumer has applied a topic."""

    topic: str
    partitions: int
    offset: int
    """Sum of the next offsets: the records applied so far, where none were trimmed."""

    updated_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceState:
    """One service, as the database knows it."""

    name: str
    connections: int
    """To the database, of all its processes."""

    hosts: int
    """From so many addresses."""

    connected_since: datetime | None
    open_runs: int
    last_beat_at: datetime | None
    """Of a worker in a run."""

    outbox_waiting: int
    outbox_oldest_at: datetime | None
    open_dead_letters: int
    positions: Sequence[Position]

    @property
    def is_connected(self) -> bool:
        """Whether a process of it is there."""
        return self.connections > 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What a process says of itself."""

    service: str
    address: str
    is_ready: bool
    problems: Mapping[str, str]
    lights: Mapping[str, bool]
    """Its dependencies, and whether they answered it."""

    lag: int | None
    """Records that it has not applied yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicesState:
    """All services, and the leases."""

    services: Sequence[ServiceState]
    leases: Sequence[Lease]


class Services(Protocol):
    """The services as the database knows them."""

    async def read(self) -> ServicesState:
        """Return the state at this moment."""
        ...


class Probes(Protocol):
    """The services as they answer."""

    async def read(self) -> Sequence[Probe]:
        """Ask every configured address, side by side; one that is silent is not ready."""
        ...
