"""What figures of the mechanism show: frozen records, drawn by `figures.mechanism`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    BAR,
    HeatmapRecord,
    heatmap_record,
)
from landscape_study.landscapes.figures.sizes import fitting_columns, paper_width
from landscape_study.landscapes.reading.landscape import RowCol, grid_landscape, top_cells
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.errors import UsageError
from landscape_study.study.quantities import format_roughly
from landscape_study.study.spec.figure_kinds import Over
from landscape_study.study.spec.grid import Grid
from landscape_study.study.spec.metric import Metric

MOST = 4  # panels in a row on the screen
EDGES = (0.02, 0.98)  # quantiles of a quantity between which its colours go
LONG = "initial learning rate "  # of axis titles, beside so many axes
LEAST = 1.01  # ratio of the ends of a logarithmic scale

Values = Callable[[pd.DataFrame], pd.Series]  # of a frame of what happened inside


@dataclass(frozen=True)
class Quantity:
    """Something that happened inside of cells.

    Attributes:
        title: on its colour bar.
        unit: behind its values.
        of: its values in a frame of `reading.frames.mechanism_frame`.
        scale: ends of its colours; None where its values say, on a logarithmic scale.
    """

    title: str
    unit: str
    of: Values
    scale: tuple[float, float] | None = None


QUANTITIES = (
    Quantity("weight norm ‖θ‖", "", lambda frame: frame["weight_norm"]),
    Quantity("gradient norm ‖g‖", "", lambda frame: frame["gradient_norm"]),
    Quantity("update ‖Δθ‖ / ‖θ‖", "", lambda frame: frame["update_norm"] / frame["weight_norm"]),
    Quantity(
        "clipped steps (%)", "%", lambda frame: 100 * frame["clipped_share"], scale=(0.0, 100.0)
    ),
)


@dataclass(frozen=True)
class MechanismRow:
    """A quantity, of every panel of a figure.

    Attributes:
        label: of its colour bar.
        heatmaps: of the panels; without values where nothing is known of one.
    """

    label: str
    heatmaps: tuple[HeatmapRecord, ...]


@dataclass(frozen=True)
class MechanismRecord:
    """What a figure shows: a row for each quantity, and again where panels take several rows."""

    rows: tuple[MechanismRow, ...]
    columns: int
    width: float | None = None  # inches of the figure; chosen by the cells if None

    @property
    def blocks(self) -> int:
        """How often the rows are repeated, each time for other panels."""
        return -(-len(self.rows[0].heatmaps) // self.columns)


def mechanism_record(
    panels: Sequence[PanelData],
    inside: pd.DataFrame,
    *,
    columns: int | None = None,
    top: int | None = None,
    over: Over = "lambda",
    width: float | str | None = None,
) -> MechanismRecord:
    """Say what `plot_mechanism` draws.

    Args:
        panels: of one study.
        inside: what happened inside of their cells (`reading.frames.mechanism_frame`).
        columns: panels in a row.
        top: how many best cells to circle.
        over: what the axis to the right is.
        width: of a paper, in inches or by name.

    Raises:
        UsageError: cells have finished, of none of which it was recorded; or an impossible option.
    """
    if not panels:
        raise UsageError("no panels to draw: name at least one")
    if columns is not None and columns < 1:
        raise UsageError(f"columns = {columns}: a figure needs at least 1")
    ended = [_ended(one, inside) for one in panels]
    is_there = any((one.landscape.n > 0).any() for one in panels)
    if is_there and not any(len(frame) for frame in ended):
        raise UsageError(
            f"{', '.join(one.name for one in panels)}: nothing is recorded of what happened "
            "inside, as of what was trained elsewhere or by a former version: draw another kind "
            "of figure"
        )
    bases = [heatmap_record(one.landscape, top=top, over=over) for one in panels]
    found = [
        [_values(one, frame, quantity) for one, frame in zip(panels, ended, strict=True)]
        for quantity in QUANTITIES
    ]
    rows = [
        _row(quantity, panels, bases, values)
        for quantity, values in zip(QUANTITIES, found, strict=True)
        if any(values) or quantity.scale is None
    ]
    inches = None if width is None else paper_width(width)
    columns = min(columns or _columns(len(panels), inches), len(panels))
    return MechanismRecord(_titled_once(rows, columns), columns, inches)


def _columns(count: int, width: float | None) -> int:
    """Panels in a row: few rows, of about as many each."""
    most = MOST if width is None else min(MOST, fitting_columns(width, right=BAR))
    return -(-count // -(-count // most))


def _ended(one: PanelData, inside: pd.DataFrame) -> pd.DataFrame:
    """What the panel's cells were like in the epoch whose values count."""
    own = inside[inside["panel"] == one.name]
    if one.panel is None or one.panel.epochs is None:
        return own.iloc[:0]
    return own[own["epoch"] == one.panel.schedule.solution(one.panel.epochs)]


def _values(
    one: PanelData, frame: pd.DataFrame, quantity: Quantity
) -> tuple[tuple[RowCol, float], ...]:
    """The quantity in each cell, mean over the seeds that did not diverge.

    Of what spans powers of ten, it is the mean of the logarithm.
    """
    values = quantity.of(frame).astype(float)
    known = np.isfinite(values) & ((values > 0) | (quantity.scale is not None))
    value = values[known] if quantity.scale is not None else np.log(values[known])
    rows = frame[known].assign(inside=value, diverged=False)
    metric = Metric("inside", quantity.title)
    table = grid_landscape(rows, _grid(one), metric, title="").error
    means = table if quantity.scale is not None else np.exp(table)
    cells = np.ndindex(means.shape)
    return tuple((cell, float(means[cell])) for cell in cells if not math.isnan(means[cell]))


def _grid(one: PanelData) -> Grid:
    return one.landscape.grid.with_axes(one.landscape.rows, one.landscape.columns)


def _row(
    quantity: Quantity,
    panels: Sequence[PanelData],
    bases: Sequence[HeatmapRecord],
    values: Sequence[tuple[tuple[RowCol, float], ...]],
) -> MechanismRow:
    scale = quantity.scale or _scale([value for some in values for _, value in some])
    heatmaps = [
        replace(
            base,
            summary=_summary(one, quantity, dict(some)),
            error=_smaller_last(base, some),
            between=base.between and base.between.bare,
            missing=_missing(one, some),
            circled=base.circled if some else (),
            scale=scale,
            label=quantity.title,
            edges=(),
            log=quantity.scale is None,
        )
        for one, base, some in zip(panels, bases, values, strict=True)
    ]
    return MechanismRow(quantity.title, tuple(heatmaps))


def _smaller_last(
    base: HeatmapRecord, values: tuple[tuple[RowCol, float], ...]
) -> tuple[tuple[RowCol, float], ...]:
    """The values in the order in which their cells are drawn, those of a refined grid last."""
    return tuple(sorted(values, key=lambda one: -base.side(one[0])))


def _missing(one: PanelData, values: Sequence[tuple[RowCol, float]]) -> tuple[RowCol, ...]:
    """The cells that have no value and are not marked as pruned.

    None where no cell has one, which words say.
    """
    known = {*dict(values), *(stopped.cell for stopped in one.landscape.pruned)}
    cells = np.argwhere(one.landscape.is_cell).tolist() if values else ()
    return tuple((row, col) for row, col in cells if (row, col) not in known)


def _scale(values: Sequence[float]) -> tuple[float, float]:
    """Ends of the colours: a few cells that are about to diverge lie beyond them."""
    low, high = np.quantile(values, EDGES).tolist() if values else (1.0, 1.0)
    middle = math.sqrt(low * high)
    return min(low, middle / LEAST), max(high, middle * LEAST)


def _summary(one: PanelData, quantity: Quantity, values: dict[RowCol, float]) -> tuple[str, ...]:
    """What it is in the best cell, or why there is nothing."""
    if not (one.landscape.n > 0).any():
        return ("nothing finished yet",)
    if not values:
        return ("not recorded",) if quantity.scale is None else ("nothing is clipped",)
    best = [cell for cell in top_cells(one.landscape, 1) if cell in values]
    if not best:
        return ()
    return (f"{format_roughly(values[best[0]])} {quantity.unit}".rstrip(), "in the best cell")


def _titled_once(rows: Sequence[MechanismRow], columns: int) -> tuple[MechanismRow, ...]:
    """Names of panels above the first quantity, axis titles at the left and below the last one."""
    titled = []
    for i, row in enumerate(rows):
        heatmaps = [
            replace(
                heatmap,
                title=heatmap.title if i == 0 else "",
                x_title=heatmap.x_title if i == len(rows) - 1 else "",
                y_title=heatmap.y_title.removeprefix(LONG) if k % columns == 0 else "",
            )
            for k, heatmap in enumerate(row.heatmaps)
        ]
        titled.append(replace(row, heatmaps=tuple(heatmaps)))
    return tuple(titled)
