"""Two landscapes side by side, and their difference over the cells that they share.

plot_comparison = difference, heatmap records, draw_comparison
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.colors import Colormap
from matplotlib.figure import Figure
from scipy.special import stdtrit

from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP, draw_heatmap
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    HeatmapRecord,
    color_scale,
    doubt_phrases,
    heatmap_record,
    possible_over,
)
from landscape_study.landscapes.figures.style import INK, NotebookFigure
from landscape_study.landscapes.reading.landscape import Landscape, RowCol
from landscape_study.landscapes.statistics.bootstrap import LEVEL
from landscape_study.landscapes.statistics.surface import Mask
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.cell_numbers import ALPHA, LAMBDA, number_called
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.metric import Metric
from landscape_study.study.spec.study import Axis, Grid

SHARED = {ALPHA: "learning rate", LAMBDA: "regularization factor"}
NARROWEST = 5  # columns that an axes is wide at least, for the words above it
DIFFERENCE_CMAP = "vlag"  # diverging, blue to red: safe for colour-blind eyes


@dataclass(frozen=True)
class ComparisonRecord:
    """What `plot_comparison` draws."""

    one: HeatmapRecord
    other: HeatmapRecord
    difference: HeatmapRecord  # other − one; blue where other is better
    beyond_noise: tuple[RowCol, ...]  # cells whose 95 % interval does not hold 0


def difference(one: Landscape, other: Landscape) -> Landscape:
    """The metric of `other` minus that of `one`, over the cells with the same α and λ.

    Its standard error is that of a difference of independent means; cells of which any seed
    diverged have no difference.

    Raises:
        UsageError: the grids share no cell, one's λ is normalized and the other's is not, or
            they are of different metrics.
    """
    if one.metric.name != other.metric.name:
        raise UsageError(
            f"{one.title} is of {one.metric.label}, {other.title} of {other.metric.label}: they "
            "have no difference, so that only their statistics can be compared"
        )
    if one.normalized != other.normalized:
        kinds = ["normalized λ" if a.normalized else "raw λ" for a in (one, other)]
        raise UsageError(
            f"{one.title} has {kinds[0]}, {other.title} {kinds[1]}: equal numbers are unequal λ, "
            "so that only their statistics can be compared"
        )
    if one.names != other.names:
        axes = [" × ".join(landscape.symbols) for landscape in (one, other)]
        raise UsageError(
            f"{one.title} is over {axes[0]}, {other.title} over {axes[1]}: they have no cell in "
            "common, so that they cannot be compared"
        )
    up, rows, other_rows = _shared(one.rows, other.rows)
    across, cols, other_cols = _shared(one.columns, other.columns)
    if not rows or not cols:
        name = one.names[bool(rows)]
        what = SHARED.get(name, number_called(name).symbol)
        raise UsageError(
            f"{one.title} and {other.title} share no {what}: their grids have no cell in common, "
            "so that only their statistics can be compared"
        )
    here, there = np.ix_(rows, cols), np.ix_(other_rows, other_cols)
    diverged = one.diverged[here] + other.diverged[there]
    is_cell = one.is_cell[here] & other.is_cell[there]
    return Landscape(
        title=f"{other.title} − {one.title}",
        pair=other.pair,
        rows=up,
        columns=across,
        error=np.where(diverged > 0, np.nan, other.error[there] - one.error[here]),
        stderr=np.hypot(one.stderr[here], other.stderr[there]),
        n=np.minimum(one.n[here], other.n[there]),
        diverged=np.zeros_like(diverged),
        normalized=other.normalized,
        metric=one.metric,
        doubtful=one.doubtful or other.doubtful,
        timescale=one.timescale if one.timescale == other.timescale else None,
        panel_grid=_shared_grid(one, other),
        names=one.names,
        of_design=None if is_cell.all() else is_cell,
    )


def _shared_grid(one: Landscape, other: Landscape) -> Grid | None:
    """The grid between whose values cells of both may lie; None where both are whole ones."""
    if one.panel_grid is None and other.panel_grid is None:
        return None
    up, rows, _ = _shared(one.grid.rows, other.grid.rows)
    across, cols, _ = _shared(one.grid.columns, other.grid.columns)
    return one.grid.with_axes(up, across) if rows and cols else None


def plot_comparison(
    one: Landscape,
    other: Landscape,
    *,
    span: float | None = None,
    cmap: str | Colormap = CMAP,
    top: int | None = None,
    over: Over = "lambda",
) -> Figure:
    """Draw two landscapes on one colour scale, and beside them other − one.

    Differences that their seeds' noise does not explain (95 %) carry a dot; with one seed there
    is no telling, and none does. They are those of equal λ, also over the timescale of the decay
    (`over`), and are drawn over λ where cells of equal λ have two timescales.

    Raises:
        UsageError: the grids share no cell; an impossible span; a timescale that is not known.
    """
    record = comparison_record(one, other, span=span, top=top, over=over)
    return draw_comparison(record, cmap=cmap)


def comparison_record(
    one: Landscape,
    other: Landscape,
    *,
    span: float | None = None,
    top: int | None = None,
    over: Over = "lambda",
) -> ComparisonRecord:
    """Say what `plot_comparison` draws."""
    scale = color_scale([one, other], span=span)
    apart = difference(one, other)
    reach = scale[1] - scale[0]
    record = heatmap_record(apart, scale=(-reach, reach), top=0, over=possible_over([apart], over))
    with np.errstate(invalid="ignore"):
        freedom = np.maximum(2 * (apart.n - 1), 1)  # of two means over n seeds each
        certain = np.abs(apart.error) > stdtrit(freedom, (1 + LEVEL) / 2) * apart.stderr
    return ComparisonRecord(
        one=heatmap_record(one, scale=scale, top=top, over=over),
        other=heatmap_record(other, scale=scale, top=top, over=over),
        difference=replace(
            record,
            summary=(*doubt_phrases(apart), *_summary(apart, certain)),
            label=_label(one.metric),
        ),
        beyond_noise=tuple((int(row), int(col)) for row, col in np.argwhere(certain)),
    )


def _label(metric: Metric) -> str:
    """Title the colour bar of differences: "difference of test error (points)"."""
    unit = f" ({metric.differences})" if metric.differences else ""
    return f"difference of {metric.title}{unit}"


def _summary(apart: Landscape, certain: Mask) -> tuple[str, ...]:
    """Count which panel is better in how many of the shared cells, beyond the noise."""
    if not np.isfinite(apart.error).any():
        return ("no cell has a result in both",)
    if not np.isfinite(apart.stderr).any():
        return ("one seed:", "noise unknown")
    better, worse = (
        int(np.sum(certain & (s * apart.cost > 0)))
        for s in (-1, 1)  # of other − one
    )
    cells = "cell" if better == 1 else "cells"
    return (f"{better} {cells} better,", f"{worse} worse", "beyond noise (dots)")


def _shared(one: Axis, other: Axis) -> tuple[Axis, list[int], list[int]]:
    """Return the values that both axes have, and where they are on each."""
    places = [
        (i, j)
        for i, value in enumerate(one.values)
        for j, known in enumerate(other.values)
        if np.isclose(value, known, rtol=1e-9, atol=0.0)
    ]
    rows, others = [i for i, _ in places], [j for _, j in places]
    if not places:
        return one, [], []
    return Axis(values=tuple(one.values[i] for i in rows), base=one.base), rows, others


def draw_comparison(record: ComparisonRecord, *, cmap: str | Colormap = CMAP) -> Figure:
    """Draw `record`: three axes in a row, a colour bar for the errors and one for differences."""
    shown = (record.one, record.other, record.difference)
    widths = [max(heatmap.size[0], NARROWEST) for heatmap in shown]
    highest = max(heatmap.size[1] for heatmap in shown)
    side = float(np.clip(9.5 / sum(widths), 0.15, 0.6))  # inches of a cell
    size = (side * sum(widths) + 3.4, max(side * highest + 1.1, 2.6))
    figure = NotebookFigure(figsize=size, layout="constrained")
    # Until it is drawn, axes of the size that the layout will give them: ticks are chosen by it.
    place = {"left": 0, "right": side * sum(widths) / size[0] * 1.15, "wspace": 0.15}
    axes = figure.subplots(1, 3, width_ratios=widths, gridspec_kw=place)
    draw_heatmap(record.one, axes[0], cmap=cmap, cbar=False)
    draw_heatmap(record.other, axes[1], cmap=cmap)
    draw_heatmap(record.difference, axes[2], cmap=DIFFERENCE_CMAP)
    if record.beyond_noise:
        x, y = np.transpose([record.difference.center(cell) for cell in record.beyond_noise])
        axes[2].plot(x, y, ".", color=INK, markersize=3, gid="beyond noise")
    return figure
