"""Heatmaps to point at, for notebooks: each cell tells its α, λ, error and seeds.

Drawn by plotly from the same records as the static figures.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.colors import Colormap, to_hex

from landscapes.heatmap import CMAP
from landscapes.heatmap_record import (
    SPAN,
    TOP,
    HeatmapRecord,
    RowCol,
    heatmaps_record,
)
from landscapes.landscape import Landscape
from landscapes.style import colormap, ticks
from study.errors import UsageError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

PIXELS = 26  # of a cell
COLOURS = 32  # steps of the colour scale


def interactive_heatmaps(
    landscapes: Iterable[Landscape],
    *,
    columns: int | None = None,
    span: float = SPAN,
    scale: tuple[float, float] | None = None,
    cmap: str | Colormap = CMAP,
    top: int = TOP,
) -> Figure:
    """Draw landscapes side by side; hovering over a cell shows its numbers.

    Arguments are those of `plot_heatmaps`.

    Returns:
        A plotly figure, which a notebook shows by itself.

    Raises:
        UsageError: plotly is not installed, or as `plot_heatmaps`.
    """
    make_subplots = _plotly().subplots.make_subplots
    landscapes = tuple(landscapes)
    record = heatmaps_record(landscapes, columns=columns, span=span, scale=scale, top=top)
    figure = make_subplots(
        rows=record.rows,
        cols=record.columns,
        subplot_titles=[_title(heatmap) for heatmap in record.heatmaps],
        horizontal_spacing=0.28 / record.columns,
        vertical_spacing=0.36 / record.rows,
    )
    for i, (landscape, heatmap) in enumerate(zip(landscapes, record.heatmaps, strict=True)):
        place = {"row": i // record.columns + 1, "col": i % record.columns + 1}
        figure.add_trace(_cells(landscape, heatmap), **place)
        for marks in _marks(heatmap):
            figure.add_trace(marks, **place)
        _draw_axes(figure, heatmap, place)
    widest = max(len(heatmap.x_labels) for heatmap in record.heatmaps)
    highest = max(len(heatmap.y_labels) for heatmap in record.heatmaps)
    figure.update_layout(
        template="plotly_white",
        width=record.columns * (PIXELS * max(widest, 8) + 110) + 130,
        height=record.rows * (PIXELS * max(highest, 6) + 130) + 40,
        showlegend=False,
        coloraxis={
            "colorscale": _colorscale(cmap),
            "cmin": record.heatmaps[0].scale[0],
            "cmax": record.heatmaps[0].scale[1],
            "colorbar": {"title": {"text": record.label, "side": "right"}, "thickness": 14},
        },
    )
    return figure


def _plotly() -> Any:
    try:
        import plotly.graph_objects
        import plotly.subplots
    except ImportError as e:
        raise UsageError(
            "interactive heatmaps need plotly: pip install 'landscape-study[notebooks]'"
        ) from e
    return plotly


def _title(record: HeatmapRecord) -> str:
    return f"<b>{record.title}</b><br><sup>{' '.join(record.summary)}</sup>"


def _edges(record: HeatmapRecord) -> list[float]:
    """Where columns begin and the last one ends; the gap beside λ = 0 is a column of its own."""
    count = len(record.x_labels)
    edges = [record.left(col) for col in range(count)] + [record.left(count)]
    return [0.0, 1.0, *edges[1:]] if record.zero_apart else edges


def _cells(landscape: Landscape, record: HeatmapRecord) -> Any:
    """The heatmap itself; text of each cell in its customdata."""
    known = dict(record.error)
    rows, cols = len(record.y_labels), len(record.x_labels)
    z = [[known.get((row, col)) for col in range(cols)] for row in range(rows)]
    text = [[_hover(landscape, record, (row, col)) for col in range(cols)] for row in range(rows)]
    if record.zero_apart:
        z = [[line[0], None, *line[1:]] for line in z]
        text = [[line[0], "", *line[1:]] for line in text]
    return _plotly().graph_objects.Heatmap(
        x=_edges(record),
        y=list(range(rows + 1)),
        z=z,
        customdata=text,
        hovertemplate="%{customdata}<extra></extra>",
        coloraxis="coloraxis",
        xgap=1,
        ygap=1,
    )


def _hover(landscape: Landscape, record: HeatmapRecord, cell: RowCol) -> str:
    """What a cell tells."""
    row, col = cell
    alpha, lambda_ = landscape.alpha.values[row], landscape.lambda_.values[col]
    names = ticks(landscape.alpha).names[row], ticks(landscape.lambda_).names[col]
    lines = [f"α = {names[0]} ({alpha:.4g})", f"λ = {names[1]} ({lambda_:.4g})"]
    n, diverged = int(landscape.n[cell]), int(landscape.diverged[cell])
    if not n:
        return "<br>".join([*lines, "not finished"])
    stderr = float(landscape.stderr[cell])
    spread = "" if math.isnan(stderr) else f" ± {stderr:.2f}"
    lines.append(f"test error {landscape.error[cell]:.2f}{spread} %")
    lines.append(f"{n} seed{'s' if n > 1 else ''}")
    if diverged:
        lines.append(f"{diverged} diverged")
    if cell in record.circled:
        lines.append(f"number {record.circled.index(cell) + 1} of the best")
    return "<br>".join(lines)


def _marks(record: HeatmapRecord) -> list[Any]:
    """Circles, the star, and crosses on diverged cells; pointing goes through them."""
    scatter = _plotly().graph_objects.Scatter
    kinds: list[tuple[tuple[RowCol, ...], dict[str, Any]]] = [
        (record.diverged, {"symbol": "x-thin", "size": 8, "line": {"width": 1, "color": "grey"}}),
        (
            record.circled,
            {"symbol": "circle-open", "size": 13, "color": "white", "line": {"width": 2}},
        ),
        (record.circled[:1], {"symbol": "star", "size": 9, "color": "white"}),
    ]
    return [
        scatter(
            x=[record.center(cell)[0] for cell in cells],
            y=[record.center(cell)[1] for cell in cells],
            mode="markers",
            marker=marker,
            hoverinfo="skip",
        )
        for cells, marker in kinds
        if cells
    ]


def _draw_axes(figure: Figure, record: HeatmapRecord, place: dict[str, int]) -> None:
    """Give the axes of one heatmap their titles and ticks."""
    cols, rows = range(len(record.x_labels)), range(len(record.y_labels))
    shared = {"showgrid": False, "zeroline": False, "tickmode": "array"}
    figure.update_xaxes(
        **shared,
        title_text=record.x_title,
        tickvals=[record.center((0, col))[0] for col in cols],
        ticktext=list(record.x_labels),
        tickangle=0 if max(map(len, record.x_labels)) < 4 else -90,
        range=[0, record.left(len(record.x_labels))],
        **place,
    )
    figure.update_yaxes(
        **shared,
        title_text=record.y_title,
        tickvals=[row + 0.5 for row in rows],
        ticktext=list(record.y_labels),
        range=[0, len(record.y_labels)],
        **place,
    )


def _colorscale(cmap: str | Colormap) -> list[tuple[float, str]]:
    places = np.linspace(0, 1, COLOURS).tolist()
    return [(place, to_hex(colormap(cmap)(place))) for place in places]
