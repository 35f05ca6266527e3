"""Turns the model into Grafana's JSON, in the house's style."""

import json
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.builders import (
    bargauge,
    common,
    dashboard,
    prometheus,
    stat,
    table,
    timeseries,
)
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as shapes
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.boards import BOARDS
from deploy.grafana.model import Board, Panel, Variable

FOLDER = Path(__file__).resolve().parent / "dashboards"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="prometheus")
RUNBOOKS = "${runbooks}/docs/operations/alerts"
"""`runbooks` is a constant of each dashboard: where this repository can be read."""

Builder = timeseries.Panel | stat.Panel | bargauge.Panel | table.Panel
_CLASSES: Mapping[str, type[Builder]] = {
    "series": timeseries.Panel,
    "stat": stat.Panel,
    "bars": bargauge.Panel,
    "table": table.Panel,
}


def render(board: Board) -> str:
    """Return a dashboard's JSON."""
    builder = (
        dashboard.Dashboard(board.title)
        .uid(board.uid)
        .description(board.says)
        .tags(["penstock"])
        .timezone("browser")
        .readonly()
        .refresh("30s")
        .time("now-1h", "now")
        .tooltip(models.DashboardCursorSync.CROSSHAIR)
        .link(_other_boards())
        .annotation(_alerts())
        .with_variable(_runbooks())
    )
    for variable in board.variables:
        builder = builder.with_variable(_choice(variable))
    for row in board.rows:
        builder = builder.with_row(dashboard.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    return json.dumps(builder.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def render_all() -> dict[Path, str]:
    """Return every dashboard by its file."""
    return {
        FOLDER / f"{board.uid.removeprefix('penstock-')}.json": render(board) for board in BOARDS
    }


def _panel(panel: Panel) -> Builder:
    built = (
        _CLASSES[panel.kind]()
        .title(panel.title)
        .description(panel.says)
        .datasource(SOURCE)
        .span(panel.width)
        .height(panel.height)
        .unit(panel.unit)
        .min(0)
    )
    if panel.maximum is not None:
        built = built.max(panel.maximum)
    if panel.thresholds:
        built = built.thresholds(_thresholds(panel))
    if panel.alert:
        built = built.links([_link(panel.alert)])
    for number, query in enumerate(panel.queries):
        target = (
            prometheus.Dataquery()
            .expr(query.expr)
            .legend_format(query.legend)
            .ref_id(chr(ord("A") + number))
        )
        built = built.with_target(_timed(target, panel))
    return _styled(built, panel)


def _timed(target: prometheus.Dataquery, panel: Panel) -> prometheus.Dataquery:
    """Ask for a range where time is shown, and for the present otherwise."""
    if panel.kind == "series":
        return target.range()
    if panel.kind == "table":
        return target.instant().format(PromQueryFormat.TABLE)
    return target.instant()


def _styled(built: Builder, panel: Panel) -> Builder:
    if isinstance(built, timeseries.Panel):
        return _lines(built, panel)
    if isinstance(built, stat.Panel):
        return (
            built.color_mode(shapes.BigValueColorMode.BACKGROUND)
            .graph_mode(shapes.BigValueGraphMode.NONE)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    if isinstance(built, bargauge.Panel):
        return (
            built.orientation(shapes.VizOrientation.HORIZONTAL)
            .display_mode(shapes.BarGaugeDisplayMode.BASIC)
            .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        )
    return built.with_transformation(
        models.DataTransformerConfig(id_val="merge", options={})
    ).with_transformation(
        models.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
    )


def _lines(built: timeseries.Panel, panel: Panel) -> timeseries.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(shapes.LegendDisplayMode.TABLE)
        .placement(shapes.LegendPlacement.BOTTOM)
        .calcs(["lastNotNull", "max"])
        .show_legend(show_legend=True)
    )
    built = (
        built.legend(legend)
        .tooltip(
            common.VizTooltipOptions()
            .mode(shapes.TooltipDisplayMode.MULTI)
            .sort(shapes.SortOrder.DESCENDING)
        )
        # A name has the same colour on every dashboard.
        .color_scheme(dashboard.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC_BY_NAME))
        .line_width(1)
        .fill_opacity(25 if panel.is_stacked else 8)
        .show_points(shapes.VisibilityMode.NEVER)
    )
    if panel.is_stacked:
        built = built.stacking(common.StackingConfig().mode(shapes.StackingMode.NORMAL))
    if panel.thresholds:
        built = built.thresholds_style(
            common.GraphThresholdsStyleConfig().mode(shapes.GraphThresholdsStyleMode.DASHED)
        )
    return built


def _thresholds(panel: Panel) -> dashboard.ThresholdsConfig:
    return (
        dashboard.ThresholdsConfig()
        .mode(models.ThresholdsMode.ABSOLUTE)
        .steps([models.Threshold(value=value, color=colour) for value, colour in panel.thresholds])
    )


def _link(alert: str) -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink(f"What to do: {alert}")
        .type(models.DashboardLinkType.LINK)
        .url(f"{RUNBOOKS}/{alert}.md")
        .target_blank(target_blank=True)
    )


def _other_boards() -> dashboard.DashboardLink:
    return (
        dashboard.DashboardLink("Penstock")
        .type(models.DashboardLinkType.DASHBOARDS)
        .tags(["penstock"])
        .as_dropdown(as_dropdown=True)
        .keep_time(keep_time=True)
    )


def _alerts() -> dashboard.AnnotationQuery:
    return (
        dashboard.AnnotationQuery()
        .name("Alerts")
        .datasource(SOURCE)
        .enable(enable=True)
        .icon_color("red")
        .expr('ALERTS{alertstate="firing", severity!="none"}')
    )


def _runbooks() -> dashboard.ConstantVariable:
    return dashboard.ConstantVariable("runbooks").label("Runbooks").value(".")


def _choice(variable: Variable) -> dashboard.QueryVariable:
    return (
        dashboard.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query(variable.query)
        .refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(models.VariableSort.ALPHABETICAL_ASC)
        .multi(multi=True)
        .include_all(include_all=True)
        .all_value(".*")
    )
