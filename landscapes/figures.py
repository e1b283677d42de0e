"""The figures of a study: from the database to heatmaps or slices, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from matplotlib.figure import Figure

from landscapes.heatmap import plot_heatmaps
from landscapes.landscape import Landscape
from landscapes.panels import reference_panels, study_panels
from landscapes.slices import plot_slices_figure
from study.errors import UsageError
from study.store import Store

Kind = Literal["heatmaps", "slices"]
WIDEST = 4  # heatmaps that stand above those of a reference


def study_landscapes(store: Store, name: str, panels: Sequence[str] = ()) -> list[Landscape]:
    """The landscapes of a study's panels, in its order; of the named ones only, if any are.

    Raises:
        UsageError: the database holds no such study.
        SpecError: the study has no such panel.
    """
    return [one.landscape for one in study_panels(store, name, panels)]


def study_figure(
    store: Store,
    name: str,
    panels: Sequence[str] = (),
    *,
    kind: Kind = "heatmaps",
    reference: str | None = None,
    **options: Any,
) -> Figure:
    """The heatmaps or slices of a study, finished or not.

    Args:
        store: where it is.
        name: of the study.
        panels: only these.
        kind: what to draw.
        reference: a published figure, whose panels of the same pairs are drawn below, and whose
            best cells are marked in ours.
        options: as of `plot_heatmaps` or `plot_slices_figure`.

    Raises:
        UsageError: the database holds no such study; the reference none of its pairs.
        SpecError: the study has no such panel.
    """
    shown = study_landscapes(store, name, panels)
    if kind == "slices":
        if reference is not None:
            raise UsageError("--reference goes with heatmaps: leave --kind slices out")
        return plot_slices_figure(shown, **options)
    if reference is not None:
        pairs = [landscape.pair for landscape in shown]
        beside = [one.landscape for one in reference_panels(reference, pairs)]
        if len(shown) <= WIDEST:
            options.setdefault("columns", len(shown))
        shown += beside
        options["reference"] = reference
    return plot_heatmaps(shown, **options)
