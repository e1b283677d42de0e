"""Heatmaps to hover over in notebooks, drawn by plotly from the records of the static ones.

plotly is no dependency of the tool: `pip install 'landscape-study[notebooks]'` brings it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Colormap, to_hex

from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP
from landscape_study.landscapes.figures.heatmaps.heatmap_between import Between
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    HeatmapRecord,
    heatmaps_record,
    value_phrase,
)
from landscape_study.landscapes.figures.style import (
    ALARM,
    colormap,
    column_ticks,
    decimal,
    row_ticks,
)
from landscape_study.landscapes.reading.landscape import Landscape, RowCol
from landscape_study.study.errors import UsageError
from landscape_study.study.quantities import format_number
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.metric import MATTERS, Metric, telling_digits

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

HOVER = (
    "%{customdata[0]}<br>%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>"
)
EXPLAINED = ("trial", "pruned", "diverged")  # traces of scattered landscapes in the legend
INK, GREY = "#262626", "#737373"
CELL = 26  # pixels
CROSS = {"symbol": "x-thin", "size": 9, "line": {"color": INK, "width": 1}}


def interactive_heatmap(
    landscape: Landscape,
    *,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int | None = None,
    over: Over = "lambda",
) -> Figure:
    """Draw a landscape to hover over; arguments as of `figures.heatmaps.heatmap.plot_heatmap`."""
    return interactive_heatmaps([landscape], span=span, scale=scale, cmap=cmap, top=top, over=over)


def interactive_heatmaps(
    landscapes: Iterable[Landscape],
    *,
    columns: int | None = None,
    span: float | None = None,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int | None = None,
    over: Over = "lambda",
) -> Figure:
    """Draw landscapes as `heatmap.plot_heatmaps` does, each cell telling its numbers.

    Hovering over a cell shows α and λ, as the ticks say them and as plain numbers, the test
    error ± its standard error, how many seeds, and how many of them diverged. Of scattered
    landscapes the trials are shown over the surface between them, which tells its value and its
    standard deviation, and fades to grey where that is a point or more.

    Raises:
        UsageError: plotly is missing; otherwise as of `plot_heatmaps`.
    """
    subplots = _plotly_subplots()
    drawn = tuple(landscapes)
    record = heatmaps_record(drawn, columns=columns, span=span, scale=scale, top=top, over=over)
    figure = subplots.make_subplots(
        rows=record.rows,
        cols=record.columns,
        subplot_titles=[_title(heatmap) for heatmap in record.heatmaps],
        horizontal_spacing=0.13 / record.columns,
        vertical_spacing=0.3 / record.rows,
    )
    explained: set[str] = set()  # trials and what became of them, once in the legend
    for i, (landscape, heatmap) in enumerate(zip(drawn, record.heatmaps, strict=True)):
        place = {"row": i // record.columns + 1, "col": i % record.columns + 1}
        if heatmap.slant or heatmap.refinement:
            for shape in _shapes(heatmap, cmap):
                figure.add_shape(shape, **place)
        for trace in (*_places(landscape, heatmap), *_marks(heatmap)):
            is_new = trace.name in EXPLAINED and heatmap.between and trace.name not in explained
            trace.showlegend = bool(is_new)
            explained |= {trace.name} if is_new else set()
            figure.add_trace(trace, **place)
        _draw_axes(figure, heatmap, place)
    widest = max(heatmap.size[0] for heatmap in record.heatmaps)
    highest = max(heatmap.size[1] for heatmap in record.heatmaps)
    low, high = record.heatmaps[0].scale
    figure.update_layout(
        coloraxis={
            "cmin": low,
            "cmax": high,
            "colorscale": _colorscale(cmap, record.heatmaps[0].metric),
            "colorbar": {"title": {"text": record.label, "side": "right"}, "thickness": 14},
        },
        width=record.columns * (max(CELL * widest, 240) + 90) + 110,
        height=record.rows * (max(CELL * highest, 130) + 130),
        plot_bgcolor="white",
        showlegend=bool(explained),
        legend={"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        margin={"l": 80, "r": 20, "t": 85 if explained else 70, "b": 90 if explained else 60},
    )
    return figure


def _plotly_subplots() -> Any:
    try:
        import plotly.subplots
    except ImportError as e:
        raise UsageError(
            "heatmaps to hover over need plotly, which is not installed: "
            "pip install 'landscape-study[notebooks]'"
        ) from e
    return plotly.subplots


def _title(record: HeatmapRecord) -> str:
    *words, last = record.summary
    apart = "<br>" if words and record.between else " " * bool(words)  # two lines where it is long
    title = f"<b>{record.title}</b><br><sup>{' '.join(words)}{apart}{last}</sup>"
    return f'<span style="color:{ALARM}">{title}</span>' if record.doubtful else title


def _colorscale(cmap: str | Colormap, metric: Metric) -> list[tuple[float, str]]:
    """Sample a map of matplotlib as plotly wants it; turned round where more is better."""
    found = colormap(cmap, metric)
    return [(i / 32, to_hex(found(i / 32))) for i in range(33)]


def _places(landscape: Landscape, record: HeatmapRecord) -> list[Any]:
    """What has a colour, and tells its numbers where one hovers."""
    if record.between:
        return _scattered(landscape, record)
    is_whole = record.slant is None and record.refinement is None
    cells = (_cells if is_whole else _cell_marks)(landscape, record)
    return [cells, *_pruned(landscape, record)]


def _cell_marks(landscape: Landscape, record: HeatmapRecord) -> Any:
    """Make a mark in each cell that is no column wide, of its colour, which tells its numbers."""
    marker = {
        "color": [min(value, 1e6) for _, value in record.error],  # JSON has no inf
        "coloraxis": "coloraxis",
        "size": [0.6 * CELL * record.side(cell) for cell, _ in record.error],
        "line": {"width": 0},
        "symbol": "square",
    }
    hover = [_hover(landscape, cell) for cell, _ in record.error]
    return _told_marks("cells", record, [cell for cell, _ in record.error], marker, hover)


def _shapes(record: HeatmapRecord, cmap: str | Colormap) -> list[dict[str, Any]]:
    """Make the cells over their timescale, or of a refined grid, below their marks."""
    low, high = record.scale
    colours = colormap(cmap, record.metric)
    return [
        {
            "type": "path",
            "path": "M " + " L ".join(f"{x:.4f} {y:.4f}" for x, y in record.corners(cell)) + " Z",
            "fillcolor": to_hex(colours((min(value, 1e6) - low) / (high - low or 1.0))),
            "line": {"color": "white", "width": 0.5},
            "layer": "below",
        }
        for cell, value in record.error
    ]


def _cells(landscape: Landscape, record: HeatmapRecord) -> Any:
    """Make the coloured cells; an empty column sets λ = 0 apart."""
    import plotly.graph_objects as go

    rows, columns = landscape.error.shape
    error: list[list[float | None]] = [[None] * columns for _ in range(rows)]
    for (row, col), value in record.error:
        error[row][col] = min(value, 1e6)  # JSON has no inf
    text = [[_hover(landscape, (row, col)) for col in range(columns)] for row in range(rows)]
    edges = [record.left(col) for col in range(columns)]
    if record.zero_apart:
        error = [[row[0], None, *row[1:]] for row in error]
        text = [[row[0], ("",) * 4, *row[1:]] for row in text]
        edges.insert(1, 1.0)
    return go.Heatmap(
        x=[*edges, record.left(columns)],
        y=list(range(rows + 1)),
        z=error,
        customdata=text,
        hovertemplate=HOVER,
        hoverongaps=False,
        coloraxis="coloraxis",
    )


def _scattered(landscape: Landscape, record: HeatmapRecord) -> list[Any]:
    """Make the surface between trials, what veils it where it is not known, and the trials."""
    shown = record.between
    surface = [] if shown is None or not shown.values else _surface(shown, record)
    bad = set(record.diverged)
    good = [(cell, value) for cell, value in record.error if cell not in bad]
    marks = [_trials(landscape, record, good)]
    if bad:
        hover = [_hover(landscape, cell) for cell in record.diverged]
        marks.append(_told_marks("diverged", record, record.diverged, CROSS, hover))
    return [*surface, *_pruned(landscape, record), *marks]


def _surface(shown: Between, record: HeatmapRecord) -> list[Any]:
    import plotly.graph_objects as go

    values, sure = np.array(shown.values), np.array(shown.sure)
    rows, columns = values.shape
    left, right, bottom, top = shown.box
    places = {"x": np.linspace(left, right, columns), "y": np.linspace(bottom, top, rows)}
    text = [
        [_between_phrase(*one, shown.point, record) for one in zip(*row, strict=True)]
        for row in zip(values.tolist(), sure.tolist(), strict=True)
    ]
    surface = go.Heatmap(
        name="surface",
        z=np.clip(values, *record.scale),
        text=text,
        hovertemplate="%{text}<extra></extra>",
        coloraxis="coloraxis",
        zsmooth="best",
        **places,
    )
    veil = go.Heatmap(
        name="veil",
        z=1 - sure,
        zmin=0,
        zmax=1,
        colorscale=[(0, "rgba(199,199,199,0)"), (1, "rgba(199,199,199,1)")],
        showscale=False,
        hoverinfo="skip",
        zsmooth="best",
        **places,
    )
    return [surface, veil]


def _between_phrase(value: float, sure: float, point: float, record: HeatmapRecord) -> str:
    """What the surface tells where one hovers: "interpolated: 0.53 ± 0.02"."""
    metric = record.metric
    if not math.isfinite(value):
        return f"interpolated {metric.title}: beyond the colours"
    digits = telling_digits(MATTERS * point)
    deviation = format_number((1 - sure) * point, digits)
    more = " or more" if sure <= 0 else ""
    told = format_number(value, digits)
    return f"interpolated {metric.title}: {told} ± {deviation}{more} {metric.unit}".rstrip()


def _trials(
    landscape: Landscape, record: HeatmapRecord, shown: Sequence[tuple[RowCol, float]]
) -> Any:
    """Make trials in the colours of their values."""
    marker = {
        "color": [min(value, 1e6) for _, value in shown],  # JSON has no inf
        "coloraxis": "coloraxis",
        "size": 0.4 * CELL,
        "line": {"color": INK, "width": 1},
    }
    hover = [_hover(landscape, cell) for cell, _ in shown]
    return _told_marks("trial", record, [cell for cell, _ in shown], marker, hover)


def _pruned(landscape: Landscape, record: HeatmapRecord) -> list[Any]:
    """Make small hollow marks of cells or trials that were pruned."""
    if not record.pruned:
        return []
    marker = {"symbol": "circle-open", "size": 0.25 * CELL, "color": GREY}
    metric = landscape.metric
    least = "at least" if metric.sign > 0 else "at most"
    hover = [
        (
            *_numbers(landscape, one.cell),
            f"{metric.title} {least} {metric.told(one.value)}",
            "pruned",
        )
        for one in landscape.pruned
    ]
    return [_told_marks("pruned", record, record.pruned, marker, hover)]


def _told_marks(
    name: str,
    record: HeatmapRecord,
    cells: Sequence[RowCol],
    marker: dict[str, Any],
    hover: list[tuple[str, str, str, str]],
) -> Any:
    import plotly.graph_objects as go

    centers = [record.center(cell) for cell in cells]
    return go.Scatter(
        name=name,
        mode="markers",
        x=[x for x, _ in centers],
        y=[y for _, y in centers],
        marker=marker,
        customdata=hover,
        hovertemplate=HOVER,
    )


def _hover(landscape: Landscape, cell: RowCol) -> tuple[str, str, str, str]:
    """Say α, λ, error and seeds of a cell."""
    n, diverged = int(landscape.n[cell]), int(landscape.diverged[cell])
    seeds = f"{n} seed{'s' * (n != 1)}" + (f", {diverged} diverged" if diverged else "")
    return (
        *_numbers(landscape, cell),
        f"{landscape.metric.title} {value_phrase(landscape, cell)}",
        seeds,
    )


def _numbers(landscape: Landscape, cell: RowCol) -> tuple[str, str]:
    """Write values as the ticks do, and as numbers: "α = 1/64 × 0.1 (0.0015625)"."""
    axes = (landscape.rows, landscape.columns)
    written = (row_ticks(landscape), column_ticks(landscape))
    told = []
    for symbol, axis, known, i in zip(landscape.symbols, axes, written, cell, strict=True):
        name, value = known.names[i], decimal(axis.values[i], 6)
        told.append(f"{symbol} = {name}" + (f" ({value})" if name != value else ""))
    return told[0], told[1]


def _marks(record: HeatmapRecord) -> list[Any]:
    """Make crosses on diverged cells, circles on the best ones and a star on the best."""
    outline = {"color": INK, "width": 1}
    circle = {"symbol": "circle-open", "size": 0.55 * CELL}
    crossed = () if record.between else record.diverged  # else they are trials
    marks = [
        ("diverged", crossed, CROSS),
        ("outline", record.circled, circle | {"color": INK, "line": {"width": 4}}),
        ("circles", record.circled, circle | {"color": "white", "line": {"width": 2}}),
        (
            "best",
            record.circled[:1],
            {"symbol": "star", "size": 0.45 * CELL, "color": "white", "line": outline},
        ),
    ]
    return [_mark(name, record, cells, marker) for name, cells, marker in marks if cells]


def _mark(
    name: str, record: HeatmapRecord, cells: tuple[RowCol, ...], marker: dict[str, Any]
) -> Any:
    import plotly.graph_objects as go

    centers = [record.center(cell) for cell in cells]
    return go.Scatter(
        name=name,
        mode="markers",
        x=[x for x, _ in centers],
        y=[y for _, y in centers],
        marker=marker,
        hoverinfo="skip",  # the cell below tells
    )


def _draw_axes(figure: Figure, record: HeatmapRecord, place: dict[str, int]) -> None:
    """Put the static figure's ticks and titles onto the axes."""
    style = {"showgrid": False, "zeroline": False}
    x_ticks, y_ticks = record.ticks
    figure.update_xaxes(
        tickvals=x_ticks,
        ticktext=record.x_labels,
        tickangle=-90 if max(map(len, record.x_labels)) > 3 else 0,
        title_text=record.x_title,
        range=[0, record.size[0]],
        **style,
        **place,
    )
    figure.update_yaxes(
        tickvals=y_ticks,
        ticktext=record.y_labels,
        title_text=record.y_title,
        range=[0, record.size[1]],
        **style,
        **place,
    )
