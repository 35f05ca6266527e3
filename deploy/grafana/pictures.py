"""Pictures of the dashboards for people without Grafana: docs/operations/dashboards/*.png.

They show what a Prometheus answered, panel by panel, in the order and with the units of the
dashboard. `make pictures` runs the demo and draws them anew.
"""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from deploy.grafana.model import Board, Panel

COLUMNS = 24
_INK, _FAINT, _GRID = "#1f2430", "#6b7280", "#e5e7eb"
_COLOURS = {"green": "#2e9e5b", "orange": "#e08a1e", "red": "#d64545", "blue": "#3b74c4"}
_PALETTE = (
    *("#3b74c4", "#e08a1e", "#2e9e5b", "#b2509e", "#d64545", "#5aa9a3", "#8c6d46", "#7a6fd0"),
    *("#9aa33b", "#d98cb3", "#4f8fba", "#c7622b"),
)
_FIXED = {
    name: _PALETTE[number]
    for number, name in enumerate(
        ("scanner", "ingestor", "transformer", "refresher", "wrds_sync", "console")
    )
}
"""A service has the same colour everywhere; other names get one by their order of appearance."""

_MOST_SERIES = 6
_PRESENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a panel."""

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]

    @property
    def last(self) -> float:
        """The newest value."""
        return self.values[-1]


class Asks(Protocol):
    """What answers a range query: series with labels and pairs of time and value."""

    def __call__(self, expr: str) -> list[dict[str, Any]]:
        """Return the series."""
        ...


def lines_of(panel: Panel, ask: Asks) -> list[Line]:
    """Return the series of a panel, named as Grafana would name them."""
    found = []
    for query in panel.queries:
        for series in ask(query.expr):
            pairs = [(float(at), float(value)) for at, value in series["values"]]
            pairs = [(at, value) for at, value in pairs if math.isfinite(value)]
            if pairs:
                times, values = zip(*pairs, strict=True)
                found.append(Line(_name(query.legend, series["metric"]), times, values))
    if panel.kind == "series" or not found:
        return found
    # The others show the present, not what once was.
    newest = max(line.times[-1] for line in found)
    return [line for line in found if line.times[-1] > newest - _PRESENT_SECONDS]


def _name(legend: str, labels: Mapping[str, str]) -> str:
    for label, value in labels.items():
        legend = legend.replace(f"{{{{{label}}}}}", value)
    return legend.replace("{{", "").replace("}}", "")


def draw(board: Board, ask: Asks, path: Path) -> None:
    """Draw a dashboard."""
    mpl.use("Agg")
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 8, "text.color": _INK})
    bands = [_bands(row.panels) for row in board.rows]
    heights = [panels[0].height for row in bands for panels in row]
    size = sum(heights) * 0.32 + len(board.rows) * 0.45 + 1.1
    figure = plt.figure(figsize=(15, size), dpi=80, facecolor="white")
    figure.text(0.02, 1 - 0.36 / size, board.title, fontsize=15, fontweight="bold")
    figure.text(0.02, 1 - 0.66 / size, board.says, fontsize=9.5, color=_FAINT)
    top = size - 0.95
    for row, parts in zip(board.rows, bands, strict=True):
        figure.text(0.02, (top - 0.22) / size, row.title, fontsize=10.5, fontweight="bold")
        top -= 0.45
        for panels in parts:
            height = panels[0].height * 0.32
            _band(figure, panels, ask, (top - height, height, size))
            top -= height
    figure.savefig(path, metadata={"Software": None})
    plt.close(figure)


def _bands(panels: Sequence[Panel]) -> list[list[Panel]]:
    """Break the panels of a row into lines of 24 columns."""
    bands: list[list[Panel]] = [[]]
    for panel in panels:
        if sum(item.width for item in bands[-1]) + panel.width > COLUMNS:
            bands.append([])
        bands[-1].append(panel)
    return bands


def _band(
    figure: Figure, panels: Sequence[Panel], ask: Asks, place: tuple[float, float, float]
) -> None:
    bottom, height, size = place
    left = 0.0
    for panel in panels:
        width = panel.width / COLUMNS
        axes = figure.add_axes(
            (
                0.02 + left * 0.97 + 0.028,
                (bottom + (0.62 if panel.kind == "series" else 0.16)) / size,
                width * 0.97 - 0.045,
                (height - (0.98 if panel.kind == "series" else 0.5)) / size,
            )
        )
        axes.set_title(panel.title, loc="left", fontsize=9, color=_INK, x=-0.03 / width / 3)
        _DRAWN[panel.kind](axes, panel, lines_of(panel, ask))
        left += width


def _series(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    if not lines:
        _nothing(axes, panel)
        return
    shown = sorted(lines, key=lambda line: -max(line.values))[:_MOST_SERIES]
    start = min(line.times[0] for line in lines)
    colours = _colours([line.name for line in shown])
    for line in shown:
        minutes = [(at - start) / 60 for at in line.times]
        axes.plot(minutes, line.values, linewidth=1.3, color=colours[line.name], label=line.name)
        if panel.is_stacked:
            axes.fill_between(
                minutes, line.values, alpha=0.1, color=colours[line.name], linewidth=0
            )
    axes.set_ylim(0, _ceiling(panel, shown))
    for value, colour in panel.thresholds:
        if value is not None and value <= axes.get_ylim()[1]:
            axes.axhline(value, color=_COLOURS[colour], linewidth=0.9, linestyle=(0, (4, 3)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, panel.unit)))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: clock(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.tick_params(length=0, labelsize=7, labelcolor=_FAINT)
    axes.grid(axis="y", color=_GRID, linewidth=0.7)
    for side in axes.spines.values():
        side.set_visible(False)
    more = len(lines) - len(shown)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.13),
        ncols=2 if max(len(line.name) for line in shown) > 14 else 4,  # noqa: PLR2004 - fits
        fontsize=6.8,
        frameon=False,
        handlelength=1.0,
        columnspacing=1.0,
        labelspacing=0.25,
    )
    if more:
        axes.set_title(f"{more} more are not drawn", loc="right", fontsize=6.5, color=_FAINT)


def _ceiling(panel: Panel, lines: Sequence[Line]) -> float:
    if panel.maximum is not None:
        return panel.maximum * 1.08
    highest = max(max(line.values) for line in lines)
    return highest * 1.15 if highest > 0 else 1.0


def _colours(names: Sequence[str]) -> dict[str, str]:
    owners = {name: _FIXED.get(name.partition(" ")[0]) for name in names}
    found: dict[str, str] = {}
    for name, colour in owners.items():
        if colour and colour not in found.values():
            found[name] = colour
    spare = itertools.cycle(colour for colour in _PALETTE if colour not in found.values())
    return {name: found.get(name) or next(spare) for name in owners}


def _stat(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    axes.set_axis_off()
    if not lines:
        _nothing(axes, panel)
        return
    for number, line in enumerate(lines):
        x = (number + 0.5) / len(lines)
        colour = _judged(panel, line.last)
        axes.add_patch(
            mpl.patches.Rectangle(
                (number / len(lines) + 0.01, 0.02),
                1 / len(lines) - 0.02,
                0.94,
                transform=axes.transAxes,
                color=colour,
                linewidth=0,
            )
        )
        text = written(line.last, panel.unit)
        axes.text(
            x, 0.58, text, ha="center", va="center", fontsize=15, color="white", weight="bold"
        )
        axes.text(x, 0.2, line.name, ha="center", va="center", fontsize=7, color="white")


def _bars(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    if not lines:
        _nothing(axes, panel)
        return
    shown = sorted(lines, key=lambda line: line.last)[-10:]
    widest = panel.maximum or max(*(abs(line.last) for line in shown), 0) or 1.0
    axes.barh(
        range(len(shown)),
        [max(line.last, 0) for line in shown],
        color=[_judged(panel, line.last) for line in shown],
        height=0.62,
        alpha=0.5,  # the name stands on it
    )
    for place, line in enumerate(shown):
        axes.text(widest * 1.02, place, written(line.last, panel.unit), va="center", fontsize=7.5)
        axes.text(widest * 0.01, place, f" {line.name}", va="center", fontsize=7, color=_INK)
    axes.set_xlim(0, widest * 1.2)
    axes.set_ylim(-0.7, max(len(shown), 3) - 0.3)
    axes.set_axis_off()


def _table(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    axes.set_axis_off()
    if not lines:
        _nothing(axes, panel)
        return
    shown = sorted(lines, key=lambda line: -line.last)[:10]
    for place, line in enumerate(shown):
        y = 1 - (place + 0.5) / max(len(shown), 6)
        axes.text(0.0, y, line.name, va="center", fontsize=7.5)
        axes.text(
            *(0.98, y, written(line.last, panel.unit)),
            va="center",
            ha="right",
            fontsize=7.5,
            color=_judged(panel, line.last) if panel.thresholds else _INK,
        )
        axes.axhline(1 - (place + 1) / max(len(shown), 6), color=_GRID, linewidth=0.7)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)


def _nothing(axes: Axes, panel: Panel) -> None:
    axes.set_axis_off()
    why = panel.may_be_empty or "no data"
    axes.text(0.5, 0.5, why, ha="center", transform=axes.transAxes, color=_FAINT, fontsize=8)


_DRAWN: Mapping[str, Callable[[Axes, Panel, Sequence[Line]], None]] = {
    "series": _series,
    "stat": _stat,
    "bars": _bars,
    "table": _table,
}


def _judged(panel: Panel, value: float) -> str:
    colour = "blue"
    for limit, name in panel.thresholds:
        if limit is None or value >= limit:
            colour = name
    return _COLOURS[colour]


def clock(minutes: float) -> str:
    """Return minutes and seconds since the start."""
    seconds = round(minutes * 60)
    return f"{seconds // 60}:{seconds % 60:02d}"


_STEPS = {
    "s": ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"), (1e-3, "ms")),
    "bytes": ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B")),
    "Bps": ((1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1, "B/s")),
}


def written(value: float, unit: str) -> str:
    """Return a value with its unit, as short as it can be read."""
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    for size, name in _STEPS.get(unit, ()):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    end = {"ops": "/s", "opm": "/min"}.get(unit, "")
    return f"{value:,.0f}{end}" if abs(value) >= 1000 else f"{value:.3g}{end}"  # noqa: PLR2004 - digits
