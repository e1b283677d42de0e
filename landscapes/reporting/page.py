"""The report of a study: one HTML page that needs nothing else, or Markdown.

    write_report = study_report, its pictures, a template, a file

The figures are SVG images inside the page, with alternative texts: vector, and readable by those
who cannot see them. The page loads nothing, and its content policy forbids it to.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import quote

import numpy as np
import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from landscape_study.landscapes.figures.axis_ranges import learning_range
from landscape_study.landscapes.figures.curves import curves_record, draw_curves
from landscape_study.landscapes.figures.heatmaps.heatmap import draw_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    HeatmapRecord,
    color_scale,
    heatmaps_record,
    possible_over,
)
from landscape_study.landscapes.figures.sizes import paper_fonts
from landscape_study.landscapes.figures.slices import plot_slices_figure
from landscape_study.landscapes.figures.study_figure import study_figure
from landscape_study.landscapes.figures.style import (
    INK,
    Ticks,
    column_ticks,
    log_axis,
    row_ticks,
    svg,
    write_file,
)
from landscape_study.landscapes.figures.tuning_paths import draw_paths
from landscape_study.landscapes.reading.frames import curves_frame
from landscape_study.landscapes.reading.landscape import top_cells
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reporting import phrases
from landscape_study.landscapes.reporting.report_record import PanelReport, Report, study_report
from landscape_study.landscapes.reporting.sentences import figure_lines, law_lines
from landscape_study.landscapes.statistics.recommendation import typical_paths
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS, OF_PANELS, OVER_GRIDS, Over
from landscape_study.study.spec.study import Study

Format = Literal["html", "md"]
CURVES = 5  # best cells whose learning curves are drawn
WIDTH = 4.3  # inches of a figure: readable on a phone, two beside each other on a desk
SQUARE: dict[str, Any] = {
    "linestyle": "none",
    "marker": "s",
    "markersize": 13,
    "markerfacecolor": "none",
    "markeredgecolor": "white",
    "markeredgewidth": 1.6,
    "path_effects": [withStroke(linewidth=3, foreground=INK)],
}


@dataclass(frozen=True)
class Picture:
    """A figure of the report."""

    name: str  # of its file beside a Markdown report
    svg: str
    alt: str  # what a reader who cannot see it must know
    caption: str

    @property
    def uri(self) -> str:
        """The figure in a data: address."""
        return "data:image/svg+xml;base64," + base64.b64encode(self.svg.encode()).decode()


def write_report(
    store: Results, name: str, path: Path, *, kind: Format = "html", panels: Sequence[str] = ()
) -> Path:
    """Write the report of a study, finished or not, and return its path.

    Markdown keeps its figures in a folder beside it, called as the file without its suffix.

    Raises:
        UsageError: there is no such format, or the database holds no such study.
        SpecError: the study has no such panel.
        StoreError: a file cannot be written.
    """
    if kind not in get_args(Format):
        raise UsageError(f"no format '{kind}': choose one of {', '.join(get_args(Format))}")
    report = study_report(store, name, panels)
    whole = study_pictures(store, report.study, panels)
    shown = [
        (one.panel.name, one.landscape.cell(place))
        for one in report.panels
        for place in top_cells(one.landscape, CURVES)
    ]
    pictures = report_pictures(report, curves_frame(store, name, shown))
    if kind == "md":
        for picture in chain(whole, *pictures):
            write_file(path.with_suffix("") / f"{picture.name}.svg", picture.svg.encode())
    return write_file(path, render(report, whole, pictures, kind, path.stem).encode())


def render(
    report: Report,
    whole: Sequence[Picture],
    pictures: Sequence[Sequence[Picture]],
    kind: Format,
    folder: str,
) -> str:
    """Fill the template of a format.

    Args:
        report: what to say.
        whole: pictures of the study as a whole.
        pictures: of each panel.
        kind: the format.
        folder: where Markdown finds its figures.
    """
    environment = Environment(
        loader=PackageLoader("landscape_study.landscapes.reporting"),
        autoescape=kind == "html",
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["phrases"] = phrases
    environment.filters["plain"] = phrases.plain_markdown
    template = environment.get_template(f"report.{kind}.j2")
    sections = list(zip(report.panels, pictures, strict=True))
    return template.render(report=report, whole=whole, sections=sections, folder=quote(folder))


def study_pictures(store: Results, study: Study, panels: Sequence[str]) -> list[Picture]:
    """The study's own figure, unless it shows what each panel's pictures show already."""
    kind = study.figure.kind
    if kind in OF_PANELS:
        return []
    what = phrases.first_upper(FIGURE_KINDS[kind].format(metric=study.metric.noun))
    told = law_lines if kind == "law" else figure_lines
    lines = () if kind in OVER_GRIDS and kind != "law" else told(store, study.name, panels)
    said = " ".join((what, *lines))
    figure = study_figure(store, study.name, panels, width="page")
    alt = f"Figure of the whole study {study.name}: {what} Its caption gives the numbers."
    return [Picture(f"{study.name}-{kind}", svg(figure), alt=alt, caption=said)]


def report_pictures(report: Report, curves: pd.DataFrame) -> list[list[Picture]]:
    """The pictures of each panel: its heatmap, its slices, the curves of its best cells.

    Heatmaps are left out where there is no grid and the study asks for none, slices where there
    is a single λ.
    """
    relative = report.study.figure.relative
    scale = None if relative else color_scale([panel.landscape for panel in report.panels])
    over = possible_over([panel.landscape for panel in report.panels], report.study.figure.over)
    return [
        [
            *([_heatmap(panel, scale, over)] if _has_heatmap(panel, report.study) else []),
            *_slices(panel),
            *_curves(panel, curves[curves["panel"] == panel.panel.name]),
        ]
        for panel in report.panels
    ]


def _has_heatmap(panel: PanelReport, study: Study) -> bool:
    """Whether there is a grid to see: of several α and λ, or of several cells if asked for."""
    several = panel.landscape.error.size > 1
    return panel.has_grid or (several and study.figure.kind in OVER_GRIDS)


def _heatmap(panel: PanelReport, scale: tuple[float, float] | None, over: Over) -> Picture:
    """The landscape, with three paths of one-at-a-time tuning."""
    whole = heatmaps_record([panel.landscape], scale=scale, width=WIDTH, over=over)
    figure, record = draw_heatmaps(whole), whole.heatmaps[0]
    ax = figure.axes[0]
    paths = typical_paths(panel.paths)
    metric, units = panel.landscape.metric, panel.separability.units
    draw_paths(paths, record, ax, units)
    best = f", {' '.join(record.summary)}" if record.summary else ""
    up, across = panel.landscape.symbols
    error = metric.title
    caption = phrases.first_upper(f"{_marks(record)}colour: {error}.")
    if panel.recommendation is not None:
        ax.plot(*record.center(panel.recommendation.cell), **SQUARE, gid="recommended")
        caption += " Square: the recommended one."
    if paths:
        starts = f", for the cheapest, the median and the dearest {up} to start from"
        costs = ", ".join(units.number(path.cost) for path in paths)
        lost = "points" if metric.is_percent_error else phrases.lost(metric)
        caption += (
            f" Lines: tuning {across} at one {up}, then {up} at that {across}"
            f"{starts if len(paths) == 3 else ''}; "
            f"beside them the {lost} lost ({costs})."
        )
    return Picture(
        name=f"{panel.panel.name}-heatmap",
        svg=svg(figure),
        alt=(
            f"Heatmap of {panel.title}: {error}, {up} upwards from "
            f"{_range(row_ticks(panel.landscape))}, {across} to the right from "
            f"{_range(column_ticks(panel.landscape))}{best}. Verdict: {panel.separability}."
        ),
        caption=caption,
    )


def _marks(record: HeatmapRecord) -> str:
    """What circles and star mark, the beginning of a caption: "Circles: the 10 best cells; "."""
    kind, count = "trial" if record.between else "cell", len(record.circled)
    if not count:
        return ""
    if count == 1:
        return f"Star: the best {kind}; "
    return f"Circles: the {count} best {kind}s; star: the best one; "


def _range(ticks: Ticks) -> str:
    return f"{ticks.names[0]} to {ticks.names[-1]}"


def _slices(panel: PanelReport) -> list[Picture]:
    """The metric against λ at each α; nothing where no cell is good, or trials lie scattered."""
    has_lines = len(panel.landscape.columns.values) > 1 and not panel.landscape.is_scattered
    if panel.recommendation is None or not has_lines:
        return []
    figure = plot_slices_figure([panel.landscape], width=WIDTH)
    error, (up, across) = panel.landscape.metric.title, panel.landscape.symbols
    beyond = "errors" if panel.landscape.metric.is_percent_error else "values"
    return [
        Picture(
            name=f"{panel.panel.name}-slices",
            svg=svg(figure),
            alt=(
                f"Slices of {panel.title}: {error} against {across}, a line for each of several "
                f"{up}. {panel.best_columns}"
            ),
            caption=(
                f"{phrases.first_upper(error)} against {across} at several "
                f"{up}{', ± one standard error' * _spread(panel)}; "
                f"stars: the best {across} of each {up}; triangles: {beyond} beyond the axis. "
                + panel.best_columns
            ),
        )
    ]


def _spread(panel: PanelReport) -> bool:
    """Whether any cell has a standard error: it takes two seeds."""
    return bool(np.isfinite(panel.landscape.stderr).any())


def _curves(panel: PanelReport, curves: pd.DataFrame) -> list[Picture]:
    """Learning curves of the best cells; nothing where none has finished, or none has any."""
    best, metric = top_cells(panel.landscape, CURVES), panel.landscape.metric
    if not best or metric.name not in curves or curves[metric.name].isna().all():
        return []
    figure = Figure(figsize=(WIDTH, 0.65 * WIDTH), layout="constrained")
    cells = [panel.landscape.cell(place) for place in best]
    first = float(panel.landscape.error[best[0]])
    record = curves_record(curves, metric=metric, cells=cells, grid=panel.panel.grid)
    with paper_fonts(WIDTH):
        ax = draw_curves(record, figure.subplots())
    means = [curve.mean for curve in record.curves]
    ax.set_ylim(learning_range(first, means, log=record.log, metric=metric))
    if record.log:
        log_axis(ax.yaxis)
    bands = ", mean over seeds; bands: ± one standard error"
    return [
        Picture(
            name=f"{panel.panel.name}-curves",
            svg=svg(figure),
            alt=(
                f"Learning curves of the {len(best)} best cells of {panel.title}: {metric.title} "
                f"by {record.x_title}, ending at {panel.separability.units.told(first)} for the "
                "best."
            ),
            caption=(
                f"{phrases.first_upper(metric.title)} of the {len(best)} best "
                f"cells{bands * _spread(panel)}."
            ),
        )
    ]
