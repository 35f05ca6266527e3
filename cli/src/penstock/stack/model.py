"""What the client and the supervisor of a stack tell each other, as JSON files in the state folder.

The client writes what is wanted, the supervisor writes what is. Both are small whole documents, so
that a reader never has to combine them and a crash never leaves half a message.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class PartName(StrEnum):
    """The servers a stack can consist of."""

    KAFKA = "kafka"
    POSTGRES = "postgres"
    S3 = "s3"
    SMB = "smb"


ALL_PARTS = tuple(PartName)


class PartStatus(StrEnum):
    """Where a part is in its life."""

    PREPARING = "preparing"
    """Fetching jars, formatting storage, creating a database cluster."""
    STARTING = "starting"
    """The process runs and does not answer yet."""
    READY = "ready"
    """It answered a real request."""
    GIVEN = "given"
    """Its address came from the environment; nothing was started."""
    FAILED = "failed"
    """It could not be started; the message says why."""
    DEAD = "dead"
    """It ended after it had been ready; `penstock up` starts it again."""
    STOPPED = "stopped"
    """It was asked to stop and did."""

    @property
    def is_settled(self) -> bool:
        """Whether the supervisor has done with this part what it could."""
        return self not in {PartStatus.PREPARING, PartStatus.STARTING}

    @property
    def is_usable(self) -> bool:
        """Whether a client may connect."""
        return self in {PartStatus.READY, PartStatus.GIVEN}


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ProcessIdentity(_Document):
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    started: str


class PartState(_Document):
    """One part as its supervisor sees it."""

    status: PartStatus
    address: str = ""
    message: str = ""
    """One sentence for people: progress while it starts, the reason when it failed."""
    process: ProcessIdentity | None = None
    env: dict[str, str] = {}
    """What a client must export to reach it. Contains credentials: the file is private."""


class StackState(_Document):
    """The whole stack as its supervisor sees it."""

    supervisor: ProcessIdentity
    generation: int = 0
    """The latest `Wanted` that was carried out completely."""
    parts: dict[PartName, PartState] = {}

    @property
    def env(self) -> dict[str, str]:
        """The exports of all usable parts."""
        merged: dict[str, str] = {}
        for part in self.parts.values():
            if part.status.is_usable:
                merged |= part.env
        return merged


class Wanted(_Document):
    """What the clients of a stack have asked for so far."""

    generation: int
    parts: frozenset[PartName]
    fast: bool = False
    """Speed before durability: data may be lost in a power cut. For tests."""
    ports: dict[str, int] = {}
    """Ports the user insists on; a part without one gets a free one, which it keeps."""
    given: dict[PartName, dict[str, str]] = {}
    """Parts that are reached at an address of the environment instead of being started."""
