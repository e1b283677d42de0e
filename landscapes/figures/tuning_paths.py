"""Paths of tuning one at a time, drawn onto a heatmap."""

from __future__ import annotations

from matplotlib import patheffects
from matplotlib.axes import Axes

from landscape_study.landscapes.figures.heatmaps.heatmap_record import HeatmapRecord
from landscape_study.landscapes.figures.style import INK, TICK
from landscape_study.landscapes.statistics.recommendation import TuningPath
from landscape_study.landscapes.statistics.units import PERCENT, Units

PATH_COLORS = ("#E69F00", "#D55E00", "#56B4E9")  # Okabe & Ito; told apart by colour-blind eyes


def draw_paths(
    paths: tuple[TuningPath, ...], record: HeatmapRecord, ax: Axes, units: Units = PERCENT
) -> Axes:
    """Draw paths onto the heatmap of `record`: along the row, then along the column.

    Each starts at the left of its row and ends in an arrow; right of the row stands what is lost.
    """
    outline = [patheffects.withStroke(linewidth=3.2, foreground="white")]
    right = ax.get_xlim()[1]
    for path, color in zip(paths, PATH_COLORS, strict=False):
        x, y = record.center(path.turn)
        end = record.center(path.end)
        first = record.center((path.start, 0))[0] - 0.5
        ax.plot([first, x], [y, y], color=color, linewidth=1.8, path_effects=outline, gid="path")
        ax.annotate(
            "",
            xy=end,
            xytext=(x, y),
            arrowprops={
                "arrowstyle": "-|>",
                "color": color,
                "linewidth": 1.8,
                "shrinkA": 0,
                "shrinkB": 3,
                "path_effects": outline,
            },
            gid="path",
        )
        ax.plot(*end, "o", color=color, markersize=4.5, path_effects=outline, gid="path")
        ax.annotate(
            units.number(path.cost),
            xy=(right, y),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=TICK,
            color=INK,
            fontweight="bold",
            annotation_clip=False,
            gid="cost",
        )
    return ax
