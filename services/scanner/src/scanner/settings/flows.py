"""`config/flows.yaml`: scans that run one after the other, and when.

A flow is active once every source of its steps is configured.
"""

from collections import Counter
from collections.abc import Collection
from datetime import time, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from chassis.sources import parse_model
from contracts.commands import OverlapPolicy
from contracts.types import Name
from scanner.domain.flows import DailyTime

FILE = "flows.yaml"

MOST_FLOWS = 3
"""A flow that waits for its steps keeps a worker; one must always be left for the steps."""


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ValueError("is no time zone, such as UTC or America/New_York") from error
    return name


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScheduleConfig(_Section):
    """When a flow starts by itself."""

    at: time
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    overlap: OverlapPolicy = OverlapPolicy.SKIP
    """What to do when yesterday's has not ended."""

    catch_up_seconds: Annotated[float, Field(gt=0, le=86400)] = 3600.0
    """A scanner that comes back so much later still starts it."""

    def daily(self) -> DailyTime:
        """Return the time in the domain's terms."""
        catch_up = timedelta(seconds=self.catch_up_seconds)
        return DailyTime(self.at, ZoneInfo(self.time_zone), catch_up)


class StepConfig(_Section):
    """One scan of a flow."""

    name: Name
    source: Name
    mode: Literal["auto", "full"] = "auto"
    timeout_seconds: Annotated[float, Field(gt=0)] = 7200.0
    """After it the flow goes on; the scan is asked to stop."""


class FlowConfig(_Section):
    """One flow."""

    name: Name
    steps: Annotated[tuple[StepConfig, ...], Field(min_length=1)]
    schedule: ScheduleConfig | None = None
    """None leaves it to commands."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = Counter(step.name for step in self.steps)
        if twice := sorted(name for name, count in names.items() if count > 1):
            raise ValueError(f"these steps stand twice: {', '.join(twice)}")
        return self

    def missing(self, sources: Collection[str]) -> list[str]:
        """Return the sources of the steps that are not configured."""
        return sorted({step.source for step in self.steps} - set(sources))

    def tell(self, sources: Collection[str]) -> str:
        """Return in words whether the flow is active, and when it starts."""
        if missing := self.missing(sources):
            return f"not active: {', '.join(missing)} not configured"
        if self.schedule is None:
            return "by command only"
        return f"daily at {self.schedule.at:%H:%M} {self.schedule.time_zone}"


class FlowsConfig(_Section):
    """The whole file."""

    version: Literal[1]
    flows: Annotated[tuple[FlowConfig, ...], Field(max_length=MOST_FLOWS)] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        if len({flow.name for flow in self.flows}) < len(self.flows):
            raise ValueError("two flows have one name")
        return self


def load_flows(directory: Path) -> FlowsConfig:
    """Read `flows.yaml`; none where there is no such file.

    Raises:
        ConfigError: it cannot be read, is not YAML, or breaks the structure.
    """
    path = directory / FILE
    return parse_model(FlowsConfig, path) if path.exists() else FlowsConfig(version=1)
