"""Curves and differences, computed here so that pages need no script to draw them."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from console.web.formats import number, utc

_LEFT, _RIGHT, _TOP, _BOTTOM = 48.0, 632.0, 10.0, 172.0
_LINES = 4
_MAX_DOTS = 60


@dataclass(frozen=True, slots=True)
class Mark:
    """A point or a line with its text."""

    x: float
    y: float
    label: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Numbers over time, as paths of an SVG."""

    path: str
    area: str
    lines: Sequence[Mark]
    dots: Sequence[Mark]
    first: str
    last: str


def curve(values: Sequence[float], width: float, height: float) -> str:
    """Return the path of a small curve without axes."""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    step = width / max(1, len(values) - 1)
    points = [
        (index * step, height - 2 - (value - low) / span * (height - 4))
        for index, value in enumerate(values)
    ]
    return _path(points)


def plot_of(
    points: Sequence[tuple[datetime, float]], low: float | None = None, high: float | None = None
) -> Plot | None:
    """Return a plot of moments and numbers in order; None if there is no number at all.

    Args:
        points: What to draw.
        low: Lower end of the scale; by default the lowest number.
        high: Upper end; by default the highest number.
    """
    if not points:
        return None
    values = [value for _, value in points]
    bottom = min(values) if low is None else low
    top = max(values) if high is None else high
    if top <= bottom:
        bottom, top = bottom - 0.5, bottom + 0.5
    start, end = points[0][0], points[-1][0]
    seconds = (end - start).total_seconds() or 1.0

    def height(value: float) -> float:
        return round(_BOTTOM - (value - bottom) / (top - bottom) * (_BOTTOM - _TOP), 1)

    dots = [
        Mark(
            round(_LEFT + (moment - start).total_seconds() / seconds * (_RIGHT - _LEFT), 1),
            height(value),
            f"{utc(moment)} UTC: {number(value)}",
        )
        for moment, value in points
    ]
    places = [(dot.x, dot.y) for dot in dots]
    steps = [bottom + (top - bottom) * index / (_LINES - 1) for index in range(_LINES)]
    area = f"{_path(places)}L{places[-1][0]} {_BOTTOM}L{places[0][0]} {_BOTTOM}Z"
    return Plot(
        path=_path(places),
        area=area,
        lines=[Mark(_LEFT, height(value), number(round(value, 2))) for value in steps],
        dots=dots if len(dots) <= _MAX_DOTS else (),
        first=utc(start, seconds=False),
        last=utc(end, seconds=False),
    )


def diff_lines(old: str, new: str) -> list[tuple[str, str]]:
    """Return the lines of two texts with `+`, `-` or a blank before each."""
    found = difflib.ndiff(old.splitlines(), new.splitlines())
    return [(line[0].strip(), line[2:]) for line in found if not line.startswith("?")]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
