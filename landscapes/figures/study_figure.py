"""The figures of a study: from the database to a figure of any kind, in one call."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure

from landscape_study.landscapes.figures.anytime import plot_anytime
from landscape_study.landscapes.figures.generalization import plot_generalization
from landscape_study.landscapes.figures.heatmaps.heatmap import CMAP, plot_heatmaps
from landscape_study.landscapes.figures.heatmaps.heatmap_record import (
    BAR,
    CONTOURS,
    choose_columns,
    possible_over,
)
from landscape_study.landscapes.figures.law_figure import plot_laws
from landscape_study.landscapes.figures.mechanism import plot_mechanism
from landscape_study.landscapes.figures.schedule_figure import plot_schedules
from landscape_study.landscapes.figures.sizes import paper_width
from landscape_study.landscapes.figures.slices import plot_slices_figure
from landscape_study.landscapes.reading.frames import curves_frame, mechanism_frame
from landscape_study.landscapes.reading.landscape import Landscape
from landscape_study.landscapes.reading.panels import study_panels
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reference import reference_panels
from landscape_study.landscapes.statistics.panel_families import families
from landscape_study.landscapes.statistics.scaling_law import scaling_law
from landscape_study.landscapes.statistics.units import joint_units
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.figure_kinds import FIGURE_KINDS, FigureKind, Over
from landscape_study.study.spec.study import Figure as FigureSpec
from landscape_study.study.spec.study import Study
from landscape_study.study.validation import names_of

DEFAULT = FigureSpec().metrics  # of anytime figures of which nobody says what they show
WIDEST = 4  # heatmaps that stand above those of a reference
OPTIONS: dict[FigureKind, tuple[str, ...]] = {  # besides columns and width, which all have
    "heatmaps": ("span", "cmap", "top", "contours", "reference", "over"),
    "slices": ("span", "top"),  # the best cells that are looked for on the border
    "generalization": (),
    "anytime": ("metric",),
    "schedule": (),
    "mechanism": ("cmap", "top", "over"),
    "law": (),
}


def require_options(kind: FigureKind, **options: Any) -> None:
    """Refuse options that a kind of figure does not have; None and () are not given.

    Raises:
        UsageError: naming them.
    """
    given = [name for name, value in options.items() if value is not None and value != ()]
    wrong = [f"--{name}" for name in given if name not in OPTIONS[kind]]
    if wrong:
        words = {"slices": "slices", "heatmaps": "heatmaps"}.get(kind, f"{kind} figures")
        raise UsageError(f"{words} have no {' and no '.join(wrong)}: leave it out")


def study_figure(
    store: Results,
    name: str,
    panels: Sequence[str] = (),
    *,
    kind: FigureKind | None = None,
    columns: int | None = None,
    span: float | None = None,
    cmap: str | None = None,
    top: int | None = None,
    contours: Sequence[float] | bool = (),
    reference: str | None = None,
    metric: Sequence[str] | str = (),
    over: Over | None = None,
    width: float | str | None = None,
) -> Figure:
    """The figure of a study, finished or not.

    Args:
        store: where it is.
        name: of the study.
        panels: only these.
        kind: what to draw; None for the study's own kind of figure.
        columns: axes in a row; None for what the study says of its own kind, or a choice.
        span: how far from the best heatmaps and slices show values, in the metric's unit (points
            of error); 12 times what matters if None.
        cmap: colour map of heatmaps.
        top: how many best cells of a heatmap to circle; ten, or the best quarter of few, if None.
        contours: how much worse than the best the lines of equal values on heatmaps are, in the
            metric's unit; True for some.
        reference: a published figure, whose panels of the same pairs are drawn below heatmaps,
            and whose best cells are marked in ours; colours then begin at each panel's own best.
        metric: what an anytime figure shows; what the study says if empty, or its own metric
            where it does not say.
        over: what the axis of heatmaps to the right is: λ, or the timescale of the decay; None for
            what the study says.
        width: of a paper, in inches or by name; for the screen if None.

    Raises:
        UsageError: the database holds no such study; the reference none of its pairs; options
            that do not go together or are impossible.
        SpecError: the study has no such panel.
    """
    study = store.study(name)
    if kind is not None and kind not in FIGURE_KINDS:
        raise UsageError(f"no figure '{kind}': choose one of {', '.join(FIGURE_KINDS)}")
    if span is not None and math.isinf(span):
        raise UsageError(f"span = {span}: give a finite difference, in the metric's unit")
    own = study.figure if kind in (None, study.figure.kind) else FigureSpec(kind=kind)
    contours = contours if isinstance(contours, bool) else tuple(contours)
    panels, metric = names_of(panels), names_of(metric)
    given = {"span": span, "cmap": cmap, "top": top, "reference": reference, "over": over}
    require_options(own.kind, **given, contours=contours or (), metric=metric)
    columns = columns or _fitting(own.columns, len(panels) or len(study.panels), width)
    shared: dict[str, Any] = {"columns": columns, "width": width}
    if own.kind == "schedule":
        if any(panel.is_labelled for panel in study.panels):
            raise UsageError(
                f"study '{name}': its schedules are not known here: draw another kind of figure"
            )
        return schedule_figure(study, panels, **shared)
    chosen = study_panels(store, name, panels)
    shown = [one.landscape for one in chosen]
    if own.kind == "law":
        found = [scaling_law(family) for family in families(chosen)]
        return plot_laws(found, **shared)
    over = over or possible_over(shown, own.over)
    if own.kind == "generalization":
        return plot_generalization(chosen, curves_frame(store, name), **shared)
    if own.kind == "anytime":
        metrics = metric or (None if own.metrics == DEFAULT else own.metrics)
        return plot_anytime(chosen, curves_frame(store, name), metrics=metrics, **shared)
    if own.kind == "mechanism":
        inside = mechanism_frame(store, name)
        return plot_mechanism(chosen, inside, top=top, over=over, cmap=cmap, **shared)
    if own.kind == "slices":
        _require_lines(shown, is_asked=kind is not None)
        return plot_slices_figure(shown, span=span, **shared)
    return _heatmaps(
        shown,
        contours,
        span=span,
        cmap=cmap or CMAP,
        top=top,
        reference=reference,
        relative=own.relative or reference is not None,  # errors of another task
        over=over,
        **shared,
    )


def _heatmaps(
    shown: list[Landscape],
    contours: Sequence[float] | bool,
    *,
    columns: int | None,
    reference: str | None,
    width: float | str | None,
    **options: Any,
) -> Figure:
    """Heatmaps of these landscapes, above those of the reference of the same pairs."""
    if reference is not None:
        if columns is None and len(shown) <= WIDEST and width is None:
            columns = len(shown)
        pairs = [landscape.pair for landscape in shown]
        shown = shown + [one.landscape for one in reference_panels(reference, pairs)]
    return plot_heatmaps(
        shown,
        columns=columns,
        contours=usual_contours(shown) if contours is True else contours or (),
        reference=reference,
        width=width,
        **options,
    )


def usual_contours(landscapes: Sequence[Landscape]) -> tuple[float, ...]:
    """Where lines of equal values are if nobody says: at `CONTOURS` points, in round numbers."""
    size = joint_units(landscapes).size
    return tuple(float(f"{points * size:.1g}") for points in CONTOURS)


def _require_lines(landscapes: Sequence[Landscape], *, is_asked: bool) -> None:
    """Refuse scattered trials, of which hardly two have the same α; and, if asked for, a single λ.

    Raises:
        UsageError: naming the panel.
    """
    for one in landscapes:
        up, across = one.symbols
        if is_asked and len(one.columns.values) == 1:
            raise UsageError(
                f"panel '{one.panel}': it has one {across} only, so that there are no lines "
                f"against {across} to draw: draw its heatmap"
            )
        if one.is_scattered:
            raise UsageError(
                f"panel '{one.panel}': its trials lie scattered, so that there are no lines of "
                f"one {up} to draw: draw its heatmap"
            )


def _fitting(columns: int | None, count: int, width: float | str | None) -> int | None:
    """The columns that a study wishes for, or fewer where its figure is printed narrow."""
    if columns is None or width is None:
        return columns
    return choose_columns(count, paper_width(width), columns, right=BAR)


def schedule_figure(
    study: Study,
    panels: Sequence[str] = (),
    *,
    columns: int | None = None,
    width: float | str | None = None,
    **others: Any,
) -> Figure:
    """The schedules of a study, of which nothing need be trained; of the named panels, if any.

    Options of `others` that are given are refused.

    Raises:
        UsageError: impossible columns or width, or a panel without a budget.
        SpecError: the study has no such panel.
    """
    require_options("schedule", **others)
    chosen = [study.panel(panel) for panel in dict.fromkeys(panels)] or study.panels
    return plot_schedules(chosen, columns=columns, width=width)
