"""What a dashboard is made of here: queries, panels, rows of panels; and how Grafana has it, by its foundation SDK."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

from grafana_foundation_sdk.builders import common, heatmap, prometheus, timeseries
from grafana_foundation_sdk.builders import dashboard as d
from grafana_foundation_sdk.models import common as cm
from grafana_foundation_sdk.models import dashboard as m
from grafana_foundation_sdk.models import prometheus as pm

WIDTH = 24
"""Of Grafana's grid."""
HEIGHT = 8
"""Of a panel."""
SOURCE = m.DataSourceRef(type_val="prometheus", uid="${datasource}")
VARIABLES = {
    "job": "label_values(gearshift_build_info, job)",
    "instance": 'label_values(gearshift_build_info{job=~"$job"}, instance)',
    "family": 'label_values(gearshift_family_ready{job=~"$job", instance=~"$instance"}, family)',
}


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its series are called; `{{label}}` stands for a label."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """`unit`: Grafana's name of one; `needs`: what a server must do for this panel to have data, "" for serving."""

    title: str
    text: str
    unit: str
    queries: tuple[Query, ...]
    needs: str = ""
    heat: bool = False


@dataclass(frozen=True, slots=True)
class Board:
    """One dashboard: sections of panels, three or fewer to a line."""

    uid: str
    title: str
    text: str
    sections: tuple[tuple[str, tuple[Panel, ...]], ...]
    by_family: bool = True


def of(name: str, *labels: str, family: bool = True) -> str:
    """A selector of this metric under the dashboard's variables, with further matchers."""
    chosen = ['job=~"$job"', 'instance=~"$instance"', *(['family=~"$family"'] if family else [])]
    return f"{name}{{{', '.join([*chosen, *labels])}}}"


def rate(name: str, *labels: str, family: bool = True) -> str:
    """How fast a counter grows (1/s)."""
    return f"rate({of(name, *labels, family=family)}[$__rate_interval])"


def total(inner: str, *by: str) -> str:
    """The sum by these labels; by none: of everything."""
    return f"sum by ({', '.join(by)}) ({inner})" if by else f"sum({inner})"


def built(board: Board) -> m.Dashboard:
    """As Grafana has it."""
    made = (
        d.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags(["gearshift"])
        .timezone("browser")
        .refresh("10s")
        .time("now-30m", "now")
        .tooltip(m.DashboardCursorSync.CROSSHAIR)
        .with_variable(d.DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for name, asked in VARIABLES.items():
        if board.by_family or name != "family":
            made = made.with_variable(_variable(name, asked))
    top, ids = 0, count(1)
    for title, panels in board.sections:
        made = made.with_row(d.Row(title).id(next(ids)).grid_pos(_at(0, top, WIDTH, 1)))
        top += 1
        for line in _lines(panels):
            width = WIDTH // len(line)
            for column, panel in enumerate(line):
                made = made.with_panel(
                    _panel(panel, next(ids), _at(column * width, top, width, HEIGHT))
                )
            top += HEIGHT
    return made.build()


def _variable(name: str, asked: str) -> d.QueryVariable:
    return (
        d.QueryVariable(name)
        .label(name.capitalize())
        .datasource(SOURCE)
        .query(asked)
        .refresh(m.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(m.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(m.VariableOption(selected=True, text="All", value="$__all"))
    )


def _panel(panel: Panel, number: int, place: m.GridPos) -> heatmap.Panel | timeseries.Panel:
    made = _heated(panel.unit) if panel.heat else _lined()
    text = panel.text + (f" Needs {panel.needs}." if panel.needs else "")
    made = made.id(number).title(panel.title).description(text).unit(panel.unit)
    made = made.datasource(SOURCE).grid_pos(place)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        asked = prometheus.Dataquery().ref_id(letter).expr(query.expr).range()
        if panel.heat:
            asked = asked.format(pm.PromQueryFormat.HEATMAP)
        made = made.with_target(asked.legend_format(query.legend or "__auto"))
    return made


def _heated(unit: str) -> heatmap.Panel:
    evenly = common.ScaleDistributionConfig().type(cm.ScaleDistribution.LINEAR)
    return heatmap.Panel().y_axis(heatmap.YAxisConfig().unit(unit)).scale_distribution(evenly)


def _lined() -> timeseries.Panel:
    legend = common.VizLegendOptions().display_mode(cm.LegendDisplayMode.LIST)
    legend = legend.placement(cm.LegendPlacement.BOTTOM).show_legend(True)
    tooltip = common.VizTooltipOptions().mode(cm.TooltipDisplayMode.MULTI)
    tooltip = tooltip.sort(cm.SortOrder.DESCENDING)
    return timeseries.Panel().fill_opacity(10).min(0).legend(legend).tooltip(tooltip)


def _lines(panels: Sequence[Panel]) -> list[Sequence[Panel]]:
    most = 2 if len(panels) in (2, 4) else 3
    return [panels[i : i + most] for i in range(0, len(panels), most)]


def _at(x: int, y: int, w: int, h: int) -> m.GridPos:
    return m.GridPos(h=h, w=w, x=x, y=y)
