"""Who did what."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field

from console.domain.paging import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One action."""

    id: int
    at: datetime
    service: str
    actor: str
    action: str
    subject: str
    details: Mapping[str, Any]


class AuditFilter(BaseModel):
    """Which entries; an empty text is no condition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    actor: str = Field("", max_length=200)
    action: str = Field("", max_length=200)
    subject: str = Field("", max_length=1000)
    cursor: str = Field("", max_length=200)


class Audit(Protocol):
    """The audit trail."""

    async def record(
        self, actor: str, action: str, *, subject: str, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write an entry of the console's own."""
        ...

    async def list(self, wanted: AuditFilter) -> Page[AuditEntry]:
        """Return entries, the newest first."""
        ...

    async def actions(self) -> Sequence[str]:
        """Return the actions there are lately, for a filter."""
        ...
