"""Figures of the mechanism: what happened inside of cells, over α and λ.

    plot_mechanism = mechanism_record, draw_mechanism

The records are those of `figures.mechanism_record`.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from landscape_study.landscapes.figures.heatmaps.heatmap import (
    draw_heatmap,
    heatmap_legend,
    heatmaps_layout,
)
from landscape_study.landscapes.figures.heatmaps.heatmap_labels import align_titles, draw_colorbar
from landscape_study.landscapes.figures.mechanism_record import MechanismRecord, mechanism_record
from landscape_study.landscapes.figures.sizes import (
    add_legend,
    fit_height,
    paper_fonts,
    subplots,
)
from landscape_study.landscapes.figures.style import colormap
from landscape_study.landscapes.reading.panels import PanelData
from landscape_study.study.spec.figure_kinds import Over

CMAP = "viridis"  # perceptually uniform, not that of errors: neither end is better


def plot_mechanism(
    panels: Sequence[PanelData],
    inside: pd.DataFrame,
    *,
    columns: int | None = None,
    top: int | None = None,
    over: Over = "lambda",
    cmap: str | None = None,
    width: float | str | None = None,
) -> Figure:
    """Draw norms of weights, gradients and steps, and clipped steps, over α and λ.

    A row for each quantity, a column for each panel: heatmaps of what it was in the epoch whose
    values count, the last one but under restarts; a colour scale for each quantity, logarithmic
    for norms. The cells with the best values of the metric are circled, as in heatmaps of it.

    Args:
        panels: of one study (`reading.panels.study_panels`).
        inside: what happened inside of their cells (`reading.frames.mechanism_frame`).
        columns: panels in a row; chosen by their number if None.
        top: how many best cells to circle; ten, or the best quarter of few, if None.
        over: what the axis to the right is: λ, or the timescale of the decay in epochs.
        cmap: colour map.
        width: inches of the figure, or "column" or "page" of a paper; for the screen if None.

    Raises:
        UsageError: nothing was recorded, or an impossible option.
    """
    record = mechanism_record(panels, inside, columns=columns, top=top, over=over, width=width)
    return draw_mechanism(record, cmap=cmap or CMAP)


def draw_mechanism(record: MechanismRecord, *, cmap: str = CMAP) -> Figure:
    """Draw `record` into a figure of its own: axes with the titles of their quantities as gids."""
    every = [heatmap for row in record.rows for heatmap in row.heatmaps]
    count = record.blocks * len(record.rows)
    layout = heatmaps_layout(every, count, record.columns, record.width)
    with paper_fonts(record.width):
        figure, axes = subplots(layout, count * record.columns)
        drawn: list[Axes] = []
        for i in range(count):
            block, row = divmod(i, len(record.rows))
            own = axes[i * record.columns : (i + 1) * record.columns]
            drawn += _draw_row(record, block, row, own, cmap)
        add_legend(figure, heatmap_legend(every, colormap(cmap)))
        fit_height(figure, drawn, layout)
    return figure


def _draw_row(
    record: MechanismRecord, block: int, row: int, axes: Sequence[Axes], cmap: str
) -> list[Axes]:
    """Draw a quantity of the panels of a block; returns the axes that it takes of a row's."""
    shown = record.rows[row]
    some = shown.heatmaps[block * record.columns : (block + 1) * record.columns]
    for heatmap, ax in zip(some, axes, strict=False):
        draw_heatmap(heatmap, ax, cmap=cmap, cbar=False)
        ax.set_gid(shown.label)
    for ax in axes[len(some) :]:
        ax.remove()
    own = list(axes[: len(some)])
    align_titles(own, record.columns)
    is_first, is_last = row == 0, row == len(record.rows) - 1
    for ax in own:
        ax.tick_params(labelbottom=is_last)  # the same above
        for text in ax.texts:  # the titles of the first row keep room for it
            text.set_in_layout(not is_first)
    draw_colorbar(own[0].collections[0], own, shown.label, open_end=False)
    return own
