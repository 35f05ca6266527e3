"""Schemas that changed at their sources, and what people decided about it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from console.domain.paging import Page
from console.ports.ids import IdBeginning

DriftStatus = Literal["noted", "waiting", "accepted", "rejected"]


def _none_if_empty(value: object) -> object:
    return value or None  # a form sends the empty choice as an empty text


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftLine:
    """A change in the list."""

    id: uuid.UUID
    service: str
    dataset: str
    kind: str
    status: DriftStatus
    changes: Sequence[Mapping[str, Any]]
    affected: Sequence[str]
    held_letters: int
    """Open dead letters that it holds back, at most `COUNTED` + 1."""

    run_id: uuid.UUID | None
    detected_at: datetime
    decided_at: datetime | None
    decided_by: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftDetail:
    """Everything about a change but its sample."""

    line: DriftLine
    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class DriftSample:
    """The record that showed a change."""

    sample: Any


class DriftFilter(BaseModel):
    """Which changes; None and an empty text are no condition."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: Annotated[DriftStatus | None, BeforeValidator(_none_if_empty)] = None
    service: str = Field("", max_length=100)
    dataset: str = Field("", max_length=250)
    """A part of the data set's name."""

    id: IdBeginning = ""
    cursor: str = Field("", max_length=200)


class Drifts(Protocol):
    """The inbox."""

    async def list(self, wanted: DriftFilter) -> Page[DriftLine]:
        """Return changes, the newest first."""
        ...

    async def waiting(self) -> int:
        """Return how many wait for a decision."""
        ...

    async def find(self, drift_id: uuid.UUID) -> DriftDetail | None:
        """Return a change."""
        ...

    async def sample(self, drift_id: uuid.UUID) -> Any:
        """Return the record that showed it; None where none was kept."""
        ...


COUNTED = 10_000
