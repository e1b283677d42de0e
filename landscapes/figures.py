"""The figures of a study: from the database to heatmaps or slices, in one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from matplotlib.figure import Figure

from landscapes.heatmap import CMAP, plot_heatmaps
from landscapes.heatmap_record import SPAN, TOP
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
    span: float = SPAN,
    cmap: str | None = None,
    top: int = TOP,
    contours: Sequence[float] = (),
    reference: str | None = None,
    width: float | str | None = None,
) -> Figure:
    """The heatmaps or slices of a study, finished or not.

    Args:
        store: where it is.
        name: of the study.
        panels: only these.
        kind: what to draw.
        span: points of error above the best that are shown.
        cmap: colour map of heatmaps.
        top: how many best cells of a heatmap to circle.
        contours: points above the best at which heatmaps have lines of equal error.
        reference: a published figure, whose panels of the same pairs are drawn below, and whose
            best cells are marked in ours; colours then begin at each panel's own best.
        width: of a paper, in inches or by name; for the screen if None.

    Raises:
        UsageError: the database holds no such study; the reference none of its pairs; options
            that do not go together or are impossible.
        SpecError: the study has no such panel.
    """
    shown = study_landscapes(store, name, panels)
    if kind == "slices":
        if reference is not None or contours or cmap is not None:
            raise UsageError("slices have no --reference, --contours or --cmap: leave them out")
        return plot_slices_figure(shown, span=span, width=width)
    columns = None
    if reference is not None:
        columns = len(shown) if len(shown) <= WIDEST and width is None else None
        pairs = [landscape.pair for landscape in shown]
        shown += [one.landscape for one in reference_panels(reference, pairs)]
    return plot_heatmaps(
        shown,
        columns=columns,
        span=span,
        cmap=cmap or CMAP,
        top=top,
        contours=contours,
        reference=reference,
        relative=reference is not None,  # errors of another task
        width=width,
    )
