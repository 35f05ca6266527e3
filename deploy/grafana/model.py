"""What a dashboard is made of, without Grafana: pictures and tests read it too."""

from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["series", "stat", "bars", "table"]

GREEN, ORANGE, RED, BLUE = "green", "orange", "red", "blue"
"""Green is as it should be, orange is for today, red is for now; blue judges nothing."""

HEALTHY_AT_ZERO = ((None, GREEN), (1, RED))
HEALTHY_AT_ONE = ((None, RED), (1, GREEN))

Thresholds = tuple[tuple[float | None, str], ...]
"""From which value on which colour; None is the beginning."""


@dataclass(frozen=True, slots=True)
class Query:
    """One question to Prometheus, and what its series are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One panel."""

    title: str
    says: str
    """What it shows and what is normal; its description in Grafana."""

    queries: tuple[Query, ...]
    unit: str = "short"
    """Grafana's name of the unit."""

    kind: Kind = "series"
    width: int = 8
    """Of 24 columns."""

    height: int = 7
    thresholds: Thresholds = ()
    is_stacked: bool = False
    maximum: float | None = None
    alert: str | None = None
    """The alert that watches it; its page is linked."""

    may_be_empty: str | None = None
    """Why a healthy hub has no data for it; None where it must have some."""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice on top of a dashboard."""

    name: str
    label: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...] = field(default=())

    @property
    def panels(self) -> tuple[Panel, ...]:
        """All panels, from top to bottom."""
        return tuple(panel for row in self.rows for panel in row.panels)
