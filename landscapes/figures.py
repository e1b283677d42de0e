"""The figure of a study: from the database to heatmaps, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from landscapes.heatmap import plot_heatmaps
from landscapes.landscape import Landscape
from landscapes.panels import study_panels
from study.store import Store


def study_landscapes(store: Store, name: str, panels: Sequence[str] = ()) -> list[Landscape]:
    """The landscapes of a study's panels, in its order; of the named ones only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    return [one.landscape for one in study_panels(store, name, panels)]


def study_figure(store: Store, name: str, panels: Sequence[str] = (), **options: Any) -> Figure:
    """The heatmaps of a study, finished or not; `options` as of `plot_heatmaps`.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    return plot_heatmaps(study_landscapes(store, name, panels), **options)
