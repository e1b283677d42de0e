"""Which panels a user compares: from what the command line names to tables and a figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

from rich.table import Table

from landscape_study.landscapes.figures.difference import plot_comparison
from landscape_study.landscapes.figures.style import save
from landscape_study.landscapes.reading.panels import (
    PanelData,
    alike,
    doubtful,
    study_panels,
    unfinished,
)
from landscape_study.landscapes.reading.study_results import Results
from landscape_study.landscapes.reference import reference_panels
from landscape_study.landscapes.reporting.verdict_tables import (
    budgets_table,
    comparison_table,
    explanations_table,
    moves_table,
    verdict_table,
)
from landscape_study.landscapes.statistics.budget_ranks import budget_ranks
from landscape_study.landscapes.statistics.comparison import compare_panels
from landscape_study.landscapes.statistics.explanation import explanations
from landscape_study.landscapes.statistics.optimum import moves
from landscape_study.landscapes.statistics.separability import panel_separability
from landscape_study.study.errors import UsageError
from landscape_study.study.spec.figure_kinds import Over


@dataclass(frozen=True)
class Request:
    """What is to be compared: one panel with another, or all of a study that are alike."""

    study: str
    panel: str | None = None
    other: str | None = None  # a panel of the study, or STUDY/PANEL; of the reference, a pair
    reference: str | None = None  # a published figure, key of reference.REFERENCES


def compared(store: Results, request: Request) -> list[tuple[PanelData, PanelData]]:
    """Which panels are held against which.

    Raises:
        UsageError, SpecError: as `comparison_tables`.
    """
    own = study_panels(store, request.study) if request.panel is None else []
    return _pairings(store, request, own)


def comparison_tables(store: Results, request: Request) -> list[Table]:
    """Verdicts and differences; of a whole study also what its budgets tell, and what explains it.

    Raises:
        UsageError: no such study or reference, a reference without any of the study's pairs, or
            one panel only to compare.
        SpecError: no such panel.
    """
    own = study_panels(store, request.study) if request.panel is None else []
    pairings = _pairings(store, request, own)
    shown = {one.name: one for one in [*own, *chain.from_iterable(pairings)]}
    verdicts = [(one.label, panel_separability(one)) for one in shown.values()]
    tables = [verdict_table(verdicts, [line for one in shown.values() for line in _mind(one)])]
    if pairings:
        found = [(f"{a.label} →\n{b.label}", compare_panels(a, b)) for a, b in pairings]
        tables.append(comparison_table(found))
    stepped, moved, explained = budget_ranks(own), moves(own), explanations(own)
    if stepped:
        tables.append(budgets_table(stepped))
    if moved:
        tables.append(moves_table(moved))
    if explained:
        tables.append(explanations_table(explained))
    return tables


def _mind(one: PanelData) -> list[str]:
    """Say so if the panel is not finished, or not what a plain loop gives."""
    imported = one.panel is not None and one.panel.is_imported
    ended = ["finished"] if imported else ["finished", "pruned"]  # pruned here: as was asked for
    finished, total = int(one.cells["state"].isin(ended).sum()), len(one.cells)
    doubt = [doubtful(one.label)] if one.landscape.doubtful else []
    return [
        *doubt,
        *([unfinished(one.label, finished, total, imported=imported)] if finished < total else []),
    ]


def save_comparison(
    store: Results, request: Request, path: Path, *, over: Over = "lambda"
) -> Path:
    """Draw two panels and their difference into a file; return its path.

    Raises:
        UsageError: not two panels, two that share no cell, or a timescale that is not known;
            besides, as `comparison_tables`.
        StoreError: the file cannot be written.
    """
    if request.panel is None:
        raise UsageError("a figure of a comparison needs two panels: name PANEL and OTHER")
    ((one, other),) = _pairings(store, request, [])
    return save(plot_comparison(one.landscape, other.landscape, over=over), path)


def _pairings(
    store: Results, request: Request, own: Sequence[PanelData]
) -> list[tuple[PanelData, PanelData]]:
    """Which panels are held against which."""
    if request.panel is None:
        if request.reference is None:
            return list(alike(own))
        published = reference_panels(request.reference, [one.landscape.pair for one in own])
        pairs = {one.landscape.pair: one for one in published}
        usual = [one for one in own if one.landscape.is_usual]
        return [(one, pairs[one.landscape.pair]) for one in usual if one.landscape.pair in pairs]
    (one,) = study_panels(store, request.study, [request.panel])
    return [(one, _other(store, request, one))]


def _other(store: Results, request: Request, one: PanelData) -> PanelData:
    if request.reference is not None:
        (found,) = reference_panels(request.reference, [request.other or one.landscape.pair])
        return found
    if request.other is None:
        raise UsageError(
            f"panel '{request.panel}' alone: name the OTHER panel to compare it with, such as "
            "another panel, STUDY/PANEL of another study, or --reference fig2"
        )
    study, _, panel = request.other.rpartition("/")
    if panel == request.panel and study in ("", request.study):
        raise UsageError(f"panel '{panel}' twice: name another one as OTHER")
    (found,) = study_panels(store, study or request.study, [panel])
    if not study:
        return found
    title = f"{found.title}, {study}"
    return replace(found, name=request.other, landscape=replace(found.landscape, title=title))
