"""The log of runs that have ended, as `meta.sync_logs` tells them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from pydantic import BaseModel, ConfigDict, Field


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedRun:
    """One line of the log."""

    task_name: str
    """Kind and target: `scan:fmp_prices`."""

    status: str
    rows_updated: int
    error_message: str | None
    started_at: datetime
    completed_at: datetime
    duration_seconds: float


class LogFilter(BaseModel):
    """One of the usual questions; the first that is asked counts."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    latest: bool = False
    """The latest run of every task."""

    failed_within_seconds: float | None = Field(None, gt=0, le=1e9)
    """What failed in so many seconds up to now."""

    last: int = Field(10, ge=1, le=1000)
    """So many, the newest first."""


class RunLog(Protocol):
    """What has ended, and how."""

    async def list(self, wanted: LogFilter) -> Sequence[EndedRun]:
        """Return the lines that a question is about."""
        ...
