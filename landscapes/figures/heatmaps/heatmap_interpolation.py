"""Draws the heatmap of a scattered landscape: trials as points over the surface between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import Colormap, Normalize, to_rgb
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from landscape_study.landscapes.figures.heatmaps.heatmap_between import Between
from landscape_study.landscapes.figures.heatmaps.heatmap_record import HeatmapRecord
from landscape_study.landscapes.figures.style import FAINT, INK
from landscape_study.landscapes.reading.landscape import RowCol
from landscape_study.study.quantities import format_roughly

CROSS: dict[str, Any] = {"linestyle": "none", "marker": "x", "color": "0.35", "markeredgewidth": 1}
PRUNED: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "markerfacecolor": "none",
    "markeredgecolor": "0.45",
    "markeredgewidth": 0.8,
}
SMALL = 0.7  # times as large as a trial, one that was pruned
SIZE = 5.0  # points, of a trial where there are few
FEW = 40  # trials; where there are more, they are smaller
RING = 1.8  # times as large, the circles of the best ones
UNKNOWN: dict[str, Any] = {"facecolor": "0.78", "edgecolor": "0.5", "hatch": "...."}
VEIL = to_rgb(UNKNOWN["facecolor"])  # over the surface; no colour of a map, unlike white
HATCHED = 0.1  # what is less sure has dots


def draw_interpolation(
    record: HeatmapRecord, ax: Axes, cmap: Colormap, norm: Normalize
) -> PathCollection:
    """Draw the surface (an image, gid surface), the trials (gid error), those pruned (gid pruned).

    Crosses (gid diverged) are trials that diverged.

    The surface fades to a dotted grey (gid unknown) with its standard deviation. Returns the
    trials, whose colours are those of their own values.
    """
    shown = record.between
    if shown is None:
        raise ValueError(f"{record.title} is a grid")
    left, right, bottom, top = shown.box
    if shown.values:
        colours = cmap(norm(np.clip(shown.values, -1e300, 1e300)))[..., :3]
        sure = np.array(shown.sure)[..., None]
        ax.imshow(
            sure * colours + (1 - sure) * VEIL,
            extent=(left, right, bottom, top),
            origin="lower",
            interpolation="bicubic",
            aspect="auto",
            gid="surface",
        )
    bad = set(record.diverged)
    trials = [(cell, value) for cell, value in record.error if cell not in bad]
    x, y = _places(record, [cell for cell, _ in trials])
    size = point_size(len(record.error))
    points = ax.scatter(
        x,
        y,
        s=size**2,
        c=np.clip([value for _, value in trials], -1e300, 1e300),
        cmap=cmap,
        norm=norm,
        edgecolors=INK,
        linewidths=0.6,
        zorder=1.5,
        gid="error",
    )
    if shown.values:
        _draw_unknown(shown, ax)
    if record.pruned:
        places = _places(record, record.pruned)
        ax.plot(*places, **PRUNED, markersize=SMALL * size, zorder=1.4, gid="pruned")
    if record.diverged:
        ax.plot(*_places(record, record.diverged), **CROSS, markersize=size, gid="diverged")
    return points


def _draw_unknown(shown: Between, ax: Axes) -> None:
    """Dots where the surface is not known."""
    sure = np.array(shown.sure)
    if sure.min() > HATCHED or min(sure.shape) < 2:
        return
    left, right, bottom, top = shown.box
    rows, columns = sure.shape
    dots = ax.contourf(
        np.linspace(left, right, columns),
        np.linspace(bottom, top, rows),
        sure,
        levels=[-1.0, HATCHED],
        colors="none",
        hatches=[UNKNOWN["hatch"]],
    )
    dots.set(edgecolor=UNKNOWN["edgecolor"], linewidth=0, gid="unknown")


def point_size(trials: int) -> float:
    """How large a trial is drawn, in points."""
    return float(np.clip(SIZE * np.sqrt(FEW / max(trials, 1)), 2.5, SIZE))


def _places(record: HeatmapRecord, cells: Sequence[RowCol]) -> tuple[list[float], list[float]]:
    places = [record.center(cell) for cell in cells]
    return [x for x, _ in places], [y for _, y in places]


def interpolation_handles(records: Sequence[HeatmapRecord], cmap: Colormap) -> list[Any]:
    """Explain the surface and its trials in a legend; nothing where all are grids."""
    scattered = [(one, one.between) for one in records if one.between is not None]
    if not scattered:
        return []
    middle = to_rgb(cmap(0.5))
    handles: list[Any] = [
        Line2D(
            [],
            [],
            linestyle="none",
            marker="o",
            markersize=SIZE,
            markerfacecolor=middle,
            markeredgecolor=INK,
            markeredgewidth=0.6,
            label="trial",
        )
    ]
    if any(shown.values for _, shown in scattered):
        units = {(format_roughly(shown.point), one.metric.differences) for one, shown in scattered}
        enough = " ".join(units.pop()).rstrip() if len(units) == 1 else "4 times what matters"
        enough = "1 point" if enough == "1 points" else enough
        handles.append(Patch(facecolor=middle, edgecolor=FAINT, label="interpolated"))
        handles.append(Patch(**UNKNOWN, linewidth=0, label=f"unknown (±{enough} or more)"))
    if any(one.pruned for one, _ in scattered):
        handles.append(Line2D([], [], **PRUNED, markersize=SMALL * SIZE, label="pruned"))
    if any(one.diverged for one, _ in scattered):
        handles.append(Line2D([], [], **CROSS, markersize=SIZE, label="diverged (any seed)"))
    return handles
